"""World time: real time by default, but movable, and never the same millisecond twice.

The non-obvious decision: distinctness is the default because equal stamps are a fault (P6) that a test must
ask for, with `distinct = False` or `freeze()`; the clock then runs ahead of real time in a burst rather
than repeat.
"""

import time
from datetime import UTC, datetime, timedelta

MILLISECOND = timedelta(milliseconds=1)

# Seeded history ends here, a fixed instant safely in the past: the same seed gives the same bytes on any day.
FOUNDED = datetime(2025, 6, 1, 9, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.distinct = True
        self._shift = timedelta()
        self._frozen: datetime | None = None
        self._last = datetime.min.replace(tzinfo=UTC)

    def peek(self) -> datetime:
        """What a `Date` header shows: looking does not use an instant up."""
        if self._frozen is not None:
            return self._frozen + self._shift
        return datetime.fromtimestamp(time.time(), UTC) + self._shift

    def now(self) -> datetime:
        moment = self.peek()
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        if self.distinct and moment <= self._last:
            moment = self._last + MILLISECOND
        self._last = max(self._last, moment)
        return moment

    def advance(self, seconds: float) -> None:
        """The next instant is at least so much after the last one, also where a burst ran ahead of real time."""
        self._shift += timedelta(seconds=seconds)
        self._last += timedelta(seconds=max(seconds, 0.0))

    def freeze(self, at: datetime | None = None) -> None:
        """Hold real time still; stamps still differ by a millisecond each while `distinct` is set."""
        self._frozen, self._shift = (at or self.peek()), timedelta()
        self._last = min(self._last, self._frozen - MILLISECOND)

    def resume(self) -> None:
        self._frozen = None
