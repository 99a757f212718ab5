"""The report of runs against the sandbox: true figures, a trend, and how a run stands that has not ended well."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from sync_assets.load.database import Database
from sync_assets.report import limits
from sync_assets.report.report import Report, report_of
from sync_assets.report.runs import CheckRow, FailedStep, Run, noted, run_of
from sync_assets.report.told import told
from sync_assets_tests.company import Company
from sync_assets_tests.conftest import UNLIMITED


@contextmanager
def opened(company: Company) -> Iterator[Database]:
    database = Database(company.database_url, wait=5)
    try:
        yield database
    finally:
        database.close()


def report(company: Company, run_id: str = "run-1") -> Report:
    with opened(company) as database:
        return report_of(database, run_id, list(company.accounts.values()), company.settings)


def ended(company: Company, run_id: str = "run-1", **more: Any) -> Report:
    """Reported on by its last step."""
    now = datetime.now(UTC)
    with opened(company) as database:
        noted(database, Run(run_id, "kaiten_full_sync", now, now, **more))
    return report(company, run_id)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncs of a second are judged as those of minutes are."""
    monkeypatch.setattr(limits, "WORTH_SECONDS", 0.4)
    monkeypatch.setattr(limits, "FEW", 5)


def paced(make_company: Any, make_sandbox: Any, **rates: str) -> Company:
    """Kaiten's lanes are asked for board by board: six requests for eight records."""
    return make_company(make_sandbox(rates=UNLIMITED), **rates)


def test_a_sync_at_the_rate_limit_is_known_by_its_floor(make_company: Any, make_sandbox: Any, soon: None) -> None:
    company = paced(make_company, make_sandbox, KAITEN_RATE="4")
    company.synced("full", only=["spaces", "users", "card_types", "boards", "lanes"], run_id="run-1")
    found = report(company)
    lanes = next(sync for sync in found.syncs if sync.name == "lanes")
    assert lanes.rate == 4.0 and lanes.bucket == "api"
    assert lanes.floor_seconds == pytest.approx((lanes.requests - 1) / 4 * 1.02, abs=0.01)
    assert lanes.floor_seconds <= lanes.seconds
    for clock in (lanes.asking_seconds, lanes.paced_seconds, lanes.paused_seconds, lanes.storing_seconds):
        assert clock is not None and 0 <= clock <= lanes.seconds
    assert (lanes.paced_seconds or 0) > lanes.seconds / 2 and lanes.paused_seconds == 0
    assert lanes.throttled_seconds > (lanes.paced_seconds or 0), "several waited at once"
    (advice,) = (r for r in found.recommendations if r.entity == "kaiten/lanes")
    assert advice.limit == "rate" and "remove KAITEN_RATE=4: the documented 5/s" in advice.next_step
    # Whatever else the machine had to do.
    company.query("update sync.logs set started_at = finished_at - make_interval(secs => floor_seconds + 0.1)")
    found = report(company)
    assert not [issue for issue in found.issues if issue.entity == "kaiten/lanes"], "at 6 a second nobody is alarmed"


def test_below_five_a_second_is_an_alert_that_says_why(make_company: Any, make_sandbox: Any, soon: None) -> None:
    company = paced(make_company, make_sandbox, KAITEN_RATE="0")
    company.synced("full", only=["spaces", "users", "card_types", "boards"], run_id="run-1")
    company.sandbox.latency = 0.9
    company.synced("full", only=["lanes"], run_id="run-1")
    found = report(company)
    (alert,) = (issue for issue in found.issues if issue.entity == "kaiten/lanes")
    assert alert.severity == "warning" and "operations/s, below 5: the source took" in alert.says
    (advice,) = (r for r in found.recommendations if r.entity == "kaiten/lanes")
    assert advice.limit == "latency" and advice.next_step == alert.next_step
    assert "BATCH" not in advice.next_step and "RATE" not in advice.next_step


def test_a_pause_that_the_source_asked_for_is_no_pacing(make_company: Any, make_sandbox: Any, soon: None) -> None:
    company = paced(make_company, make_sandbox, KAITEN_RATE="50")
    company.sandbox.faults.set("A1", system="kaiten", path="/users$", times=1, retry_after="1")
    company.synced("full", only=["users"], run_id="run-1")
    found = report(company)
    (users,) = found.syncs
    assert (users.paused_seconds or 0) >= 0.9 and (users.paced_seconds or 0) < 0.3
    (advice,) = found.recommendations[:1]
    assert advice.limit == "pause" and "remove KAITEN_RATE=50: the documented limit is 5" in advice.next_step


def test_whoever_asked_the_same_account_meanwhile_is_named(make_company: Any, make_sandbox: Any, soon: None) -> None:
    company = paced(make_company, make_sandbox, KAITEN_RATE="50")
    company.synced("full", only=["tags"], run_id="run-1")
    waited = "paced_seconds = extract(epoch from finished_at - started_at), floor_seconds = 0, rate = 50"
    company.query("update sync.logs set finished_at = started_at + interval '2 s' where run_id = 'run-1'")
    company.query(f"update sync.logs set {waited} where run_id = 'run-1'")
    assert [r.limit for r in report(company).recommendations][:1] == ["rate"]
    company.query(
        "insert into sync.logs (account, system, entity, kind, status, started_at, finished_at, run_id)"
        " select account, system, 'cards', 'full', 'success', started_at, finished_at, 'other-run' from sync.logs"
    )
    first = report(company).recommendations[0]
    assert first.limit == "shared" and "other-ru" in first.says


def test_the_trend_is_the_median_of_like_syncs_without_the_first(company: Company) -> None:
    for run in range(5):
        company.synced("full", only=["tags"], run_id=f"run-{run}")
    for run, seconds in enumerate((90, 1, 2, 60, 4)):
        length = f"finished_at = started_at + interval '{seconds} s'"
        company.query(f"update sync.logs set {length} where run_id = 'run-{run}'")
    assert report(company, "run-0").trends == {} and report(company, "run-1").trends == {}, "the first says nothing"
    (trend,) = report(company, "run-4").trends.values()
    assert trend.runs == 3 and trend.medians["seconds"] == 2.0 and trend.ratios["seconds"] == 2.0
    tags = company.count("tags")
    assert trend.medians["fetched"] == tags and trend.medians["operations_per_second"] == pytest.approx(tags / 2)

    company.synced("incremental", only=["tags"], run_id="run-5")
    assert report(company, "run-5").trends == {}, "another kind"
    company.query("update sync.logs set status = 'failed', error = 'x' where run_id = 'run-2'")
    (trend,) = report(company, "run-4").trends.values()
    assert trend.runs == 2, "what did not come to its end is no measure"


SHAPE = {
    "success", "state", "run_id", "job", "started_at", "duration", "summary", "entities", "performance", "checks",
    "issues", "recommendations",
}  # fmt: skip


def test_the_shape_is_the_one_that_is_promised(company: Company) -> None:
    company.sandbox.faults.set("A3", system="kaiten", path="/users$", status=500)
    company.sync("full", only=["tags", "users"], run_id="run-1")
    check = CheckRow("kaiten/tags", "volume", passed=False, severity="WARN", says="3 records, 9 before")
    found = json.loads(json.dumps(told(ended(company, checks=9, failed_checks=[check], skipped=["kaiten/cards"]))))
    assert set(found) == SHAPE
    assert found["success"] is False and found["run_id"] == "run-1" and found["job"] == "kaiten_full_sync"
    assert datetime.fromisoformat(found["started_at"]).tzinfo and isinstance(found["duration"], float)
    tags = company.count("tags")
    assert found["summary"] == {
        "created": tags, "updated": 0, "unchanged": 0, "deleted": 0, "rejected": 0, "errors": 1, "fetched": tags
    }  # fmt: skip
    one, other = found["entities"]
    assert {"account", "system", "entity", "kind", "status", "counts", "seconds", "operations_per_second", "requests",
            "throttled_seconds", "trend"} <= one.keys()  # fmt: skip
    assert {e["entity"]: e["status"] for e in (one, other)} == {"tags": "success", "users": "failed"}
    assert {"operations_per_second", "requests", "throttled_seconds"} <= found["performance"].keys()
    assert found["performance"]["requests"] == one["requests"] + other["requests"] > 0
    assert found["checks"] == {"evaluated": 9, "not_passed": 1}
    for issue in found["issues"]:
        assert set(issue) == {"entity", "severity", "says", "next_step"} and all(issue.values())
    assert {(i["entity"], i["severity"]) for i in found["issues"]} == {
        ("kaiten/users", "error"), ("kaiten/tags", "warning"), ("kaiten/cards", "warning")
    }  # fmt: skip
    assert "500" in next(i["says"] for i in found["issues"] if i["entity"] == "kaiten/users")
    company.sandbox.faults.clear()
    company.synced("full", only=["tags"], run_id="run-2")
    company.synced("full", only=["tags"], run_id="run-3")
    (again,) = told(ended(company, "run-3"))["entities"]
    assert set(again["trend"]) == {"runs", "seconds", "operations_per_second", "fetched", "requests"}
    assert again["trend"]["runs"] == 1 and set(again["trend"]["seconds"]) == {"median", "ratio"}
    for advice in found["recommendations"]:
        assert set(advice) == {"entity", "limit", "says", "next_step"}


STATUSES = ("success", "partial", "failed", "lost")
STEP = FailedStep("bitrix/order_status_push", "the shop refuses", "look at the outbox")


def test_success_is_no_failed_entity_and_no_red_check(company: Company) -> None:
    runs = list(product(STATUSES, (None, "WARN", "ERROR"), ((), (STEP,)), ("full", "reconcile")))
    now = datetime.now(UTC)
    with opened(company) as database:
        for number, (status, severity, steps, kind) in enumerate(runs):
            company.query(
                "insert into sync.logs (account, system, entity, kind, status, finished_at, error, run_id)"
                " values ('kaiten', 'kaiten', 'tags', %s, %s, clock_timestamp(), 'it broke. Next: mend it.', %s)",
                (kind, status, f"run-{number}"),
            )
            checks = [CheckRow("kaiten/tags", "volume", passed=False, severity=severity, says="x")] if severity else []
            run = noted(database, Run(f"run-{number}", "job", now, now, 3, checks, steps))
            found = report_of(database, run.run_id, [], company.settings, run=run)
            failed = status in ("failed", "lost") and kind == "full"
            assert found.success is not (failed or severity == "ERROR" or bool(steps)), runs[number]
            assert found.success is (found.errors == 0)


def test_how_a_run_stands_that_has_not_come_to_its_report(company: Company) -> None:
    company.synced("full", only=["tags"], run_id="run-1")
    found = report(company)
    assert (found.state, found.success) == ("unreported", None) and "its last step has not come" in found.issues[0].says

    company.query(
        "insert into sync.logs (account, system, entity, kind, run_id)"
        " values ('kaiten', 'kaiten', 'users', 'full', 'run-1')"
    )
    company.query(
        "insert into sync.metadata (account, entity, system, lease_holder, lease_until) values ('kaiten', 'users',"
        " 'kaiten', 'process 1 on elsewhere, since 10:00:00 UTC', clock_timestamp() + interval '1 min')"
    )
    found = report(company)
    assert (found.state, found.success) == ("running", None) and found.issues == []

    company.query("update sync.metadata set lease_until = clock_timestamp() - interval '1 s' where entity = 'users'")
    found = report(company)
    assert (found.state, found.success) == ("lost", False)
    assert [(i.entity, i.severity) for i in found.issues] == [("kaiten/users", "error")]
    assert "goes on from the last commit" in found.issues[0].next_step
    company.query("delete from sync.logs where status = 'running'")

    found = ended(company, "run-2", checks=4)
    assert (found.state, found.success, found.syncs) == ("finished", True, [])


def test_a_run_is_kept_as_it_was_and_a_second_report_replaces_the_first(company: Company) -> None:
    check = CheckRow("kaiten/tags", "volume", passed=False, severity="WARN", says="nul \0 and ü")
    now = datetime.now(UTC)
    run = Run("run-1", "full_sync", now, now, 3, (check,), (STEP,), ("kaiten/cards",))
    with opened(company) as database:
        noted(database, run)
        kept = run_of(database, "run-1")
        assert kept and kept.failed_checks[0].says == "nul \ufffd and ü" and kept.failed_steps == (STEP,)
        assert (kept.job, kept.started_at, kept.checks, kept.skipped) == ("full_sync", now, 3, ("kaiten/cards",))
        noted(database, Run("run-1", "full_sync", now, now, 5))
        again = run_of(database, "run-1")
        assert again and (again.checks, again.failed_checks) == (5, ()) and run_of(database, "run-2") is None
