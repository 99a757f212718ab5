"""A receiver of messages, and a book of alerts over a database of its own, at a time that tests set."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync_assets.load.database import Database
from sync_assets.notify import telling
from sync_assets.notify.alerts import Look, open_alerts, record
from sync_assets.notify.cause import Cause
from sync_assets.notify.notifiers import notifiers
from sync_assets.notify.telling import Sent, Telling
from sync_assets.settings import SyncSettings, sync_settings
from sync_assets_tests.canary import Canary
from sync_assets_tests.notify.ear import SLACK_PATH, TOKEN, Ear

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class Book:
    """Looks and tells as the sensor does, with the causes that a test says are red."""

    def __init__(self, database: Database, settings: SyncSettings) -> None:
        self.database, self.settings = database, settings
        self.now = NOON
        self._runs = 0

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def cause(self, what: str = "columns_parse", entity: str = "cards", account: str = "kaiten", **more: Any) -> Cause:
        given = {"kind": "check", "says": "3 values do not parse", "next_step": "look at them", "at": self.now, **more}
        return Cause(account, entity, what, **given)

    def look(self, *red: Cause) -> None:
        """These and no others are red."""
        wrong = {cause.key for cause in red}
        green = [a.key for a in open_alerts(self.database) if a.key not in wrong]
        self._record(Look(red=red, green=green))

    def fail(self, *causes: Cause, run: str = "") -> None:
        """A run failed with these."""
        self._runs += 1
        run = run or f"run-{self._runs}"
        failed = [Cause(**{**vars(cause), "kind": "step", "run_id": run}) for cause in causes]
        self._record(Look(failed=failed, runs=[run]))

    def succeed(self, entity: str = "cards") -> None:
        over = [a.id for a in open_alerts(self.database) if a.key[1] == entity]
        self._record(Look(over=over))

    def tell(self) -> Sent:
        return Telling(self.database, notifiers(self.settings), self.settings).tell(self.now)

    def tick(self, *red: Cause) -> Sent:
        self.look(*red)
        return self.tell()

    def _record(self, look: Look) -> None:
        record(self.database, look, notifiers=[n.name for n in notifiers(self.settings)], now=self.now)


@pytest.fixture
def ear(canary: Canary) -> Iterator[Ear]:
    with Ear() as found:
        canary.watch(TOKEN, SLACK_PATH.rpartition("/")[2])
        yield found


@pytest.fixture
def make_book(ear: Ear, database_url: str) -> Iterator[Callable[..., Book]]:
    """make_book("slack", SYNC_ALERT_...="...") -> a book whose notifiers lead to `ear`; both if none is named."""
    database = Database(database_url, wait=5.0)

    def make(*names: str, **env: str) -> Book:
        return Book(database, sync_settings({**ear.env(*names), **env}))

    yield make
    database.close()


@pytest.fixture
def book(make_book: Callable[..., Book]) -> Book:
    return make_book("slack")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notifier that says nothing is given up after a fraction of a second."""
    monkeypatch.setattr("sync_assets.notify.notifier.DEADLINE", 0.3)
    assert timedelta(seconds=1) < telling.LEASE
