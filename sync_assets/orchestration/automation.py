"""Rules and sequences in Dagster: a sensor that listens within its tick, a job that works off what is due, and a check.

The sensor takes up a change within the second; a run per change would be four seconds late. What actions want of a
source goes by the outbox, so nothing here waits for one.
"""

from collections.abc import Sequence

import dagster as dg

from sync_assets.account import Account
from sync_assets.automation.reactions import Reacted, Reactions, book
from sync_assets.errors import SyncError
from sync_assets.orchestration.assets import OWNERS
from sync_assets.orchestration.io_manager import failure
from sync_assets.orchestration.jobs import Job
from sync_assets.orchestration.report import REPORT
from sync_assets.orchestration.ticks import TICK_SECONDS
from sync_assets.settings import SyncSettings, sync_settings

KEY = dg.AssetKey(["sync", "automation"])
RARELY = 30
"""Seconds between two looks at a folder in which there are neither rules nor sequences."""

kept: list[Reactions] = []
"""From tick to tick: its connections, and the files as they were read."""


def automation_assets(accounts: Sequence[Account]) -> list[dg.AssetsDefinition]:
    if not accounts:
        return []

    @dg.asset(
        key=KEY,
        group_name="automation",
        kinds={"postgres"},
        owners=OWNERS,
        description="Rules and sequences: takes up what happened to records, and does the steps whose time has come.",
        metadata={"dagster/table_name": "sync.rule_runs"},
    )
    def automation(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        try:
            reactions = Reactions(accounts, sync_settings())
            try:
                done = reactions.react(run_id=context.run.run_id, seconds=600.0)
            finally:
                reactions.close()
        except SyncError as e:
            raise failure(e) from None
        print(f"  {KEY.to_user_string():<30}{done}", flush=True)
        if done.problems:
            raise dg.Failure(description="; ".join(done.problems), allow_retries=False)
        return dg.MaterializeResult(metadata=_metadata(done))

    return [automation]


def automation_jobs(accounts: Sequence[Account]) -> list[Job]:
    if not accounts:
        return []
    selection = dg.AssetSelection.assets(KEY, REPORT)
    doc = "Works off whatever is due by rules and sequences; the sensor does it as it comes."
    return [dg.define_asset_job("automation_due", selection=selection, description=doc)]


def automation_sensors(accounts: Sequence[Account], settings: SyncSettings) -> list[dg.SensorDefinition]:
    if not accounts:
        return []

    @dg.sensor(
        name="automation",
        minimum_interval_seconds=1 if book(settings) else RARELY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Holds rules against what happened to records, and does what is due of sequences, within a second.",
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            if not kept:
                kept.append(Reactions(accounts, sync_settings()))
            done = kept[0].watch(TICK_SECONDS)
        except SyncError as e:
            return dg.SensorResult(skip_reason=str(e))
        events = [dg.AssetMaterialization(KEY, metadata=_metadata(done))] if done.any else []
        return dg.SensorResult(asset_events=events, skip_reason=str(done))

    return [sensor]


def _metadata(done: Reacted) -> dict[str, int]:
    runs = {f"rules_{state}": done.rules.states[state] for state in ("matched", "done", "partial", "failed", "skipped")}
    return {"changes": done.rules.changes, **runs, "steps": done.sequences.counts["done"]}
