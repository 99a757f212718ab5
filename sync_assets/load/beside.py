"""Statements that must not wait for the transaction under way: on a connection of their own once there is need for it.

Promise: whoever calls is never held up by a long transaction of the other connection. Until one is in the way, that
connection is used: a sync of something small, or of one webhook event, connects once instead of twice, which is most of
its time where Postgres is far away. A short one is waited for: to connect takes no less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sync_assets.extract.stopwatch import Stopwatch
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

T = TypeVar("T")

PATIENCE = 0.02
"""Seconds: about what it takes to connect to a Postgres nearby, and to get to know it."""


class Beside(Database):
    """Used like any Database, one piece of work at a time."""

    def __init__(self, other: Database, *, wait: float, name: str, storing: Stopwatch) -> None:
        super().__init__(other.url, wait=wait, name=name, storing=storing)
        self._other = other

    def _transaction(self, work: Callable[[Cursor], T], *, single: bool = False) -> T:
        if self._connection is None:
            with self._other.at_rest(PATIENCE) as free:
                if free:
                    return self._other._transaction(work, single=single)
        return super()._transaction(work, single=single)
