"""Dagster forgets old runs and events, in both of its storages, and still knows the latest of everything."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunsTable

from sync_assets.orchestration.run_retention import retain
from sync_assets.settings import sync_settings
from sync_assets.upkeep.clean_up import Tidied
from sync_assets_tests.orchestration.queueing import Queueing

DAY = 86_400.0


@dg.asset
def often() -> None: ...


@dg.asset
def once() -> None: ...


@dg.asset_check(asset=often)
def often_is_fine() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=once)
def once_is_fine() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


SETS = dg.Definitions(
    assets=[often, once],
    asset_checks=[often_is_fine, once_is_fine],
    jobs=[
        dg.define_asset_job("much", selection=["often"]),
        dg.define_asset_job("little", selection=["once"]),
    ],
    executor=dg.in_process_executor,
)


@pytest.fixture
def postgres(queueing: Queueing) -> dg.DagsterInstance:
    """The product's own Dagster."""
    return queueing.instance


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The one that it has without a DATABASE_URL; each run costs it a database, which takes its time."""
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as found:
        yield found


@pytest.fixture(params=["postgres", "sqlite"])
def instance(request: pytest.FixtureRequest) -> dg.DagsterInstance:
    found: dg.DagsterInstance = request.getfixturevalue(request.param)
    return found


def ran(instance: dg.DagsterInstance, job: str, days: float) -> str:
    """A run of so many days ago that materialized the job's asset and checked it."""
    done = SETS.resolve_job_def(job).execute_in_process(instance=instance)
    assert done.success
    return aged(instance, done.run_id, days)


def failed(instance: dg.DagsterInstance, job: str, days: float) -> str:
    """One that never got there."""
    run = instance.create_run_for_job(SETS.resolve_job_def(job))
    instance.report_run_failed(run)
    return aged(instance, run.run_id, days)


def aged(instance: dg.DagsterInstance, run_id: str, days: float) -> str:
    moment = time.time() - days * DAY
    told = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    runs: dict[str, Any] = {
        "start_time": moment,
        "end_time": moment,
        "create_timestamp": told,
        "update_timestamp": told,
    }
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(RunsTable.update().where(RunsTable.c.run_id == run_id).values(**runs))
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        for table, column in ((SqlEventLogStorageTable, "timestamp"), (AssetCheckExecutionsTable, "create_timestamp")):
            connection.execute(table.update().where(table.c.run_id == run_id).values(**{column: told}))
    folder = logs(instance) / run_id
    (folder / "compute_logs").mkdir(parents=True, exist_ok=True)
    os.utime(folder, (moment, moment))
    return run_id


def logs(instance: dg.DagsterInstance) -> Path:
    return Path(getattr(instance.compute_log_manager, "_base_dir", Path(instance.root_directory) / "no_logs"))


def retained(instance: dg.DagsterInstance, *, apply: bool, **settings: Any) -> Mapping[str, Tidied]:
    chosen = sync_settings({}).model_copy(update={"sync_dagster_runs": 2, **settings})
    return {t.what: t for t in retain(instance, chosen, apply=apply)}


def known(instance: dg.DagsterInstance) -> Any:
    """All that Dagster remembers."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        events = connection.execute(
            db.select(SqlEventLogStorageTable.c.id, SqlEventLogStorageTable.c.run_id)
        ).fetchall()
        checks = connection.execute(db.select(AssetCheckExecutionsTable.c.id)).fetchall()
    return {r.run_id for r in instance.get_runs()}, sorted(events), sorted(checks)


def latest(instance: dg.DagsterInstance, asset: str) -> str:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    (record,) = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
    assert record.run_id == event.run_id, "the asset's page and its list of events agree"
    return event.run_id


def test_old_runs_go_with_their_events_and_the_latest_of_everything_stays(postgres: dg.DagsterInstance) -> None:
    instance = postgres
    waiting = instance.create_run_for_job(SETS.resolve_job_def("much")).run_id
    aged(instance, waiting, 99)
    latest_of_little = ran(instance, "little", 80)
    # Neither young nor one of the last two, but the latest that materialized its asset.
    last_of_little = {failed(instance, "little", days) for days in (70, 60)}
    aged_out = {ran(instance, "much", 50), failed(instance, "much", 49)}
    last_of_much = {failed(instance, "much", 40), ran(instance, "much", 39)}
    young = {failed(instance, "much", days) for days in (29, 1)}
    before = known(instance)
    dry = retained(instance, apply=False)["runs"]
    assert known(instance) == before, "a dry run changes nothing"
    (latest_of_much,) = {run for run in last_of_much if run == latest(instance, "often")}
    gone = aged_out | last_of_much - {latest_of_much}
    assert (dry.gone, dry.before, dry.after) == (len(gone), len(before[0]), len(before[0]))
    assert dry.oldest is not None and (datetime.now(UTC) - dry.oldest).days == 50

    assert retained(instance, apply=True)["runs"].gone == len(gone)
    left, events, checks = known(instance)
    assert left == {latest_of_little, latest_of_much, waiting, *last_of_little, *young}
    assert not {run_id for _, run_id in events} & gone and not any(instance.all_logs(run_id) for run_id in gone)
    assert latest(instance, "once") == latest_of_little and latest(instance, "often") == latest_of_much
    for asset in ("once", "often"):
        key = dg.AssetCheckKey(dg.AssetKey(asset), f"{asset}_is_fine")
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        passed = [check.run_id for check in history if check.status == AssetCheckExecutionRecordStatus.SUCCEEDED]
        assert passed == [latest(instance, asset)] and len(history) > 1
        assert not {check.run_id for check in history} & gone
    assert len(checks) < len(before[2])
    assert {t.gone for t in retained(instance, apply=True).values()} == {0}


def test_in_files_too_a_run_goes_with_its_events_its_file_and_what_it_printed(sqlite: dg.DagsterInstance) -> None:
    storage = sqlite.event_log_storage
    assert isinstance(storage, SqliteEventLogStorage)
    latest_of_much, gone, last = ran(sqlite, "much", 90), failed(sqlite, "much", 80), failed(sqlite, "much", 70)
    assert Path(storage.path_for_shard(gone)).exists() and (logs(sqlite) / gone).exists()
    before = known(sqlite)
    assert retained(sqlite, apply=False, sync_dagster_runs=1)["runs"].gone == 1 and known(sqlite) == before
    assert retained(sqlite, apply=True, sync_dagster_runs=1)["runs"].gone == 1
    assert known(sqlite)[0] == {latest_of_much, last} and latest(sqlite, "often") == latest_of_much
    assert not Path(storage.path_for_shard(gone)).exists() and not (logs(sqlite) / gone).exists()
    assert sqlite.all_logs(gone) == [] and sqlite.all_logs(last) != []
    assert (logs(sqlite) / last).exists()


def test_what_steps_printed_in_runs_that_are_no_more_goes(sqlite: dg.DagsterInstance) -> None:
    kept = sqlite.create_run_for_job(SETS.resolve_job_def("little")).run_id
    aged(sqlite, kept, 90)
    for name, days in (("old", 31), ("young", 29)):
        (logs(sqlite) / name).mkdir()
        os.utime(logs(sqlite) / name, (time.time() - days * DAY,) * 2)
    assert retained(sqlite, apply=False)["folders"].gone == 1 and (logs(sqlite) / "old").exists()
    assert retained(sqlite, apply=True)["folders"].gone == 1
    names = {path.name for path in logs(sqlite).iterdir()}
    assert names >= {"young", kept} and "old" not in names


def test_what_sensors_did_without_a_run_goes_but_for_the_last(instance: dg.DagsterInstance) -> None:
    for days in (30, 20, 10, 9):
        instance.report_runless_asset_event(dg.AssetMaterialization("often", metadata={"days": days}, tags={"a": "b"}))
        instance.report_runless_asset_event(dg.AssetMaterialization("once", metadata={"days": days}))
        break_at = datetime.fromtimestamp(time.time() - days * DAY, UTC).replace(tzinfo=None)
        aged_newest(instance, 2, break_at)
    instance.report_runless_asset_event(dg.AssetMaterialization("often", metadata={"days": 0}))
    before = known(instance)
    assert retained(instance, apply=False)["events"].gone == 7 and known(instance) == before
    done = retained(instance, apply=True)["events"]
    assert (done.gone, done.before, done.after) == (7, 9, 2)
    days = {
        asset: [m.asset_materialization.metadata["days"].value for m in materializations(instance, asset)]
        for asset in ("often", "once")
    }
    assert days == {"often": [0], "once": [9]}
    assert retained(instance, apply=True)["events"].gone == 0
    assert retained(instance, apply=True, sync_dagster_event_days=100)["events"].before == 2


def materializations(instance: dg.DagsterInstance, asset: str) -> Any:
    return instance.fetch_materializations(dg.AssetKey(asset), limit=100).records


def aged_newest(instance: dg.DagsterInstance, count: int, moment: datetime) -> None:
    c = SqlEventLogStorageTable.c
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        newest = connection.scalars(db.select(c.id).order_by(c.id.desc()).limit(count)).all()
        connection.execute(SqlEventLogStorageTable.update().where(c.id.in_(newest)).values(timestamp=moment))


def test_a_storage_of_another_version_is_left_alone_and_says_so(postgres: dg.DagsterInstance) -> None:
    for days in (90, 80):
        failed(postgres, "much", days)
    with postgres.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(db.text("update alembic_version set version_num = 'f495c27d5019'"))
    before = known(postgres)
    done = retained(postgres, apply=True, sync_dagster_runs=1)
    assert "unknown schema f495c27d5019" in done["runs"].note and {t.gone for t in done.values()} == {0}
    assert known(postgres) == before
