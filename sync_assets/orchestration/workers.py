"""The processes that carry runs out, and how their death is noticed although they cannot tell of it.

Dagster's own launcher leaves that to the code server that started a worker; of a worker that died together with it (a
machine that went down, a container that was replaced) nobody ever hears, and its run fills the queue for good. So a
worker writes on its run who it is, and this launcher, which run monitoring asks, looks whether that process and the
leases of its syncs are alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import dagster as dg
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

from sync_assets.errors import SyncError
from sync_assets.load.database import Database
from sync_assets.load.holder import holder_is_dead, this_process
from sync_assets.load.lost import close_all_lost, lapsed_syncs
from sync_assets.settings import sync_settings

WORKER_TAG = "sync_assets/worker"


class InProcess(InProcessExecutor):
    """Dagster's in-process executor, whose process leaves its name on the run."""

    def __init__(self) -> None:
        super().__init__(retries=RetryMode.ENABLED)

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        plan_context.instance.add_run_tags(plan_context.run_id, {WORKER_TAG: this_process(None)})
        yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process")
def in_process(_context: dg.InitExecutorContext) -> InProcess:
    return InProcess()


class WatchingRunLauncher(DefaultRunLauncher):
    """Named in dagster.yaml."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """FAILED where the worker's process of this machine is no more, or where a sync of the run is under way whose
        lease has lapsed; anything else counts as alive: a run is not ended on a guess."""
        worker = run.tags.get(WORKER_TAG)
        if holder_is_dead(worker):
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{worker} is no more")
        url = sync_settings().database_url
        if url is not None:
            try:
                with closing(Database(url.get_secret_value(), wait=5.0, name="sync_assets monitoring")) as database:
                    lapsed = lapsed_syncs(database, run.run_id)
            except SyncError:
                lapsed = []
            if lapsed:
                return CheckRunHealthResult(WorkerStatus.FAILED, f"{worker} lets the lease of {lapsed[0]} lapse")
        return CheckRunHealthResult(WorkerStatus.RUNNING, worker)


@dg.sensor(
    name="syncs_that_died",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Closes the rows of sync.logs whose process ended without a word, as lost.",
)
def lost_sensor() -> dg.SkipReason:
    url = sync_settings().database_url
    if url is None:
        return dg.SkipReason("DATABASE_URL is not set")
    try:
        with closing(Database(url.get_secret_value(), wait=5.0, name="sync_assets lost")) as database:
            return dg.SkipReason(f"{close_all_lost(database)} syncs had ended without a word")
    except SyncError as e:
        return dg.SkipReason(str(e))
