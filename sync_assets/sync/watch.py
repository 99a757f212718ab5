"""Watches the inbox of some accounts for a few seconds at a time, and works off what comes in at once.

Between two watches the workers keep what took time to make; what waits in Postgres meanwhile is one connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial

from sync_assets.account import Account
from sync_assets.errors import MissingSetting, SyncError
from sync_assets.load.announcements import Announcements
from sync_assets.load.retention import tidy
from sync_assets.settings import SyncSettings
from sync_assets.sync.look import Work
from sync_assets.sync.worker import Worker

ASK_AGAIN = 1.0
"""Seconds after which is asked for what is due, whether it was announced or not."""

TIDY = 3600.0
"""Seconds from one clearing of the inbox to the next."""


class Watch:
    def __init__(self, accounts: Sequence[Account], settings: SyncSettings) -> None:
        """Raises MissingSetting where there is no database."""
        if settings.database_url is None:
            raise MissingSetting("DATABASE_URL is not set", next_step="set it, or use make up")
        self.workers = {account.name: Worker(account, settings) for account in accounts}
        self._settings = settings
        self._announcements = Announcements(settings.database_url.get_secret_value(), list(self.workers))
        self._tidied: float | None = None
        self._watching = threading.Lock()

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        self._announcements.close()

    def work(self, seconds: float) -> dict[str, Work]:
        """What was done for each account. Raises nothing: what went wrong is in its words."""
        works = {name: Work() for name in self.workers}
        # Whoever asked before may have given up waiting for the answer, while the work goes on.
        if not self._watching.acquire(blocking=False):
            for work in works.values():
                work.problem("the watch before this one is not over")
            return works
        try:
            self._work(seconds, works)
        finally:
            self._watching.release()
        return works

    def _work(self, seconds: float, works: dict[str, Work]) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                for name in self._announcements.due():
                    self.workers[name].work_off(until, works[name])
            except SyncError as e:
                for work in works.values():
                    work.problem(str(e))
            if (left := until - time.monotonic()) <= 0:
                break
            self._announcements.wait(min(ASK_AGAIN, left))
        self._tidy(works)
        for name, worker in self.workers.items():
            worker.tell(works[name])
            if not works[name].outcomes:
                worker.idle()

    def _tidy(self, works: dict[str, Work]) -> None:
        if self._tidied is not None and time.monotonic() - self._tidied < TIDY:
            return
        days, payload_days = self._settings.sync_webhook_days, self._settings.webhook_payload_days
        for name, worker in self.workers.items():
            try:
                work = partial(tidy, account=name, days=days, payload_days=payload_days)
                worker.connection.database.transaction(work)
            except SyncError as e:
                works[name].problem(str(e))
                return
        self._tidied = time.monotonic()
