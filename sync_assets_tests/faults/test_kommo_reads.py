"""Kommo's answers when they are cut, empty or misshapen, and its pages when they run in a ring, repeat or move.

None of them is ever the end of a list: what was promised and does not come is asked for again, or is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sync_assets.errors import CallVendor, PageLoop, RetryLater, SourceUnavailable, SyncError, Throttled
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import failed

LISTS = {"leads": "/leads$", "tasks": "/tasks$", "events": "/events$", "users": "/users$", "pipelines": "/pipelines$"}


@pytest.fixture
def wide(make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]) -> Company:
    """With lists of several pages."""
    return make_company(make_sandbox(switches={"kommo.leads": "600"}), SYNC_RETRIES="2")


def assert_in_step(company: Company, *entities: str) -> None:
    company.sandbox.faults.clear()
    company.synced("full", "kommo", entities)
    for entity in entities:
        assert company.raw(entity, "kommo") == company.truth(entity, "kommo"), entity
    company.assert_ledger_adds_up()


SHAPES = [
    ("A8", {"variant": "list_missing"}, "pipelines", CallVendor),
    ("A8", {"variant": "null"}, "leads", CallVendor),
    ("A8", {"variant": "error200"}, "leads", CallVendor),
    ("A8", {"variant": "error200"}, "pipelines", CallVendor),
    ("A8", {"variant": "numbers"}, "users", CallVendor),
    ("A6", {"cut": "[]"}, "leads", CallVendor),
    ("A6", {"keep": 0.97, "with": "chunked"}, "tasks", RetryLater),
    ("A7", {"variant": "empty"}, "events", RetryLater),
    ("A7", {"variant": "html"}, "pipelines", RetryLater),
]


@pytest.mark.parametrize(
    ("fault", "options", "entity", "error"), SHAPES, ids=[f"{f} {next(iter(o.values()))} {e}" for f, o, e, _ in SHAPES]
)
def test_a6_a7_a8_an_answer_of_another_shape_is_an_error_and_never_an_empty_page(
    company: Company, fault: str, options: dict[str, Any], entity: str, error: type[SyncError]
) -> None:
    company.synced("full", "kommo", entity)
    company.sandbox.faults.set(fault, system="kommo", path=LISTS[entity], **options)
    failed(company.sync("full", "kommo", entity), entity, error)
    assert company.query("select * from sync.tombstones") == []
    assert_in_step(company, entity)


@pytest.mark.parametrize(("entity", "page"), [("leads", "from%5D=1"), ("tasks", "from%5D=1"), ("events", "page=2")])
def test_a7_an_empty_answer_in_the_middle_of_a_list_is_asked_for_again(wide: Company, entity: str, page: str) -> None:
    struck = wide.sandbox.faults.set("A7", system="kommo", path=page, times=1, variant="204")
    wide.synced("full", "kommo", entity)
    assert struck.strikes == 1
    assert wide.raw(entity, "kommo") == wide.truth(entity, "kommo")


def test_a7_leads_that_were_promised_and_never_come_are_no_end_of_the_list(wide: Company) -> None:
    wide.sandbox.faults.set("A7", system="kommo", path="from%5D=1", variant="204")
    error = failed(wide.sync("full", "kommo", "leads"), "leads", SourceUnavailable)
    assert "none came" in error.what
    assert_in_step(wide, "leads")


def test_a7_an_account_without_leads_is_no_error(company: Company) -> None:
    kommo = company.sandbox.world.kommo
    for lead in list(kommo.living["leads"]):
        kommo.delete("leads", lead)
    company.synced("full", "kommo", "leads")
    assert company.count("leads", "kommo") == 0


def test_a1_a_wait_longer_than_a_run_may_last_ends_the_run_and_is_kept(company: Company) -> None:
    company.sandbox.faults.set("A1", system="kommo", path=LISTS["users"], times=1, retry_after=99_999)
    failed(company.sync("full", "kommo", "users"), "users", Throttled)
    before = len(company.sandbox.requests)
    failed(company.sync("full", "kommo", "pipelines"), "pipelines", Throttled)
    assert len(company.sandbox.requests) == before, "nobody asks before the time is over"
    company.query("update sync.budgets set paused_until = now()")
    assert_in_step(company, "users", "pipelines")


def test_a2_a_429_that_turns_into_the_block_page_is_not_asked_through(company: Company) -> None:
    company.sandbox.faults.set("A2", system="kommo", path=LISTS["users"], variant="burst", times=1)
    company.sandbox.faults.set("A2", system="kommo", variant="blocked", path="/leads")
    done = company.sync("full", "kommo", ["users", "pipelines", "loss_reasons", "leads"])
    assert not isinstance(done["users"], SyncError)
    blocked = [e for e in done.values() if isinstance(e, SyncError)]
    assert len(blocked) == 3 and all("blocks this address" in e.what for e in blocked)
    assert len([r for r in company.sandbox.requests if r.status == 403]) == 1
    assert_in_step(company, "users", "pipelines", "loss_reasons", "leads")


@pytest.mark.parametrize(("entity", "loop"), [("leads", 1), ("events", 1), ("events", 2)])
def test_p1_pages_in_a_ring_are_noticed_at_once_and_lose_nothing(wide: Company, entity: str, loop: int) -> None:
    wide.synced("full", "kommo", entity)
    ((watermark,),) = wide.query("select watermark from sync.metadata where entity = %s", [entity])
    before = len(wide.sandbox.requests)
    wide.sandbox.faults.set("P1", system="kommo", path=LISTS[entity], loop=loop)
    failed(wide.sync("full", "kommo", entity), entity, PageLoop)
    assert len(wide.sandbox.requests) - before < 12, "it ran in circles"
    assert wide.query("select watermark from sync.metadata where entity = %s", [entity]) == [(watermark,)]
    assert wide.query("select * from sync.tombstones") == []
    assert_in_step(wide, entity)


@pytest.mark.parametrize("options", [{"rows": 30}, {"rows": 4, "variant": "within"}], ids=str)
def test_p2_repeated_events_are_stored_once_and_counted(wide: Company, options: dict[str, Any]) -> None:
    wide.sandbox.faults.set("P2", system="kommo", path=LISTS["events"], **options)
    totals = wide.synced("full", "kommo", "events")["events"].totals
    assert totals["created"] == wide.count("events", "kommo") == len(wide.truth("events", "kommo"))
    assert totals["repeated"] + totals["unchanged"] > 0
    assert_in_step(wide, "events")


@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
def test_p3_tasks_that_come_change_and_go_between_two_windows_lose_none_that_stays(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], bounds: str
) -> None:
    company = make_company(make_sandbox(switches={"kommo.leads": "600", "kommo.bounds": bounds}))
    before = company.truth("tasks", "kommo").keys()
    company.sandbox.faults.set("P4", system="kommo", path=LISTS["tasks"], edit=5)
    company.sandbox.faults.set("P3", system="kommo", path=LISTS["tasks"], insert=2, delete=2)
    company.synced("full", "kommo", "tasks")
    company.sandbox.faults.clear()
    missed = before & company.truth("tasks", "kommo").keys() - company.raw("tasks", "kommo").keys()
    assert len(before) > 250 and not missed, "whoever was there all the time was seen"
    assert_in_step(company, "tasks")


@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
def test_p3_no_task_falls_between_two_windows_whatever_their_bounds(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], bounds: str
) -> None:
    company = make_company(make_sandbox(switches={"kommo.leads": "600", "kommo.bounds": bounds}))
    kommo, now = company.sandbox.world.kommo, company.sandbox.world.clock.now()
    for second, task in enumerate(sorted(kommo.living["tasks"])):
        kommo.stamp_all("tasks", [task], at=now - timedelta(seconds=second))
    company.synced("full", "kommo", "tasks")
    assert len([r for r in company.sandbox.requests if r.path.endswith("/tasks")]) > 10
    assert company.raw("tasks", "kommo") == company.truth("tasks", "kommo")


def test_p3_events_that_are_written_while_they_are_read_push_none_past_the_reader(wide: Company) -> None:
    before = wide.truth("events", "kommo").keys()
    wide.sandbox.faults.set("P3", system="kommo", path=LISTS["events"], insert=3, delete=0)
    wide.synced("full", "kommo", "events")
    assert len(before) > 500 and before <= wide.raw("events", "kommo").keys()
    assert_in_step(wide, "events")
