"""What became of letters, in one commit: their states, what the source shows now, conflicts, and the log of activities.

What a read showed is loaded like any other record, under the same guard, so the echo of our own write finds nothing to
change. Rows are locked before anything is decided about them: a change that a person makes meanwhile is seen whole, and
rests on what we have just written and not on what that replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg2 import sql

from sync_assets import crash
from sync_assets.load.batch import batch
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import BadValue
from sync_assets.load.look_up import changed
from sync_assets.load.target import Target
from sync_assets.load.upsert import Counts, write
from sync_assets.operation import Conflict, Held, Letter, Operation
from sync_assets.sync import Connected

State = Literal["pending", "failed", "confirmed", "noop", "conflict", "unknown", "dead"]

RETRY_SECONDS, LONGEST_RETRY = 60.0, 3600.0
"""How long a letter waits after its first failure, doubled each time, and at most."""

ACTIVITIES = {
    "confirmed": "status_pushed",
    "conflict": "conflict",
    "dead": "dead_lettered",
    "unknown": "unknown_outcome",
}

SETTLED = """
update sync.outbox set state = %(state)s, reason = %(reason)s, response = coalesce(%(response)s, response),
       lease_until = null, leased_by = null, attempts = attempts - %(uncounted)s,
       next_try_at = clock_timestamp() + make_interval(secs => %(wait)s),
       rehearsed_at = case when %(rehearsed)s then clock_timestamp() else rehearsed_at end,
       sent = case when %(unsent)s then null else sent end,
       done_at = case when %(over)s then clock_timestamp() end
 where id = %(id)s and state = 'sending' and leased_by = %(holder)s
"""

# A wish that was uttered while ours was under way knew nothing of it.
REBASE = """
update sync.outbox set base = base || %(values)s
 where account = %(account)s and entity = %(entity)s and key = %(key)s and operation = %(operation)s and id > %(id)s
   and state in ('pending', 'failed')
"""

CONFLICT = """
insert into sync.conflicts (outbox_id, field, account, entity, key, base, theirs, ours, decision, why)
values (%(id)s, %(field)s, %(account)s, %(entity)s, %(key)s, %(base)s, %(theirs)s, %(ours)s, %(decision)s, %(why)s)
on conflict (outbox_id, field) do update set base = excluded.base, theirs = excluded.theirs,
  decision = excluded.decision, why = excluded.why, at = clock_timestamp()
"""

LOG = """
insert into sync.logs (account, system, entity, kind, status, finished_at, run_id)
values (%s, %s, %s, 'reverse', 'success', clock_timestamp(), %s) returning id
"""

COUNTED = """
update sync.logs set fetched = %s, created = %s, updated = %s, unchanged = %s, stale = %s, repeated = %s, rejected = %s,
       requests = %s, note = %s where id = %s
"""


@dataclass
class Settled:
    """One letter and what became of it."""

    letter: Letter
    state: State
    reason: str | None = None
    held: Held | None = None  # what the source showed last
    conflict: Conflict | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)  # what was written, where it was
    counts: bool = True  # whether this try counts
    wait: float | None = None  # seconds, where it is not the usual time
    rehearsed: bool = False
    unsent: bool = False  # the source said that it had not taken what was sent

    @property
    def over(self) -> bool:
        return self.state not in ("pending", "failed")


def settle(
    connection: Connected, settled: Sequence[Settled], operations: Mapping[str, Operation], holder: str,
    *, run_id: str | None = None, requests: int = 0,
) -> list[Settled]:  # fmt: skip
    """Commits all of it. A record that cannot be stored is left to the next sync; its letter is settled.

    Answers those of which this worker still had the say.
    """

    mirrored = {entity.name for entity in connection.account.entities}
    entities = sorted({s.letter.entity for s in settled})
    targets = {entity: connection.target(entity) if entity in mirrored else None for entity in entities}

    def work(cursor: Cursor, load: bool) -> list[Settled]:
        done = []
        for entity, target in targets.items():
            some = [s for s in settled if s.letter.entity == entity]
            if target:
                _lock(cursor, target, some)
            mine = [s for s in some if _state(cursor, s, holder)]
            for s in mine:
                _aftermath(cursor, connection.account.name, s)
            if load and target:
                _load(cursor, connection, target, mine, run_id, requests)
            _in_step(cursor, connection, mine, operations)
            done += mine
        crash.point("before settled")
        return done

    try:
        return connection.database.transaction(lambda cursor: work(cursor, True))
    except BadValue:
        return connection.database.transaction(lambda cursor: work(cursor, False))


def _lock(cursor: Cursor, target: Target, some: Sequence[Settled]) -> None:
    keys = sorted({s.letter.key for s in some})
    cursor.execute(
        sql.SQL(
            "select 1 from {table} t join unnest(%s::text[]) s(key) on {same} order by {keys} for update of t"
        ).format(table=target.table, same=target.same_key("t", target.parts("s.key")), keys=target.key_columns("t")),
        (keys,),
    )


def _state(cursor: Cursor, s: Settled, holder: str) -> bool:
    """False where the letter is no longer this worker's: then another one says what became of it."""
    usual = min(RETRY_SECONDS * 2 ** (s.letter.attempts - 1), LONGEST_RETRY) if s.state == "failed" else 0.0
    cursor.execute(
        SETTLED,
        {
            "state": s.state,
            "reason": s.reason[:500] if s.reason else None,
            "response": json.dumps(s.held.values) if s.held else None,
            "uncounted": 0 if s.counts else 1,
            "wait": usual if s.wait is None else s.wait,
            "rehearsed": s.rehearsed,
            "unsent": s.unsent,
            "over": s.over,
            "id": s.letter.id,
            "holder": holder,
        },
    )
    return cursor.rowcount == 1


def _aftermath(cursor: Cursor, account: str, s: Settled) -> None:
    letter = s.letter
    where = {"id": letter.id, "account": account, "entity": letter.entity, "key": letter.key}
    if s.conflict:
        cursor.execute(CONFLICT, where | vars(s.conflict))
    if s.state == "confirmed" and s.held:
        values = {name: value for name, value in s.held.values.items() if name in letter.base or name in s.sent}
        cursor.execute(REBASE, where | {"operation": letter.operation, "values": json.dumps(values)})
    if activity := ACTIVITIES.get(s.state):
        details = {
            "entity": letter.entity,
            "key": letter.key,
            "operation": letter.operation,
            "outbox_id": letter.id,
            **({"wrote": dict(s.sent)} if s.state == "confirmed" else {}),
            **({"reason": s.reason} if s.reason else {}),
        }
        cursor.execute(
            "insert into sync.activity_logs (account, activity, details) values (%s, %s, %s)",
            (account, activity, json.dumps(details)),
        )


def _load(
    cursor: Cursor, connection: Connected, target: Target, mine: Sequence[Settled], run_id: str | None, requests: int
) -> None:
    pages = [s.held.page for s in mine if s.held and s.held.page is not None]
    if not pages:
        return
    account = connection.account
    found = batch(pages, target.seed, target.entity.sparse)
    cursor.execute(LOG, (account.name, account.system.name, target.entity.name, run_id))
    (log_id,) = cursor.fetchone() or (0,)
    rows = changed(cursor, target, found.rows)
    counts: Counts = write(cursor, target, rows, log_id)
    counts.unchanged += len(found.rows) - len(rows)
    counts.repeated += found.repeated
    states = [s.state for s in mine]
    note = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    cursor.execute(COUNTED, (counts.fetched, *vars(counts).values(), requests, note, log_id))


def _in_step(
    cursor: Cursor, connection: Connected, mine: Sequence[Settled], operations: Mapping[str, Operation]
) -> None:
    """What was decided shows in our own columns too."""
    for name in sorted({s.letter.operation for s in mine}):
        function = operations[name].in_step
        keys = [
            s.letter.key for s in mine if s.letter.operation == name and s.state in ("confirmed", "noop", "conflict")
        ]
        if function and keys:
            step_back(cursor, connection.account.schema, function, keys)


def step_back(cursor: Cursor, schema: str, function: str, keys: Sequence[str]) -> None:
    """Puts the rows with these keys to what the source holds, where nothing of ours is on its way."""
    call = sql.SQL("select {}(%s)").format(sql.Identifier(schema, function))
    cursor.execute(call, ([int(key) for key in keys],))
