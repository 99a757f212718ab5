"""A company with Dagster's queue: its real instance in Postgres, as `make up` has it, and the command at its door.

What the daemon does with a queued run is done here in this process: it starts the run's job as a worker would.
"""

from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from click.testing import Result
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from typer.testing import CliRunner

from sync_assets import cli
from sync_assets.definitions import build_definitions
from sync_assets.load.database import Database
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company

JOB = "crm_sync_pipelines"


@dataclass
class Queueing:
    company: Company
    instance: dg.DagsterInstance
    canary: Canary
    definitions: dg.Definitions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.definitions = build_definitions(self.company.env)

    def command(self, *words: str) -> Result:
        result = CliRunner().invoke(cli.app, list(words))
        self.canary.check("the output", result.output + str(result.exception))
        return result

    def ask(self, *words: str) -> str:
        """The id that the command prints."""
        result = self.command("crm-sync-pipelines", *words)
        assert result.exit_code == 0, (result.output, result.exception)
        (job_id,) = result.stdout.splitlines()
        return job_id

    def work(self, job_id: str) -> dg.JobExecutionResult:
        """What the daemon has a worker do with a queued run."""
        run = self.instance.get_run_by_id(job_id)
        assert run is not None and run.status == dg.DagsterRunStatus.QUEUED
        starting = dg.DagsterEvent(event_type_value="PIPELINE_STARTING", job_name=run.job_name)
        self.instance.report_dagster_event(starting, run_id=job_id)
        return self.begin(job_id)

    def launched(self, **tags: str) -> str:
        """A run that nobody queued (a button, a schedule, `dagster job execute`) and that has not begun."""
        definition = self.definitions.resolve_job_def(JOB)
        return self.instance.create_run_for_job(definition, run_config=definition.run_config, tags=tags).run_id

    def begin(self, run_id: str) -> dg.JobExecutionResult:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return execute_run(InMemoryJob(self.definitions.resolve_job_def(run.job_name)), run, self.instance)

    def row(self, job_id: str) -> dict[str, Any]:
        (row,) = self.company.query("select to_jsonb(j) from sync.jobs j where job_id = %s", (job_id,))
        return dict(row[0])

    def statuses(self) -> list[str]:
        return [s for (s,) in self.company.query("select status from sync.jobs order by requested_at")]

    def database(self) -> Database:
        return Database(self.company.database_url, wait=5.0)


def steps(result: dg.JobExecutionResult) -> set[str]:
    return {str(e.step_key) for e in result.all_events if e.event_type == dg.DagsterEventType.STEP_START}
