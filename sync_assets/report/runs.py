"""What of a run only its checks and steps know: written by the run's last step, read by whoever reports on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sync_assets.errors import FixConfig
from sync_assets.load.database import Database

NOTE = """
insert into sync.runs (run_id, job, started_at, ended_at, checks, failed_checks, failed_steps, skipped)
values (%s, %s, %s, greatest(clock_timestamp(), %s), %s, %s, %s, %s)
    on conflict (run_id) do update
   set (ended_at, checks, failed_checks, failed_steps, skipped)
     = (excluded.ended_at, excluded.checks, excluded.failed_checks, excluded.failed_steps, excluded.skipped)
returning ended_at
"""

READ = """
select run_id, job, started_at, ended_at, checks, failed_checks, failed_steps, skipped from sync.runs where run_id = %s
"""

LATEST = """
select run_id from (
  select run_id, started_at as at from sync.runs
  union all
  select run_id, min(started_at) from sync.logs
   where run_id is not null and not exists (select from sync.runs r where r.run_id = logs.run_id) group by run_id
) found order by at desc limit %s
"""

NAMED = """
select run_id from sync.runs where starts_with(run_id, %(name)s)
union select run_id from sync.logs where run_id is not null and starts_with(run_id, %(name)s)
"""


@dataclass(frozen=True)
class CheckRow:
    asset: str
    name: str
    passed: bool
    severity: str
    says: str

    @property
    def is_red(self) -> bool:
        return not self.passed and self.severity == "ERROR"


@dataclass(frozen=True)
class FailedStep:
    asset: str
    says: str
    next_step: str


@dataclass(frozen=True)
class Run:
    """One run at its end. `failed_checks` are those that did not pass, warnings too."""

    run_id: str
    job: str
    started_at: datetime
    ended_at: datetime
    checks: int = 0
    failed_checks: Sequence[CheckRow] = ()
    failed_steps: Sequence[FailedStep] = ()
    skipped: Sequence[str] = field(default=())


def noted(database: Database, run: Run) -> Run:
    """Writes the run down; a second report of the same run replaces the first. Its end is now, by Postgres' clock."""
    checks = [{n: v for n, v in asdict(check).items() if n != "passed"} for check in run.failed_checks]
    steps = [asdict(step) for step in run.failed_steps]
    row = database.query(
        NOTE,
        (run.run_id, run.job, run.started_at, run.started_at, run.checks, _json(checks), _json(steps), [*run.skipped]),
    )
    return replace(run, ended_at=row[0])


def run_of(database: Database, run_id: str) -> Run | None:
    """None for a run that has not come to its report, and may never do so."""
    row = database.query(READ, (run_id,))
    if not row:
        return None
    run_id, job, started_at, ended_at, count, checks, steps, skipped = row
    return Run(
        run_id,
        job,
        started_at,
        ended_at,
        count,
        tuple(CheckRow(passed=False, **check) for check in checks),
        tuple(FailedStep(**step) for step in steps),
        tuple(skipped),
    )


def latest(database: Database, count: int = 1) -> list[str]:
    """The ids of the latest runs, the newest first; webhooks' syncs belong to none."""
    return [run_id for (run_id,) in database.rows(LATEST, (count,))]


def named(database: Database, name: str) -> str:
    """The id that begins so. Raises FixConfig where no run's does, or several do."""

    def work(cursor: Any) -> list[str]:
        cursor.execute(NAMED, {"name": name})
        return [run_id for (run_id,) in cursor.fetchall()]

    found = database.transaction(work) if name else []
    if name in found or len(found) == 1:
        return name if name in found else found[0]
    if found:
        raise FixConfig(f"{len(found)} runs have an id that begins so", next_step="give more of the id")
    raise FixConfig(
        "no run has this id, or nothing is known of it any more",
        next_step="take an id that sync-assets report --last 10 shows",
    )


def _json(value: Sequence[Mapping[str, Any]]) -> str:
    # Postgres keeps no NUL in jsonb, and what a source said may hold one.
    return json.dumps(value).replace("\\u0000", "\\ufffd")
