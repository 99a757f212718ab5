"""HubSpot's four budgets: the app's burst, searches of the account, associations, and the account's day.

The non-obvious decision: a window counts what really came in its last seconds (rolling, as the policy's name says), so
a client may spend ten seconds' worth at once; whoever paces itself never notices the difference.
"""

import time
from collections import deque
from datetime import timedelta
from zoneinfo import ZoneInfo

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Request, Throttle
from sync_assets.sandbox.hubspot.company import ZONE
from sync_assets.sandbox.limits import JITTER


class Window:
    def __init__(self, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self._taken: deque[float] = deque()

    def take(self) -> tuple[bool, int, float]:
        """Allowed, how many are left, and how long until the next one is."""
        if self.most <= 0:
            return True, 0, 0.0
        now = time.monotonic()
        while self._taken and self._taken[0] <= now - self.seconds + JITTER:
            self._taken.popleft()
        allowed = len(self._taken) < self.most
        if allowed:
            self._taken.append(now)
        wait = self._taken[0] + self.seconds - now if len(self._taken) >= self.most else 0.0
        return allowed, self.most - len(self._taken), max(0.0, wait)


class Usage:
    """The account's day, which all its private apps share and which ends at midnight in its own time zone."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock, self.most, self.used = clock, most, 0
        self._day = self._today()

    def _today(self) -> str:
        return f"{self._clock.peek().astimezone(ZoneInfo(ZONE)):%Y-%m-%d}"

    def resets_at(self) -> float:
        now = self._clock.peek().astimezone(ZoneInfo(ZONE))
        return (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)).timestamp()

    def spend(self, calls: int = 1) -> bool:
        """False where the day's calls are used up; another app's calls are spent in the same way."""
        if (today := self._today()) != self._day:
            self._day, self.used = today, 0
        if self.most > 0 and self.used >= self.most:
            return False
        self.used += calls
        return True

    @property
    def remaining(self) -> int:
        return max(0, self.most - self.used)


class Budgets:
    def __init__(self, rates: dict[str, float], interval: float, usage: Usage) -> None:
        self.usage = usage
        self.windows = {
            "burst": Window(round(rates["hubspot"] * interval), interval),
            "associations": Window(round(rates["hubspot.associations"] * interval), interval),
            "search": Window(round(rates["hubspot.search"]), 1.0),
        }

    def take(self, request: Request) -> Throttle:
        name = bucket(request)
        window = self.windows[name]
        allowed, remaining, wait = window.take()
        if not allowed:
            return Throttle(False, remaining, wait, name, window.most)
        if not self.usage.spend():
            return Throttle(False, 0, self.usage.resets_at() - time.time(), "daily", self.usage.most)
        return Throttle(True, remaining, wait, name, window.most)


def bucket(request: Request) -> str:
    """Searches are exempt from the ten-second policy; associations have one of their own."""
    if request.method == "POST" and request.path.rstrip("/").endswith("/search"):
        return "search"
    return "associations" if "/associations/" in request.path else "burst"
