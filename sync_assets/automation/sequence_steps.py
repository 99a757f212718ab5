"""What is due in sequences: changes that end or begin a run, letters that are over, and steps whose time has come.

    t=0  the step's time has come        its row, its letter in the outbox and the run's wait for it are one commit
    t=1  the letter is delivered          by the delivery loop, in its own time
    t=2  the letter is over               the next delay begins with the moment of t=1, not with that of t=0

So a step is done once, wherever a worker dies; and while nothing can leave (the source is down, the way back is off, a
run is dry) a sequence stands still, instead of letting out all of its steps at once afterwards. Each transaction takes
one change or one run that nobody else holds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import psycopg2

from sync_assets import crash
from sync_assets.automation import events
from sync_assets.automation.actions import Context, enqueue
from sync_assets.automation.conditions import holds, same
from sync_assets.automation.events import ChangeEvent
from sync_assets.automation.fields import Record
from sync_assets.automation.rules import DEEPEST
from sync_assets.automation.sequence_runs import (
    OF_RECORD,
    RUN,
    Run,
    clock,
    definition_of,
    finish,
    over,
    register,
    start,
)
from sync_assets.automation.sequences import Definition, Step
from sync_assets.errors import ActionRefused
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

PASSED_BY = """
update sync.change_events set sequenced_at = clock_timestamp()
 where id in (select e.id from sync.change_events e
               where sequenced_at is null and account = any(%s) and e.system || ' ' || e.entity <> all(%s)
                 and not exists (select from sync.sequence_runs r where r.status = 'active'
                                    and (r.account, r.entity, r.key) = (e.account, e.entity, e.key))
                 for update skip locked)
"""

TAKE = f"""
select {RUN} from sync.sequence_runs r
 where status = 'active' and account = any(%(accounts)s)
   and (next_at <= %(now)s
        or waits_for is not null
           and not exists (select from sync.outbox o where o.id = r.waits_for and o.done_at is null))
 order by coalesce(next_at, started_at), execution_id limit 1 for update skip locked
"""  # noqa: S608  constants

LETTER = "select state, reason, done_at from sync.outbox where id = %s"
FAILED = ("dead", "unknown", "dropped")

STEP = """
insert into sync.sequence_steps (execution_id, step, action, state, due_at, outbox_id, reason)
values (%s, %s, %s, %s, %s, %s, %s)
"""
WAIT_FOR = """
update sync.sequence_runs set waits_for = %s, next_at = null, due_at = null
 where execution_id = %s and status = 'active'
"""
GO_ON = """
update sync.sequence_runs set current_step = %(step)s, due_at = %(due)s, next_at = %(due)s, waits_for = null
 where execution_id = %(id)s and status = 'active'
"""
PUT_OFF = "update sync.sequence_runs set next_at = %s where execution_id = %s"

DUE = """
select account from sync.change_events where sequenced_at is null and account = any(%(accounts)s)
union
select account from sync.sequence_runs r
 where status = 'active' and account = any(%(accounts)s)
   and (next_at <= clock_timestamp()
        or waits_for is not null
           and not exists (select from sync.outbox o where o.id = r.waits_for and o.done_at is null))
"""
"""The accounts in which something is due now."""


@dataclass
class Worked:
    """What became of what was due: begun, steps done, skipped, not done and put off; completed, exited, failed."""

    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{count} {what}" for what, count in self.counts.items()) or "nothing was due"


def work_off(
    database: Database,
    accounts: Collection[str],
    found: Sequence[Definition],
    *,
    whole: bool = True,
    now: datetime | None = None,
    seconds: float = 60.0,
) -> Worked:
    """Works off what is due in these accounts, for so long at most. `now` is Postgres' clock, unless it is given.

    Changes go first: what ends a run ends it before its next step. Raises the SyncErrors of the database; what is wrong
    with a run ends that run.
    """
    database.transaction(partial(register, found=found, whole=whole))
    worked, until = Worked(), time.monotonic() + seconds
    triggers = [definition for definition in found if definition.trigger and definition.enabled]
    listened = [f"{definition.subject.system} {definition.subject.entity}" for definition in triggers]
    database.query(PASSED_BY, (list(accounts), listened))
    change = partial(_change, now=now, triggers=triggers)
    for outcomes in events.take_up(database, list(accounts), events.SEQUENCES, change, until):
        worked.counts.update(outcomes)
    run = partial(_next_run, accounts=list(accounts), now=now)
    while time.monotonic() < until and (done := database.transaction(run)) is not None:
        worked.counts.update(done)
    return worked


# Changes.


def _change(cursor: Cursor, id: int, now: datetime | None, triggers: Sequence[Definition]) -> list[str] | None:
    """Ends whom a change ends, then begins with whom it begins; None where it is not to be had."""
    if (event := events.claim(cursor, id, events.SEQUENCES)) is None:
        return None
    current = events.stored(cursor, event.account, event.entity, event.key)
    outcomes: list[str] = []
    cursor.execute(OF_RECORD, (event.account, event.entity, event.key, None, None))
    for run in [Run(*values) for values in cursor.fetchall()]:
        # What began a run, and what was before it, does not end it.
        if (run.event or 0) < event.id and (why := over(cursor, run, event.before, event.after, current)):
            finish(cursor, run, *why)
            outcomes.append(why[0])
    for definition in triggers:
        if current is not None and _begins(definition, event, current):
            begun = start(
                cursor, definition.key, account=event.account, system=event.system, entity=event.entity, key=event.key,
                record=current, by=f"{definition.key} itself", event=event.id, depth=event.depth, now=now,
            )  # fmt: skip
            outcomes += ["begun"] if begun else []
    events.taken(cursor, event, events.SEQUENCES)
    crash.point("after changes")
    return outcomes


def _begins(definition: Definition, event: ChangeEvent, current: Record) -> bool:
    trigger = definition.trigger
    if trigger is None or definition.subject != event.subject or trigger.event not in event.words:
        return False
    if event.depth > DEEPEST or (event.origin == "self" and not trigger.self_caused):
        return False
    reached = definition.subject.state(event.after)
    if trigger.to and not any(same(reached, to) for to in trigger.to):
        return False
    return holds(trigger.when, before=event.before, after=event.after, current=current)


# Runs.


def _next_run(cursor: Cursor, accounts: Sequence[str], now: datetime | None) -> list[str] | None:
    """Brings one run a step on, or ends it; None where none is due."""
    moment = now or clock(cursor)
    cursor.execute(TAKE, {"accounts": accounts, "now": moment})
    row = cursor.fetchone()
    if row is None:
        return None
    run = Run(*row)
    current = events.stored(cursor, run.account, run.entity, run.key)
    # Nothing has happened to it here, so nothing has changed.
    if why := over(cursor, run, current, current, current):
        finish(cursor, run, *why)
        return [why[0]]
    definition = definition_of(cursor, run)
    if run.waits_for is None:
        return _step(cursor, run, definition, current, moment)
    cursor.execute(LETTER, (run.waits_for,))
    state, reason, over_at = cursor.fetchone() or ("forgotten", None, None)
    if state in FAILED and definition.stop_on_error:
        finish(cursor, run, "failed", f"step {run.step} was not delivered: {state}, {reason}")
        return ["failed"]
    return _go_on(cursor, run, definition, over_at or moment)


def _step(cursor: Cursor, run: Run, definition: Definition, current: Record | None, now: datetime) -> list[str]:
    step = definition.steps[run.step - 1]
    if definition.window and (opening := definition.window.opening(now)) > now:
        cursor.execute(PUT_OFF, (opening, run.execution_id))
        return ["put off"]
    late = now - run.due_at if run.due_at else None
    skipped = ""
    if late and definition.skip_after and late > definition.skip_after:
        skipped = f"{late} late"
    elif not holds(step.only_if, before=current, after=current, current=current):
        skipped = "only_if does not hold"
    if skipped:
        _note(cursor, run, step, "skipped", skipped)
        return ["skipped", *_go_on(cursor, run, definition, now)]
    cursor.execute("savepoint action")
    try:
        letter = enqueue(
            cursor, step.action, _context(run, definition, current),
            idempotency_key=f"seq:{run.execution_id}:{run.step}", depth=run.depth,
        )  # fmt: skip
    except (ActionRefused, psycopg2.DataError) as e:
        cursor.execute("rollback to savepoint action")
        why = str(e) if isinstance(e, ActionRefused) else f"a value cannot be stored (SQLSTATE {e.pgcode})"
        _note(cursor, run, step, "failed", why)
        if not definition.stop_on_error:
            return ["not done", *_go_on(cursor, run, definition, now)]
        finish(cursor, run, "failed", f"step {run.step}: {why}")
        return ["failed"]
    _note(cursor, run, step, "done", outbox_id=letter)
    crash.point("after step")
    if letter is None:
        return ["done", *_go_on(cursor, run, definition, now)]
    cursor.execute(WAIT_FOR, (letter, run.execution_id))
    return ["done"]


def _go_on(cursor: Cursor, run: Run, definition: Definition, over_at: datetime) -> list[str]:
    """To the next step, whose delay begins with the moment at which this one was over."""
    following = run.step + 1
    if following > len(definition.steps):
        finish(cursor, run, "completed")
        return ["completed"]
    cursor.execute(GO_ON, {"step": following, "due": definition.due(following, over_at), "id": run.execution_id})
    return []


def _note(
    cursor: Cursor, run: Run, step: Step, state: str, reason: str | None = None, *, outbox_id: int | None = None
) -> None:
    cursor.execute(STEP, (run.execution_id, run.step, step.action.do, state, run.due_at, outbox_id, reason))


def _context(run: Run, definition: Definition, current: Record | None) -> Context:
    words = {"sequence.key": run.sequence_key, "sequence.name": definition.name, "event.id": run.event}
    return Context(
        run.account, run.system, run.entity, run.key, before=current, after=current, current=current, words=words,
        cause=f"sequence {run.sequence_key}", event=None,
    )  # fmt: skip
