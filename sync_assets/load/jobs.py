"""The rows of `sync.jobs`: jobs that are asked for by name, of which one per account is queued or running at a time.

A partial unique index says so, not a look: of two that ask at the same instant the second waits for the first one's
transaction, and is told its id. A running job holds a lease like a sync does; what became of a queued one, the queue
knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sync_assets.errors import DatabaseUnavailable
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.holder import holder_is_dead, this_process

Ended = Literal["succeeded", "failed", "canceled", "lost"]

OTHER = """
select job_id from sync.jobs
 where account = %s and job = %s and job_id <> %s
   and (status in ('queued', 'running')
        or (status = 'succeeded' and %s between requested_at and ended_at
            and not exists (select from sync.jobs own where own.job_id = %s)))
 order by status = 'succeeded', requested_at limit 1
"""
"""A daemon that is slow to start runs may start one when the job that was active at its launch has ended; what was
queued properly has a row of its own already."""

END = """
update sync.jobs
   set status = %s, error = %s, ended_at = clock_timestamp(),
       result = case when %s then (
         select coalesce(jsonb_object_agg(part.key, m.rows), '{}') from jsonb_each_text(%s) part
           join sync.metadata m on m.account = jobs.account and m.entity = part.value) end
 where job_id = %s and status in ('queued', 'running', 'lost')
   and (%s or (status, holder, lease_until) is not distinct from (%s::text, %s::text, %s::timestamptz))
returning job_id
"""


@dataclass(frozen=True)
class Asked:
    """A job as it is asked for: whose, which one, under what id, by whom."""

    account: str
    job: str
    job_id: str
    requested_by: str


@dataclass(frozen=True)
class Active:
    """A job that is queued or running according to its row, as it was looked at; `lapsed` where its lease has."""

    job_id: str
    account: str
    job: str
    status: str
    holder: str | None
    lease_until: datetime | None
    lapsed: bool

    @property
    def alone(self) -> bool:
        """Whether it was running, and nobody is there any more who could end it."""
        return self.status == "running" and (self.lapsed or holder_is_dead(self.holder))


def enqueue(database: Database, asked: Asked, submit: Callable[[], None]) -> str:
    """The id of the one job that is active now: `asked`, which `submit` has put into the queue, or the other one.

    `submit` runs inside the transaction, so that a process that dies on the way leaves no row behind; it may be called
    again with the transaction. Raises DatabaseUnavailable where other jobs come and go without end.
    """

    def work(cursor: Cursor) -> str | None:
        cursor.execute(
            "insert into sync.jobs (job_id, job, account, status, requested_by) values (%s, %s, %s, 'queued', %s)"
            " on conflict do nothing",
            (asked.job_id, asked.job, asked.account, asked.requested_by),
        )
        if cursor.rowcount:
            submit()
            return asked.job_id
        cursor.execute(
            "select job_id from sync.jobs where account = %s and job = %s and status in ('queued', 'running')",
            (asked.account, asked.job),
        )
        row = cursor.fetchone()
        return str(row[0]) if row else None

    for _ in range(5):
        # None: the other one ended between the two statements.
        if found := database.transaction(work):
            return found
    raise DatabaseUnavailable(f"{asked.job} starts and ends too often to be queued", next_step="run this again")


def start(database: Database, asked: Asked, *, requested_at: datetime, lease_seconds: float) -> str | None:
    """Marks a job as running by this process, whether it was queued here or launched elsewhere.

    Answers the id of another one that is queued or running, or was when this one was launched (`requested_at`) and has
    succeeded since; this one is superseded then and must do nothing. One that came to nothing supersedes nobody.
    """

    def work(cursor: Cursor) -> str | None:
        cursor.execute(OTHER, (asked.account, asked.job, asked.job_id, requested_at, asked.job_id))
        row = cursor.fetchone()
        other = str(row[0]) if row else None
        cursor.execute(
            "insert into sync.jobs (job_id, job, account, status, requested_by, requested_at, started_at, ended_at,"
            " active_job_id, holder, lease_until)"
            " values (%(job_id)s, %(job)s, %(account)s, %(status)s, %(by)s, %(at)s, clock_timestamp(),"
            " case when %(other)s::text is not null then clock_timestamp() end, %(other)s, %(holder)s,"
            " clock_timestamp() + make_interval(secs => %(lease)s))"
            " on conflict (job_id) do update set status = excluded.status, started_at = excluded.started_at,"
            " ended_at = excluded.ended_at, active_job_id = excluded.active_job_id, holder = excluded.holder,"
            " lease_until = excluded.lease_until, result = null, error = null",
            {
                **vars(asked),
                "status": "superseded" if other else "running",
                "by": asked.requested_by,
                "at": requested_at,
                "other": other,
                "holder": this_process(asked.job_id),
                "lease": lease_seconds,
            },
        )
        return other

    return database.transaction(work)


def renew(database: Database, job_id: str, *, lease_seconds: float) -> None:
    database.query(
        "update sync.jobs set lease_until = clock_timestamp() + make_interval(secs => %s)"
        " where job_id = %s and status = 'running'",
        (lease_seconds, job_id),
    )


def end(
    database: Database,
    job_id: str,
    status: Ended,
    *,
    error: str | None = None,
    parts: Mapping[str, str] | None = None,
    seen: Active | None = None,
) -> bool:
    """Ends a job that is active, or was taken for lost; with `seen`, only one that is still as it was then.

    `parts` names for each part of the result of a success the entity whose rows it counts. False where nothing ended.
    """
    row = database.query(
        END,
        (
            status,
            error,
            status == "succeeded",
            json.dumps(dict(parts or {})),
            job_id,
            seen is None,
            *((seen.status, seen.holder, seen.lease_until) if seen else (None, None, None)),
        ),
    )
    return bool(row)


def active(database: Database) -> list[Active]:
    """Every job that is queued or running, of all accounts."""
    rows = database.rows(
        "select job_id, account, job, status, holder, lease_until, coalesce(lease_until < clock_timestamp(), false)"
        " from sync.jobs where status in ('queued', 'running') order by requested_at"
    )
    return [Active(*row) for row in rows]
