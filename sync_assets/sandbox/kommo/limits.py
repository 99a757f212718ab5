"""Seven requests a second, and a locked door for whoever keeps coming faster.

The non-obvious decision: the block runs on world time and counts what is refused while it lasts as breaches too, so a
client that retries in a loop is seen for what it is, and a test opens the door with the clock or with `lift()`.
"""

from collections import deque

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Request, Throttle
from sync_assets.sandbox.limits import Limit

MINUTE = 60.0


class Guard:
    def __init__(self, rate: float, clock: Clock, most: int, seconds: float) -> None:
        """`most` breaches a minute are forgiven (0: any number); a block lasts `seconds` (0: until it is lifted)."""
        self._limit, self._clock, self._most, self._seconds = Limit(rate), clock, most, seconds
        self._breaches: deque[float] = deque()
        self._since: float | None = None

    def take(self, request: Request | None = None) -> Throttle | None:
        if self.blocked:
            return Throttle(False, 0, self._seconds, "blocked")
        verdict = self._limit.take(request)
        if verdict is not None and not verdict.allowed:
            self.breach()
        return verdict

    def breach(self) -> None:
        now = self._now()
        self._breaches.append(now)
        while self._breaches[0] < now - MINUTE:
            self._breaches.popleft()
        if self._most and len(self._breaches) > self._most:
            self._since = now

    @property
    def blocked(self) -> bool:
        if self._since is not None and self._seconds and self._now() >= self._since + self._seconds:
            self.lift()
        return self._since is not None

    def lift(self) -> None:
        """What the vendor's support does when asked."""
        self._since = None
        self._breaches.clear()

    def _now(self) -> float:
        return self._clock.peek().timestamp()
