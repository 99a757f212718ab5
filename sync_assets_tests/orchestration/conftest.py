"""The product's definitions over one company, run in process; the canary reads Dagster's event log afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._serdes import serialize_value

from sync_assets.definitions import build_definitions
from sync_assets.local import PROJECT
from sync_assets.orchestration.kept_connections import engine
from sync_assets.orchestration.queue import dagster_instance
from sync_assets.orchestration.report import REPORT, evaluated_checks
from sync_assets.orchestration.storage import dagster_url
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.report.runs import CheckRow
from sync_assets_tests.asking import let_go
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import KAITEN, KOMMO, WORKSECTION, Company, only
from sync_assets_tests.orchestration.queueing import Queueing

NO_LOGS = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
QUIET = {"python_logs": {"python_log_level": "INFO"}}


@dataclass
class Run:
    """What became of one run, in the words of the tests."""

    result: dg.ExecuteInProcessResult
    instance: dg.DagsterInstance

    @property
    def green(self) -> bool:
        return self.result.success

    def steps(self, kind: dg.DagsterEventType) -> list[str]:
        return [str(e.step_key) for e in self.result.all_events if e.event_type == kind]

    @property
    def failures(self) -> dict[str, str]:
        """What each failed step said."""
        found = {}
        for event in self.result.filter_events(lambda e: e.event_type == dg.DagsterEventType.STEP_FAILURE):
            data = event.step_failure_data
            told = data.user_failure_data.description if data.user_failure_data else None
            found[str(event.step_key)] = told or str(data.error)
        return found

    @property
    def last_step(self) -> str:
        return self.steps(dg.DagsterEventType.STEP_START)[-1]

    @property
    def synced(self) -> set[str]:
        return {m.asset_key.to_user_string() for m in self._materializations()}

    def metadata(self, asset: str) -> dict[str, Any]:
        found = [m for m in self._materializations() if m.asset_key.to_user_string() == asset]
        return {name: value.value for name, value in found[-1].metadata.items()}

    @property
    def checks(self) -> list[CheckRow]:
        return evaluated_checks(self.instance, self.result.run_id)

    def red(self) -> dict[str, str]:
        """The checks that did not pass: asset and name -> severity."""
        return {f"{c.asset} {c.name}": c.severity for c in self.checks if not c.passed}

    def _materializations(self) -> list[dg.AssetMaterialization]:
        events = self.result.get_asset_materialization_events()
        return [e.materialization for e in events if e.materialization.asset_key != REPORT]


@dataclass
class Installation:
    company: Company
    instance: dg.DagsterInstance

    @cached_property
    def definitions(self) -> dg.Definitions:
        """As a code server holds them: built once, for as many runs as there are."""
        return build_definitions(self.company.env)

    def run(self, job: str = "kaiten_full_sync", assets: Sequence[str] = (), **sync: Any) -> Run:
        """Runs a job; `assets` as selected in the UI, `sync` as written into its Launchpad."""
        config = {"resources": {"sync": {"config": sync}}} if sync else None
        selection = [dg.AssetKey.from_user_string(a) for a in assets] or None
        result = self.definitions.resolve_job_def(job).execute_in_process(
            run_config=config, instance=self.instance, asset_selection=selection, raise_on_error=False
        )
        return Run(result, self.instance)


@pytest.fixture
def make_installation(
    make_company: Callable[..., Company],
    with_dagster: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
    canary: Canary,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Installation]]:
    """make_installation(**like make_company): the environment of this process becomes the company's.

    Dagster's storage is the product's own, in the company's database; in memory where `database_url` names another one.
    """
    with ExitStack() as ends:

        def make(*arguments: Any, database_url: str | None = None, **env: Any) -> Installation:
            url = database_url or with_dagster()
            company = make_company(*arguments, database_url=url, **env)
            monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
            for name, value in company.env.items():
                monkeypatch.setenv(name, value)
            if database_url:
                instance = ends.enter_context(dg.DagsterInstance.ephemeral(settings=QUIET))
                ends.callback(_listen, canary, instance)
            else:
                folder = tmp_path_factory.mktemp("dagster")
                _configure(folder)
                home(monkeypatch, folder, url)
                instance = ends.enter_context(dagster_instance())
            return Installation(company, instance)

        yield make


@pytest.fixture
def installation(make_installation: Callable[..., Installation]) -> Installation:
    return make_installation()


_numbers = count(1)


@pytest.fixture(scope="session")
def dagster_template(cluster: EmbeddedPostgres, template: str) -> str:
    """The name of a migrated database with Dagster's own tables too: making them takes two seconds."""
    url = cluster.create_database("with_dagster", template)
    with pytest.MonkeyPatch.context() as patch:
        home(patch, PROJECT, url)
        with dagster_instance() as instance:
            instance.get_runs()
    engine(dagster_url(url)).dispose()
    return "with_dagster"


@pytest.fixture
def with_dagster(cluster: EmbeddedPostgres, dagster_template: str, canary: Canary) -> Iterator[Callable[[], str]]:
    """with_dagster() -> the URL of a new database, migrated, with Dagster's own tables."""
    with ExitStack() as ends:

        def make() -> str:
            name = f"with_dagster_{next(_numbers)}"
            url = cluster.create_database(name, dagster_template)
            ends.callback(cluster.drop_database, name)
            ends.callback(let_go, url)
            ends.callback(canary.check_database, url)
            return url

        yield make


@pytest.fixture
def make_queueing(
    with_dagster: Callable[[], str],
    make_company: Callable[..., Company],
    canary: Canary,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Queueing]]:
    """make_queueing(**env) -> a company whose jobs are queued in a Dagster of its own."""
    with ExitStack() as ends:

        def make(**env: str | None) -> Queueing:
            url = with_dagster()
            company = make_company(database_url=url, **env)
            _configure(tmp_path)
            monkeypatch.chdir(tmp_path)
            home(monkeypatch, tmp_path, url)
            for variable, value in company.env.items():
                monkeypatch.setenv(variable, value)
            queueing = Queueing(company, ends.enter_context(dagster_instance()), canary)
            monkeypatch.setattr("sync_assets.definitions.defs", queueing.definitions)
            return queueing

        yield make


@pytest.fixture
def queueing(make_queueing: Callable[..., Queueing]) -> Queueing:
    return make_queueing(**only(KAITEN, WORKSECTION, KOMMO))


def home(patch: pytest.MonkeyPatch, folder: Path, database_url: str) -> None:
    """Dagster instances made within this process lie in this database, and their files in this folder."""
    patch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
    patch.setenv("DAGSTER_HOME", str(folder))
    patch.setenv("DATABASE_URL", database_url)


def _configure(folder: Path) -> None:
    """As users have it, but that no two processes of their own copy what a step prints, half of a run's time."""
    config = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8")) | {"compute_logs": NO_LOGS}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _listen(canary: Canary, instance: dg.DagsterInstance) -> None:
    for run in instance.get_runs():
        canary.check("Dagster's run", serialize_value(run))
        for entry in instance.all_logs(run.run_id):
            canary.check("Dagster's event log", serialize_value(entry))
