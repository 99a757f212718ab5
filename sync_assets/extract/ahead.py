"""Requests that leave before anybody needs their answers; whoever asks the same later takes what is on its way.

Each answer is taken once. A request that failed so is made again by whoever needs it, so that an outage is told where
and as it would be without this; what the source refused for good it is not asked twice. Only so many are under way as
the read that is going on leaves room for, and those that are needed sooner leave first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar

from sync_assets.entity import Params
from sync_assets.errors import RetryLater, SyncError
from sync_assets.extract.budget import Stopped
from sync_assets.extract.dialect import Answer
from sync_assets.extract.http import Door

AT_ONCE = 3
"""Beginnings that are worked on at once: two of entities to come, and one of the entity that is being read."""

ROOM = 2
"""Requests under way at once where nobody says otherwise."""

MOST_BYTES = 4_000_000
"""Of answers that are kept: no more than one commit holds, however long the records are."""

LONGEST_WAIT = 5.0
"""Seconds in which what is under way has ended once the door is closed."""

T = TypeVar("T")
R = TypeVar("R")

Key = tuple[str, str, tuple[tuple[str, str | int], ...], bytes | None]


@dataclass(eq=False)
class Beginning:
    """Leave to ask ahead, in somebody's name, so often."""

    name: str
    left: int
    at_once: bool = False  # whoever is being served asks so: it waits for no room
    bucket: str = ""  # the limit that room is left in; what another one counts waits for none. "": all wait
    waiting: int = 0


class Ahead:
    """In front of a door, for syncs that each go by a name; `taken` counts answers that were there when asked for.

    Safe to use from several threads.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._beside = copy(door)  # with a count of its own: its requests are those of whoever takes their answers
        self._stop = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._change = threading.Condition()
        self.taken = 0
        self._under_way = 0
        self._room = ROOM
        self._held: dict[Key, Future[Answer]] = {}
        self._too_late: set[Key] = set()  # asked for by those who needed it, before whoever asks ahead came to it
        self._beginnings: list[Beginning] = []

    @property
    def stoppable(self) -> Any:
        """The door to whoever asks beside others."""
        return SimpleNamespace(ask=partial(self._beside.ask, stop=self._stop))

    def has_begun(self, name: str) -> bool:
        with self._change:
            return any(beginning.name == name for beginning in self._beginnings)

    def begin(self, beginning: Beginning, work: Callable[[Beginning], None]) -> None:
        """Runs `work`, which asks by `ask_ahead`, beside whatever else is done."""
        with self._change:
            self._beginnings.append(beginning)
        self.later(work, beginning)

    def later(self, work: Callable[[T], R], given: T) -> Future[R]:
        with self._change:
            self._pool = self._pool or ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ahead")
        return self._pool.submit(work, given)

    def ask_ahead(
        self, of: Beginning, path: str, params: Params, stop: threading.Event, *, body: bytes | None = None
    ) -> Answer:
        """Raises Stopped where no more may be asked ahead. `stop` ends the waiting for room, and nothing that has left:
        it is not for this caller."""
        with self._change:
            of.waiting += 1
            self._change.wait_for(lambda: self._may_leave(of, path) or of.left <= 0 or self._stop.is_set())
            of.waiting -= 1
            key = _key(of.name, path, params, body)
            if of.left <= 0 or self._stop.is_set() or stop.is_set() or key in self._too_late:
                self._change.notify_all()
                raise Stopped()
            there = self._held.get(key)
            if not there:
                of.left -= 1
                self._under_way += 1
                held = self._held[key] = Future()
        if there:
            return there.result()
        try:
            answer = self._beside.ask(path, params, body=body, stop=self._stop)
            held.set_result(answer)
            return answer
        except SyncError as e:
            held.set_exception(e)
            raise
        finally:
            if not held.done():
                held.set_exception(Stopped())
            with self._change:
                self._under_way -= 1
                self._change.notify_all()

    def ask(
        self,
        name: str,
        path: str,
        params: Params,
        *,
        body: bytes | None = None,
        by_key: bool = False,
        stop: threading.Event | None = None,
    ) -> Answer:
        """As the door's own."""
        with self._change:
            held = None
            if not by_key and (self._held or self._beginnings):
                key = _key(name, path, params, body)
                held = self._held.pop(key, None)
                if held:
                    self.taken += 1
                    self._change.notify_all()
                elif any(beginning.left and beginning.name == name for beginning in self._beginnings):
                    self._too_late.add(key)
        if held:
            try:
                return held.result()
            except RetryLater:
                pass
            except SyncError as e:
                raise copy(e) from None
        return self._door.ask(path, params, body=body, by_key=by_key, stop=stop)

    def _may_leave(self, of: Beginning, path: str) -> bool:
        if of.at_once or (of.bucket and self._door.api.bucket(path) != of.bucket):
            return True
        sooner = self._beginnings[: self._beginnings.index(of)] if of in self._beginnings else ()
        crowded = self._under_way >= self._room or any(other.waiting and other.left for other in sooner)
        return not crowded and sum(map(_size, self._held.values())) < MOST_BYTES

    def room(self, room: int) -> None:
        """How many requests may be under way beside those that are needed."""
        with self._change:
            if room != self._room:
                self._room = room
                self._change.notify_all()

    def no_more(self, name: str) -> None:
        """Whoever goes by this name asks for itself now; what is on its way already is for it to take."""
        self.room(ROOM)
        with self._change:
            for beginning in self._beginnings:
                beginning.left *= beginning.name != name
            self._beginnings = [b for b in self._beginnings if b.name != name]
            self._change.notify_all()

    def forget(self, name: str) -> None:
        """What was asked for in this name and not taken."""
        self.no_more(name)
        with self._change:
            self._held = {key: answer for key, answer in self._held.items() if key[0] != name}
            self._too_late = {key for key in self._too_late if key[0] != name}

    def stop(self) -> None:
        """Nothing leaves any more; what waits for its turn ends."""
        self._stop.set()
        with self._change:
            self._change.notify_all()

    def close(self) -> None:
        """Waits until nothing is under way, now that the door is closed."""
        self.stop()
        with self._change:
            self._change.wait_for(lambda: not self._under_way, LONGEST_WAIT)
        if self._pool:
            self._pool.shutdown()


def _size(answer: Future[Answer]) -> int:
    return len(answer.result().body) if answer.done() and not answer.exception() else 0


def _key(name: str, path: str, params: Params, body: bytes | None) -> Key:
    return name, path, tuple(sorted(params.items())), body
