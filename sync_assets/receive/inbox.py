"""Between the event loop and Postgres: all deliveries that wait are committed together, or go to the spool together.

Promise: `keep` returns when the events are committed in Postgres or synced to the spool, and within `patience` and one
sync of the disk at that. Of two deliveries of which one was answered before the other came, the first gets the lower
ids: as long as the spool holds anything, everything goes through it.

Timeline of an outage. Spooling: a commit failed or took longer than `patience`; it and all that waited go to the spool,
and so does what comes; the storing thread tries to replay. Draining: it has the last records in its hands, so what
comes waits for it; else a steady stream would be spooled for ever. Direct: the spool is empty, what waits is committed.
A commit that was given up and succeeds after all leaves an event in both: the inbox knows it by its identity and time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from sync_assets.errors import FixConfig, RetryLater, SyncError
from sync_assets.load.database import Database
from sync_assets.load.inbox import Accepted, store
from sync_assets.receive.spool import Spool

log = logging.getLogger("sync_assets.receive")

encoder = msgspec.msgpack.Encoder()
decoder = msgspec.msgpack.Decoder(Accepted)

BATCH_BYTES = 4 * 2**20
"""What one transaction holds, roughly; a larger delivery is one of its own."""
PAUSE = 0.5
"""Seconds between two tries to replay."""
MOMENT = 0.02
"""Seconds between two looks at a spool that is being written to."""
REMIND = 60.0
"""Seconds after which an outage that goes on is logged again."""
GRACE = 5.0
"""Seconds that a commit under way gets when the receiver ends; what it held is unanswered or in the spool."""


class SpoolFullError(RetryLater):
    """Postgres is away and the spool is full: webhooks are refused."""

    next_step = "bring Postgres back, or raise SYNC_SPOOL_MEGABYTES and restart the receiver"


class SpoolBrokenError(FixConfig):
    """Postgres is away and the spool's disk cannot be written: webhooks are refused."""

    next_step = "free or mend the disk of SYNC_SPOOL_FOLDER"


class _GivenUp(Exception):
    """A delivery of this transaction went to the spool while it ran."""


@dataclass(eq=False)
class _Delivery:
    events: Sequence[Accepted]
    size: int
    place: Literal["store", "spool", "kept"] = "store"
    kept: Future[None] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.kept.set_running_or_notify_cancel()  # so that a request that goes away takes no answer from the others


class Inbox:
    """One receiver's deliveries on their way."""

    def __init__(self, database: Database, spool: Spool, *, patience: float) -> None:
        self._database = database
        self._spool = spool
        self._patience = patience
        self._changed = threading.Condition()
        self._to_store: deque[_Delivery] = deque()
        self._to_spool: deque[_Delivery] = deque()
        self._spool_at_work = False
        self._closed = False
        self._mode: Literal["direct", "spooling", "draining"] = "spooling" if spool.events else "direct"
        self.reachable = True
        self.refusing = False
        self._replayed = 0
        self._reminded: dict[type[SyncError], float] = {}
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("store", self._store_all), ("spool", self._spool_all))
        ]

    @property
    def spooling(self) -> bool:
        return self._mode != "direct"

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Nobody may be waiting in `keep` any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(GRACE)
        if not any(thread.is_alive() for thread in self._threads):
            self._database.close()
        self._spool.close()

    async def keep(self, events: Sequence[Accepted]) -> None:
        """Raises SpoolFullError or SpoolBrokenError where the events are kept nowhere."""
        delivery = _Delivery(events, sum(event.size for event in events))
        with self._changed:
            if self._mode == "spooling":
                delivery.place = "spool"
                self._to_spool.append(delivery)
            else:
                self._to_store.append(delivery)
            self._changed.notify_all()
        answer = asyncio.wrap_future(delivery.kept)
        await asyncio.wait({answer}, timeout=self._patience)
        if not answer.done():
            self._give_up(delivery)
        await answer

    def _give_up(self, delivery: _Delivery) -> None:
        with self._changed:
            if delivery.place == "store":
                log.warning("Postgres takes longer than %g s to commit webhooks; they go to the spool", self._patience)
                self._divert([delivery])

    def _divert(self, first: Sequence[_Delivery]) -> None:
        """From now on everything goes through the spool, these first, then what waits. Under the lock."""
        self._mode = "spooling"
        for delivery in reversed([*first, *(d for d in self._to_store if d not in first)]):
            delivery.place = "spool"
            self._to_spool.appendleft(delivery)
        self._to_store.clear()
        self._changed.notify_all()

    def _store_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._to_store or self._mode != "direct" or self._closed)
                batch = _batch(self._to_store) if self._mode == "direct" else []
                if not batch and self._closed:
                    return
            if batch:
                self._store(batch)
            elif pause := self._replay():
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause)

    def _store(self, batch: Sequence[_Delivery]) -> None:
        def still() -> None:
            if any(delivery.place != "store" for delivery in batch):
                raise _GivenUp

        try:
            store(self._database, [event for delivery in batch for event in delivery.events], still)
        except Exception as e:  # noqa: BLE001  whatever it is, the events must not be lost
            if not isinstance(e, _GivenUp):
                self._complain(e)
            with self._changed:
                self._divert([delivery for delivery in batch if delivery.place == "store"])
            return
        with self._changed:
            done = [delivery for delivery in batch if delivery.place == "store"]
            for delivery in done:
                delivery.place = "kept"
        for delivery in done:
            delivery.kept.set_result(None)

    def _replay(self) -> float:
        """Seconds to wait before the next step."""
        try:
            taken = self._spool.take(BATCH_BYTES)
            found = len(taken.records) + taken.damaged
            with self._changed:
                if self._mode == "spooling" and self._spool.events == found:
                    self._mode = "draining"
                elif not found and not self._to_spool and not self._spool_at_work and self._spool.events == 0:
                    self._back_to_normal()
                    return 0.0
            if not found:
                return MOMENT
            if taken.damaged:
                log.error("%d webhooks in the spool are damaged and lost. Next: check the disk", taken.damaged)
            if taken.records:
                store(self._database, [decoder.decode(record) for record in taken.records])
            self._spool.settle(taken)
            self.reachable = True
            self._replayed += len(taken.records)
        except Exception as e:  # noqa: BLE001  this thread must live on; what it could not store stays in the spool
            self._complain(e)
            with self._changed:
                self._divert([])
            return PAUSE
        return 0.0

    def _back_to_normal(self) -> None:
        self._mode = "direct"
        self.refusing = False
        self._reminded.clear()
        if self._replayed:
            log.warning("the spool is empty: %d webhooks of it are in Postgres", self._replayed)
            self._replayed = 0

    def _spool_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._to_spool or self._closed)
                batch = list(self._to_spool)
                self._to_spool.clear()
                self._spool_at_work = bool(batch)
                if not batch:
                    return
            refused = self._written(batch)
            with self._changed:
                self._spool_at_work = False
                for delivery in batch:
                    delivery.place = "kept"
            for delivery in batch:
                if error := refused.get(delivery):
                    delivery.kept.set_exception(error)
                else:
                    delivery.kept.set_result(None)

    def _written(self, batch: Sequence[_Delivery]) -> dict[_Delivery, SyncError]:
        """Syncs what fits; the deliveries that did not, with the reason."""
        refused: dict[_Delivery, SyncError] = {}
        records: list[bytes] = []
        size = 0
        for delivery in batch:
            if not self._spool.room_for(size + delivery.size):
                refused[delivery] = SpoolFullError()
                continue
            records += map(encoder.encode, delivery.events)
            size += delivery.size
        try:
            if records:
                self._spool.append(records)
        except Exception as e:  # noqa: BLE001  this thread must live on
            refused = dict.fromkeys(batch, SpoolBrokenError(f"the spool cannot be written ({type(e).__name__})"))
        self.refusing = bool(refused)
        if refused:
            self._complain(next(iter(refused.values())))
        return refused

    def _complain(self, error: Exception) -> None:
        """Once per kind of trouble, and again while it goes on."""
        known = (
            error if isinstance(error, SyncError) else SyncError(f"webhooks cannot be stored: {type(error).__name__}")
        )
        self.reachable &= isinstance(known, SpoolFullError | SpoolBrokenError)
        now = time.monotonic()
        if now - self._reminded.get(type(known), float("-inf")) > REMIND:
            self._reminded[type(known)] = now
            log.error("%s", known)


def _batch(waiting: deque[_Delivery]) -> list[_Delivery]:
    """Takes the first of them, as many as one transaction holds."""
    taken: list[_Delivery] = []
    size = 0
    while waiting and (not taken or size + waiting[0].size <= BATCH_BYTES):
        taken.append(waiting.popleft())
        size += taken[-1].size
    return taken
