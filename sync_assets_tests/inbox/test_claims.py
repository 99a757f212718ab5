"""Claims: by record, counted before the work, and given back where the failure says nothing of the record."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg2
import pytest

from sync_assets.load import claims
from sync_assets.load.claims import Claimed
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, hurry, states, worked_off, worker

ME = "process 1 on elsewhere, since 00:00:00 UTC, worker one"
OTHER = "process 1 on elsewhere, since 00:00:00 UTC, worker two"


def claimed(cursor: Any, me: str = ME, *, limit: int = 10, alone: bool = False, lease: float = 60) -> list[Claimed]:
    return claims.claim(cursor, "kaiten", "cards", me, limit=limit, lease=lease, alone=alone)


def in_transaction(company: Company, work: Callable[[Any], Any]) -> Any:
    connection = psycopg2.connect(company.database_url)
    try:
        with connection, connection.cursor() as cursor:
            return work(cursor)
    finally:
        connection.close()


def keys(records: list[Claimed]) -> list[str]:
    return sorted(record.key for record in records)


def test_w13_two_workers_never_hold_two_events_of_one_record(company: Company) -> None:
    hint(company, "kaiten", "cards", 1, 1, 2)
    first, second = psycopg2.connect(company.database_url), psycopg2.connect(company.database_url)
    try:
        with first.cursor() as one, second.cursor() as two:
            assert keys(claimed(one, limit=1)) == ["1"]
            assert keys(claimed(two, OTHER)) == ["2"], "the first has not committed yet"
            hint(company, "kaiten", "cards", 1)
            first.commit()
            assert claimed(two, OTHER) == [], "nor is what came since to be had while the first is at work"
            second.commit()
            mine = company.query("select id from sync.webhook_events where leased_by = %s", [ME])
            claims.done(one, [event for (event,) in mine], ME, 1)
            first.commit()
            assert [r.key for r in claimed(two, OTHER)] == ["1"]
    finally:
        first.close()
        second.close()


def test_w13_two_workers_at_once_read_each_record_once(
    make_company: Callable[..., Company], grown: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_assets.sync.worker.MOST_AT_ONCE", 3)
    cards = sorted(grown.sandbox.world.kaiten.cards)[:24]
    for _ in range(3):
        hint(grown, "kaiten", "cards", *cards)
    grown.sandbox.requests.clear()
    works: list[Any] = []
    threads = [threading.Thread(target=lambda: works.append(worked_off(grown))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = [r.path for r in grown.sandbox.requests if "/cards/" in r.path]
    assert sorted(asked) == sorted(f"/api/latest/cards/{card}" for card in cards)
    assert sum(w.events for w in works) == 72 and states(grown) == {"done": 72}
    grown.assert_ledger_adds_up()


def test_what_comes_while_a_record_is_read_is_read_again(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    card = min(kaiten.cards)
    (first,) = hint(grown, "kaiten", "cards", card)
    with worker(grown) as one:
        (record,) = one._claim("cards", alone=False)
        (second,) = hint(grown, "kaiten", "cards", card)
        assert one._claim("cards", alone=False) == []
        one._look(grown.entity("cards"), [record], work := worked_off(grown))
    assert grown.query("select id, state from sync.webhook_events order by id") == [(first, "done"), (second, "new")]
    assert work.events == 1 and worked_off(grown).events == 1


def test_the_attempt_counts_before_the_work_and_the_next_comes_later_each_time(company: Company) -> None:
    (event,) = hint(company, "kaiten", "cards", 1)
    waits = []
    for attempt in range(1, 5):
        (record,) = in_transaction(company, partial(claimed, alone=attempt > claims.ALONE_AFTER))
        assert (record.attempts, record.events) == (attempt, [event])
        in_transaction(company, partial(claims.failed, events=[event], me=ME, reason="no", most=4))
        [(state, reason, seconds)] = company.query(
            "select state, reason, extract(epoch from next_try_at - clock_timestamp())::float8 from sync.webhook_events"
        )
        waits.append(seconds)
        hurry(company)
    assert [0.5 * n < wait < 1.5 * n for n, wait in zip((1, 2, 4), waits, strict=False)] == [True] * 3
    assert (state, reason) == ("dead", "given up after 4 attempts: no")


def test_an_attempt_that_is_given_back_does_not_count(company: Company) -> None:
    (event,) = hint(company, "kaiten", "cards", 1)
    for _ in range(20):
        (record,) = in_transaction(company, claimed)
        assert record.attempts == 1
        in_transaction(company, partial(claims.give_back, events=[event], me=ME, seconds=0, reason="away"))
    assert company.query("select state, attempts, reason from sync.webhook_events") == [("waiting", 0, "away")]


def test_w8_a_worker_that_dies_sets_its_records_free_and_whoever_dies_of_one_meets_it_alone(company: Company) -> None:
    hint(company, "kaiten", "cards", 1, 2)
    for _ in range(claims.ALONE_AFTER):
        assert keys(in_transaction(company, partial(claimed, lease=0))) == ["1", "2"]
        in_transaction(company, partial(claims.recover, account="kaiten", me=OTHER))
        hurry(company)
    assert in_transaction(company, claimed) == []
    assert keys(in_transaction(company, partial(claimed, alone=True, limit=1))) == ["1"]
    assert company.query("select key, attempts from sync.webhook_events order by key") == [("1", 3), ("2", 2)]


def test_a_lease_that_holds_is_respected_and_a_dead_process_holds_none(company: Company) -> None:
    hint(company, "kaiten", "cards", 1)
    dead = "process 4194305 on {}, since 00:00:00 UTC, worker x"
    in_transaction(company, claimed)
    in_transaction(company, partial(claims.recover, account="kaiten", me=OTHER))
    assert states(company) == {"taken": 1}
    company.query("update sync.webhook_events set leased_by = %s", [dead.format(socket.gethostname())])
    in_transaction(company, partial(claims.recover, account="kaiten", me=OTHER))
    assert states(company) == {"waiting": 1}


def test_what_a_worker_left_over_by_an_error_of_its_own_is_taken_up_at_once(grown: Company) -> None:
    hint(grown, "kaiten", "cards", min(grown.sandbox.world.kaiten.cards))
    with worker(grown) as one:
        assert len(one._claim("cards", alone=False)) == 1
        one.work_off(time.monotonic() + 5, work := worked_off(grown))
        assert work.events == 1
    assert grown.query("select state, attempts from sync.webhook_events") == [("done", 1)]


def test_w5_a_burst_is_claimed_by_record_in_the_order_of_its_coming(company: Company) -> None:
    for _ in range(5):
        hint(company, "kaiten", "cards", *range(100, 0, -1))
    (first, second) = (in_transaction(company, partial(claimed, limit=40)) for _ in range(2))
    assert {len(record.events) for record in first} == {5}
    assert keys(first) == sorted(str(k) for k in range(61, 101))
    assert keys(second) == sorted(str(k) for k in range(21, 61))


@pytest.mark.parametrize("alone", [False, True])
def test_a_slow_account_takes_no_more_than_it_can_read_soon(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], alone: bool
) -> None:
    company = make_company(make_sandbox(), KAITEN_RATE="5", HUBSPOT_RATE="19", BITRIX_RATE="2")
    expected = {"kaiten": ("cards", 10), "hubspot": ("contacts", 500), "bitrix": ("orders", 200)}
    for account, (entity, limit) in expected.items():
        with worker(company, account) as one:
            assert one._limit(company.entity(entity, account)) == limit
            hint(company, account, entity, *range(limit + 5))
            company.query("update sync.webhook_events set attempts = %s", [9 if alone else 0])
            assert len(one._claim(entity, alone=alone)) == (1 if alone else limit)
