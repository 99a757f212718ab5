"""The delivery loop: claim, look, judge, write down, write, look again, settle.

    t=0  claimed: leased, the try is counted            a crash here: the lease lapses, and it begins anew
    t=1  looked at and judged                           it is so already: noop; the source's value stays: conflict
    t=2  written down in the outbox, then sent once     a crash or a timeout here: nobody knows whether it arrived,
                                                        so the next try begins with a look, like every one
    t=3  looked at again: it is there: confirmed        it is not: failed with that word, and tried again

So nothing is sent twice unseen, and what a source takes without a word and drops is not called a success.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from psycopg2 import sql

from sync_assets import crash
from sync_assets.entity import Params
from sync_assets.errors import FixConfig, RecordGone, RetryLater, SyncError, Throttled
from sync_assets.extract.dialect import Answer, Pause
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.mask import Mask
from sync_assets.extract.pages import Splitter
from sync_assets.load.cursor import Cursor
from sync_assets.operation import Conflict, Held, Impossible, Letter, Operation, Verdict, Wait, Write, Yields
from sync_assets.send import gate, outbox
from sync_assets.send.gate import Fuse
from sync_assets.send.settle import Settled, settle
from sync_assets.sync import Connected

Mode = Literal["off", "dry", "on"]
Writes = Sequence[tuple[Letter, Mapping[str, Any]]]


@dataclass
class Delivered:
    """What became of the letters of one delivery, by state; `closed` says why no more could leave."""

    states: Counter[str] = field(default_factory=Counter)
    closed: str = ""
    requests: int = 0

    def __iadd__(self, more: Delivered) -> Delivered:
        self.states.update(more.states)
        self.closed, self.requests = more.closed, self.requests + more.requests
        return self

    def __str__(self) -> str:
        said = ", ".join(f"{count} {state}" for state, count in self.states.items()) or "nothing to do"
        return f"{said}; {self.closed}" if self.closed else said


@dataclass
class Reach(Fetch):
    """What operations reach the source with; `send` is for writes that are no batch."""

    door: Any = None

    def send(self, method: str, path: str, body: bytes) -> Answer:
        """One request, never repeated once it may have arrived. Raises the errors of `Door.ask`."""
        answer: Answer = self.door.ask(path, {}, body=body, method=method, once=True)
        return answer


def deliver(connection: Connected, *, run_id: str | None = None, seconds: float = 300.0) -> Delivered:
    """Works off what is due for the account, for so long at most; `off` does nothing.

    Raises the SyncErrors of the database; what the source fails with is in the outbox and closes the way for a while.
    """
    mode: Mode = connection.settings.sync_way_back
    outbound = connection.account.system.outbound
    done = Delivered()
    if outbound is None or mode == "off":
        return done
    operations = {operation.name: operation for operation in outbound.operations}
    until, before = time.monotonic() + seconds, connection.door.requests
    while time.monotonic() < until:
        claimed = connection.database.transaction(partial(_claim, connection=connection, operations=operations))
        done.closed = claimed.closed
        if not claimed.letters:
            break
        crash.point("after claimed")
        asked = connection.door.requests
        post = Post(connection, claimed.holder, rehearse=mode == "dry")
        settled: list[Settled] = []
        for operation, letters in _portions(claimed.letters, operations):
            settled += post.not_begun(letters) if post.closed else post.carry(operation, letters)
        mine = settle(
            connection, settled, operations, claimed.holder, run_id=run_id, requests=connection.door.requests - asked
        )
        crash.point("after settled")
        done.states.update(s.state for s in mine)
    done.requests = connection.door.requests - before
    return done


def _portions(
    letters: Sequence[Letter], operations: Mapping[str, Operation]
) -> Iterator[tuple[Operation, Sequence[Letter]]]:
    """As many of one operation as it takes at once."""
    for name in dict.fromkeys(letter.operation for letter in letters):
        own, most = [letter for letter in letters if letter.operation == name], operations[name].at_once
        yield from ((operations[name], own[at : at + most]) for at in range(0, len(own), most))


def _claim(cursor: Cursor, connection: Connected, operations: Mapping[str, Operation]) -> outbox.Claimed:
    settings, account = connection.settings, connection.account
    fuse = Fuse(settings.sync_way_back_fuse_records, settings.sync_way_back_fuse_percent, account.schema)
    return outbox.claim(
        cursor,
        account.name,
        operations,
        fuse=fuse,
        most_attempts=settings.sync_way_back_attempts,
        lease_seconds=lease_seconds(connection),
        limit=max(operation.at_once for operation in operations.values()),
        dry=settings.sync_way_back == "dry",
    )


def lease_seconds(connection: Connected) -> float:
    """A worker that is alive looks or writes, each within the deadline of a request, and may wait before that."""
    settings = connection.settings
    return settings.sync_lease_seconds + 2 * (settings.sync_request_seconds + settings.sync_max_wait_seconds)


class Post:
    """One worker with the letters that it holds."""

    def __init__(self, connection: Connected, holder: str, *, rehearse: bool) -> None:
        self._connection = connection
        self._holder = holder
        self._rehearse = rehearse
        self.closed = False
        self._mask = Mask(connection.account.settings.secrets())

    def not_begun(self, letters: Sequence[Letter]) -> list[Settled]:
        """The account failed before it was their turn."""
        return [Settled(letter, "failed", "the account failed before", counts=False, wait=0.0) for letter in letters]

    def carry(self, operation: Operation, letters: Sequence[Letter]) -> list[Settled]:
        """What became of each of the letters, all of one operation."""
        found: dict[int, Held | SyncError] = {}
        if operation.look:
            try:
                found = dict(operation.look(self._reach(operation), letters))
            except SyncError as e:
                return self._account_failed(letters, e)
        settled: list[Settled] = []
        writes: list[tuple[Letter, Write]] = []
        known = self._known(operation)
        for letter in letters:
            held = found.get(letter.id)
            if isinstance(held, SyncError):
                settled.append(self._refused(letter, held))
            elif operation.look is None and letter.sent is not None:
                settled.append(Settled(letter, "unknown", "it was sent, and nobody can tell whether it arrived"))
            elif letter.sent is not None and held is not None and _shows(held, letter.sent):
                settled.append(Settled(letter, "confirmed", "it had arrived", held, sent=letter.sent))
            elif isinstance(verdict := operation.judge(letter, held, known), Write) and not self._rehearse:
                writes.append((letter, verdict))
            else:
                settled.append(self._judged(letter, held, verdict))
        return settled + self._written(operation, writes)

    def _judged(self, letter: Letter, held: Held | None, verdict: Verdict) -> Settled:
        match verdict:
            case Write(fields, conflict) if self._rehearse:
                what = ", ".join(f"{name} {value}" for name, value in fields.items())
                over = f" over {conflict.theirs}, as {conflict.why}" if conflict else ""
                return self._rehearsed(letter, f"would write {what}{over}")
            case Yields(conflict) if self._rehearse:
                return self._rehearsed(letter, f"would leave {conflict.theirs}, as {conflict.why}")
            case Wait(seconds, why):
                return Settled(letter, "failed", self._mask(why), held, counts=False, wait=seconds)
            case Impossible(why):
                return Settled(letter, "dead", self._mask(why), held)
            case Yields(conflict):
                return Settled(letter, "conflict", conflict.why, held, conflict)
            case _:
                return Settled(letter, "noop", None, held)

    def _rehearsed(self, letter: Letter, what: str) -> Settled:
        return Settled(letter, "pending", f"dry run: {what}", counts=False, rehearsed=True)

    def _written(self, operation: Operation, writes: Sequence[tuple[Letter, Write]]) -> list[Settled]:
        if not writes:
            return []
        leaving: Writes = [(letter, write.fields) for letter, write in writes]
        crash.point("after looked")
        mine = self._connection.database.transaction(
            lambda cursor: outbox.written_down(
                cursor, leaving, self._holder, lease_seconds=lease_seconds(self._connection)
            )
        )
        leaving = [(letter, fields) for letter, fields in leaving if letter.id in mine]
        if not leaving:
            return []
        crash.point("before sent")
        conflicts = {letter.id: write.conflict for letter, write in writes}
        try:
            answers = operation.write(self._reach(operation, once=True), leaving)
        except SyncError as e:
            return self._account_failed([letter for letter, _ in leaving], e, sent=True, blind=operation.look is None)
        crash.point("after sent")
        refusals = {id: answer for id, answer in answers.items() if isinstance(answer, SyncError)}
        if operation.look is None:
            said = ((letter, fields, refusals.get(letter.id)) for letter, fields in leaving)
            return [self._refused(x, e) if e else Settled(x, "confirmed", sent=fields) for x, fields, e in said]
        made = {id: answer for id, answer in answers.items() if isinstance(answer, Held)}
        unproven = [letter for letter, _ in leaving if letter.id not in made]
        try:
            shown = {**made, **(operation.look(self._reach(operation), unproven) if unproven else {})}
        except SyncError as e:
            return self._account_failed([letter for letter, _ in leaving], e, sent=True)
        self._connection.database.transaction(partial(gate.worked, account=self._connection.account.name))
        return [
            self._seen(letter, fields, conflicts[letter.id], refusals.get(letter.id), shown.get(letter.id))
            for letter, fields in leaving
        ]

    def _seen(
        self,
        letter: Letter,
        fields: Mapping[str, Any],
        conflict: Conflict | None,
        refusal: SyncError | None,
        shown: Held | SyncError | None,
    ) -> Settled:
        """What a read shows goes before what the source said."""
        held = shown if isinstance(shown, Held) else None
        if held is not None and _shows(held, fields):
            return Settled(letter, "confirmed", None, held, conflict, sent=fields)
        if refusal is not None:
            return self._refused(letter, refusal, held)
        if isinstance(shown, SyncError):
            return self._refused(letter, shown)
        return self._again(letter, "not_applied: the source said yes, and a read does not show it", held)

    def _refused(self, letter: Letter, error: SyncError, held: Held | None = None) -> Settled:
        """Of one letter: what passes is tried again, the rest is given up with the source's words."""
        words = self._mask(str(error))
        if isinstance(error, RetryLater | Pause):
            return self._again(letter, words, held, unsent=True)
        gone = "the source says that this record is not there: " if isinstance(error, RecordGone) else ""
        return Settled(letter, "dead", gone + words, held, unsent=True)

    def _again(self, letter: Letter, why: str, held: Held | None = None, *, unsent: bool = False) -> Settled:
        if letter.attempts >= self._connection.settings.sync_way_back_attempts:
            return Settled(letter, "dead", f"after {letter.attempts} tries: {why}", held, unsent=unsent)
        return Settled(letter, "failed", why, held, unsent=unsent)

    def _account_failed(
        self, letters: Sequence[Letter], error: SyncError, *, sent: bool = False, blind: bool = False
    ) -> list[Settled]:
        """No letter's fault: none of their tries count, and the way is closed for a while."""
        words, account = self._mask(str(error)), self._connection.account.name
        self.closed, slow = True, isinstance(error, FixConfig)
        self._connection.database.transaction(partial(gate.failed, account=account, reason=words, slow=slow))
        if blind and not isinstance(error, FixConfig):
            return [Settled(x, "unknown", f"nobody can tell whether it arrived: {words}") for x in letters]
        turned_away = isinstance(error, FixConfig | Throttled)  # unread
        said = f"nobody knows yet whether it arrived: {words}" if sent and not turned_away else words
        unsent = sent and turned_away
        return [Settled(letter, "failed", said, counts=False, wait=0.0, unsent=unsent) for letter in letters]

    def _known(self, operation: Operation) -> Sequence[tuple[Any, ...]]:
        if not operation.knows:
            return ()

        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            schema = sql.Identifier(self._connection.account.schema)
            cursor.later(sql.SQL("set local search_path = {}").format(schema))
            cursor.execute(operation.knows)
            return cursor.fetchall()

        return self._connection.database.look(work)

    def _reach(self, operation: Operation, *, once: bool = False) -> Reach:
        connection, door = self._connection, self._connection.door

        def ask(path: str, params: Params, stop: threading.Event, *, body: bytes | None = None) -> Answer:
            return door.ask(path, params, body=body, once=once, stop=stop)

        target = connection.target(operation.entity) if operation.entity else None
        keys = (target.key_fields, target.canonical) if target else ((),)
        return Reach(ask, Splitter(door.api.at, *keys), connection.stored_keys, door=door)


def _shows(held: Held, fields: Mapping[str, Any]) -> bool:
    """Whether the source holds what was written, as far as a read tells of it."""
    return all(held.values[name] == value for name, value in fields.items() if name in held.values)
