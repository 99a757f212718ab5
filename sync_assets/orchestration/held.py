"""What need not be stored at once is held and stored together with what comes next.

Promise: all is stored in the order in which it came. What cannot be stored takes nothing else along, and whoever had it
stored hears of it. Where nothing can be stored now, the last one is refused, and what was taken in before stays held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

LONGEST_SECONDS = 1.0
"""What comes later than this behind the first that is held takes all of them along."""

T = TypeVar("T")


class Held(Generic[T]):
    """`store` stores all that it is given, or nothing; it raises one of `away` where nothing could be stored now."""

    def __init__(self, store: Callable[[list[T]], None], away: tuple[type[Exception], ...]) -> None:
        self._store, self._away = store, away
        self._held: list[T] = []
        self._since = 0.0
        self._turn = threading.RLock()
        self._storing = False

    def take(self, item: T, *, waits: bool) -> None:
        """`waits`: something else is sure to follow soon."""
        with self._turn:
            if not self._held:
                self._since = time.monotonic()
            self._held.append(item)
            if waits and time.monotonic() - self._since <= LONGEST_SECONDS:
                return
            try:
                self.let_go()
            except self._away:
                self._held.pop()
                raise

    def let_go(self) -> None:
        """Stores what is held. Raises what `store` raises; may be called from within it."""
        if not self._held:
            return
        with self._turn:
            if self._storing:
                return
            self._storing = True
            try:
                self._store_held()
            finally:
                self._storing = False

    def _store_held(self) -> None:
        if len(self._held) > 1 and self._stored(self._held):
            self._held.clear()
        failed: Exception | None = None
        while self._held:
            try:
                self._store(self._held[:1])
            except self._away:
                raise
            except Exception as e:  # noqa: BLE001  it is raised when the others are stored
                failed = failed or e
            del self._held[0]
        if failed:
            raise failed

    def _stored(self, items: list[T]) -> bool:
        """Whether all of them could be; where not, one after another tells which."""
        try:
            self._store(items)
        except self._away:
            raise
        except Exception:  # noqa: BLE001
            return False
        return True
