"""D1, D2, D7: processes that are killed, stopped or doubled; afterwards nothing is lost or counted twice."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.sync import Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import offsets, process, touch_every_card, wait_for

POINTS = ("after read", "after stage", "after upsert", "before commit", "after commit", "in rejected", "in sweep")


@pytest.fixture
def small(make_company: Callable[..., Company], grown: Company) -> Company:
    """In step, and every page is a commit of its own."""
    return make_company(grown.sandbox, database_url=grown.database_url, SYNC_BATCH_SIZE="1")


@pytest.mark.parametrize("point", POINTS)
def test_d1_killed_anywhere_the_next_sync_makes_it_whole_and_reads_at_most_one_page_again(
    small: Company, point: str
) -> None:
    touch_every_card(small)
    for key in sorted(small.sandbox.world.kaiten.cards)[-3:]:
        small.sandbox.world.kaiten.delete_card(key)
    if point == "in rejected":
        bad = sorted(small.sandbox.world.kaiten.cards)[150]
        small.sandbox.faults.set("V1", system="kaiten", path="/cards$", record=bad)
    killed = process(small, "cards", SYNC_ASSETS_CRASH_AT=point)
    words, _ = killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL, words
    assert small.query("select status from sync.logs where entity = 'cards' order by id desc limit 1") == [("running",)]
    small.sandbox.faults.clear()
    [(cursor,)] = small.query("select cursor -> 'position' from sync.metadata where entity = 'cards'")
    before = len(small.sandbox.requests)
    small.synced("full", only="cards")
    again = [int(r.query["offset"]) for r in small.sandbox.requests[before:] if r.path.endswith("/cards")]
    assert (min(again) if again else None) == (
        cursor["offset"] if cursor and "offset" in cursor else None if cursor else 0
    )
    assert small.query("select status from sync.logs where entity = 'cards' order by id") == [
        ("success",),
        ("lost",),
        ("success",),
    ]
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


def test_d1_killed_in_the_first_sync_of_all_nothing_is_missing(make_company: Callable[..., Company]) -> None:
    company = make_company(SYNC_BATCH_SIZE="1")
    killed = process(company, SYNC_ASSETS_CRASH_AT="before commit")
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    company.synced()
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


def test_d2_a_sync_that_is_told_to_stop_says_so_and_goes_on_later(small: Company) -> None:
    small.sandbox.latency = 0.15
    stopped = process(small, "cards")
    wait_for(lambda: small.query("select 1 from sync.metadata where cursor is not null"))
    stopped.send_signal(signal.SIGTERM)
    words, _ = stopped.communicate(timeout=20)
    assert stopped.returncode == 143, words
    [(status, error)] = small.query(
        "select status, error from sync.logs where entity = 'cards' order by id desc limit 1"
    )
    assert status == "failed"
    assert error.startswith("stopped by SystemExit")
    small.sandbox.latency = 0
    small.sandbox.requests.clear()
    assert "unfinished sweep" in small.synced("full", only="cards")["cards"].note
    assert min(offsets(small), default=99) > 0
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


def test_d2_control_c_ends_failed_with_its_lease_let_go(small: Company) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with small.connected() as connection, pytest.raises(KeyboardInterrupt):
        sync_entity(connection, small.entity("cards"), Request("full"), progress=interrupt)
    assert small.query(
        "select status, error like 'stopped by Keyboard%' from sync.logs where entity = 'cards'"
        " order by id desc limit 1"
    ) == [("failed", True)]
    small.synced()
    small.assert_world_equals_postgres()
    small.assert_ledger_adds_up()


def test_d7_of_two_processes_one_syncs_and_the_other_says_who(small: Company) -> None:
    small.sandbox.latency = 1.0
    both = [process(small, "tags", RUN=f"run {n}", WAIT_FOR_LEASE="0.2") for n in (1, 2)]
    words = [p.communicate(timeout=40)[0] for p in both]
    assert sorted(p.returncode for p in both) == [0, 1], words
    loser = next(w for p, w in zip(both, words, strict=True) if p.returncode)
    winner = next(n for n, p in enumerate(both, 1) if not p.returncode)
    assert "AlreadyRunning" in loser
    assert f"Dagster run run {winner}" in loser
    small.assert_ledger_adds_up()
