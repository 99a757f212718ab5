"""Kaiten's external webhooks: documented keys, one address per space, silence about all that is deleted."""

import json
from pathlib import Path
from typing import Any

from sync_assets.sandbox.kaiten.company import KaitenCompany
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED, Client
from sync_assets_tests.sandbox.receiver import Receiver


def everything(company: KaitenCompany) -> None:
    """Each edit of which Kaiten tells, once."""
    tables = company.tables
    space, user, tag = (next(iter(tables[name])) for name in ("spaces", "users", "tags"))
    company.update("spaces", space, title="Renamed")
    board = company.create_board(space)
    company.update("boards", board, title="Renamed")
    card = company.create_card(board_id=board, title="New", description="text")
    company.archive_card(card)
    company.add_tag(card, tag)
    company.remove_tag(card, tag)
    company.update("tags", tag, color=9)
    company.add_member(card, user)
    company.add_member(card, user, responsible=True)
    company.remove_member(card, user)


def bodies(receiver: Receiver) -> dict[str, dict[str, Any]]:
    return {body["event"]: body["data"] for body in (one.json() for one in receiver.arrived)}


def test_bodies_have_the_documented_keys(shared: Path, sb: Sandbox, receiver: Receiver) -> None:
    known = json.loads((shared / "kaiten/kaiten_webhook_events.json").read_text())
    sb.webhooks.register("kaiten", receiver.url)
    everything(sb.world.kaiten)
    sb.webhooks.settled()
    told = bodies(receiver)
    assert sorted(told) == sorted(e for e in known["events"] if e.split(":")[0] in (
        "space", "board", "card", "card_member", "tag"))  # fmt: skip
    for event, data in told.items():
        shape = known["events"][event]
        assert sorted(data.pop("author")) == sorted(known["author"])
        if shape["kind"] == "update":
            assert sorted(data) == ["changes", "old"] and sorted(data["old"]) == sorted(shape["old"]), event
        else:
            assert sorted(data) == sorted(shape["keys"]), event
    assert {"archived", "condition", "version", "updated"} <= told["card:update"]["changes"].keys()


def test_an_update_has_the_whole_before_and_the_few_that_changed(sb: Sandbox, receiver: Receiver) -> None:
    company = sb.world.kaiten
    sb.webhooks.register("kaiten", receiver.url)
    card = next(iter(company.cards.values()))
    old = card.fields() | {"description": card.description}
    column = next(id for id, c in company.tables["columns"].items() if c["board_id"] == card.board_id)
    target = column if column != card.column_id else list(company.tables["columns"])[-1]
    company.move_card(card.id, column_id=target)
    title = card.fields()["title"]
    company.update_card(card.id, description="another", title=title)
    sb.webhooks.settled()
    moved, described = sorted((one.json()["data"] for one in receiver.arrived), key=lambda d: d["old"]["version"])
    assert {name: old[name] for name in moved["old"] if name in old} == {
        name: value for name, value in moved["old"].items() if name in old
    }
    assert moved["changes"]["column_id"] == target and moved["old"]["column_id"] == old["column_id"]
    assert described["old"]["description"] == old["description"] and described["changes"]["description"] == "another"
    assert "title" not in described["changes"]


def test_nothing_is_told_of_what_is_deleted_or_has_no_event(sb: Sandbox) -> None:
    company = sb.world.kaiten
    before = len(sb.webhooks.changes)
    card = company.create_card(title="x")
    company.delete_card(card)
    lane = company.create("lanes", board_id=next(iter(company.tables["boards"])), title="x")
    company.delete("lanes", lane)
    company.create("users", full_name="x")
    company.create_tag("x")
    assert [c.name for c in sb.webhooks.changes[before:]] == ["card:add"]


def test_a_tag_on_a_card_is_an_update_too_only_if_the_switch_says_so(sb: Sandbox) -> None:
    def told(sandbox: Sandbox) -> list[str]:
        company = sandbox.world.kaiten
        bare = next(id for id, card in company.cards.items() if not card.tags)
        company.add_tag(bare, next(iter(company.tables["tags"])))
        return [change.name for change in sandbox.webhooks.changes]

    with Sandbox(rates=UNLIMITED, switches={"kaiten.tag_updates": "yes"}) as other:
        assert (told(sb), told(other)) == (["tag:add"], ["tag:add", "card:update"])


def test_the_api_gives_each_space_one_address(sb: Sandbox, receiver: Receiver, client: Client) -> None:
    company = sb.world.kaiten
    space, elsewhere = list(company.tables["spaces"])[:2]
    path = f"/spaces/{space}/external-webhooks"
    assert client.kaiten(path).json() == []
    row = client.kaiten(path, "POST", json={"url": receiver.url}).json()
    assert (row["url"], row["enabled"], client.kaiten(path).json()) == (receiver.url, True, [row])
    assert client.kaiten(path, "POST", json={"url": receiver.url}).status_code == 400, "one per space at most"
    assert client.kaiten(f"/spaces/{elsewhere}/external-webhooks", "POST", json={"url": ""}).status_code == 400
    for method in ("GET", "DELETE"):
        assert client.kaiten(f"{path}/{row['id']}", method).status_code in (404, 405)
    boards = {b["space_id"]: id for id, b in company.tables["boards"].items()}
    for id, board in boards.items():
        company.create_card(board_id=board, title=f"in {id}")
    sb.webhooks.settled()
    assert [one.json()["data"]["title"] for one in receiver.arrived] == [f"in {space}"]
    off = client.kaiten(f"{path}/{row['id']}", "PATCH", json={"enabled": False}).json()
    assert off["enabled"] is False
    company.create_card(board_id=boards[space], title="unheard")
    sb.webhooks.settled()
    assert len(receiver.arrived) == 1
    assert client.kaiten("/spaces/1/external-webhooks").status_code == 404


def test_retries_are_a_switch(receiver: Receiver) -> None:
    receiver.answer = (503, b"")
    for retries in ("0", "2"):
        with Sandbox(switches={"kaiten.hook_retries": retries, "webhooks.speed": "1000000"}) as sb:
            sb.webhooks.register("kaiten", receiver.url)
            sb.world.kaiten.create_card(title="x")
            sb.webhooks.settled()
            assert len(sb.webhooks.deliveries) == 1 + int(retries)
