"""Our event log stores what Dagster's own stores, and outlives a restart of Postgres."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster._core.instance import InstanceRef, InstanceType
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage

from sync_assets.orchestration.event_log import EventLog
from sync_assets.orchestration.storage import PostgresStorage, dagster_url
from sync_assets.postgres import EmbeddedPostgres

EVENTS = "select dagster_event_type, step_key, asset_key, partition from dagster.event_logs order by id"
CHECKS = """
select c.asset_key, check_name, execution_status, partition, e.dagster_event_type, m.dagster_event_type
  from dagster.asset_check_executions c join dagster.event_logs e on e.id = c.evaluation_event_storage_id
  left join dagster.event_logs m on m.id = c.materialization_event_storage_id order by 1, 2
"""
ASSETS = """
select asset_key, last_materialization is not null, last_materialization_timestamp is not null, last_run_id is not null
  from dagster.asset_keys order by 1
"""
TAGS = "select asset_key, key, value from dagster.asset_event_tags order by 1, 2"


@dg.asset
def first() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 1}, tags={"sync": "full"})


@dg.asset(deps=[first], partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def parts() -> None:
    """Of which one is asked for."""


@dg.asset(deps=[first])
def broken() -> None:
    raise dg.Failure("as it must")


@dg.asset_check(asset=first)
def passes() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=first)
def fails() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@pytest.fixture
def instance_of(tmp_path: Path, make_database: Callable[..., str]) -> Iterator[Callable[..., dg.DagsterInstance]]:
    """instance_of(storage, url) -> a Dagster instance with this storage."""
    with ExitStack() as ends:

        def make(storage: Any, url: str) -> dg.DagsterInstance:
            with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
                cursor.execute("create schema if not exists dagster")
            held = storage(dagster_url(url))
            folder = str(tmp_path)
            return ends.enter_context(
                dg.DagsterInstance(
                    InstanceType.EPHEMERAL, LocalArtifactStorage(folder), held.run_storage, held.event_log_storage,
                    DefaultRunCoordinator(), NoOpComputeLogManager(), DefaultRunLauncher(), held.schedule_storage,
                    ref=InstanceRef.from_dir(folder),
                )
            )  # fmt: skip

        yield make


def run(instance: dg.DagsterInstance) -> None:
    definitions = dg.Definitions([first, broken], asset_checks=[passes, fails])
    job = definitions.resolve_implicit_global_asset_job_def()
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    job = dg.Definitions([first, parts]).resolve_implicit_job_def_def_for_assets([parts.key])
    assert job is not None and job.execute_in_process(instance=instance, partition_key="b").success


def stored(url: str) -> list[list[Any]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        found = []
        for query in (EVENTS, CHECKS, ASSETS, TAGS):
            cursor.execute(query)
            found.append(cursor.fetchall())
        return found


def test_what_is_stored_is_what_dagster_stores(
    instance_of: Callable[..., dg.DagsterInstance], make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    theirs = make_database()
    run(instance_of(DagsterPostgresStorage, theirs))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    ours = make_database()
    instance = instance_of(PostgresStorage, ours)
    assert isinstance(instance.event_log_storage, EventLog)
    run(instance)
    events, checks, *_ = found = stored(ours)
    assert found == stored(theirs)
    assert [status for _, _, status, *_ in checks] == ["FAILED", "SUCCEEDED"] and len(events) > 20


def test_what_is_planned_is_one_statement(
    instance_of: Callable[..., dg.DagsterInstance], make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = instance_of(PostgresStorage, make_database())
    monkeypatch.setattr(PostgresEventLogStorage, "store_event_batch", lambda *_: pytest.fail("one after another"))
    job = dg.Definitions([first], asset_checks=[passes, fails]).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance).success


def test_d3_an_event_after_a_restart_of_postgres_is_stored(
    instance_of: Callable[..., dg.DagsterInstance],
    own_cluster: EmbeddedPostgres,
    own_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sync_assets.orchestration.event_log.UNSURE_SECONDS", 0.0)
    instance = instance_of(PostgresStorage, own_database)
    before = len(stored(own_database)[0])
    instance.report_engine_event("before", run_id="1", job_name="x")
    own_cluster.stop()
    own_cluster.start()
    instance.report_engine_event("after", run_id="1", job_name="x")
    assert len(stored(own_database)[0]) == before + 2
