"""The vendors' rate limits as a token bucket on monotonic time.

The non-obvious decision: a request may come 50 ms early. Sockets and the scheduler compress gaps that the
client kept, and a violation must mean a client that did not pace itself.
"""

import time

from sync_assets.sandbox.dialect import Request, Throttle

JITTER = 0.05


class Limit:
    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = time.monotonic()

    def take(self, request: Request | None = None) -> Throttle | None:
        """None when this system has no limit."""
        if self.rate <= 0:
            return None
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        allowed = self._tokens >= 1 - JITTER * self.rate
        if allowed:
            self._tokens -= 1
        return Throttle(allowed, max(0, int(self._tokens)), max(0.0, (1 - self._tokens) / self.rate))
