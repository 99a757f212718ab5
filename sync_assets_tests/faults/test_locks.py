"""D9: somebody's long lock holds up no process for long: each says so, loses nothing and goes on when it is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from sync_assets.errors import DatabaseUnavailable
from sync_assets.load import database as database_module
from sync_assets.load.database import Database
from sync_assets.load.migrations import FOLDER, migrate
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import touch_every_card
from sync_assets_tests.inbox.hints import hint, hurry, states, worked_off
from sync_assets_tests.send.shop import Open

HELD = "another transaction holds these rows"


@contextmanager
def held(url: str, lock: str) -> Iterator[None]:
    """A person's transaction that nobody ends, or an autovacuum against wraparound."""
    with closing(psycopg2.connect(url)) as connection:
        connection.cursor().execute(lock)
        yield


@pytest.mark.parametrize("lock", ["lock table kaiten.cards", "lock table kaiten.cards in share update exclusive mode"])
def test_d9_a_worker_s_tick_is_not_held_up_and_its_events_wait(grown: Company, lock: str) -> None:
    touch_every_card(grown)
    card, tag = sorted(grown.truth("cards"))[0], sorted(grown.truth("tags"))[0]
    with held(grown.database_url, lock):
        hint(grown, "kaiten", "cards", card)
        hint(grown, "kaiten", "tags", tag)
        began = time.monotonic()
        work = worked_off(grown, seconds=4.5)
        assert time.monotonic() - began < 30, "one wait of 3 s, not four of 20"
        assert {"tags"} <= work.outcomes.keys(), "others are worked off"
        if "share" not in lock:
            assert any(HELD in problem for problem in work.problems) and work.waiting == 1
            assert states(grown) == {"done": 1, "waiting": 1}
            assert grown.query("select attempts from sync.webhook_events where state = 'waiting'") == [(0,)]
    hurry(grown)
    worked_off(grown)
    assert states(grown) == {"done": 2}
    assert grown.raw("cards")[card]["title"] == grown.truth("cards")[card]["title"]


def test_d9_a_worker_that_gives_up_waits_no_second_time(grown: Company) -> None:
    with closing(Database(grown.database_url, wait=0.0)) as database, held(grown.database_url, "lock kaiten.cards"):
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match=HELD):
            database.query("select count(*) from kaiten.cards")
        assert time.monotonic() - began < 2 * database_module.SHORTEST_LOCK + 5
        assert database.query("show lock_timeout") == ("1s",)


def test_d9_a_migration_gives_way_and_names_its_file(
    grown: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "LOCK_SECONDS", 0.2)
    for path in FOLDER.glob("*.sql"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "900_kaiten_note.sql").write_text(
        "-- scope: account\nalter table cards add column d9_note text;\n"
    )
    accounts = [grown.accounts["kaiten"]]
    with closing(Database(grown.database_url, wait=1.0)) as database:
        reading = "lock table kaiten.cards in access share mode"
        with held(grown.database_url, reading), pytest.raises(DatabaseUnavailable, match=HELD) as told:
            migrate(database, accounts, tmp_path)
        assert "sql/local/900_kaiten_note.sql" in str(told.value)
        assert [m.file for m in migrate(database, accounts, tmp_path)] == ["local/900_kaiten_note.sql"]


@pytest.mark.parametrize("lock", ["lock table sync.outbox", "lock table bitrix.orders"])
def test_d9_the_way_back_waits_and_writes_once(open_shop: Open, lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "LOCK_SECONDS", 0.2)
    shop = open_shop(SYNC_DATABASE_WAIT_SECONDS="0.5")
    order = shop.ids[0]
    shop.here(order, "paid")
    with held(shop.company.database_url, lock):
        try:
            done = shop.deliver().states
        except DatabaseUnavailable as e:
            assert HELD in str(e)
        else:
            assert "confirmed" not in done
    shop.due_now()
    shop.deliver()
    assert shop.status(order) == ("paid", "P")
    assert len(shop.effective) == 1, "in the shop it was set once"
