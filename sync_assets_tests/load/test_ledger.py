"""The ledger, the lease and the cursor: what a sync says of itself is true, and only one writes at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from sync_assets.errors import AlreadyRunning, FencedOff, SyncError
from sync_assets.load import ledger as ledger_module
from sync_assets.load.database import Database
from sync_assets.load.ledger import Ledger
from sync_assets.load.state import SWEEP_LIFE
from sync_assets.load.upsert import Counts
from sync_assets.sync import Outcome
from sync_assets_tests.company import Company
from sync_assets_tests.load.losing import LosingWire


@contextmanager
def opened(company: Company, entity: str = "cards", run_id: str | None = None) -> Iterator[Ledger]:
    database = Database(company.database_url)
    account = company.accounts["kaiten"]
    found = Ledger(database, account, account.entity(entity), kind="full", run_id=run_id, lease_seconds=60)
    try:
        found.open()
        yield found
    finally:
        database.close()


@pytest.mark.parametrize("column", ["fetched", "created", "updated", "unchanged", "stale", "repeated", "rejected"])
def test_c2_a_sum_that_is_off_cannot_be_recorded(company: Company, column: str) -> None:
    company.query("insert into sync.logs (account, system, entity, kind) values ('kaiten', 'kaiten', 'cards', 'full')")
    with pytest.raises(errors.CheckViolation, match="every_record_is_exactly_one_of_these"):
        company.query(f"update sync.logs set {column} = {column} + 1")


def test_d7_a_second_sync_is_told_who_runs_since_when(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "WAIT_FOR_LEASE", 0.3)
    with opened(company, run_id="run-one"):
        error = company.sync("full", only="cards")["cards"]
        assert isinstance(error, AlreadyRunning)
        for part in ("already running", "process ", "Dagster run run-one", " UTC", "entity cards"):
            assert part in str(error)
    assert company.query("select count(*), sum(fetched) from sync.logs") == [(1, 0)]


def test_d7_a_second_sync_waits_briefly_for_the_first(company: Company) -> None:
    with opened(company) as first:
        pause = [0.0]

        def end() -> None:
            time.sleep(0.6)
            first.close("success")
            pause[0] = time.monotonic()

        thread = threading.Thread(target=end)
        thread.start()
        with opened(company) as second:
            thread.join()
            assert time.monotonic() >= pause[0] > 0
            second.close("success")


def test_d7_the_lease_of_a_dead_process_is_taken_at_once(company: Company) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with opened(company) as first:
        company.query(
            "update sync.metadata set lease_holder = replace(lease_holder, %s, %s)",
            [f"process {os.getpid()} ", f"process {dead.pid} "],
        )
        started = time.monotonic()
        company.synced(only="cards")
        assert time.monotonic() - started < ledger_module.WAIT_FOR_LEASE
    assert company.query("select id, status, error is null from sync.logs where entity = 'cards' order by id") == [
        (first.state.log_id, "lost", False),
        (first.state.log_id + 1, "success", True),
    ]
    company.assert_ledger_adds_up()


def test_d7_a_lease_that_was_not_renewed_lapses(company: Company) -> None:
    with opened(company):
        company.query(
            "update sync.metadata set lease_holder = 'process 1 on elsewhere, since 00:00:00 UTC',"
            " lease_until = now() - interval '1 second'"
        )
        company.synced(only="cards")


def test_a_writer_that_was_fenced_off_rolls_back_and_writes_nothing(company: Company) -> None:
    database = Database(company.database_url)
    try:
        with opened(company) as first:
            company.query("update sync.metadata set lease_until = now() - interval '1 second', lease_holder = 'x'")
            with opened(company) as second:

                def page(of: Ledger) -> Callable[[Any], None]:
                    def work(cursor: Any) -> None:
                        cursor.execute(
                            "insert into kaiten.cards (raw_json, seen, sync_id) values (%s, 1, 1)",
                            (f'{{"id":{of.state.fence}}}',),
                        )
                        assert of.begin_commit(cursor)
                        of.end_commit(cursor, Counts(created=1))

                    return work

                with pytest.raises(FencedOff):
                    database.transaction(page(first))
                assert company.count("cards") == 0
                database.transaction(page(second))
                first.close("failed", error=FencedOff())
                assert company.query("select lease_holder is not null, lease_fence from sync.metadata") == [
                    (True, second.state.fence)
                ]
                second.committed()
                second.close("success")
    finally:
        database.close()
    company.assert_ledger_adds_up()


def test_a_fenced_off_sync_ends_failed_and_its_successor_is_whole(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, taken = Ledger.begin, []

    def taken_over(self: Ledger, cursor: Any) -> Any:
        if self._entity == "cards" and not taken:
            taken.append(1)
            company.query("update sync.metadata set lease_fence = lease_fence + 1 where entity = 'cards'")
        return begin(self, cursor)

    company.synced(only=("spaces", "users", "card_types", "tags", "property_definitions", "boards", "columns", "lanes"))
    monkeypatch.setattr(Ledger, "begin", taken_over)
    error = company.sync("full", only="cards")["cards"]
    assert isinstance(error, FencedOff)
    assert company.count("cards") == 0
    assert company.query("select status, fetched from sync.logs where entity = 'cards'") == [("failed", 0)]
    company.query("update sync.metadata set lease_until = now()")
    company.synced()
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_c1_a_commit_whose_answer_was_lost_is_not_done_twice(
    make_company: Callable[..., Company], make_database: Callable[..., str], lost: int
) -> None:
    url = make_database()
    with LosingWire(url, lost) as wire:
        company = make_company(database_url=wire.url, SYNC_BATCH_SIZE="1")
        done = company.synced()
        assert wire.lose == 0
        for name, outcome in done.items():
            assert outcome.totals["fetched"] == outcome.totals["created"] == company.count(name), name
        company.assert_world_equals_postgres()
        company.assert_ledger_adds_up()
        company.synced()


def offsets(company: Company) -> list[int]:
    return [int(r.query["offset"]) for r in company.sandbox.requests if r.path.endswith("/cards")]


@pytest.fixture
def broken(make_company: Callable[..., Company], grown: Company) -> Company:
    """A full sync of cards that ended after its second page."""
    company = make_company(grown.sandbox, database_url=grown.database_url, SYNC_BATCH_SIZE="1")
    company.sandbox.faults.set("A3", system="kaiten", path="offset=198")
    assert isinstance(company.sync("full", only="cards")["cards"], SyncError)
    company.sandbox.faults.clear()
    company.sandbox.requests.clear()
    return company


def test_a3_a_sweep_goes_on_from_the_last_committed_page(broken: Company) -> None:
    outcome = broken.synced("full", only="cards")["cards"]
    assert isinstance(outcome, Outcome)
    assert "went on with an unfinished sweep" in outcome.note
    assert min(offsets(broken)) == 198
    assert broken.query(
        "select cursor, count(*) from sync.metadata left join sync.sightings using (account, entity)"
        " where entity = 'cards' group by 1"
    ) == [(None, 1)]
    broken.assert_world_equals_postgres()
    broken.assert_ledger_adds_up()


def test_a_sweep_of_yesterday_starts_afresh(broken: Company) -> None:
    broken.query(
        "update sync.metadata set cursor = jsonb_set(cursor, '{saved}', to_jsonb((cursor ->> 'saved')::float8 - %s))"
        " where cursor is not null",
        [SWEEP_LIFE],
    )
    outcome = broken.synced("full", only="cards")["cards"]
    assert outcome.note == ""
    assert min(offsets(broken)) == 0
    assert outcome.totals["fetched"] == broken.count("cards")
    broken.assert_ledger_adds_up()


def test_an_incremental_sync_in_between_leaves_an_unfinished_sweep_as_it_is(broken: Company) -> None:
    [before] = broken.query(
        "select cursor, (select count(*) from sync.sightings) from sync.metadata where entity = 'cards'"
    )
    broken.sandbox.world.advance(1)
    broken.synced("incremental", only="cards")
    assert broken.query(
        "select cursor, (select count(*) from sync.sightings) from sync.metadata where entity = 'cards'"
    ) == [before]
    broken.synced()
    broken.synced()  # what was deleted after its page had been read is for the next sweep
    broken.assert_world_equals_postgres()
    broken.assert_ledger_adds_up()


@pytest.mark.parametrize("kind", ["reconcile", "webhook", "selective"])
def test_c4_a_read_of_some_records_never_moves_the_watermark(company: Company, kind: str) -> None:
    card = max(company.truth("cards"))
    company.synced(kind, only="cards", ids=(str(card),))
    assert company.query("select watermark from sync.metadata where entity = 'cards'") == [(None,)]
    assert company.synced("incremental", only="cards")["cards"].totals["fetched"] == len(company.truth("cards"))
    [(before,)] = company.query("select watermark from sync.metadata where entity = 'cards'")
    company.sandbox.world.kaiten.update_card(card, title="later")
    company.synced(kind, only="cards", ids=(str(card),))
    assert company.query("select watermark from sync.metadata where entity = 'cards'") == [(before,)]


def test_the_ledger_is_read_by_the_dashboards_that_exist(grown: Company) -> None:
    connection = psycopg2.connect(grown.database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM sync_logs ORDER BY sync_started_at DESC LIMIT 1")
            assert cursor.fetchone()
            cursor.execute("SELECT id, title, synced_at FROM kaiten.cards ORDER BY synced_at DESC LIMIT 10")
            assert len(cursor.fetchall()) == 10
    finally:
        connection.close()
