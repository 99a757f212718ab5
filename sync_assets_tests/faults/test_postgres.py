"""D3, D5, D6, D9: restarts, locks and full disks of a real Postgres; afterwards nothing is lost or counted twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from sync_assets.errors import DatabaseRefused, DatabaseUnavailable, SyncError
from sync_assets.load import database as database_module
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import offsets, touch_every_card, wait_for


@pytest.fixture
def small(make_company: Callable[..., Company], grown: Company) -> Company:
    """In step, and every page is a commit of its own."""
    return make_company(grown.sandbox, database_url=grown.database_url, SYNC_BATCH_SIZE="1")


@contextmanager
def second_session(company: Company, *statements: str) -> Iterator[Any]:
    """Another person's open transaction."""
    connection = psycopg2.connect(company.database_url)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            yield cursor
    finally:
        connection.close()


def waiters(company: Company) -> int:
    [(count,)] = company.query(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    return int(count)


@contextmanager
def in_background(company: Company, only: str | tuple[str, ...] = "cards") -> Iterator[dict[str, Any]]:
    done: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: done.update(company.sync("full", only=only)))
    thread.start()
    try:
        yield done
    finally:
        thread.join()


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    root = tmp_path_factory.mktemp("own")
    postgres = EmbeddedPostgres(root)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.discard()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_d3_postgres_goes_away_in_the_middle_and_the_sync_goes_on(
    own_cluster: EmbeddedPostgres, make_company: Callable[..., Company], sandbox: Sandbox, mode: Any
) -> None:
    own_cluster.drop_database("d3")
    company = make_company(
        sandbox, database_url=own_cluster.create_database("d3"), SYNC_BATCH_SIZE="1", SYNC_DATABASE_WAIT_SECONDS="30"
    )
    company.migrate()
    sandbox.latency = 0.03
    done: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: done.update(company.sync()))
    thread.start()
    wait_for(lambda: offsets(company))
    own_cluster.stop(mode)
    assert own_cluster.start().rpartition("/")[0] == company.database_url.rpartition("/")[0]
    thread.join()
    assert not {n: str(o) for n, o in done.items() if isinstance(o, SyncError)}
    assert done["cards"].totals["fetched"] == len(company.truth("cards"))
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


def test_d3_postgres_that_stays_away_ends_the_sync_with_a_clear_word(
    own_cluster: EmbeddedPostgres, make_company: Callable[..., Company], sandbox: Sandbox
) -> None:
    own_cluster.drop_database("d3")
    company = make_company(sandbox, database_url=own_cluster.create_database("d3"), SYNC_DATABASE_WAIT_SECONDS="0.5")
    company.migrate()
    sandbox.latency = 0.1
    done: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: done.update(company.sync("full", only="cards")))
    thread.start()
    wait_for(lambda: offsets(company))
    own_cluster.stop("immediate")
    thread.join()
    own_cluster.start()
    assert isinstance(done["cards"], DatabaseUnavailable)
    assert "Postgres cannot be reached" in str(done["cards"])
    sandbox.latency = 0
    company.query("update sync.metadata set lease_until = now()")  # a minute later, or at once in another process
    company.synced()
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


def test_d5_a_deadlock_is_done_again(small: Company) -> None:
    touch_every_card(small)
    first, second = sorted(small.truth("cards"))[10:12]
    lock = "select 1 from kaiten.cards where id = {} for update"
    with (
        second_session(small, "set deadlock_timeout = '30s'", lock.format(second)) as human,
        in_background(small) as done,
    ):
        wait_for(lambda: waiters(small))
        human.execute(lock.format(first))  # the sync has this one and waits for ours: it is the one that gives way
        human.connection.rollback()
    assert not isinstance(done["cards"], SyncError), done
    [(deadlocks,)] = small.query(
        "select pg_stat_get_db_deadlocks(oid) from pg_database where datname = current_database()"
    )
    assert deadlocks == 1
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


def test_d5_a_serialization_failure_is_done_again(small: Company) -> None:
    touch_every_card(small)
    key = sorted(small.truth("cards"))[10]
    small.query(
        "do $$ begin execute format('alter database %I set default_transaction_isolation = %L',"
        " current_database(), 'repeatable read'); end $$"
    )
    change = f"update kaiten.cards set payload_hash = null where id = {key}"
    with second_session(small, change) as human, in_background(small) as done:
        wait_for(lambda: waiters(small))
        human.connection.commit()
    assert not isinstance(done["cards"], SyncError), done
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "LOCK_SECONDS", 0.2)


def test_d5_a_lock_that_passes_is_waited_for(small: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    touch_every_card(small)
    with second_session(small, "lock table kaiten.cards in share mode") as human, in_background(small) as done:
        wait_for(lambda: waiters(small))
        time.sleep(0.3)
        human.connection.rollback()
    assert not isinstance(done["cards"], SyncError), done
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


def test_d9_a_lock_that_does_not_pass_fails_the_entity_and_names_the_reason(
    small: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    touch_every_card(small)
    with second_session(small, "lock table kaiten.cards in share mode"):
        done = small.sync("full", only=("tags", "cards"))
        assert isinstance(done["cards"], DatabaseUnavailable)
        assert "another transaction holds these rows" in str(done["cards"])
        assert "55P03" in str(done["cards"])
        assert not isinstance(done["tags"], SyncError)
    [(status, fetched)] = small.query(
        "select status, fetched from sync.logs where entity = 'cards' order by id desc limit 1"
    )
    assert (status, fetched) == ("failed", 0)
    small.synced()
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


@pytest.mark.parametrize(("sqlstate", "words"), [("53100", "the disk is full"), ("25006", "it is read-only")])
def test_d6_a_postgres_that_refuses_to_write_leaves_nothing_half_written(
    small: Company, sqlstate: str, words: str
) -> None:
    touch_every_card(small)
    bad = sorted(small.truth("cards"))[150]
    small.query(
        "create function public.refuse() returns trigger language plpgsql as $$ begin"
        f" if new.id = {bad} then raise exception 'no' using errcode = '{sqlstate}'; end if; return new; end $$;"
        " create trigger refuse after insert or update on kaiten.cards for each row execute function public.refuse()"
    )
    error = small.sync("full", only="cards")["cards"]
    assert isinstance(error, DatabaseRefused)
    assert words in str(error)
    held, truth = small.raw("cards"), small.truth("cards")
    keys = sorted(held)
    new = [k for k in keys if held[k]["title"] == truth[k]["title"]]
    assert new == keys[:100], "the first page is whole, of the second there is nothing"
    small.query("drop trigger refuse on kaiten.cards")
    small.synced("full", only="cards")
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


def test_d6_a_read_only_database_is_named(small: Company) -> None:
    switch = "do $$ begin execute format('alter database %I {}', current_database()); end $$"
    small.query(switch.format("set default_transaction_read_only = on"))
    error = small.sync("full", only="tags")["tags"]
    assert isinstance(error, DatabaseRefused)
    assert "it is read-only" in str(error)
    small.query("set transaction read write;" + switch.format("reset default_transaction_read_only"))
    small.synced("full", only="tags")
    small.assert_ledger_adds_up()
