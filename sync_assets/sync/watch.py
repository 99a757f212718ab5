"""Watches the inbox of some accounts, and works off what comes in at once: in a look now and then, and between two.

Between two looks a thread of ours watches on, and what it did is told at the next: who looks every five seconds would
let an event wait for two and a half. It ends by itself soon after nobody looks any more.
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

ROUND = 0.5
"""Seconds after which whoever watches on looks up: it may be relieved."""

LEFT_ALONE = 20.0
"""Seconds after which nobody comes back: the daemon was stopped, or the sensor switched off."""


class Watch:
    def __init__(self, accounts: Sequence[Account], settings: SyncSettings) -> None:
        """Raises MissingSetting where there is no database."""
        if settings.database_url is None:
            raise MissingSetting("DATABASE_URL is not set", next_step="set it, or use make up")
        self.workers = {account.name: Worker(account, settings) for account in accounts}
        self._settings = settings
        self._announcements = Announcements(settings.database_url.get_secret_value(), list(self.workers))
        self._tidied: float | None = None
        self._works = self._nothing_done()
        self._relieved = threading.Event()
        self._deputy: threading.Thread | None = None
        self._bug: BaseException | None = None
        self._looking = threading.Lock()

    def close(self) -> None:
        try:
            self._relieve()
        finally:
            self._close()

    def look(self) -> dict[str, Work]:
        """Works off what is due, and watches on until the next look. What was done for each account since the last.

        What went wrong is in its words. Raises only what was a bug in the time between.
        """
        # Whoever asked before may have given up waiting for the answer, while the work goes on.
        if not self._looking.acquire(blocking=False):
            works = self._nothing_done()
            for work in works.values():
                work.problem("the look before this one is not over")
            return works
        try:
            self._relieve()
            self._work_off(time.monotonic())
            self._tidy()
            for name, worker in self.workers.items():
                worker.tell(self._works[name])
                if not self._works[name].outcomes:
                    worker.idle()
            works, self._works = self._works, self._nothing_done()
            self._watch_on()
            return works
        finally:
            self._looking.release()

    def _nothing_done(self) -> dict[str, Work]:
        return {name: Work() for name in self.workers}

    def _work_off(self, until: float) -> bool:
        """Whether the time was over before the work was."""
        try:
            over = [self.workers[name].work_off(until, self._works[name]) for name in self._announcements.due()]
            return any(over)
        except SyncError as e:
            for work in self._works.values():
                work.problem(str(e))
            return False

    # Between two looks

    def _watch_on(self) -> None:
        if LEFT_ALONE:
            self._relieved.clear()
            self._deputy = threading.Thread(target=self._watch, name="webhooks")
            self._deputy.start()

    def _relieve(self) -> None:
        self._relieved.set()
        deputy, self._deputy = self._deputy, None
        if deputy:
            deputy.join()
        bug, self._bug = self._bug, None
        if bug:
            raise bug

    def _watch(self) -> None:
        try:
            asked = time.monotonic()
            until, more = asked + LEFT_ALONE, False
            # Python waits for this thread before it ends.
            while not self._relieved.is_set() and threading.main_thread().is_alive():
                if (left := until - time.monotonic()) <= 0:
                    self._close()
                    return
                due = more or self._announcements.wait(min(ROUND, left))
                if due or time.monotonic() - asked >= ASK_AGAIN:
                    more = self._work_off(time.monotonic() + ROUND)
                    asked = time.monotonic()
        except BaseException as e:  # noqa: BLE001  it is raised where somebody looks
            self._bug = e

    def _close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        self._announcements.close()

    def _tidy(self) -> None:
        if self._tidied is not None and time.monotonic() - self._tidied < TIDY:
            return
        days, payload_days = self._settings.sync_webhook_days, self._settings.webhook_payload_days
        for name, worker in self.workers.items():
            try:
                work = partial(tidy, account=name, days=days, payload_days=payload_days)
                worker.connection.database.transaction(work)
            except SyncError as e:
                self._works[name].problem(str(e))
                return
        self._tidied = time.monotonic()
