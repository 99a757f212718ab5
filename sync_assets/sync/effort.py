"""Measures what one sync costs: the meters of its account's connections, now less what they showed at its beginning."""

from __future__ import annotations

from sync_assets.load.effort import Effort
from sync_assets.sync.connection import Connected


class Measured:
    def __init__(self, connection: Connected) -> None:
        self._connection = connection
        self._before = self._meters()
        self._taken = connection.budget.taken()
        self._requests = self._made()

    @property
    def requests(self) -> int:
        """Sent so far."""
        return self._made() - self._requests

    def _made(self) -> int:
        """Whoever takes an answer that was asked for ahead has made its request."""
        return self._connection.door.requests + self._connection.ahead.taken

    def effort(self) -> Effort:
        throttled, asking, paced, paused, storing = (
            now - before for now, before in zip(self._meters(), self._before, strict=True)
        )
        floor = self._connection.budget.floor(since=self._taken)
        return Effort(
            self.requests, throttled, asking, paced, paused, storing, floor.seconds, floor.bucket or None, floor.rate
        )

    def _meters(self) -> tuple[float, ...]:
        budget, door = self._connection.budget, self._connection.door
        return (
            budget.waited,
            door.asking.seconds,
            budget.paced.seconds,
            budget.paused.seconds,
            self._connection.storing.seconds,
        )
