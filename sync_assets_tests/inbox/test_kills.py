"""Workers that are killed and a Postgres that goes away in the middle: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from sync_assets.load import claims
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.sandbox.server import Sandbox
from sync_assets.sync.look import Work
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import wait_for
from sync_assets_tests.inbox.hints import hint, hurry, states, worked_off, worker


def killed(company: Company, point: str, **env: str) -> None:
    """A worker that is killed as soon as it comes to this point."""
    ended = subprocess.run(
        [sys.executable, "-m", "sync_assets_tests.inbox.working"],
        env={"PATH": os.defpath, **company.env, **env, "SYNC_ASSETS_CRASH_AT": point},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr


@pytest.mark.parametrize("point", ["after claim", "before commit", "in sweep", "before settling"])
def test_killed_anywhere_the_next_worker_ends_it(grown: Company, point: str) -> None:
    kaiten = grown.sandbox.world.kaiten
    alone = [k for k, c in grown.truth("cards").items() if not c["children_ids"] and not c["parents_ids"]]
    changed, gone = sorted(alone)[:2]
    kaiten.update_card(changed, title="new")
    kaiten.delete_card(gone)
    hint(grown, "kaiten", "cards", changed, gone)
    killed(grown, point)
    assert grown.query("select distinct state, attempts from sync.webhook_events") == [("taken", 1)]
    assert worked_off(grown).waiting == 2, "set free, and the next attempt is a second later"
    hurry(grown)
    assert worked_off(grown).events == 2
    assert states(grown) == {"done": 2}
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()
    assert grown.query("select sum(updated), sum(deleted) from sync.logs where kind = 'webhook'") == [(1, 1)]


def test_w8_what_kills_its_worker_is_given_up_and_all_else_goes_on(grown: Company) -> None:
    poison, good = sorted(grown.sandbox.world.kaiten.cards)[:2]
    hint(grown, "kaiten", "cards", poison, good)
    for tries in ([1, 1], [2, 2], [3, 2]):
        killed(grown, f"at cards {poison}", SYNC_WEBHOOK_ATTEMPTS="3")
        assert grown.query("select array_agg(attempts order by id) from sync.webhook_events") == [(tries,)]
        with grown.connected() as connection:
            connection.database.transaction(partial(claims.recover, account="kaiten", me="another"))
        hurry(grown)
    hint(grown, "kaiten", "cards", poison)
    assert worked_off(grown, sync_webhook_attempts=3).events == 2, "its later events go on"
    assert grown.query("select key, state, reason from sync.webhook_events where key in (%s, %s) order by id",
                       [str(poison), str(good)]) == [
        (str(poison), "dead", "given up after 3 attempts: its worker ended without a word"),
        (str(good), "done", None),
        (str(poison), "done", None),
    ]  # fmt: skip
    grown.assert_world_equals_postgres()


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("own"))
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.discard()


def test_postgres_is_stopped_and_started_in_a_drain(
    own_cluster: EmbeddedPostgres,
    make_company: Callable[..., Company],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sync_assets.sync.worker.MOST_AT_ONCE", 10)
    monkeypatch.setattr("sync_assets.sync.worker.IMPATIENT", {"sync_database_wait_seconds": 0.2})
    company = make_company(sandbox, database_url=own_cluster.create_database("drain"))
    company.migrate()
    company.synced("full")
    cards = sorted(sandbox.world.kaiten.cards)[:150]
    for card in cards:
        sandbox.world.kaiten.update_card(card, title=f"new {card}")
    hint(company, "kaiten", "cards", *cards)
    sandbox.latency = 0.02
    works: list[Work] = []

    def drain() -> None:
        with worker(company) as one:
            while not (works and sum(w.events for w in works) >= len(cards)):
                one.work_off(time.monotonic() + 1, work := Work())
                works.append(work)

    thread = threading.Thread(target=drain)
    sandbox.requests.clear()
    thread.start()
    wait_for(lambda: len(sandbox.requests) > 30)
    own_cluster.stop("immediate")
    wait_for(lambda: works)
    own_cluster.start()
    thread.join(60)
    assert not thread.is_alive()
    assert any("Postgres" in problem for work in works for problem in work.problems)
    assert states(company) == {"done": len(cards)}
    company.assert_world_equals_postgres()
    # The sync that could not say how it ended is lost when its lease is over.
    company.query("update sync.logs set lease_until = clock_timestamp() where status = 'running'")
    hint(company, "kaiten", "cards", cards[0])
    assert worked_off(company).events == 1
    company.assert_ledger_adds_up()
