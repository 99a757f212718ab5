"""Worksection: its two ways to prove who asks, the hierarchy that is built from its tasks, and its list of events."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync_assets.account import connected_accounts
from sync_assets.errors import BadCredentials, TooManyRecords
from sync_assets.sandbox.server import Sandbox
from sync_assets.systems import SYSTEMS
from sync_assets.systems.worksection.api import WorksectionApi, WorksectionSettings, md5_hash
from sync_assets.systems.worksection.entities import changed_tasks
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import failed

HIERARCHY = ("stages", "objects", "sections")


def api(key: str, **options: str) -> WorksectionApi:
    env = {"WORKSECTION_DOMAIN": "example.worksection.com", "WORKSECTION_HASH": key}
    env |= {f"WORKSECTION_{name.upper()}": value for name, value in options.items()}
    settings = connected_accounts(SYSTEMS, env)[0][0].settings
    assert isinstance(settings, WorksectionSettings)
    return WorksectionApi(settings)


@pytest.fixture
def vectors() -> Any:
    folder = Path(os.environ.get("SYNC_ASSETS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    file = folder / "worksection" / "worksection_auth_vectors.json"
    if not file.is_file():
        pytest.skip(f"recorded vectors are not at {file}; set SYNC_ASSETS_SHARED_DATA")
    return json.loads(file.read_bytes())


def test_the_hash_is_that_of_the_vendors_own_example(vectors: Any) -> None:
    vector = vectors["worksection_md5"]
    assert md5_hash(vector["query_params"], vector["api_key"]) == vector["hash"]
    sent = api(vector["api_key"]).outgoing("get_tasks", {"id_project": "26"})
    assert sent.url.endswith(f"?{vector['query_params']}&hash={vector['hash']}")


def test_the_header_is_that_of_the_vendors_own_client(vectors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = vectors["worksection_admin_header"]
    monkeypatch.setattr("sync_assets.systems.worksection.api.time.time", lambda: vector["unix_ts"] + 0.5)
    sent = api(vectors["worksection_md5"]["api_key"], auth="header").outgoing(vector["action"], {})
    assert f"Authorization: {sent.headers['Authorization']}" == vector["header"]
    assert "hash=" not in sent.url


@pytest.mark.parametrize("auth", ["md5", "header", "bearer"])
def test_every_way_to_prove_oneself_is_accepted(
    make_company: Callable[..., Company], sandbox: Sandbox, auth: str
) -> None:
    token = sandbox.world.systems["worksection"].credentials()["access_token"]
    secret = token if auth == "bearer" else sandbox.worksection_key
    company = make_company(sandbox, WORKSECTION_AUTH=auth, WORKSECTION_HASH=secret)
    company.synced("full", "worksection")
    company.assert_world_equals_postgres("worksection")


def test_a_wrong_key_is_refused_once_and_named(make_company: Callable[..., Company], sandbox: Sandbox) -> None:
    company = make_company(sandbox, WORKSECTION_HASH="0" * 32)
    done = company.sync("full", "worksection")
    assert all(isinstance(e, BadCredentials) and "WORKSECTION_HASH" in str(e) for e in done.values())
    assert len(sandbox.requests) == 1


def test_4_stages_32_objects_62_sections_are_98_and_then_98_unchanged(company: Company) -> None:
    first = company.synced("full", "worksection")
    assert [first[name].totals["created"] for name in HIERARCHY] == [4, 32, 62]
    before = len(company.sandbox.requests)
    second = company.synced("full", "worksection")
    assert sum(second[name].totals["unchanged"] for name in HIERARCHY) == 98
    assert sum(second[name].totals["created"] + second[name].totals["updated"] for name in HIERARCHY) == 0
    assert len(company.sandbox.requests) - before <= 6
    third = company.synced("incremental", "worksection")
    assert sum(third[name].totals["unchanged"] for name in HIERARCHY) == 98


def test_the_hierarchy_follows_every_change_of_its_tasks(grown: Company) -> None:
    ws = grown.sandbox.world.worksection
    objects = [t for t in ws.tasks.values() if t.parent is None and t.counted and t.tags]
    synced = [t for t in objects if t.id in grown.raw("objects", "worksection")]
    ws.rename_task(synced[0].id, "! hidden now")
    ws.close_task(next(c for c in synced[1].children if ws.tasks[c].counted))
    ws.set_tags(synced[2].id, [])
    ws.create_task(synced[3].project, synced[3].id, name="New section")
    ws.delete_task(synced[4].id)
    grown.synced("incremental", "worksection")
    grown.assert_world_equals_postgres("worksection")
    assert grown.raw("objects", "worksection")[synced[2].id]["stage_id"] == "none"
    grown.assert_ledger_adds_up()


def test_an_object_without_a_stage_is_in_the_bucket_none_and_waits_for_nobody(grown: Company) -> None:
    stages = [row["stage_id"] for row in grown.rows("objects", "worksection")]
    assert stages.count("none") == 1
    assert grown.query("select * from sync.missing_parents where child_entity = 'objects'") == []
    assert grown.query("select count(*) from worksection.hierarchy where stage = 'no stage'") != [(0,)]


def test_the_mapping_depth_makes_three_levels_of_tasks_into_the_three(
    make_company: Callable[..., Company], sandbox: Sandbox
) -> None:
    company = make_company(sandbox, WORKSECTION_MAPPING="depth")
    company.synced("full", "worksection")
    ws = sandbox.world.worksection
    scope = {p for p, tags in ws.project_tags.items() if ws.synced_tag in tags and ws.projects[p]["status"] == "active"}
    tops = {t.id for t in ws.tasks.values() if t.parent is None and t.counted and t.project in scope}
    middle = {t.id for t in ws.tasks.values() if t.parent in tops and t.counted}
    low = {t.id for t in ws.tasks.values() if t.parent in middle and t.counted}
    assert {i for _, i in company.raw("stages", "worksection")} == tops
    assert company.raw("objects", "worksection").keys() == middle
    assert company.raw("sections", "worksection").keys() == low and low
    assert all(r["stage_id"] == ws.tasks[r["id"]].parent for r in company.rows("objects", "worksection"))
    assert all(r["object_id"] == ws.tasks[r["id"]].parent for r in company.rows("sections", "worksection"))


def test_closed_tasks_can_be_kept(make_company: Callable[..., Company], sandbox: Sandbox) -> None:
    company = make_company(sandbox, WORKSECTION_CLOSED="keep")
    company.synced("full", "worksection")
    states = {row["status"] for row in company.rows("objects", "worksection")}
    assert states == {"active", "done"}


def test_too_many_tasks_is_an_error_of_its_own(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(switches={"worksection.cap": "60"}))
    failed(company.sync("full", "worksection"), "tasks", TooManyRecords)


# Events


NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def plan(events: list[dict[str, Any]], age: timedelta = timedelta(minutes=10)) -> tuple[Any, list[str]]:
    periods: list[str] = []

    def ask(path: str, params: Any) -> bytes:
        periods.append(params["period"])
        return json.dumps({"status": "ok", "data": events}).encode()

    return changed_tasks(ask, NOW - age, NOW), periods


def event(page: str, action: str = "update", kind: str = "task") -> dict[str, Any]:
    return {"action": action, "object": {"type": kind, "id": "1", "page": page}}


def test_no_event_means_no_read() -> None:
    assert plan([]) == ([], ["10m"])
    assert plan([event("/project/26/", kind="comment")])[0] == []


def test_changes_in_one_project_are_read_from_that_project() -> None:
    (read,), _ = plan([event("/project/26/7/"), event("/project/26/7/9/", "close")])
    assert (read.path, read.params["id_project"]) == ("get_tasks", "26")


@pytest.mark.parametrize(
    "events",
    [
        [event("/project/26/7/"), event("/project/27/7/")],
        [event("/project/26/7/", "delete")],
        [event("/project/26/", kind="project")],
        [event("/task/7/")],
        [event("")],
    ],
    ids=["two projects", "a deletion", "a project", "a page that names no project", "no page"],
)
def test_everything_is_read_where_events_do_not_prove_less(events: list[dict[str, Any]]) -> None:
    assert isinstance(plan(events)[0], str)


@pytest.mark.parametrize(
    ("age", "period"),
    [
        (timedelta(seconds=1), "1m"),
        (timedelta(hours=6), "360m"),
        (timedelta(hours=6, seconds=1), "7h"),
        (timedelta(hours=72), "72h"),
        (timedelta(hours=72, seconds=1), "4d"),
        (timedelta(days=29), "29d"),
        (timedelta(days=29, seconds=1), "30d"),
    ],
)
def test_the_period_covers_the_time_since_the_watermark_in_a_documented_window(age: timedelta, period: str) -> None:
    assert plan([], age)[1] == [period]


def test_events_reach_back_30_days() -> None:
    found, periods = plan([], timedelta(days=30, seconds=1))
    assert "30 days ago" in found and periods == []
    found, periods = plan([], timedelta(days=30))
    assert periods in ([], ["30d"])


def test_a_quiet_incremental_sync_asks_for_events_and_not_for_tasks(
    make_company: Callable[..., Company], sandbox: Sandbox
) -> None:
    company = make_company(sandbox, SYNC_OVERLAP_SECONDS="0")
    company.synced("full", "worksection")
    before = len(sandbox.requests)
    company.synced("incremental", "worksection")
    actions = [entry.query["action"] for entry in sandbox.requests[before:]]
    assert "get_events" in actions and "get_all_tasks" not in actions and "get_tasks" not in actions
    company.assert_world_equals_postgres("worksection")


def test_a_change_in_one_project_is_read_by_that_project_alone(grown: Company) -> None:
    ws = grown.sandbox.world.worksection
    task = next(iter(ws.tasks))
    ws.rename_task(task, "Another name")
    before = len(grown.sandbox.requests)
    outcome = grown.synced("incremental", "worksection")["tasks"]
    asked = {entry.query["action"]: entry.query for entry in grown.sandbox.requests[before:]}
    assert asked["get_tasks"]["id_project"] == ws.tasks[task].project
    assert "get_all_tasks" not in asked
    assert (outcome.totals["updated"], outcome.totals["deleted"]) == (1, 0)
    grown.assert_world_equals_postgres("worksection")
