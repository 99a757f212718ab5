"""A source's rate limits, kept in Postgres so that every process of ours together stays below them.

Slots are handed out by `sync.take` in small blocks and at most two seconds ahead; a 429 pauses the bucket for all,
those with a slot too. What a stalled machine lets go late is spaced again by when it really leaves. Waiting happens
here, outside any lock and outside any transaction.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sync_assets.entity import Bucket
from sync_assets.errors import RetryLater, Throttled
from sync_assets.extract.stopwatch import Stopwatch

HORIZON = 2.0
"""Seconds that one process may reserve ahead."""

LEAVING = """
select nextval('sync.seen'), coalesce((select extract(epoch from greatest(paused_until, now()) - now())
                                         from sync.budgets where account = %s and bucket = %s), 0)::float8
"""
"""A pause that the source has asked for holds whoever leaves, whatever was promised before: another process may have
been told of it since."""

LOOK_AGAIN = 0.5
"""Seconds after which a pause that another process was asked to keep is seen where there is no limit."""

NUMBER = "select nextval('sync.seen')"

MARGIN = 1.02
"""Requests leave 2 % slower than the limit: the source's clock and the network jitter decide, not ours."""

SLACK = 0.02
"""Seconds that a request may leave too soon after the one before it, which was late itself: as many as MARGIN leaves in
a second, and no source counts over less."""


class Stopped(RetryLater):
    """The answer is no longer wanted."""


@dataclass(frozen=True)
class Floor:
    """The least time that requests take: what the slowest of their limits, kept side by side, makes of them."""

    bucket: str = ""
    seconds: float = 0.0
    rate: float | None = None


Taken = Mapping[str, tuple[int, float]]
"""Of each bucket that has a limit: the slots taken so far, and their time at its rate."""


class Query(Protocol):
    def __call__(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]: ...


class Budget:
    """The buckets of one account. `query` runs one autocommitted statement; calls are made one at a time.

    A name that no bucket bears has no limit and can be paused.
    """

    def __init__(self, account: str, buckets: Sequence[Bucket], query: Query) -> None:
        self._account = account
        self._buckets = {b.name: b for b in buckets}
        self._query = query
        self._lock = threading.Lock()
        self._slots: dict[str, deque[float]] = {b.name: deque() for b in buckets}
        self._taken: dict[str, tuple[int, float]] = {}
        self._next: dict[str, float] = {}  # when the next request may leave after those that have left
        self._open: dict[str, float] = {}  # when a bucket without a limit was looked at last and found without a pause
        self.waited = 0.0
        self.paced = Stopwatch()
        self.paused = Stopwatch()

    def take(self, bucket: str, *, stop: threading.Event | None, max_wait: float) -> int:
        """Waits for a slot and answers the sighting number of the request that may leave now.

        Raises Throttled where the bucket is paused for longer than `max_wait` seconds, Stopped when `stop` is set.
        """
        waiting_since = time.monotonic()
        at: float | None = None
        try:
            while True:
                with self._lock:
                    self._known(bucket)
                    seen = None
                    if not self._gap(bucket):
                        seen, back = self._at_once(bucket)
                    elif at is None:
                        at, back = self._next_slot(bucket)
                    if at is not None and (back := max(at - time.monotonic(), self._too_soon(bucket))) <= 0:
                        seen, back = self._leave(bucket)
                        if back > 0:
                            at = None
                            self._slots[bucket].clear()
                    if seen is not None and back <= 0:
                        self.waited += time.monotonic() - waiting_since
                        return seen
                    held = at is None and (not self._gap(bucket) or self._is_paused(bucket))
                if at is None and back > max_wait:
                    raise Throttled(f"{self._why(bucket)}: {back:.0f} s more", seconds=back)
                with self.paused if held else self.paced:
                    self.sleep(back if at is not None else min(back, 1.0), stop)
        except Stopped:
            if at is not None:
                with self._lock:
                    self._slots[bucket].appendleft(at)
            raise

    def taken(self) -> Taken:
        """For `floor`."""
        with self._lock:
            return dict(self._taken)

    def floor(self, *, since: Taken) -> Floor:
        """Of the requests that left since then: never more than they took, for a burst may leave at once."""
        found = Floor()
        for name, (slots, seconds) in self.taken().items():
            before, spent = since.get(name, (0, 0.0))
            bucket, count = self._buckets[name], slots - before
            if count:
                least = (seconds - spent) * max(0.0, 1 - (1 + bucket.burst) / count)
                if not found.bucket or least > found.seconds:
                    found = Floor(name, least, bucket.rate)
        return found

    def pause(self, bucket: str | None, seconds: float, why: str = "the source asked to wait") -> None:
        """Nothing leaves through the bucket, or through any where none is named, for every process of ours."""
        with self._lock:
            for name in self._buckets if bucket is None else (bucket,):
                self._known(name)
                self._slots[name].clear()
                self._open.pop(name, None)
                self._query("select sync.pause(%s, %s, %s, %s)", (self._account, name, min(seconds, 86_400.0), why))

    def allow(self, bucket: str, rate: float) -> None:
        """The source says how many requests per second it takes; a rate that a setting fixed stays."""
        held = self._buckets[bucket]
        if not held.fixed and rate > 0 and rate != held.rate:
            with self._lock:
                self._buckets[bucket] = replace(held, rate=rate)
                self._slots[bucket].clear()
            if rate < held.rate:
                # What was reserved at the higher rate would leave too soon before what comes now.
                self.pause(bucket, MARGIN / rate, why="the source allows less than is documented")

    def sleep(self, seconds: float, stop: threading.Event | None) -> None:
        """Raises Stopped as soon as `stop` is set."""
        if stop is None:
            time.sleep(max(0.0, seconds))
        elif stop.wait(max(0.0, seconds)):
            raise Stopped()

    def _known(self, bucket: str) -> None:
        if bucket not in self._buckets:
            self._buckets[bucket], self._slots[bucket] = Bucket(bucket, rate=0), deque()

    def _gap(self, name: str) -> float:
        """Seconds between two requests in the long run; 0 without a limit."""
        rate = self._buckets[name].rate
        return MARGIN / rate if rate else 0.0

    def _at_once(self, name: str) -> tuple[int, float]:
        """The number of a request that leaves now, and for how many seconds it may not."""
        now = time.monotonic()
        if now - self._open.get(name, -LOOK_AGAIN) < LOOK_AGAIN:
            return int(self._query(NUMBER)[0]), 0.0
        seen, back = self._leaving(name)
        if back <= 0:
            self._open[name] = now
        return seen, back

    def _leave(self, name: str) -> tuple[int, float]:
        """As `_at_once`, of a request whose slot has come."""
        seen, back = self._leaving(name)
        if back <= 0:
            gap, (slots, seconds) = self._gap(name), self._taken.get(name, (0, 0.0))
            self._taken[name] = slots + 1, seconds + gap
            self._next[name] = max(self._next.get(name, 0.0), time.monotonic()) + gap
        return seen, back

    def _leaving(self, name: str) -> tuple[int, float]:
        seen, back = self._query(LEAVING, (self._account, name))
        return int(seen), float(back)

    def _too_soon(self, name: str) -> float:
        """Seconds until a request may leave after those that have left. A slot is a time on the clock: what a stalled
        machine held back beyond its own would leave together with all that came after it."""
        early = self._buckets[name].burst * self._gap(name) + SLACK
        return self._next.get(name, 0.0) - early - time.monotonic()

    def _why(self, bucket: str) -> str:
        """What the longest pause that is under way is for, whichever process was asked to keep it."""
        query = (
            "select coalesce(max(paused_for), 'other processes ask before this one') from sync.budgets"
            " where account = %s and bucket = %s and paused_until > clock_timestamp()"
        )
        with self._lock:
            return str(self._query(query, (self._account, bucket))[0])

    def _is_paused(self, bucket: str) -> bool:
        query = (
            "select count(*) from sync.budgets where account = %s and bucket = %s and paused_until > clock_timestamp()"
        )
        return bool(self._query(query, (self._account, bucket))[0])

    def _next_slot(self, name: str) -> tuple[float | None, float]:
        slots, bucket = self._slots[name], self._buckets[name]
        now, gap = time.monotonic(), self._gap(name)
        # What was reserved and not used is over: after a pause of ours it would leave in a burst with what follows.
        while slots and slots[0] < now - gap:
            slots.popleft()
        if not slots:
            block = max(1, int(bucket.rate / 5))
            granted, wait = self._query(
                "select granted, wait from sync.take(%s, %s, %s, %s, %s, %s)",
                (self._account, name, block, gap, bucket.burst, HORIZON),
            )
            if not granted:
                return None, float(wait)
            slots.extend(now + float(wait) + i * gap for i in range(int(granted)))
        return slots.popleft(), 0.0
