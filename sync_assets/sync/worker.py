"""Works off the inbox of one account: claims records, reads them afresh from the source, settles their events.

A failure that says nothing of the record (the source is away, asks to wait, refuses the token; Postgres is away) gives
the attempt back, however long it lasts; only what a record does to us by itself brings its events nearer to their end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from sync_assets import crash
from sync_assets.account import Account
from sync_assets.entity import Entity
from sync_assets.errors import (
    AlreadyRunning,
    CallVendor,
    FencedOff,
    FixConfig,
    RetryLater,
    SourceUnavailable,
    SyncError,
    Throttled,
)
from sync_assets.load import claims
from sync_assets.load.claims import Claimed
from sync_assets.load.heartbeat import beating
from sync_assets.load.holder import this_process
from sync_assets.settings import SyncSettings
from sync_assets.sync.connection import Connected, buckets
from sync_assets.sync.look import Work, answers, look

AT_WORK = 2.0
"""Seconds of requests that one claim is worth: what comes in meanwhile waits so long."""

MOST_AT_ONCE = 500
"""Records of one claim."""

IMPATIENT = {
    "sync_max_wait_seconds": 2.0,
    "sync_retries": 2,
    "sync_request_seconds": 10.0,
    "sync_database_wait_seconds": 3.0,
}
"""The next attempt is never far, so none is worth a long wait."""

STAYS_MADE = 600.0
"""Seconds after which an account is connected anew: its rights and tables may have changed."""

NEVER = 1_000_000
"""Attempts after which what only failed together with others is given up."""

LONGEST_REST = 60.0
LEASE_AGAIN = 2.0


@dataclass
class Rest:
    """Why nothing is read of an entity, and until when by the clock that only goes forward."""

    until: float
    seconds: float
    why: str


class Worker:
    """One account. It keeps its connections for the next time; `close` lets them go."""

    def __init__(self, account: Account, settings: SyncSettings) -> None:
        self.account = account
        self._settings = settings.model_copy(update={n: min(v, getattr(settings, n)) for n, v in IMPATIENT.items()})
        self._me = f"{this_process(None)}, worker {uuid4().hex[:8]}"
        self._connection: Connected | None = None
        self._made = 0.0
        self._until = 0.0
        self._resting: dict[str, Rest] = {}

    @property
    def connection(self) -> Connected:
        if self._connection is None:
            self._connection, self._made = Connected(self.account, self._settings), time.monotonic()
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def idle(self) -> None:
        """Lets go of the connections to Postgres until there is something to do."""
        if self._connection is not None:
            self._connection.database.close()
            self._connection.meter.close()

    def work_off(self, until: float, work: Work) -> bool:
        """Works until nothing is due, or until that moment of the monotonic clock has come, and whether it has.

        Raises nothing.
        """
        self._until = until
        if time.monotonic() - self._made > STAYS_MADE:
            self.close()
        try:
            self.connection.database.transaction(partial(claims.recover, account=self.account.name, me=self._me))
            while self._round(work):
                pass
            return time.monotonic() >= until
        except SyncError as e:
            work.problem(str(e))
            self.close()
            return False

    def tell(self, work: Work) -> None:
        """Adds what is left to do, and why nothing is asked of some entities."""
        try:
            left = partial(claims.left, account=self.account.name)
            work.waiting, work.dead = self.connection.database.transaction(left)
        except SyncError as e:
            work.problem(str(e))
        for rest in self._resting.values():
            if rest.until > time.monotonic():
                work.problem(rest.why)

    def _round(self, work: Work) -> bool:
        """One claim of each entity of which something is due. False where nothing is, or the time is over."""
        found = False
        for name, alone in self._due():
            records = self._claim(name, alone=alone)
            if records:
                crash.point("after claim")
                found = True
                with beating(self._renew, self._settings.sync_lease_seconds, "claims"):
                    self._look(self.account.entity(name), records, work)
            if time.monotonic() >= self._until:
                return False
        return found

    def _due(self) -> list[tuple[str, bool]]:
        now, account = time.monotonic(), self.account.name
        entities = [entity.name for entity in self.account.entities]
        resting = [name for name, rest in self._resting.items() if rest.until > now]
        sort_out = partial(
            claims.sort_out, account=account, entities=entities, most=self._settings.sync_webhook_attempts
        )
        self.connection.database.transaction(sort_out)
        return self.connection.database.transaction(partial(claims.due, account=account, resting=resting))

    def _claim(self, entity: str, *, alone: bool) -> list[Claimed]:
        claim = partial(
            claims.claim,
            account=self.account.name,
            entity=entity,
            me=self._me,
            limit=1 if alone else self._limit(self.account.entity(entity)),
            lease=self._settings.sync_lease_seconds,
            alone=alone,
        )
        return self.connection.database.transaction(claim)

    def _limit(self, entity: Entity) -> int:
        at_once = entity.one.at_once if entity.one else MOST_AT_ONCE
        rate = buckets(self.account)[0].rate
        return min(MOST_AT_ONCE, at_once * max(1, int(rate * AT_WORK)) if rate else MOST_AT_ONCE)

    def _renew(self) -> None:
        self.connection.meter.query(claims.RENEW, (self._settings.sync_lease_seconds, self.account.name, self._me))

    def _look(self, entity: Entity, records: Sequence[Claimed], work: Work) -> None:
        """Reads the records and settles their events, one way or another."""
        events = [event for record in records for event in record.events]
        try:
            pushed = self._pushed(records) if entity.pushed else {}
            outcome = look(self.connection, entity, [record.key for record in records], work, pushed)
        except SyncError as e:
            self._went_wrong(entity, records, e, work)
            return
        except Exception as e:  # noqa: BLE001  a bug met by one record must not stop the others
            next_step = "open an issue with this message"
            self._went_wrong(entity, records, SyncError(f"a bug ({type(e).__name__})", next_step=next_step), work)
            return
        self._resting.pop(entity.name, None)
        crash.point("before settling")
        for record in records:
            if why := outcome.unreachable.get(record.key):
                settle = partial(claims.done, events=record.events, me=self._me, sync_id=outcome.log_id, reason=why)
                self.connection.database.transaction(settle)
        self.connection.database.transaction(partial(claims.done, events=events, me=self._me, sync_id=outcome.log_id))
        work.events += len(events)
        work.records += len(records)

    def _pushed(self, records: Sequence[Claimed]) -> dict[str, list[bytes]]:
        return self.connection.database.transaction(partial(claims.pushed, records=records))

    # Failures

    def _went_wrong(self, entity: Entity, records: Sequence[Claimed], error: SyncError, work: Work) -> None:
        work.problem(str(error))
        if not isinstance(error, Throttled | AlreadyRunning | FencedOff):
            self.close()
        unclear = isinstance(error, SourceUnavailable | CallVendor)
        if isinstance(error, RetryLater | FixConfig) and not unclear:
            self._rest(entity, records, error)
        elif len(records) > 1:
            self._one_by_one(entity, records, work)
        elif unclear and not answers(self.connection, entity, records[0].key):
            self._rest(entity, records, error)
        else:
            self._failed(records[0], str(error), self._settings.sync_webhook_attempts)

    def _one_by_one(self, entity: Entity, records: Sequence[Claimed], work: Work) -> None:
        """Records that failed together, for one of them perhaps. What there is no time for is claimed alone soon."""
        for record in records:
            rest = self._resting.get(entity.name)
            if rest and rest.until > time.monotonic():
                self._give_back([record], rest)
            elif time.monotonic() > self._until:
                self._failed(record, "it failed together with others", NEVER)
            else:
                self._look(entity, [record], work)

    def _failed(self, record: Claimed, reason: str, most: int) -> None:
        failed = partial(claims.failed, events=record.events, me=self._me, reason=reason, most=most)
        self.connection.database.transaction(failed)

    def _rest(self, entity: Entity, records: Sequence[Claimed], error: SyncError) -> None:
        """Nothing is asked of the entity for a while: as long as its source says, else twice as long as last time."""
        before = self._resting.get(entity.name)
        seconds = min(LONGEST_REST, before.seconds * 2 if before else 1.0)
        if isinstance(error, Throttled) and error.seconds:
            seconds = error.seconds
        elif isinstance(error, AlreadyRunning):
            seconds = LEASE_AGAIN
        rest = Rest(time.monotonic() + seconds, seconds, str(error))
        self._resting[entity.name] = rest
        self._give_back(records, rest)

    def _give_back(self, records: Sequence[Claimed], rest: Rest) -> None:
        give_back = partial(
            claims.give_back,
            events=[event for record in records for event in record.events],
            me=self._me,
            seconds=max(0.0, rest.until - time.monotonic()),
            reason=rest.why,
        )
        self.connection.database.transaction(give_back)
