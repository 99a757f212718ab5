"""Who is in a sequence: begun, ended and logged, each in the caller's transaction.

One run per sequence and event that began it, one active run per sequence and record: two workers, and the same event
told twice, begin one. What happens to a run and the line about it in the log of activities are one commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from sync_assets import crash
from sync_assets.automation.conditions import holds
from sync_assets.automation.fields import Record, contact_id
from sync_assets.automation.sequences import Definition, stored
from sync_assets.errors import ActionRefused, BadAutomation
from sync_assets.load.changes import listens
from sync_assets.load.cursor import Cursor

End = Literal["completed", "exited", "failed"]

REGISTER = """
insert into sync.sequences (key, version, name, spec, is_current)
values (%(key)s, %(version)s, %(name)s, %(spec)s, true)
on conflict (key, version) do update set is_current = true where not sequences.is_current
"""
RETIRE = """
update sync.sequences set is_current = false
 where is_current and key || ' ' || version <> all(%s) and (key = any(%s) or %s)
"""

ABOUT = "select distinct system, account, entity from sync.sequence_runs where status = 'active'"

SINCE = """
select before, after from sync.change_events
 where account = %s and entity = %s and key = %s and id > %s order by id
"""

CURRENT = "select version, spec from sync.sequences where key = %s and is_current"
VERSION = "select spec from sync.sequences where key = %s and version = %s"

# Whoever enrols the same record at the same time waits here, and sees then what the other one did.
ALONE = "select pg_advisory_xact_lock(hashtextextended(%s, 11))"

HELD = """
select count(*), count(*) filter (where status = 'active') from sync.sequence_runs
 where sequence_key = %s and account = %s and entity = %s and key = %s
"""

BEGIN = """
insert into sync.sequence_runs (sequence_key, version, account, system, entity, key, contact_id, due_at, next_at,
                                enrolled_by, enrol_event_id, depth)
values (%(sequence)s, %(version)s, %(account)s, %(system)s, %(entity)s, %(key)s, %(contact)s, %(due)s, %(due)s, %(by)s,
        %(event)s, %(depth)s)
on conflict do nothing returning execution_id::text
"""

RUN = """
execution_id::text, sequence_key, version, account, system, entity, key, contact_id, current_step, due_at, waits_for,
enrolled_by, enrol_event_id, depth
"""

FINISH = """
update sync.sequence_runs set status = %s, reason = %s, next_at = null, due_at = null, waits_for = null,
       finished_at = clock_timestamp()
 where execution_id = %s and status = 'active'
"""

OF_RECORD = f"""
select {RUN} from sync.sequence_runs
 where status = 'active' and account = %s and entity = %s and key = %s and (%s::text is null or sequence_key = %s)
 order by execution_id for update
"""  # noqa: S608  constants

LOG = """
insert into sync.activity_logs (account, activity, details, entity, key) values (%s, %s, %s, %s, %s)
"""


@dataclass(frozen=True)
class Run:
    """A row of sync.sequence_runs that this transaction holds."""

    execution_id: str
    sequence_key: str
    version: str
    account: str
    system: str
    entity: str
    key: str
    contact_id: str | None
    step: int
    due_at: datetime | None
    waits_for: int | None
    enrolled_by: str
    event: int | None
    depth: int


def register(cursor: Cursor, found: Sequence[Definition], *, whole: bool = True) -> None:
    """These versions are what sequences begin with from now on.

    `whole`: they are all that there are, so no other begins any more; where a file cannot be understood, the version
    before it goes on.
    """
    cursor.execute(RETIRE, ([f"{d.key} {d.version}" for d in found], [] if whole else [d.key for d in found], whole))
    cursor.execute(ABOUT)
    about = {(d.subject.system, "", d.subject.entity) for d in found}
    listens(cursor, "sequences", {*about, *cursor.fetchall()}, whole=whole)
    for definition in sorted(found, key=lambda d: d.key):
        spec = json.dumps(definition.spec, ensure_ascii=False)
        cursor.execute(
            REGISTER,
            {"key": definition.key, "version": definition.version, "name": definition.name, "spec": spec},
        )


def start(
    cursor: Cursor, sequence: str, *, account: str, system: str, entity: str, key: str, record: Record | None,
    by: str, event: int | None = None, depth: int = 0, now: datetime | None = None,
) -> str | None:  # fmt: skip
    """Begins the current version with a record; answers the execution's id, None where it is not to begin (again).

    Raises ActionRefused where there is no such sequence, or it is about other records.
    """
    cursor.execute(CURRENT, (sequence,))
    row = cursor.fetchone()
    if row is None:
        raise ActionRefused(f"there is no sequence {sequence}", next_step="see sync-assets sequences list")
    definition = version(sequence, row[0], json.dumps(row[1]))
    subject = definition.subject
    if (subject.system, subject.entity) != (system, entity):
        raise ActionRefused(f"sequence {sequence} is about {subject.entity} of {subject.system}, not {entity}")
    if record is None:
        raise ActionRefused(f"sequence {sequence} cannot begin with a record that is not there")
    if not definition.enabled:
        return None
    cursor.execute(ALONE, ("/".join((sequence, account, entity, key)),))
    cursor.execute(HELD, (sequence, account, entity, key))
    ever, active = cursor.fetchone() or (0, 0)
    if (ever and definition.re_enrol == "never") or (active and definition.re_enrol == "after_finish"):
        return None
    if event is not None and _begun_by(cursor, sequence, event):
        return None
    stop(cursor, sequence, account, entity, key, why=f"begun anew by {by}")
    now = now or clock(cursor)
    whose = contact_id(record)
    cursor.execute(
        BEGIN,
        {
            "sequence": sequence,
            "version": definition.version,
            "account": account,
            "system": system,
            "entity": entity,
            "key": key,
            "contact": None if whose is None else str(whose),
            "due": definition.due(1, now),
            "by": by,
            "event": event,
            "depth": depth,
        },
    )
    if (made := cursor.fetchone()) is None:
        return None
    run = Run(made[0], sequence, definition.version, account, system, entity, key,
              None if whose is None else str(whose), 1, None, None, by, event, depth)  # fmt: skip
    _log(cursor, "sequence_started", run, definition.name, len(definition.steps), {"enrolled_by": by})
    cursor.execute("select pg_notify('sync_changes', %s)", (account,))
    if event is not None:
        # What has happened since: whoever takes up changes may have met them before there was a run to end.
        cursor.execute(SINCE, (account, entity, key, event))
        ends = (over(cursor, run, before, after, record) for before, after in cursor.fetchall())
        if why := next(filter(None, ends), None):
            finish(cursor, run, *why)
    crash.point("after enrolled")
    return run.execution_id


def stop(cursor: Cursor, sequence: str | None, account: str, entity: str, key: str, *, why: str) -> int:
    """Ends the active runs of one sequence, or of all, with this record. Answers how many there were."""
    cursor.execute(OF_RECORD, (account, entity, key, sequence, sequence))
    runs = [Run(*row) for row in cursor.fetchall()]
    for run in runs:
        finish(cursor, run, "exited", why)
    return len(runs)


def finish(cursor: Cursor, run: Run, end: End, reason: str | None = None) -> None:
    """Ends a run that this transaction holds, and says so."""
    cursor.execute(FINISH, (end, reason, run.execution_id))
    if not cursor.rowcount:
        return
    cursor.execute("select name, spec -> 'steps' from sync.sequences where key = %s and version = %s",
                   (run.sequence_key, run.version))  # fmt: skip
    name, steps = cursor.fetchone() or (run.sequence_key, [])
    details = {"status": end, "step": run.step, **({"reason": reason} if reason else {})}
    _log(cursor, f"sequence_{end}", run, name, len(steps), details)


def over(
    cursor: Cursor, run: Run, before: Record | None, after: Record | None, current: Record | None
) -> tuple[End, str] | None:
    """How a run ends with this change of its record, and why; None where it goes on."""
    if current is None:
        return "exited", "the record is gone"
    try:
        definition = definition_of(cursor, run)
    except BadAutomation as e:
        return "failed", str(e)
    if holds(definition.exit, before=before, after=after, current=current):
        return "exited", "its exit condition holds"
    return None


def definition_of(cursor: Cursor, run: Run) -> Definition:
    """The version that the run began with. Raises BadAutomation where this code does not understand it any more."""
    cursor.execute(VERSION, (run.sequence_key, run.version))
    (spec,) = cursor.fetchone() or ({},)
    return version(run.sequence_key, run.version, json.dumps(spec))


@lru_cache(maxsize=256)
def version(key: str, version: str, spec: str) -> Definition:
    return stored(json.loads(spec), key, version)


def clock(cursor: Cursor) -> datetime:
    cursor.execute("select clock_timestamp()")
    (now,) = cursor.fetchone() or (None,)
    assert isinstance(now, datetime)  # noqa: S101  Postgres has a clock
    return now


def _begun_by(cursor: Cursor, sequence: str, event: int) -> bool:
    cursor.execute(
        "select exists (select from sync.sequence_runs where sequence_key = %s and enrol_event_id = %s)",
        (sequence, event),
    )
    return bool((cursor.fetchone() or (False,))[0])


def _log(cursor: Cursor, activity: str, run: Run, name: str, steps: int, more: Mapping[str, Any]) -> None:
    details = {
        "sequence_key": run.sequence_key,
        "sequence_name": name,
        "version": run.version,
        "execution_id": run.execution_id,
        "lead_id": run.key if run.entity == "leads" else None,
        "contact_id": run.contact_id,
        "steps_count": steps,
        **more,
    }
    cursor.execute(LOG, (run.account, activity, json.dumps(details), run.entity, run.key))
