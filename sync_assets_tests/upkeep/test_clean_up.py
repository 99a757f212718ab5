"""S9: each kind of thing expires after its days and not before, dry runs change nothing, and nothing needed goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from sync_assets_tests.company import Company
from sync_assets_tests.upkeep.aged import KINDS, cleaned, put, tables

OLD, ANCIENT = 2, 400


def count(company: Company, kind: str) -> int:
    where = {"payloads": "where payload is not null", "skipped": "where state = 'skipped'"}
    table, what = kind.split(" ", 1)
    kinds = {"of single records": "where kind = 'webhook'", "of entities": "where kind = 'full'"}
    found: int = company.query(f"select count(*) from {table} {(where | kinds).get(what, '')}")[0][0]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_s9_what_is_older_than_its_days_goes_and_what_is_younger_stays(company: Company, kind: str) -> None:
    days = KINDS[kind][1]
    for n, age in enumerate((days + ANCIENT, days + OLD, days - 0.5, 0.1), 1):
        put(company, kind, n, age)
    before = tables(company)
    foreseen = cleaned(company, apply=False)[kind]
    assert tables(company) == before, "a dry run changes nothing"
    assert (foreseen.gone, foreseen.after - foreseen.before, foreseen.days) == (2, 0, days)
    assert foreseen.oldest is not None

    done = cleaned(company, apply=True)[kind]
    assert (done.gone, done.oldest) == (2, foreseen.oldest), "the dry run was right"
    assert count(company, kind) == 2
    after = tables(company)
    again = cleaned(company, apply=True)
    assert {name: t.gone for name, t in again.items() if t.gone} == {} and tables(company) == after


def test_in_batches_everything_goes_too_oldest_first(company: Company) -> None:
    for n in range(1, 8):
        put(company, "sync.activity_logs rows", n, 365 + n)
    assert cleaned(company, apply=True, at_once=3)["sync.activity_logs rows"].gone == 7
    assert count(company, "sync.activity_logs rows") == 0


def test_a_row_that_somebody_holds_is_passed_over_and_goes_next_time(company: Company) -> None:
    import psycopg2

    for n in (1, 2):
        put(company, "sync.activity_logs rows", n, 400)
    holder = psycopg2.connect(company.database_url)
    with holder, holder.cursor() as cursor:
        cursor.execute("select from sync.activity_logs where details = '{\"n\": 1}' for update")
        assert cleaned(company, apply=True)["sync.activity_logs rows"].gone == 1
    holder.close()
    assert cleaned(company, apply=True)["sync.activity_logs rows"].gone == 1


def test_whoever_kills_a_clean_up_has_only_less_forgotten(company: Company) -> None:
    for n in range(1, 6):
        put(company, "sync.activity_logs rows", n, 400)
    code = "from sync_assets_tests.upkeep.killed import clean; clean()"  # batches of two rows
    env = {"PATH": os.defpath, **company.env, "SYNC_ASSETS_CRASH_AT": "in clean-up"}
    killed = subprocess.run([sys.executable, "-c", code], env=env, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert count(company, "sync.activity_logs rows") == 3
    assert cleaned(company, apply=True)["sync.activity_logs rows"].gone == 3


def test_s9_a_tombstone_that_is_still_needed_keeps_its_key_and_nothing_else(company: Company) -> None:
    for n in (1, 2, 3, 4):
        put(company, "sync.tombstones rows", n, 400)
    company.query(
        "insert into sync.missing_parents (account, entity, key, child_entity, child_columns)"
        " values ('former', 'cards', '1', 'x', 'y')"
    )
    company.query(
        "insert into sync.aliases (account, entity, key, into_key, evidence) values ('former', 'cards', '2', '3', 'x')"
    )
    done = cleaned(company, apply=True)
    assert done["sync.tombstones contents"].gone == 3 and done["sync.tombstones rows"].gone == 1
    assert company.query("select key, raw_json from sync.tombstones order by 1") == [
        (key, {"expired": True}) for key in ("1", "2", "3")
    ]
    assert not [t for t in cleaned(company, apply=True).values() if t.gone]


def test_the_key_of_an_erased_person_stays_for_ever(company: Company) -> None:
    put(company, "sync.tombstones rows", 1, 4000)
    company.query("update sync.tombstones set state = 'erased', raw_json = '{\"erased\": true}'")
    assert cleaned(company, apply=True)["sync.tombstones rows"].gone == 0
    assert company.query("select key, raw_json from sync.tombstones") == [("1", {"erased": True})]


def test_s9_a_dead_event_stays_three_times_as_long_but_not_what_it_brought(company: Company) -> None:
    put(company, "sync.webhook_events payloads", 1, 89)
    put(company, "sync.webhook_events payloads", 2, 91)
    company.query("update sync.webhook_events set state = 'dead', reason = 'x'")
    done = cleaned(company, apply=True)
    assert done["sync.webhook_events payloads"].gone == 2 and done["sync.webhook_events rows"].gone == 1
    assert company.query("select key, payload from sync.webhook_events") == [("1", None)]


def test_what_waits_or_is_under_way_never_expires(company: Company) -> None:
    company.query(
        "insert into sync.outbox (account, entity, key, operation, payload, idempotency_key, created_at)"
        " values ('bitrix', 'orders', '1', 'x', '{}', 'x', now() - interval '9 years')"
    )
    company.query(
        "insert into sync.webhook_events (account, system, event, entity, key, identity, is_unique, payload,"
        " received_at) values ('kaiten', 'kaiten', 'x', 'cards', '1', 'x', true, 'x', now() - interval '9 years')"
    )
    company.query(
        "insert into sync.logs (account, system, entity, kind, started_at)"
        " values ('kaiten', 'kaiten', 'cards', 'webhook', now() - interval '9 years')"
    )
    before = tables(company)
    cleaned(company, apply=True)
    assert tables(company) == before


def test_the_last_job_of_its_name_stays_however_old(company: Company) -> None:
    for n, days in enumerate((500, 400, 300)):
        put(company, "sync.jobs rows", n, days)
    assert cleaned(company, apply=True)["sync.jobs rows"].gone == 2
    assert company.query("select job_id from sync.jobs") == [("2",)]


def test_the_run_of_a_rule_outlives_its_change_where_it_did_something(company: Company) -> None:
    """`once_per_entity` and backfills count on it."""
    put(company, "sync.rule_runs skipped", 1, 400)
    company.query("update sync.rule_runs set state = 'done', reason = null, change_event_id = 99")
    put(company, "sync.rule_runs skipped", 2, 400)
    put(company, "sync.change_events rows", 1, 1)
    company.query(
        "update sync.rule_runs set change_event_id = (select id from sync.change_events) where state = 'skipped'"
    )
    assert cleaned(company, apply=True)["sync.rule_runs skipped"].gone == 0, "its change is still there"
    company.query("delete from sync.change_events")
    assert cleaned(company, apply=True)["sync.rule_runs skipped"].gone == 1
    assert company.query("select state from sync.rule_runs") == [("done",)]


def test_s9_with_omitted_evidence_a_payload_goes_as_soon_as_its_event_is_over(company: Company) -> None:
    put(company, "sync.webhook_events payloads", 1, 0.01)
    assert cleaned(company, apply=True)["sync.webhook_events payloads"].gone == 0
    assert cleaned(company, apply=True, sync_evidence="omit")["sync.webhook_events payloads"].gone == 1


@pytest.mark.parametrize(("evidence", "kept"), [("keep", True), ("omit", False)])
def test_s9_the_bytes_of_refused_and_mended_records_are_kept_or_not_as_the_setting_says(
    make_company: object, evidence: str, kept: bool
) -> None:
    company: Company = make_company(SYNC_EVIDENCE=evidence)  # type: ignore[operator]
    company.sandbox.faults.set("V1", system="kaiten", path="/tags")
    company.sync("full", only="tags")
    found = company.query("select size > 0, length(payload) > 0 from sync.rejected")
    assert found and set(found) == {(True, kept)}
