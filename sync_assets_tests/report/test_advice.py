"""What follows from the figures: each rule where it must speak, and where it must not."""

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from sync_assets.report import markdown
from sync_assets.report.advice import recommendations
from sync_assets.report.figures import Figures, Trend
from sync_assets.report.limits import Recommendation
from sync_assets.report.report import Report
from sync_assets_tests.report.figuring import NOW, account, around, compared, sync, trend

QUICK: dict[str, Any] = {"fetched": 6000, "unchanged": 6000, "requests": 60}
"""At 100 operations a second, of which no rule about speed says a word."""


def test_the_picture_is_short_enough_to_be_shown_at_once() -> None:
    names = [f"a_name_of_an_entity_{number}" for number in range(20)]
    syncs = [sync(id=number, name=name, seconds=12_345.0 - number) for number, name in enumerate(names)]
    usual = {s.id: compared(s, trend(seconds=9_999.0)) for s in syncs}
    report = Report("run-1", "job", "finished", True, NOW, 1.0, syncs, usual, (), ())
    found = markdown.picture(report)
    assert found and len(found) < 1000, "from there on Dagster's UI hides it behind a button"
    svg = base64.b64decode(found.rpartition(",")[2].removesuffix(")")).decode()
    ElementTree.fromstring(svg)  # noqa: S314  our own
    assert names[0] in svg and names[3] in svg and "12,345.0 s" in svg, "the longest first"
    assert markdown.picture(replace(report, syncs=())) == ""


def advised(
    *syncs: Figures, accounts: tuple[Any, ...] = (), trends: dict[int, Trend] | None = None, **more: Any
) -> Any:
    own = {s.id: compared(s, trends[s.id]) for s in syncs if trends and s.id in trends}
    return recommendations(syncs, around(*accounts, trends=own, **more))


def only(found: list[Recommendation]) -> Recommendation:
    (one,) = found
    return one


def test_nothing_is_said_of_a_sync_that_is_as_it_should_be() -> None:
    assert advised(sync(**QUICK), trends={1: trend(fetched=6000.0, requests=60.0)}) == []


def test_rejected_records_are_shown_the_way_to(company: Any) -> None:
    found = only(advised(sync(**{**QUICK, "status": "partial", "rejected": 12})))
    assert found.limit == "rejected" and found.entity == "kaiten/cards" and "12 records were refused" in found.says
    assert company.query(found.next_step.removeprefix("see why: ")) == []
    assert advised(sync(**QUICK, repeated=12)) == []


def test_a_fuse_that_held_says_how_to_go_on_and_no_other_failure_does() -> None:
    said = "the source shows 0 records where 9 are stored: 9 would be deleted (entity cards). Next: look at the source."
    found = only(advised(sync(**QUICK, status="failed", error=said, error_type="FuseBlown")))
    assert found.limit == "fuse" and "9 would be deleted" in found.says and found.next_step == "look at the source"
    assert advised(sync(**QUICK, status="failed", error=said, error_type="SourceUnavailable")) == []


def test_links_that_wait_too_long_are_shown(company: Any) -> None:
    found = only(advised(sync(**QUICK), waiting={"kaiten/cards": 3}))
    assert (found.limit, found.entity) == ("waiting_links", "kaiten/cards") and "3 links" in found.says
    assert company.query(found.next_step.partition(": ")[2]) == []


def test_what_nobody_synced_for_too_long_is_named_unless_this_run_tried() -> None:
    at = {"kaiten/tags": NOW - timedelta(hours=40), "kaiten/users": None, "kaiten/boards": NOW - timedelta(hours=12)}
    found = only(advised(sync(**QUICK), synced_at=at))
    assert (found.entity, found.limit) == ("kaiten", "freshness")
    assert found.says == "never synced to the end: users; not synced within 13 hours: tags (40 hours ago)"
    assert "kaiten_incremental_every_6_hours" in found.next_step
    assert advised(sync(**QUICK, name="tags"), synced_at={"kaiten/tags": None}) == []
    assert only(advised(sync(**QUICK), synced_at=at, settings={"sync_fresh_hours": 48})).entity == "kaiten/users"
    own = (account(KAITEN_FRESH_HOURS="100,boards=2"),)
    found = only(advised(sync(**QUICK), accounts=own, synced_at=at | {"kaiten/users": NOW}))
    assert found.says == "not synced within 2 hours: boards (12 hours ago)", "as the account has it"


TASKS: dict[str, Any] = {
    **QUICK, "account": "worksection", "system": "worksection", "name": "tasks", "kind": "incremental",
    "complete": True, "previous_at": NOW - timedelta(days=40), "note": "the last sync is 40 days ago",
}  # fmt: skip


def test_an_incremental_sync_that_came_too_late_to_be_one_says_why() -> None:
    worksection = (account("worksection"),)
    found = only(advised(sync(**TASKS), accounts=worksection))
    assert found.limit == "fell_back" and "960 hours after the sync before: the last sync is 40 days ago" in found.says
    assert "worksection_incremental_every_6_hours" in found.next_step
    for otherwise in (
        {"complete": False},
        {"kind": "full"},
        {"previous_at": None},  # the first of all
        {"previous_at": NOW - timedelta(hours=6)},  # in time: the source itself could not tell what changed
        {"name": "projects"},  # has no other way
    ):
        assert advised(sync(**{**TASKS, **otherwise}), accounts=worksection) == []


def test_twice_as_slow_as_usual_says_whether_there_was_more_to_read_or_what_it_waited_for() -> None:
    usual = {1: trend(seconds=20.0, fetched=6000.0, requests=60.0)}
    found = only(advised(sync(**QUICK, asking_seconds=55.0), trends=usual))
    assert found.limit == "slower" and "3.0 times the median of the last 10 for no more records" in found.says
    assert "the source took 55 of its 60 s" in found.says

    more = only(advised(sync(**QUICK), trends={1: trend(seconds=20.0, fetched=2000.0, requests=20.0)}))
    assert "instead of 2,000 in 20" in more.says and more.next_step.startswith("nothing to do")

    for once in (
        trend(runs=2, seconds=20.0),  # too few to compare with
        trend(seconds=31.0),  # less than twice
        trend(seconds=59.0),
    ):
        assert advised(sync(**QUICK), trends={1: once}) == []
    short = sync(**{**QUICK, "seconds": 4.0})
    assert advised(short, trends={1: trend(seconds=1.0)}) == [], "three seconds more are no matter"


def test_an_account_in_which_nothing_ever_changes_may_be_asked_less_often() -> None:
    quiet = sync(**QUICK, kind="incremental")
    found = only(advised(quiet, trends={1: trend(runs=8)}))
    assert (found.entity, found.limit) == ("kaiten", "nothing_changes") and "6,000 records in 60 s" in found.says
    assert "kaiten_incremental_sync less often" in found.next_step and "SYNC_FRESH_HOURS" in found.next_step

    other = sync(**{**QUICK, "id": 2, "name": "users", "kind": "incremental", "updated": 1})
    for syncs, trends in (
        ([quiet, other], {1: trend(runs=8), 2: trend(runs=8)}),
        ([quiet], {1: trend(runs=8, wrote=1)}),
        ([quiet], {1: trend(runs=7)}),
        ([quiet], {}),
        ([sync(**QUICK, kind="full")], {1: trend(runs=8)}),
        ([sync(**{**QUICK, "kind": "incremental", "seconds": 20.0})], {1: trend(runs=8, seconds=20.0)}),
    ):
        assert advised(*syncs, trends=trends) == []


@pytest.mark.parametrize("accounts", [(), ("kaiten",)])
def test_an_account_that_is_not_connected_here_costs_advice_and_nothing_else(accounts: tuple[str, ...]) -> None:
    known = {name: account(name) for name in accounts}
    slow = sync(**TASKS)
    assert recommendations([slow], around(*known.values())) == []
