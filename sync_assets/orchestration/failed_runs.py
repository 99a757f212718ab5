"""What a failed run says of its causes, and whether what it says is over.

An entity that fails is the cause; what was skipped for its sake is told with it. A run that nobody ended (its worker
died, its daemon went away) has no failed step and is a cause by itself. The report that turns a run red for a check is
none: the check is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.dagster_run import RunRecord
from dagster_shared.error import SerializableErrorInfo

from sync_assets.account import Account
from sync_assets.load.database import Database
from sync_assets.notify.alerts import Open
from sync_assets.notify.cause import Cause, merged, severity_of, whose
from sync_assets.orchestration.report import REPORT

MOST_RUNS = 200
"""Failed runs of one look; more than these come with the next one."""

CHECKS = "checks"
REASON = "dagster/failure_reason"
LOG_STEP = "see the log of this run in Dagster; if it is no fault of ours, open an issue with it"
RUN_STEP = "start it again: syncs go on from the last committed page; if that happens often, see the daemon's log"

TELLING = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_FAILURE,
}
"""A step whose parent failed has no event of its own: it was planned and never began."""

SUCCEEDED = """
with failure as (select max(id) as id from sync.logs where account = %s and entity = %s and run_id = %s)
select exists (
  select from sync.logs l, failure f
   where l.account = %s and l.entity = %s and l.kind not in ('webhook', 'reconcile')
     and l.status in ('success', 'partial') and case when f.id is null then l.started_at > %s else l.id > f.id end)
"""
"""The ledger numbers syncs; only a failure that never got that far must be placed by the clock."""


class Graph:
    """Which assets need which, by name as in `kaiten/cards`."""

    def __init__(self, assets: Sequence[dg.AssetsDefinition]) -> None:
        self._children: dict[str, set[str]] = {}
        for definition in assets:
            for key, parents in definition.asset_deps.items():
                for parent in parents:
                    self._children.setdefault(parent.to_user_string(), set()).add(key.to_user_string())

    def need(self, name: str) -> set[str]:
        """Whatever needs `name`, directly or not."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            new = self._children.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found


def failed_runs(instance: dg.DagsterInstance, since: datetime) -> list[RunRecord]:
    """Those that failed and are not tried again by Dagster itself, the oldest first."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since)
    found = instance.get_run_records(failed, limit=MOST_RUNS, order_by="update_timestamp", ascending=True)
    return [r for r in found if not r.dagster_run.is_complete_and_waiting_to_retry]


def causes_of(instance: dg.DagsterInstance, record: RunRecord, graph: Graph) -> list[Cause]:
    """One for each error that stopped something, and none for what only waited for it."""
    run = record.dagster_run
    entries = [r.event_log_entry for r in instance.get_records_for_run(run.run_id, of_type=TELLING).records]
    events = [(e.dagster_event, e.timestamp) for e in entries if e.dagster_event]
    failures = [(e, at) for e, at in events if e.event_type == dg.DagsterEventType.STEP_FAILURE]
    started = {_name(e.step_key) for e, _ in events if e.event_type == dg.DagsterEventType.STEP_START}
    planned = {e.asset_key.to_user_string() for e, _ in events if e.asset_key}
    if not failures:
        return [_of_the_run(record)]
    found = []
    for event, at in failures:
        name, data = _name(event.step_key), event.step_failure_data
        if name == REPORT.to_user_string() and data.user_failure_data:
            continue
        stopped = tuple(sorted((planned - started) & graph.need(name)))
        found.append(_of_a_step(name, data, datetime.fromtimestamp(at, UTC), stopped, run))
    return merged(found)


def _of_a_step(name: str, data: StepFailureData, at: datetime, stopped: tuple[str, ...], run: dg.DagsterRun) -> Cause:
    told = data.user_failure_data
    facts = {label: str(value.value) for label, value in told.metadata.items()} if told else {}
    account, _, entity = name.partition("/")
    entity = facts.get("entity", entity.removesuffix(f"/{CHECKS}"))
    error = facts.get("error") or (_class(data.error) if told is None else "Failure")
    says = (told.description if told else None) or f"it broke with {error}"
    account, entity = whose(error, facts.get("account", account), entity)
    return Cause(
        account, entity, error, "step", says.partition(". Next: ")[0], facts.get("next_step", LOG_STEP), at,
        severity_of(error), stopped, run.run_id, run.job_name, (name,),
    )  # fmt: skip


def _of_the_run(record: RunRecord) -> Cause:
    run = record.dagster_run
    reason = run.tags.get(REASON, "").replace("_", " ").lower()
    what = "RunFailed" if reason in ("run exception", "job initialization failure") else "RunLost"
    said = f"{run.job_name} ended before any step could say why" + (f" ({reason})" if reason else "")
    ended = record.end_time or record.update_timestamp.timestamp()
    at = datetime.fromtimestamp(ended, UTC)
    return Cause("", run.job_name, what, "run", said, RUN_STEP, at, run_id=run.run_id, job=run.job_name)


def is_over(
    instance: dg.DagsterInstance,
    database: Database,
    accounts: Sequence[Account],
    checks: Sequence[dg.AssetCheckKey],
    alert: Open,
) -> bool:
    """Whether what failed has succeeded since. What webhooks read of single records proves nothing."""
    seen = alert.last_seen_at
    if alert.kind == "run":
        done = dg.RunsFilter(job_name=alert.job, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=seen)
        return any((r.end_time or 0) > seen.timestamp() for r in instance.get_run_records(done, limit=5))
    entities = {f"{account.name}/{entity.name}" for account in accounts for entity in account.entities}
    for name in alert.assets:
        account, _, entity = name.partition("/")
        if name in entities:
            if _succeeded(database, account, entity, alert):
                return True
        elif entity.endswith(f"/{CHECKS}"):
            asset = dg.AssetKey([account, entity.removesuffix(f"/{CHECKS}")])
            if any(at > seen.timestamp() for at in _evaluated(instance, [k for k in checks if k.asset_key == asset])):
                return True
        else:
            wanted = dg.AssetRecordsFilter(dg.AssetKey(name.split("/")), after_timestamp=seen.timestamp())
            if instance.fetch_materializations(wanted, limit=1).records:
                return True
    return False


def _succeeded(database: Database, account: str, entity: str, alert: Open) -> bool:
    this = (account, entity)
    (found,) = database.query(SUCCEEDED, (*this, alert.run_id, *this, alert.last_seen_at))
    return bool(found)


def _evaluated(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> Iterator[float]:
    for summary in instance.event_log_storage.get_asset_check_summary_records(list(keys)).values():
        record = summary.last_completed_check_execution_record
        if record and record.event:
            yield record.event.timestamp


def _name(step: str | None) -> str:
    """kaiten__cards -> kaiten/cards: how Dagster names the step of an asset."""
    return (step or "").replace("__", "/")


def _class(error: SerializableErrorInfo | None) -> str:
    while error and error.cause:
        error = error.cause
    return (error.cls_name if error else None) or "Exception"
