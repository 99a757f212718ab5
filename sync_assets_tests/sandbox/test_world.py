"""The world: same seed, same company; every step changes every system; its clock and its control port."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import RefusedError
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.world import World
from sync_assets_tests.founding import founded_alike
from sync_assets_tests.sandbox.conftest import UNLIMITED

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def everything(world: World) -> dict[tuple[str, str], list[bytes]]:
    names = ((name, entity) for name, system in world.systems.items() for entity in system.entities())
    return {(name, entity): world.truth_rows(name, entity) for name, entity in names}


def test_the_same_seed_gives_the_same_bytes_and_the_same_life() -> None:
    worlds = [World(seed=7), World(seed=7), World(seed=8)]
    for world in worlds:
        world.clock.freeze(NOON)
    first, same, other = (everything(world) for world in worlds)
    assert first == same and first != other
    for world in worlds:
        world.advance(5)
    assert everything(worlds[0]) == everything(worlds[1]) != first


def test_a_company_is_the_same_whenever_somebody_first_looks_at_it() -> None:
    early, late = World(seed=7), World(seed=7)
    for world in (early, late):
        world.clock.freeze(NOON)
    before = everything(early)
    for system in late.systems.values():
        system.credentials()
    late.clock.freeze(NOON + timedelta(hours=1))
    assert {key: late.truth_rows(*key) for key in reversed(before)} == before


def test_a_copy_for_tests_has_the_same_books_and_the_same_life() -> None:
    new, *copied = [World(seed=7), *(founded_alike(World(seed=7)) for _ in range(4))]
    first = everything(new)
    for world in copied:
        assert everything(world) == first
    for world in (new, copied[-1]):
        world.clock.freeze(NOON)
        world.advance(5)
    assert everything(new) == everything(copied[-1]) != first == everything(copied[-2])
    for name, system in copied[-1].systems.items():
        company = system.company  # type: ignore[attr-defined]
        assert (company.clock, company.lock) == (copied[-1].clock, copied[-1].lock), name
        assert company.dice is system._dice, name  # type: ignore[attr-defined]
    kinds = (copied[-1].bitrix.tables["order_items"].kind, copied[-1].hubspot.shelves["contacts"].kind)
    assert kinds[0] is new.bitrix.tables["order_items"].kind and kinds[1] is new.hubspot.shelves["contacts"].kind


def test_every_step_changes_each_system_and_moves_stamps_forward() -> None:
    world = World(seed=3)
    for _ in range(25):
        before, at = everything(world), world.kaiten.revision
        newest = max(card["updated"] for card in world.truth("kaiten", "cards"))
        world.advance()
        after = everything(world)
        assert after["kaiten", "cards"] != before["kaiten", "cards"]
        assert after["worksection", "tasks"] != before["worksection", "tasks"]
        assert max(card["updated"] for card in world.truth("kaiten", "cards")) > newest
        assert world.kaiten.revision > at and world.worksection.events


def test_a_long_life_leaves_no_card_without_its_place() -> None:
    world = World(seed=5)
    world.advance(60)
    columns = {column["id"] for column in world.truth("kaiten", "columns")}
    lanes = {lane["id"] for lane in world.truth("kaiten", "lanes")}
    cards = world.truth("kaiten", "cards")
    assert all(card["column_id"] in columns and card["lane_id"] in lanes for card in cards)
    assert {lane["condition"] for lane in world.truth("kaiten", "lanes")} == {1, 2, 3}


def test_direct_edits_move_updated_version_and_the_journal() -> None:
    world = World()
    kaiten, worksection = world.kaiten, world.worksection
    card = kaiten.create_card(title="mine")
    tag = kaiten.create_tag("fresh")
    kaiten.add_tag(card, tag)
    kaiten.add_member(card, next(iter(kaiten.tables["users"])), responsible=True)
    kaiten.update_card(card, properties={"id_1": 5, "id_2": 6}, description="text")
    kaiten.update_card(card, properties={"id_1": None})
    record = next(c for c in world.truth("kaiten", "cards") if c["id"] == card)
    assert (record["version"], record["tag_ids"], record["properties"]) == (5, [tag], {"id_2": 6})
    assert (record["description"], record["members"][0]["type"], record["tags"][0]["name"]) == ("text", 2, "fresh")
    kaiten.delete_tag(tag)
    record = next(c for c in world.truth("kaiten", "cards") if c["id"] == card)
    assert (record["tags"], record["tag_ids"]) == ([], [])
    lane = record["lane_id"]
    kaiten.archive_lane(lane)
    kaiten.delete_lane(lane)
    assert card not in kaiten.cards
    assert next(x for x in world.truth("kaiten", "lanes") if x["id"] == lane)["condition"] == 3
    project = next(iter(worksection.projects))
    top = worksection.create_task(project, name="mine")
    child = worksection.create_task(project, top, name="below")
    worksection.close_task(child)
    worksection.delete_task(top)
    assert [e["action"] for _, e in worksection.events] == ["post", "post", "close", "delete", "delete"]
    with pytest.raises(RefusedError):
        worksection.close_task(child)


def test_the_hierarchy_follows_edits() -> None:
    company = World().worksection
    for change in ("archive", "untag", "bang", "close"):
        before = {name: len(rows) for name, rows in company.hierarchy().items()}
        project = company.hierarchy()["objects"][0]["project_id"]
        top = next(o for o in company.hierarchy()["objects"] if o["project_id"] == project)
        below = sum(s["object_id"] == top["id"] for s in company.hierarchy()["sections"])
        if change in ("bang", "close"):
            company.rename_task(top["id"], "! later") if change == "bang" else company.close_task(top["id"])
            after = {name: len(rows) for name, rows in company.hierarchy().items()}
            assert after == before | {"objects": before["objects"] - 1, "sections": before["sections"] - below}
        else:
            company.archive_project(project) if change == "archive" else company.set_project_tags(project, [])
            assert project not in {stage["project_id"] for stage in company.hierarchy()["stages"]}


def test_the_clock_is_distinct_until_told_otherwise() -> None:
    clock = Clock()
    stamps = [clock.now() for _ in range(50)]
    assert len(set(stamps)) == 50 and stamps == sorted(stamps)
    clock.freeze(NOON)
    assert clock.now() == NOON < clock.now()
    clock.advance(60)
    assert (clock.now() - NOON).total_seconds() == 60.002, "after the last of two stamps, not after the first"
    burst = [clock.now() for _ in range(1500)]
    clock.advance(1)
    assert (clock.now() - burst[-1]).total_seconds() > 1, "also where a burst ran ahead of time"
    clock.distinct = False
    assert clock.now() == clock.now()


def test_it_stops_and_leaves_no_port_open() -> None:
    with Sandbox(rates=UNLIMITED) as sandbox:
        url = sandbox.control_url
        assert httpx.get(f"{url}/_health").json()["status"] == "ok"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_the_control_port_tells_advances_and_logs(sb: Sandbox) -> None:
    url = sb.control_url
    assert httpx.get(f"{url}/_world/kaiten/cards").json() == sb.world.truth("kaiten", "cards")
    assert "stages" in httpx.get(f"{url}/_world/worksection").json()
    before = sb.world.kaiten.revision
    assert httpx.post(f"{url}/_world/advance", json={"steps": 2}).json()["revisions"]["kaiten"] > before
    httpx.get(f"{sb.kaiten_url}/api/v1/cards?limit=1", headers={"Authorization": f"Bearer {sb.kaiten_token}"})
    entry = httpx.get(f"{url}/_requests?system=kaiten").json()[0]
    assert (entry["path"], entry["query"], entry["status"]) == ("/api/v1/cards", {"limit": "1"}, 200)
    assert entry["bytes"] > 1000 and entry["monotonic"] and entry["time"]
    assert httpx.get(f"{url}/_requests?system=worksection").json() == []
    made = httpx.post(
        f"{url}/_faults", json={"id": "A3", "system": "kaiten", "path": "/cards", "times": 2, "status": 500}
    )
    assert made.json()["options"] == {"status": 500}
    assert httpx.post(f"{url}/_faults", json={"id": "nonsense"}).status_code == 400
    assert httpx.get(f"{sb.kaiten_url}/api/v1/cards").status_code == 500
    assert httpx.delete(f"{url}/_faults").json() == {"faults": 0}
    assert httpx.get(f"{url}/_world/kaiten/nonsense").status_code == 400
    assert httpx.get(f"{url}/nonsense").status_code == 404


def test_the_command_says_where_it_is_and_stops_on_sigterm(tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    command = [sys.executable, "-m", "sync_assets.sandbox", "--size", "tiny", "--rate", "kaiten=0", "--latency-ms", "1"]
    command += ["--fault", "A3:kaiten:path=/tags,status=502", "--port-file", str(port_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONWARNINGS": "error"}) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said == json.loads(port_file.read_text())
        assert said.keys() == {"control", "webhooks", *World().systems} and len(said["worksection"]["key"]) == 32
        headers = {"Authorization": f"Bearer {said['kaiten']['token']}"}
        assert httpx.get(f"{said['kaiten']['url']}/api/v1/tags", headers=headers).status_code == 502
        assert len(httpx.get(f"{said['kaiten']['url']}/api/v1/cards", headers=headers).json()) == 100
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_bench_world_serves_pages_that_are_serialised_already() -> None:
    with Sandbox(size="bench", cards=2000, rates=UNLIMITED) as sb:
        system = sb.world.systems["kaiten"]
        from sync_assets.sandbox.dialect import Request

        for offset in range(0, 2000, 100):
            query = {"limit": "100", "offset": str(offset), "additional_card_fields": "description"}
            request = Request("GET", "/api/v1/cards", f"offset={offset}", query, {})
            first, again = system.answer(request), system.answer(request)
            assert 2500 < len(first.content()) / 100 < 4000
            assert all(a is b for a, b in zip(first.rows or (), again.rows or (), strict=True))
