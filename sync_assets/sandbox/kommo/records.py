"""What the company holds: the living, the recycle bin, whoever left, and how it all looked a while ago.

The non-obvious decision: a record is never changed, only replaced, and the one it replaced is kept for a day. So a list
that lags (P8) is a view of the past, and costs nothing when nobody asks for it.
"""

import random
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from msgspec.structs import replace

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.kommo.journal import Journal
from sync_assets.sandbox.kommo.links import Links
from sync_assets.sandbox.kommo.setup import Setup
from sync_assets.sandbox.kommo.shapes import KINDS, SINGULAR, Thing

MEMORY = 86_400_000


class Records(Setup):
    def __init__(self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str]) -> None:
        super().__init__(dice, clock, lock, switches)
        self.living: dict[str, dict[int, Thing]] = {kind: {} for kind in KINDS}
        # The recycle bin; what left it, was merged away or never had one is only in the journal.
        self.binned: dict[str, dict[int, Thing]] = {kind: {} for kind in KINDS}
        self.merged: dict[str, dict[int, int]] = {kind: {} for kind in KINDS}
        self.gone: dict[str, set[int]] = {kind: set() for kind in KINDS}
        self.notes: dict[str, dict[int, Record]] = {kind: {} for kind in KINDS if kind != "tasks"}
        self.links, self.journal = Links(), Journal(dice)
        self._moved_by = {part.strip() for part in switches["kommo.touch"].split(",")}
        self._tasks: dict[tuple[str, int], set[int]] = {}
        self._past: deque[tuple[int, str, int, Thing | None]] = deque()
        # History is being written, whose records have their stamps already.
        self.founding = False

    def settle(self) -> None:
        """The first day is over: what was seeded is history."""
        self.founding = False
        self._past.clear()
        self.journal.sort()

    @contextmanager
    def changing(self) -> Iterator[None]:
        with self.lock, self.news.scope():
            yield
            self.revision += 1

    def now(self, at: datetime | None = None) -> int:
        """Milliseconds: of the journal; a record's stamps are its whole seconds."""
        return int((at or self.clock.now()).timestamp() * 1000)

    def get(self, kind: str, id: int) -> Thing:
        if kind not in self.living:
            raise RefusedError(f"no Kommo entity {kind!r}; known: {', '.join(KINDS)}")
        if id not in self.living[kind]:
            raise RefusedError(f"no {SINGULAR[kind]} {id}")
        return self.living[kind][id]

    def survivor(self, kind: str, id: int) -> int:
        """Whom this id means today: itself, or the record it was merged into, however often."""
        while id in self.merged[kind]:
            id = self.merged[kind][id]
        return id

    def as_of(self, kind: str, at: int) -> dict[int, Thing]:
        """The living records as they were at that millisecond."""
        then = dict(self.living[kind])
        for moment, one, id, before in reversed(self._past):
            if moment <= at:
                break
            if one == kind and before is not None:
                then[id] = before
            elif one == kind:
                then.pop(id, None)
        return then

    def _put(self, kind: str, id: int, thing: Thing | None) -> None:
        """The one place where a record comes, changes or goes."""
        before = self.living[kind].pop(id, None) if thing is None else self.living[kind].get(id)
        if thing is not None:
            self.living[kind][id] = thing
        self.news.tell("put", kind, id, before, thing)
        now = self.now()
        self._past.append((now, kind, id, before))
        while self._past[0][0] < now - MEMORY:
            self._past.popleft()
        if kind == "tasks":
            self._reckon(before, thing)
        elif before is None or thing is None:
            for other, one in self.links.all_of(kind, id):
                self.forget_rows(other, one)

    def _reckon(self, *versions: Thing | None) -> None:
        """A record's `closest_task_at` follows its open tasks, and by itself moves no stamp."""
        for n, task in enumerate(versions):
            if task is not None and task.fields["entity_type"] is not None:
                own = self._tasks.setdefault((task.fields["entity_type"], task.fields["entity_id"]), set())
                own.add(task.id) if n else own.discard(task.id)
        for place in {(t.fields["entity_type"], t.fields["entity_id"]) for t in versions if t is not None}:
            self._closest(*place)

    def _closest(self, kind: str | None, id: int) -> None:
        if kind is None or (thing := self.living[kind].get(id)) is None:
            return
        tasks = (self.living["tasks"][task].fields for task in self._tasks.get((kind, id), ()))
        closest = min((task["complete_till"] for task in tasks if not task["is_completed"]), default=None)
        if closest != thing.fields["closest_task_at"]:
            changes = {"closest_task_at": closest} | ({} if self.founding else self._stamp("tasks", self.now(), None))
            self._put(kind, id, replace(thing, fields=thing.fields | changes, rows={}))

    def _stamp(self, why: str, now: int, by: int | None) -> Record:
        """What an edit that is not one of the record's own fields does to its stamps."""
        if why not in self._moved_by:
            return {}
        return {"updated_at": now // 1000} | ({} if by is None else {"updated_by": by})
