"""The rows of `sync.outbox`: claimed in order per record, and every change of their state.

Claiming goes by state, never by number: a row with a smaller number may be committed later. Of a record one letter at a
time is under way; whoever claims holds the account's row of `sync.delivery`, so two workers cannot both claim.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from sync_assets.load.cursor import Cursor
from sync_assets.load.holder import holder_is_dead, this_process
from sync_assets.load.retention import Expiry, forget
from sync_assets.operation import Letter, Operation
from sync_assets.send import gate
from sync_assets.send.gate import Fuse

DEAD_HOLDERS = "select distinct leased_by from sync.outbox where account = %s and state = 'sending'"
LAPSE = (
    "update sync.outbox set lease_until = '-infinity' where account = %s and state = 'sending' and leased_by = any(%s)"
)

RECORDS = """
select entity, key from sync.outbox
 where account = %(account)s and state in ('pending', 'sending', 'failed') and operation = any(%(operations)s)
 group by entity, key
having not bool_or(state = 'sending' and lease_until > clock_timestamp())
   and bool_or(state = 'sending' or (next_try_at <= clock_timestamp() and (rehearsed_at is null or not %(dry)s)))
 order by min(id) limit %(limit)s
"""

ROWS = """
select id, entity, key, operation, payload, base, attempts, sent,
       extract(epoch from clock_timestamp() - sent_at)::float8, state, next_try_at <= clock_timestamp()
  from sync.outbox where account = %s and (entity, key) in (select * from unnest(%s::text[], %s::text[]))
   and state in ('pending', 'sending', 'failed') order by id for update
"""

TAKE = """
update sync.outbox set state = 'sending', attempts = attempts + 1, leased_by = %(holder)s, payload = %(payload)s,
       base = %(base)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 where id = %(id)s
"""

END = """
update sync.outbox set state = %(state)s, reason = %(reason)s, done_at = clock_timestamp(), lease_until = null,
       leased_by = null
 where id = any(%(ids)s)
"""

WRITTEN_DOWN = """
update sync.outbox o set sent = s.fields::jsonb, sent_at = clock_timestamp(),
       lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
  from unnest(%(ids)s::bigint[], %(fields)s::text[]) s(id, fields)
 where o.id = s.id and o.state = 'sending' and o.leased_by = %(holder)s
returning o.id
"""

CHANNEL = "sync_outbox"

DUE = """
select distinct o.account from sync.outbox o
 where o.account = any(%(accounts)s) and o.operation = any(%(operations)s)
   and (o.rehearsed_at is null or not %(dry)s)
   and (o.state in ('pending', 'failed') and o.next_try_at <= clock_timestamp()
        or o.state = 'sending' and o.lease_until <= clock_timestamp())
   and not exists (select from sync.delivery d where d.account = o.account
                      and (d.fuse_blown_at is not null or d.closed_until > clock_timestamp()))
"""
"""The accounts for which something may leave now; of these operations, and in a dry run only what was not looked at."""

LETTERS = Expiry("sync.outbox", "t.done_at")
CONFLICTS = Expiry("sync.conflicts", "(select o.done_at from sync.outbox o where o.id = t.outbox_id)")
"""These go with their letters."""


@dataclass(frozen=True)
class Claimed:
    """Letters that are this worker's until its lease ends, or the reason why nothing may leave."""

    letters: Sequence[Letter]
    holder: str
    closed: str = ""


@dataclass(frozen=True)
class _Row:
    letter: Letter
    state: str
    due: bool


def claim(
    cursor: Cursor,
    account: str,
    operations: Mapping[str, Operation],
    *,
    fuse: Fuse,
    most_attempts: int,
    lease_seconds: float,
    limit: int,
    dry: bool = False,
) -> Claimed:
    """At most `limit` letters, each of another record. A blown fuse is noted and nothing is claimed."""
    holder = f"{this_process(None)} [{uuid4().hex[:12]}]"
    if closed := gate.closed(cursor, account):
        return Claimed((), holder, closed)
    _lapse_the_dead(cursor, account)
    given = {"account": account, "operations": list(operations), "dry": dry, "limit": limit}
    cursor.execute(RECORDS, given)
    records = cursor.fetchall()
    if not records:
        return Claimed((), holder)
    if closed := gate.blown(cursor, account, fuse):
        return Claimed((), holder, closed)
    cursor.execute(ROWS, (account, [entity for entity, _ in records], [key for _, key in records]))
    rows: dict[tuple[str, str], list[_Row]] = {}
    for *parts, state, is_due in cursor.fetchall():
        row = _Row(Letter(*parts), state, is_due)
        rows.setdefault((row.letter.entity, row.letter.key), []).append(row)
    letters = []
    for of_record in rows.values():
        if (letter := _next(cursor, of_record, operations, most_attempts)) is None:
            continue
        values = {"id": letter.id, "holder": holder, "lease": lease_seconds}
        cursor.execute(TAKE, values | {"payload": json.dumps(letter.payload), "base": json.dumps(letter.base)})
        letters.append(letter)
    return Claimed(letters, holder)


def written_down(
    cursor: Cursor, writes: Sequence[tuple[Letter, Mapping[str, Any]]], holder: str, *, lease_seconds: float
) -> set[int]:
    """Notes what is about to leave. Answers the letters that are still this worker's: no other may leave."""
    fields = [json.dumps(fields) for _, fields in writes]
    given = {"ids": [letter.id for letter, _ in writes], "fields": fields, "holder": holder, "lease": lease_seconds}
    cursor.execute(WRITTEN_DOWN, given)
    return {id for (id,) in cursor.fetchall()}


def expire(cursor: Cursor, account: str, days: int) -> int:
    """Forgets letters that were over so long ago."""
    return forget(cursor, LETTERS, days=days, accounts=[account])


def _lapse_the_dead(cursor: Cursor, account: str) -> None:
    cursor.execute(DEAD_HOLDERS, (account,))
    if dead := [holder for (holder,) in cursor.fetchall() if holder_is_dead(holder)]:
        cursor.execute(LAPSE, (account, dead))


def _next(
    cursor: Cursor, rows: Sequence[_Row], operations: Mapping[str, Operation], most_attempts: int
) -> Letter | None:
    """The letter of a record whose turn it is; what a later one makes superfluous is superseded by it.

    One that was under way when its worker ended goes first and alone: what became of it is looked up before anything
    else leaves.
    """
    first = next((row for row in rows if row.state == "sending"), rows[0])
    operation = operations.get(first.letter.operation)
    if operation is None:
        return None
    run = [first]
    if first.state != "sending" and operation.coalesces:
        run = [row for row in rows if row.letter.operation == operation.name]
    newest = run[-1]
    if first.state == "sending" and first.letter.attempts >= most_attempts:
        _end(cursor, "dead", f"its worker ended {first.letter.attempts} times while it was sent", [first.letter.id])
        return None
    if not (newest.due or newest.state == "sending"):
        return None
    if older := [row.letter.id for row in run[:-1]]:
        _end(cursor, "superseded", f"by {newest.letter.id}", older)
    payload, base = _merged(run)
    return replace(newest.letter, payload=payload, base=base, attempts=newest.letter.attempts + 1)


def _merged(run: Sequence[_Row]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of each field the newest value that is wanted, and the oldest that it was wanted for."""
    payload: dict[str, Any] = {}
    base: dict[str, Any] = {}
    for row in run:
        payload |= row.letter.payload
        base = {**row.letter.base, **base}
    return payload, base


def _end(cursor: Cursor, state: str, reason: str, ids: Sequence[int]) -> None:
    cursor.execute(END, {"state": state, "reason": reason, "ids": list(ids)})
