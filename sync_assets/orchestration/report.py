"""The last step of every job: reports on the run and turns it red where an ERROR check failed.

Dagster ends a run green when a check that blocks nothing fails. This asset depends on nothing, so that no failure skips
it, and has the lowest priority, so that it runs when all else has ended. A red run has its report too, as a
materialization before the failure that makes the run red: Dagster drops what is only logged before one.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from sync_assets import shown
from sync_assets.account import connected_accounts
from sync_assets.errors import SyncError
from sync_assets.load.database import Database
from sync_assets.report import markdown
from sync_assets.report.report import Report, report_of
from sync_assets.report.runs import CheckRow, FailedStep, Run, noted
from sync_assets.report.told import performance_of, summary_of
from sync_assets.settings import sync_settings
from sync_assets.systems import SYSTEMS
from sync_assets.tables import advice, check_table, console, run_table

REPORT = dg.AssetKey(["sync", "report"])


@dg.asset(
    key=REPORT,
    group_name="sync",
    kinds={"postgres"},
    owners=["team:data"],
    description="What a run did, entity by entity, beside the runs before it, and what would help; red where an ERROR"
    " check failed.",
    op_tags={"dagster/priority": "-1000"},
)
def report(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization | dg.MaterializeResult[None]]:
    run_id = context.run.run_id
    checks = evaluated_checks(context.instance, run_id)
    red = [check for check in checks if check.is_red]
    metadata: dict[str, Any] = {"checks": len(checks)}
    try:
        if found := _reported(_run(context, checks)):
            _show(found)
            metadata |= _metadata(found)
    except SyncError as e:
        context.log.error(str(e))
    if red:
        yield dg.AssetMaterialization(REPORT, metadata=metadata)
        raise dg.Failure(
            description=f"{len(red)} checks failed: "
            + "; ".join(f"{c.asset} {c.name}: {shown.linkless(c.says)}" for c in red),
            allow_retries=False,
        )
    yield dg.MaterializeResult(metadata=metadata)


def evaluated_checks(instance: dg.DagsterInstance, run_id: str) -> list[CheckRow]:
    found = (
        event.asset_check_evaluation_data
        for event in _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    )
    return [
        CheckRow("/".join(e.asset_key.path), e.check_name, e.passed, e.severity.value, shown.said(e.description or ""))
        for e in found
    ]


def _reported(run: Run) -> Report | None:
    """The report, after what only this step knows is written down for those who ask later. None without a database."""
    settings = sync_settings()
    if settings.database_url is None:
        return None
    accounts, _ = connected_accounts(SYSTEMS)
    database = Database(settings.database_url.get_secret_value(), name="sync_assets report")
    try:
        return report_of(database, run.run_id, accounts, settings, run=noted(database, run))
    finally:
        database.close()


def _run(context: dg.AssetExecutionContext, checks: Sequence[CheckRow]) -> Run:
    record = context.instance.get_run_record_by_id(context.run.run_id)
    now = datetime.now(UTC)
    begun = record.start_time if record else None
    failed = _failed(context.instance, context.run.run_id)
    return Run(
        run_id=context.run.run_id,
        job=context.job_name,
        started_at=datetime.fromtimestamp(begun, UTC) if begun else now,
        ended_at=now,
        checks=len(checks),
        failed_checks=[check for check in checks if not check.passed],
        failed_steps=failed,
        skipped=_skipped(context.instance, context.run.run_id, failed),
    )


def _failed(instance: dg.DagsterInstance, run_id: str) -> list[FailedStep]:
    """Their errors need not have come as far as the ledger: a token that is refused is noticed before it is opened."""
    found = []
    for event in _events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
        data = event.step_failure_data.user_failure_data
        # An exception that is not ours may quote anything: its place is Dagster's log.
        says, _, next_step = shown.said(data.description or "" if data else "").partition(" Next: ")
        asset = (event.step_key or "").replace("__", "/", 1)
        found.append(
            FailedStep(asset, says.rstrip(".") or "it failed", next_step.rstrip(".") or "see the log of this run")
        )
    return found


def _skipped(instance: dg.DagsterInstance, run_id: str, failed: Sequence[FailedStep]) -> list[str]:
    """The assets that were planned and not begun; Dagster has no event for a step that waits for one that failed."""
    kinds = dg.DagsterEventType
    begun = {event.step_key for event in _events(instance, run_id, kinds.STEP_START)} if failed else set()
    planned = _events(instance, run_id, kinds.ASSET_MATERIALIZATION_PLANNED) if failed else []
    assets = ("/".join(event.asset_key.path) for event in planned if event.asset_key)
    return [asset for asset in dict.fromkeys(assets) if asset.replace("/", "__") not in begun]


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    records = instance.get_records_for_run(run_id, of_type=kind).records
    events = (record.event_log_entry.dagster_event for record in records)
    return [event for event in events if event is not None]


def _show(found: Report) -> None:
    terminal = console()
    if found.syncs:
        terminal.print(run_table(f"{found.job}, run {found.run_id[:8]}", found.syncs))
    terminal.print(check_table(found.failed_checks, found.checks))
    for line in advice(found):
        terminal.print(line)


def _metadata(found: Report) -> dict[str, Any]:
    """Numbers under names that stay, which Dagster plots from run to run; text in which nothing is markup but ours."""
    performance = performance_of(found)
    texts = {
        "entities": markdown.entities(found) if found.syncs else "",
        "seconds_by_entity": markdown.picture(found),
        "what_to_do": markdown.what_to_do(found),
    }
    return {
        **summary_of(found),
        "warnings": sum(issue.severity == "warning" for issue in found.issues),
        "recommendations": len(found.recommendations),
        "duration": round(found.duration, 3),
        "operations_per_second": performance["operations_per_second"] or 0.0,
        "requests": performance["requests"],
        "throttled_seconds": performance["throttled_seconds"],
        **{name: dg.MetadataValue.md(text) for name, text in texts.items() if text},
    }
