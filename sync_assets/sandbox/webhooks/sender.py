"""The post room: a thread of its own that sends letters, several at once for each vendor, in the order of the changes.

Promise: `deliveries` has one line for each attempt and each letter that a fault swallowed. The non-obvious decision:
retries wait in the event loop for their real time divided by `speed`; what is due within a second counts as under way,
so that a test with a great `speed` can wait for the last of them.
"""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sync_assets.sandbox.faults import Faults
from sync_assets.sandbox.webhooks import tricks
from sync_assets.sandbox.webhooks.line import Lines
from sync_assets.sandbox.webhooks.vendor import Hook, Letter, Reply, Said, Vendor

SOON = 1.0
# How long letters wait for others to be mixed up with.
LINGER = 0.05


@dataclass(slots=True)
class Delivery:
    """One attempt; `status` 0 is no answer, with its `reason`."""

    system: str
    hook: int
    attempt: int
    events: tuple[str, ...]
    keys: tuple[str, ...]
    letter: Letter
    at: float
    status: int = 0
    ok: bool = False
    reason: str = ""
    faults: str = ""
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Parcel:
    hook: Hook
    said: list[Said]
    attempt: int = 0
    delayed: bool = False


@dataclass(eq=False)
class Desk:
    """What one vendor has to send. Changes are laid on it by any thread, and taken off by the sender's alone."""

    vendor: Vendor
    waiting: deque[tuple[Hook, Said]] = field(default_factory=deque)
    due: deque[Parcel] = field(default_factory=deque)
    busy: int = 0
    lingering: bool = False


class Sender:
    def __init__(self, faults: Faults, seed: int, speed: float) -> None:
        self.speed = speed
        self.deliveries: list[Delivery] = []
        self._faults, self._dice = faults, random.Random(f"webhooks {seed}")
        self._desks: dict[str, Desk] = {}
        self._under_way, self._held = 0, 0
        self._quiet = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lines = Lines()
        self._tasks: set[asyncio.Task[None]] = set()

    # From any thread.

    def start(self) -> asyncio.AbstractEventLoop:
        with self._quiet:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                given = (self._loop,)
                self._thread = threading.Thread(target=self._run, args=given, name="sandbox webhooks", daemon=True)
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def lay(self, vendor: Vendor, hook: Hook, said: Said) -> None:
        """To be sent next; the sender must have been started."""
        self._count(1)
        desk = self._desks.setdefault(vendor.name, Desk(vendor))
        desk.waiting.append((hook, said))
        self._soon(self._pump, desk)

    def call(self, letter: Letter, timeout: float) -> "Future[Reply]":
        """One letter beside the post: a vendor that tries an address before it takes it."""
        return asyncio.run_coroutine_threadsafe(self._lines.post(letter, timeout), self.start())

    def settled(self, timeout: float) -> None:
        """Wait until all is sent but retries that are not due yet; raises TimeoutError."""
        with self._quiet:
            if not self._quiet.wait_for(lambda: self._under_way == 0, timeout):
                raise TimeoutError(f"{self._under_way} webhook events are still under way")

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Nothing leaves within; what has gathered then leaves together, in letters as large as the vendor's are."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            for desk in list(self._desks.values()):
                self._soon(self._pump, desk)

    def _soon(self, call: Callable[..., object], *given: Any) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(call, *given)

    def _count(self, more: int) -> None:
        with self._quiet:
            self._under_way += more
            if self._under_way == 0:
                self._quiet.notify_all()

    # In the sender's own thread.

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            # Whoever ends must not begin another.
            self._held += 1
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._lines.close()
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            loop.close()

    def _pump(self, desk: Desk, *, lingered: bool = False) -> None:
        while not self._held and desk.busy < desk.vendor.connections:
            if desk.due:
                parcel = desk.due.popleft()
            elif desk.waiting:
                mixing = tricks.window(self._faults, desk.vendor)
                if mixing is not None and not lingered and len(desk.waiting) < int(mixing.option("window", 10)):
                    self._linger(desk)
                    return
                parcel = self._taken(desk, 1 if mixing is None else int(mixing.option("window", 10)))
                if mixing is not None:
                    mixing.strikes += 1
            else:
                return
            self._begin(desk, parcel)

    def _linger(self, desk: Desk) -> None:
        async def later() -> None:
            await asyncio.sleep(LINGER)
            desk.lingering = False
            self._pump(desk, lingered=True)

        if not desk.lingering:
            desk.lingering = True
            self._keep(later())

    def _taken(self, desk: Desk, window: int) -> Parcel:
        hook, said = self._next(desk, window)
        parcel, most = Parcel(hook, [said]), desk.vendor.batch()
        while len(parcel.said) < most and desk.waiting and desk.waiting[0][0] is hook:
            hook, said = self._next(desk, window)
            if hook is not parcel.hook:
                desk.waiting.appendleft((hook, said))
                break
            parcel.said.append(said)
        return parcel

    def _next(self, desk: Desk, window: int) -> tuple[Hook, Said]:
        if window <= 1:
            return desk.waiting.popleft()
        n = self._dice.randrange(min(window, len(desk.waiting)))
        chosen = desk.waiting[n]
        del desk.waiting[n]
        return chosen

    def _begin(self, desk: Desk, parcel: Parcel) -> None:
        desk.busy += 1

        async def carried() -> None:
            try:
                await self._carry(desk, parcel)
            finally:
                desk.busy -= 1
                self._pump(desk)

        self._keep(carried())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, desk: Desk, parcel: Parcel) -> None:
        vendor, hook = desk.vendor, parcel.hook
        played = tricks.Tricks() if parcel.delayed else tricks.drawn(self._faults, vendor, parcel.said)
        if hook.status != "active":
            return self._count(-len(parcel.said))
        if played.delay:
            parcel.delayed = True
            return self._later(desk, parcel, played.delay)
        letter = tricks.written(vendor, hook, parcel.said, parcel.attempt, time.time(), played)
        if played.dropped:
            self.deliveries.append(self._line(vendor, parcel, letter, played, "dropped"))
            return self._count(-len(parcel.said))
        sent = [self._send(vendor, parcel, letter, played) for _ in range(1 + played.copies)]
        first, *_ = await asyncio.gather(*sent)
        wait = None if first.ok else vendor.waits(parcel.attempt, first.status)
        if wait is None:
            return self._count(-len(parcel.said))
        parcel.attempt, parcel.delayed = parcel.attempt + 1, False
        return self._later(desk, parcel, wait / self.speed)

    async def _send(self, vendor: Vendor, parcel: Parcel, letter: Letter, played: tricks.Tricks) -> Delivery:
        line = self._line(vendor, parcel, letter, played)
        began = time.perf_counter()
        reply = await self._lines.post(letter, vendor.timeout)
        line.seconds = time.perf_counter() - began
        line.status, line.reason, line.ok = reply.status, reply.reason, vendor.accepts(reply.status, reply.body)
        self.deliveries.append(line)
        vendor.took(parcel.hook, line.ok, time.time())
        return line

    def _line(
        self, vendor: Vendor, parcel: Parcel, letter: Letter, played: tricks.Tricks, reason: str = ""
    ) -> Delivery:
        names, keys = zip(*((one.event.name, one.event.key) for one in parcel.said), strict=True)
        return Delivery(
            vendor.name, parcel.hook.id, parcel.attempt, names, keys, letter, time.time(), reason=reason,
            faults=played.name,
        )  # fmt: skip

    def _later(self, desk: Desk, parcel: Parcel, seconds: float) -> None:
        counted = seconds <= SOON
        if not counted:
            self._count(-len(parcel.said))

        def due() -> None:
            if not counted:
                self._count(len(parcel.said))
            desk.due.append(parcel)
            self._pump(desk)

        asyncio.get_running_loop().call_later(seconds, due)
