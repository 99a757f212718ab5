"""What the folder of rules and sequences says, kept up to date, and what is due by it worked off.

Files are read again when one of them changed. While one of the rules cannot be understood, changes wait: none passes
by a rule that its file only misspells. Sequences go on as they were before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sync_assets.account import Account
from sync_assets.automation import events, rule_work, rules, sequence_runs, sequence_steps, sequences
from sync_assets.automation.rules import Rule
from sync_assets.automation.sequences import Definition
from sync_assets.errors import BadAutomation, MissingSetting, SyncError
from sync_assets.load.announcements import Announcements
from sync_assets.load.changes import CHANNEL
from sync_assets.load.database import Database
from sync_assets.settings import SyncSettings

DUE = f"{rule_work.DUE} union {sequence_steps.DUE}"
"""One question on the connection that waits: whoever only waits holds no other."""

ASK_AGAIN = 1.0
"""Seconds after which is asked for what is due, whether it was announced or not."""

TIDY = 3600.0
"""Seconds from one clearing of what happened long ago to the next."""


@dataclass(frozen=True)
class Book:
    """What the folder says, and what is wrong with it."""

    rules: Sequence[Rule] = ()
    wrong_rules: Sequence[BadAutomation] = ()
    sequences: Sequence[Definition] = ()
    wrong_sequences: Sequence[BadAutomation] = ()

    @property
    def wrong(self) -> list[BadAutomation]:
        return [*self.wrong_rules, *self.wrong_sequences]

    def __bool__(self) -> bool:
        return bool(self.rules or self.sequences or self.wrong)


def book(settings: SyncSettings) -> Book:
    """What the folder says now."""
    folder = settings.sync_automation_folder
    return Book(*rules.rules(folder, settings.http_hosts), *sequences.definitions(folder, settings.http_hosts))


@dataclass
class Reacted:
    """What was done, and what is in the way."""

    rules: rule_work.Worked = field(default_factory=rule_work.Worked)
    sequences: sequence_steps.Worked = field(default_factory=sequence_steps.Worked)
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    @property
    def any(self) -> bool:
        return bool(self.rules.changes or self.sequences.counts)

    def __str__(self) -> str:
        return "; ".join([f"rules: {self.rules}", f"sequences: {self.sequences}", *self.problems])


class Reactions:
    """Rules and sequences over some accounts. Keeps its connections until it is closed."""

    def __init__(self, accounts: Sequence[Account], settings: SyncSettings) -> None:
        """Raises MissingSetting where there is no database."""
        if settings.database_url is None:
            raise MissingSetting("DATABASE_URL is not set", next_step="set it, or use make up")
        url = settings.database_url.get_secret_value()
        self._accounts = [account.name for account in accounts]
        self._settings = settings
        self._database = Database(url, wait=settings.sync_database_wait_seconds, name="sync_assets automation")
        self._announcements = Announcements(
            url,
            self._accounts,
            name="sync_assets automation watch",
            channel=CHANNEL,
            due=DUE,
        )
        self._book: Book | None = None
        self._stamp: frozenset[tuple[str, int, int]] = frozenset()
        self._registered = False
        self._tidied: float | None = None

    def close(self) -> None:
        self._database.close()
        self._announcements.close()

    @property
    def book(self) -> Book:
        """As the files are now."""
        stamp = _stamp(self._settings.sync_automation_folder)
        if self._book is None or stamp != self._stamp:
            self._book, self._stamp, self._registered = book(self._settings), stamp, False
        return self._book

    def react(self, *, run_id: str | None = None, seconds: float = 60.0) -> Reacted:
        """Works off what is due, for so long at most. Raises the SyncErrors of the database."""
        until, reacted, now = time.monotonic() + seconds, Reacted(), self.book
        for error in now.wrong:
            reacted.problem(str(error))
        self._register(now)
        self._tidy()
        if not now.wrong_rules:
            reacted.rules = rule_work.work_off(
                self._database, self._accounts, now.rules, run_id=run_id, seconds=until - time.monotonic()
            )
        reacted.sequences = sequence_steps.work_off(
            self._database,
            self._accounts,
            now.sequences,
            whole=not now.wrong_sequences,
            seconds=max(1.0, until - time.monotonic()),
        )
        return reacted

    def watch(self, seconds: float) -> Reacted:
        """Works off what becomes due within so many seconds. Raises nothing: what went wrong is in its words."""
        until, total = time.monotonic() + seconds, Reacted()
        while True:
            try:
                if not self._registered or not self.book or self._announcements.due():
                    done = self.react(seconds=max(1.0, until - time.monotonic()))
                    total.rules.changes += done.rules.changes
                    total.rules.states.update(done.rules.states)
                    total.sequences.counts.update(done.sequences.counts)
                    for problem in done.problems:
                        total.problem(problem)
            except SyncError as e:
                total.problem(str(e))
            if not self.book or (left := until - time.monotonic()) <= 0:
                if not total.any:
                    self._database.close()
                return total
            self._announcements.wait(min(ASK_AGAIN, left))

    def _register(self, now: Book) -> None:
        if not self._registered:
            # Sequences first: a rule may begin one in the same breath.
            whole = not now.wrong_sequences
            self._database.transaction(partial(sequence_runs.register, found=now.sequences, whole=whole))
            whole = not now.wrong_rules
            self._database.transaction(partial(rule_work.register, found=now.rules, whole=whole))
            self._registered = True

    def _tidy(self) -> None:
        if self._tidied is None or time.monotonic() - self._tidied > TIDY:
            days = self._settings.sync_automation_days
            self._database.transaction(partial(events.expire, accounts=self._accounts, days=days))
            self._tidied = time.monotonic()


def _stamp(folder: Path) -> frozenset[tuple[str, int, int]]:
    """What changes when a file does, or comes, or goes."""
    found = set()
    for path in (path for sub in (rules.FOLDER, sequences.FOLDER) for path in (folder / sub).glob("*.yaml")):
        with suppress(FileNotFoundError):
            stat = path.stat()
            found.add((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(found)
