"""Dagster's run queue for jobs that are asked for by name: put in once, found again, and ended where they died.

Whether a job is active is the word of `sync.jobs`; Dagster is asked about those alone that cannot speak for
themselves: what waits in its queue, and what has lost its process. The run is created in the transaction that claims
the job, so neither is ever there for long without the other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import DEFAULT_DAGSTER_ENTRY_POINT, RepositoryPythonOrigin
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from sqlalchemy.exc import SQLAlchemyError

from sync_assets.account import Account
from sync_assets.entity import QueuedJob
from sync_assets.errors import DatabaseUnavailable, FixConfig, MissingSetting, SyncError
from sync_assets.load import jobs
from sync_assets.load.database import Database
from sync_assets.settings import environment, sync_settings

LOCATION = "sync_assets.definitions"
"""The code location's name, as workspace.yaml and `-m sync_assets.definitions` have it: the daemon launches by it."""

REQUESTED_BY = "sync_assets/requested_by"

START_SECONDS = 180.0
"""A run that Dagster calls started and that has not said so itself for this long never got there."""

SILENT_SECONDS = 90.0
"""A daemon tells every thirty seconds that it is there."""

AGAIN = "Next: ask for it again."


@contextmanager
def dagster_instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster of DAGSTER_HOME, whose daemon starts what is queued. Raises FixConfig where there is no queue."""
    home = environment().get("DAGSTER_HOME")
    if home is None or not Path(home).is_absolute() or not Path(home).is_dir():
        raise MissingSetting(
            "DAGSTER_HOME is not set" if home is None else "DAGSTER_HOME is no absolute path of a folder",
            next_step="set it to the folder of the dagster.yaml whose daemon is to run the job",
        )
    with dg.DagsterInstance.from_config(home) as instance:
        if not isinstance(instance.run_coordinator, QueuedRunCoordinator):
            raise FixConfig(
                "the Dagster of DAGSTER_HOME has no queue", next_step="give its dagster.yaml a QueuedRunCoordinator"
            )
        yield instance


def ask_for(
    job: QueuedJob,
    account: Account,
    *,
    requested_by: str,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    database: Database,
) -> tuple[str, bool]:
    """The id of the job that is queued or running, and whether it was queued just now."""
    settle(database, instance)
    asked = jobs.Asked(account.name, account.job_name(job), str(uuid4()), requested_by)
    definition = definitions.resolve_job_def(asked.job)

    def submit() -> None:
        try:
            _submit(instance, definition, asked)
        except SQLAlchemyError as e:
            raise DatabaseUnavailable(f"Dagster's storage refuses ({type(e).__name__})") from None

    found = jobs.enqueue(database, asked, submit)
    return found, found == asked.job_id


def settle(database: Database, instance: dg.DagsterInstance) -> int:
    """Ends the rows of jobs that ended without a word; answers how many."""
    ended = 0
    for row in jobs.active(database):
        if (verdict := _verdict(row, instance)) is not None:
            status, error = verdict
            ended += jobs.end(database, row.job_id, status, error=error, seen=row)
    return ended


def silence(instance: dg.DagsterInstance) -> str | None:
    """What to say where no daemon is there to start what is queued."""
    heard = instance.get_daemon_heartbeats().get("QUEUED_RUN_COORDINATOR")
    if heard and time.time() - heard.timestamp < SILENT_SECONDS:
        return None
    return "no Dagster daemon runs, so the job waits. Next: start one (make up, or dagster-daemon run)."


@dg.sensor(
    name="queued_jobs_that_died",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells sync.jobs of runs that were canceled in the queue, could not start or were killed.",
)
def died_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    url = sync_settings().database_url
    if url is None:
        return dg.SkipReason("DATABASE_URL is not set")
    database = Database(url.get_secret_value(), wait=5.0, name="sync_assets queue")
    try:
        return dg.SkipReason(f"{settle(database, context.instance)} jobs had ended without a word")
    except SyncError as e:
        return dg.SkipReason(str(e))
    finally:
        database.close()


def requester(tags: dict[str, str]) -> str:
    """Who asked for a run, as far as Dagster knows."""
    named = {
        REQUESTED_BY: "{}",
        "user": "{}",
        "dagster/schedule_name": "schedule {}",
        "dagster/sensor_name": "sensor {}",
        "dagster/from_ui": "Dagster's UI",
    }
    return next((words.format(tags[tag]) for tag, words in named.items() if tags.get(tag)), "Dagster")


def _submit(instance: dg.DagsterInstance, definition: dg.JobDefinition, asked: jobs.Asked) -> None:
    """Does what is left to do: the transaction around it may be done again."""
    run = instance.get_run_by_id(asked.job_id)
    if run is None:
        target = LoadableTargetOrigin(executable_path=sys.executable, module_name=LOCATION)
        remote = RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION), "__repository__")
        code = RepositoryPythonOrigin(
            sys.executable, ModuleCodePointer(LOCATION, "defs"), entry_point=DEFAULT_DAGSTER_ENTRY_POINT
        )
        run = instance.create_run_for_job(
            definition,
            run_id=asked.job_id,
            run_config=definition.run_config,
            tags={**definition.run_tags, REQUESTED_BY: asked.requested_by},
            remote_job_origin=remote.get_job_origin(definition.name),
            job_code_origin=code.get_job_origin(definition.name),
        )
    if run.status == dg.DagsterRunStatus.NOT_STARTED:
        no_workspace: Any = None  # a queue only writes the run down; the daemon has the workspace
        instance.run_coordinator.submit_run(SubmitRunContext(run, no_workspace))


def _verdict(row: jobs.Active, instance: dg.DagsterInstance) -> tuple[jobs.Ended, str] | None:
    """How a job ended that its row calls active; None where it is alive, as far as anybody can know."""
    if row.status == "running" and not row.alone:
        return None
    record = instance.get_run_record_by_id(row.job_id)
    status = record.dagster_run.status if record else None
    if status == dg.DagsterRunStatus.CANCELED:
        return "canceled", f"canceled in Dagster. {AGAIN}"
    if status == dg.DagsterRunStatus.FAILURE:
        return "failed", "it failed before it could say why. Next: see Dagster's log of this run."
    if row.alone or status == dg.DagsterRunStatus.SUCCESS:
        return "lost", f"its process ended without a word. {AGAIN}"
    if record is None:
        return "lost", f"Dagster no longer knows this run. {AGAIN}"
    started = record.start_time if status == dg.DagsterRunStatus.STARTED else None
    if started and time.time() - started > START_SECONDS:
        return "lost", f"its process ended before it began. {AGAIN}"
    return None
