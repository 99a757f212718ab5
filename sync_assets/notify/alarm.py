"""The receiver's own voice: webhooks are refused, and for as long as Postgres is away nobody else can say so.

It knows neither Postgres nor Dagster. What it told is noted beside the spool, so that a receiver that is started again
tells nobody twice, and tells of the end of what its predecessor told of.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sync_assets.errors import SyncError
from sync_assets.notify.message import Message
from sync_assets.notify.notifier import Notifier
from sync_assets.notify.wording import span

log = logging.getLogger("sync_assets.notify")

LOOK = 1.0
"""Seconds between two looks."""
SETTLE = 300.0
"""Seconds for which webhooks must be taken before it is over: those that are small may fit in between."""
PAUSE, LONGEST_PAUSE = 15.0, 900.0
"""Seconds after which a notifier that failed is tried again; doubled each time."""


@dataclass
class Told:
    """Since when webhooks are refused, as seconds since 1970, and who has heard of it."""

    since: float | None = None
    opening: list[str] = field(default_factory=list)


class Alarm:
    """Use: `watching`, around whatever `refusing` asks."""

    def __init__(self, notifiers: Sequence[Notifier], refusing: Callable[[], bool], folder: Path) -> None:
        self._notifiers = notifiers
        self._refusing = refusing
        self._note = folder / "alarm"
        self._told = self._read()
        self._taken_since: float | None = None
        self._rests: dict[str, tuple[float, float]] = {}  # until when, and for how long the next time
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, name="alarm", daemon=True)
        if self._notifiers:
            thread.start()
        try:
            yield
        finally:
            self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            try:
                self.look(time.time())
            except Exception as e:  # noqa: BLE001  what cannot be told is in the log, and the receiver receives
                log.error("the alarm broke (%s). Next: open an issue with this message", type(e).__name__)

    def look(self, now: float) -> None:
        """Tells what is due at `now`, in seconds since 1970."""
        told = self._told
        if self._refusing():
            self._taken_since = None
            if told.since is None:
                told.since = now
                self._write()
            for notifier in self._notifiers:
                if notifier.name not in told.opening and self._sent(notifier, _opening(told.since), now):
                    told.opening.append(notifier.name)
                    self._write()
        elif told.since is not None:
            self._taken_since = self._taken_since or now
            if now - self._taken_since >= SETTLE:
                self._end(told.since, now)

    def _end(self, since: float, now: float) -> None:
        """Whoever did not hear the beginning hears nothing: it is over."""
        message = _ending(since, self._taken_since or now)
        for notifier in self._notifiers:
            if notifier.name in self._told.opening and self._sent(notifier, message, now):
                self._told.opening.remove(notifier.name)
                self._write()
        if not {n.name for n in self._notifiers} & set(self._told.opening):
            self._told = Told()
            self._write()

    def _sent(self, notifier: Notifier, message: Message, now: float) -> bool:
        until, pause = self._rests.get(notifier.name, (0.0, PAUSE))
        if now < until:
            return False
        try:
            notifier.send(message)
        except SyncError as e:
            log.error("%s: %s", notifier.name, e)
            self._rests[notifier.name] = (now + pause, min(LONGEST_PAUSE, pause * 2))
            return False
        self._rests.pop(notifier.name, None)
        return True

    def _read(self) -> Told:
        try:
            found = json.loads(self._note.read_text(encoding="utf-8"))
            return Told(float(found["since"]), [str(name) for name in found["opening"]])
        except (OSError, ValueError, KeyError, TypeError):
            return Told()

    def _write(self) -> None:
        """Where the disk is what is broken, the note is in this process alone."""
        with suppress(OSError):
            if self._told.since is None:
                self._note.unlink(missing_ok=True)
                return
            new = self._note.with_name("alarm.new")
            new.write_text(json.dumps(asdict(self._told)), encoding="utf-8")
            new.replace(self._note)


def _opening(since: float) -> Message:
    lines = (
        "Nothing can keep what vendors send: Postgres is away, and the spool is full or cannot be written.",
        f"Since {_when(since)}. Some vendors never send it again; the next sync finds what changed.",
        "Next: bring Postgres back, or give the spool room (SYNC_SPOOL_MEGABYTES, the disk of SYNC_SPOOL_FOLDER).",
    )
    return Message("Critical: webhooks are refused", lines)


def _ending(since: float, until: float) -> Message:
    took = span(timedelta(seconds=until - since))
    return Message("Over: webhooks are taken again", (f"It took {took}, from {_when(since)} to {_when(until)}.",))


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
