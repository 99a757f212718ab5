"""Bitrix's two limits: a leaky bucket of requests, and the run time that one method may use up in ten minutes.

The non-obvious decision: the bucket runs on real time, as every limit of the sandbox does, but run time is invented
(`bitrix.operating_cost` seconds a call) and its minutes are the world's, so a test can wait ten of them at once.
"""

import time
from collections import deque

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Request, Throttle
from sync_assets.sandbox.limits import JITTER

BASKETS, MINUTE = 10, 60


class Bucket:
    """Fills by one with each request, leaks `rate` a second, and when it is full refuses without filling up."""

    def __init__(self, rate: float, most: int) -> None:
        self.rate, self.most = rate, most
        self._level, self._at = 0.0, time.monotonic()

    def take(self, request: Request | None = None) -> Throttle | None:
        if self.rate <= 0:
            return None
        now = time.monotonic()
        self._level = max(0.0, self._level - (now - self._at) * self.rate)
        self._at = now
        allowed = self._level + 1 <= self.most + JITTER * self.rate
        if allowed:
            self._level += 1
        return Throttle(
            allowed, max(0, int(self.most - self._level)), max(0.0, (self._level + 1 - self.most) / self.rate)
        )


class Operating:
    """What each method has used in the last ten baskets of a minute."""

    def __init__(self, clock: Clock, most: float) -> None:
        self._clock, self.most = clock, most
        self._baskets: dict[str, deque[tuple[int, float]]] = {}

    def _recent(self, method: str) -> deque[tuple[int, float]]:
        baskets = self._baskets.setdefault(method, deque())
        minute = int(self._clock.peek().timestamp()) // MINUTE
        while baskets and baskets[0][0] <= minute - BASKETS:
            baskets.popleft()
        return baskets

    def used(self, method: str) -> float:
        return round(sum(spent for _, spent in self._recent(method)), 6)

    def spend(self, method: str, seconds: float) -> None:
        if seconds > 0:
            self._recent(method).append((int(self._clock.peek().timestamp()) // MINUTE, seconds))

    def blocked(self, method: str) -> bool:
        return 0 < self.most <= self.used(method)

    def resets_at(self, method: str) -> int:
        """When the oldest basket falls out; without any, ten minutes from now."""
        baskets = self._recent(method)
        if not baskets:
            return int(self._clock.peek().timestamp()) + BASKETS * MINUTE
        return (baskets[0][0] + BASKETS) * MINUTE
