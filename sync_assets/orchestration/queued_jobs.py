"""Jobs that are asked for by name, of which one per account runs at a time, however it was launched.

The executor is the gate: it alone sees every launch (queue, UI, schedule, `dagster job execute`) before the first step
and after the last one, and it can end a run without failing it. Inside, steps run as everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import dagster as dg
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan

from sync_assets.account import Account
from sync_assets.entity import QueuedJob
from sync_assets.errors import MissingSetting, SyncError
from sync_assets.load import jobs
from sync_assets.load.database import Database
from sync_assets.load.heartbeat import beating
from sync_assets.orchestration.io_manager import failure
from sync_assets.orchestration.jobs import Job
from sync_assets.orchestration.queue import AGAIN, requester, settle
from sync_assets.orchestration.report import REPORT
from sync_assets.orchestration.workers import InProcess
from sync_assets.settings import sync_settings

ACTIVE_JOB_ID = "active_job_id"
ACTIVE_JOB_TAG = f"sync_assets/{ACTIVE_JOB_ID}"


def queued_jobs(accounts: Sequence[Account]) -> list[Job]:
    return [_job(account, job) for account in accounts for job in account.system.jobs]


def _job(account: Account, job: QueuedJob) -> Job:
    keys = [dg.AssetKey([account.name, entity]) for entity in job.parts.values()]

    @dg.executor(name="one_at_a_time")
    def one_at_a_time(_context: dg.InitExecutorContext) -> OneAtATime:
        return OneAtATime(account, job)

    return dg.define_asset_job(
        account.job_name(job),
        selection=dg.AssetSelection.assets(*keys, REPORT),
        description=f"{job.doc} One at a time: a run that starts while another one is queued or running ends at once"
        f" and names it. `sync-assets {job.name.replace('_', '-')}` queues it; `sync.jobs` says what came of it.",
        config={"resources": {"sync": {"config": {"mode": "full"}}}},
        tags={"sync_assets/mode": "full"},
        executor_def=one_at_a_time,
    )


class OneAtATime(InProcess):
    """Runs the steps where no other run of this job is active, and keeps the job's row in `sync.jobs`."""

    def __init__(self, account: Account, job: QueuedJob) -> None:
        super().__init__()
        self._account, self._job = account, job

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Raises dagster.Failure where the job cannot be written down: what nobody can see does not run."""
        with _database() as database:
            try:
                other = self._start(plan_context, database)
            except SyncError as e:
                raise failure(e) from None
            if other is None:
                yield from self._recorded(plan_context, execution_plan, database)
                return
        said = f"{plan_context.job_name} was asked for already, as {other}: nothing was done"
        print(f"  {said}", flush=True)
        plan_context.instance.add_run_tags(plan_context.run_id, {ACTIVE_JOB_TAG: other})
        data = EngineEventData({ACTIVE_JOB_ID: dg.MetadataValue.dagster_run(other)})
        yield DagsterEvent.engine_event(plan_context, said, data)

    def _start(self, plan_context: PlanOrchestrationContext, database: Database) -> str | None:
        run, instance = plan_context.dagster_run, plan_context.instance
        settle(database, instance)
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None  # noqa: S101  it is being executed
        asked = jobs.Asked(self._account.name, self._account.job_name(self._job), run.run_id, requester(dict(run.tags)))
        lease = sync_settings().sync_lease_seconds
        return jobs.start(database, asked, requested_at=record.create_timestamp, lease_seconds=lease)

    def _recorded(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan, database: Database
    ) -> Iterator[DagsterEvent]:
        run_id = plan_context.run_id
        said: list[str] = []
        try:
            lease = sync_settings().sync_lease_seconds
            with beating(partial(jobs.renew, database, run_id, lease_seconds=lease), lease, "job lease"):
                for event in super().execute(plan_context, execution_plan):
                    if event.is_step_failure:
                        said.append(_words(event))
                    yield event
        except BaseException as e:
            # Is Postgres out of reach, the next one who looks finds the lease lapsed and asks Dagster.
            with suppress(SyncError):
                self._end(plan_context, database, f"stopped while it ran ({type(e).__name__}). {AGAIN}")
            raise
        try:
            self._end(plan_context, database, "; ".join(said))
        except SyncError as e:
            raise failure(e) from None

    def _end(self, plan_context: PlanOrchestrationContext, database: Database, error: str) -> None:
        run_id = plan_context.run_id
        run = plan_context.instance.get_run_by_id(run_id)
        if not error:
            jobs.end(database, run_id, "succeeded", parts=self._job.parts)
        elif run is not None and run.status == dg.DagsterRunStatus.CANCELING:
            jobs.end(database, run_id, "canceled", error=f"canceled in Dagster while it ran. {AGAIN}")
        else:
            jobs.end(database, run_id, "failed", error=error)


@contextmanager
def _database() -> Iterator[Database]:
    settings = sync_settings()
    if settings.database_url is None:
        raise failure(MissingSetting("DATABASE_URL is not set", next_step="set it, or use make up"))
    url = settings.database_url.get_secret_value()
    database = Database(url, wait=settings.sync_database_wait_seconds, name="sync_assets job")
    try:
        yield database
    finally:
        database.close()


def _words(event: DagsterEvent) -> str:
    """What a failed step said where it was one of our errors, else its kind: others may quote a record or a secret."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    kind = (data.error.cause or data.error).cls_name if data.error else None
    return f"{event.step_key} failed ({kind}). Next: see Dagster's log of this run."
