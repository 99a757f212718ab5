"""The report of one run, put together from the ledger, the run's own row and what stands around it in Postgres.

Promise: `success` holds exactly where no entity failed and no check is red, which is where the run itself is green. As
long as nobody knows it is None; a run that ended without a word is no success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sync_assets.account import Account
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.report.advice import Around, recommendations
from sync_assets.report.figures import Figures, Trend, figures_of, trends_of
from sync_assets.report.limits import ALERT, Recommendation, is_judged, limit_of
from sync_assets.report.runs import CheckRow, Run, run_of
from sync_assets.settings import SyncSettings

PATIENCE_HOURS = 1.0
"""As the check links_resolve has it: a parent usually comes with the next sync."""

State = Literal["finished", "running", "lost", "unreported"]
"""unreported: all its syncs ended, but not its last step, so nobody knows its checks."""

WAITING = """
select account || '/' || child_entity, count(*) from sync.missing_parents
 where account = any(%s) and state = 'waiting' and waiting_since < clock_timestamp() - make_interval(secs => %s)
 group by 1 order by 1
"""

SYNCED = """
select account || '/' || entity, greatest(last_full_at, last_incremental_at) from sync.metadata where account = any(%s)
"""

BESIDE = """
select distinct l.id, case when o.kind = 'webhook' then 'webhooks' else coalesce(o.run_id, 'a sync without a run') end
  from sync.logs l
  join sync.logs o on o.account = l.account and o.run_id is distinct from l.run_id
       and o.started_at < l.finished_at and coalesce(o.finished_at, clock_timestamp()) > l.started_at
       and o.id between l.id - 10000 and l.id + 10000
 where l.id = any(%s)
"""


@dataclass(frozen=True)
class Issue:
    entity: str
    severity: Literal["error", "warning"]
    says: str
    next_step: str


@dataclass(frozen=True)
class Report:
    run_id: str
    job: str
    state: State
    success: bool | None
    started_at: datetime | None
    duration: float
    syncs: Sequence[Figures]
    trends: Mapping[int, Trend]
    issues: Sequence[Issue]
    recommendations: Sequence[Recommendation]
    checks: int = 0
    failed_checks: Sequence[CheckRow] = ()

    @property
    def errors(self) -> int:
        return sum(issue.severity == "error" for issue in self.issues)


def report_of(
    database: Database, run_id: str, accounts: Sequence[Account], settings: SyncSettings, *, run: Run | None = None
) -> Report:
    """Of a run that is known, by its syncs or by its own row, which is `run` where the caller has it."""
    run = run or run_of(database, run_id)
    syncs = figures_of(database, run_id)
    trends = trends_of(database, run_id, [sync for sync in syncs if sync.is_over]) if syncs else {}
    around = _around(database, syncs, trends, accounts, settings)
    state = _state(run, syncs)
    issues = [*_failures(syncs, run, state), *_checks(run), *_slow(syncs, around)]
    failed = any(issue.severity == "error" for issue in issues)
    known = state in ("finished", "lost") or failed
    begun = min((sync.started_at for sync in syncs), default=None)
    ended = max((sync.finished_at or around.now for sync in syncs), default=None)
    started, end = (run.started_at, run.ended_at) if run else (begun, ended)
    return Report(
        run_id=run_id,
        job=run.job if run else "",
        state=state,
        success=not failed if known else None,
        started_at=started,
        duration=(end - started).total_seconds() if started and end else 0.0,
        syncs=syncs,
        trends=trends,
        issues=issues,
        recommendations=recommendations(syncs, around),
        checks=run.checks if run else 0,
        failed_checks=run.failed_checks if run else (),
    )


def _state(run: Run | None, syncs: Sequence[Figures]) -> State:
    if run:
        return "finished"
    if any(sync.status == "running" for sync in syncs):
        return "running"
    return "lost" if any(sync.status == "lost" for sync in syncs) else "unreported"


def _around(
    database: Database,
    syncs: Sequence[Figures],
    trends: Mapping[int, Trend],
    accounts: Sequence[Account],
    settings: SyncSettings,
) -> Around:
    names = list(dict.fromkeys(sync.account for sync in syncs))
    judged = [sync.id for sync in syncs if is_judged(sync)]

    def work(cursor: Cursor) -> Around:
        cursor.execute(WAITING, (names, PATIENCE_HOURS * 3600))
        waiting = dict(cursor.fetchall())
        cursor.execute(SYNCED, (names,))
        # An entity that was never tried has no row; one that the accounts no longer have is nobody's concern.
        at = dict(cursor.fetchall())
        own = [account for account in accounts if account.name in names]
        synced = {f"{a.name}/{e.name}": at.get(f"{a.name}/{e.name}") for a in own for e in a.entities}
        beside: dict[int, list[str]] = {}
        if judged:
            cursor.execute(BESIDE, (judged,))
            for log_id, name in cursor.fetchall():
                beside.setdefault(log_id, []).append(name)
        cursor.execute("select clock_timestamp()")
        (now,) = cursor.fetchone() or (datetime.now(UTC),)
        return Around({a.name: a for a in own}, settings, trends, waiting, synced, beside, now)

    return database.transaction(work)


def _failures(syncs: Sequence[Figures], run: Run | None, state: State) -> list[Issue]:
    found = []
    told = set()
    for sync in syncs:
        if sync.status not in ("failed", "lost"):
            continue
        says, _, next_step = (sync.error or "its process ended without a word").rpartition(" Next: ")
        says, next_step = (says, next_step) if says else (next_step, "run it again: it goes on from the last commit")
        # A look for missing parents that fails costs nobody but them: their links wait on, and the run stays green.
        own = sync.kind != "reconcile"
        if own:
            told.add(sync.entity)
        found.append(Issue(sync.entity, "error" if own else "warning", says.rstrip("."), next_step.rstrip(".")))
    steps = run.failed_steps if run else ()
    found += [Issue(step.asset, "error", step.says, step.next_step) for step in steps if step.asset not in told]
    found += [
        Issue(asset, "warning", "not made, because what it needs failed", "mend what failed, then run it again")
        for asset in (run.skipped if run else ())
    ]
    if state == "unreported" and syncs:
        found.append(
            Issue(
                "sync/report", "warning",
                "its last step has not come, so nobody knows its checks: it is between two entities, it was ended by"
                " force, or it was started without sync/report",
                "look at the run in Dagster",
            )
        )  # fmt: skip
    return found


def _checks(run: Run | None) -> list[Issue]:
    next_step = "open the check in Dagster: it shows the rows, and the query that finds all of them"
    return [
        Issue(check.asset, "error" if check.is_red else "warning", f"{check.name}: {check.says}", next_step)
        for check in (run.failed_checks if run else ())
    ]


def _slow(syncs: Sequence[Figures], around: Around) -> list[Issue]:
    found = []
    for sync in syncs:
        if is_judged(sync) and sync.operations_per_second < ALERT:
            why = limit_of(
                sync, around.accounts.get(sync.account), around.settings, beside=around.beside.get(sync.id, ())
            )
            says = f"{sync.operations_per_second:.1f} operations/s, below {ALERT:g}: {why.says}"
            found.append(Issue(sync.entity, "warning", says, why.next_step))
    return found
