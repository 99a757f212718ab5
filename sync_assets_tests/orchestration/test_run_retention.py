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
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs.schema import RunsTable

from sync_assets.orchestration.run_retention import retain
from sync_assets.settings import sync_settings
from sync_assets.upkeep.clean_up import Tidied

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


@pytest.fixture(params=["postgres", "sqlite"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The product's own Dagster in Postgres, and the one that it has without a DATABASE_URL."""
    if request.param == "postgres":
        yield request.getfixturevalue("queueing").instance
    else:
        home = tmp_path / "home"
        home.mkdir()
        with dg.DagsterInstance.local_temp(str(home)) as found:
            yield found


def run(instance: dg.DagsterInstance, job: str, days: float) -> str:
    """A run of so many days ago, with its events."""
    done = SETS.resolve_job_def(job).execute_in_process(instance=instance)
    assert done.success
    moment = time.time() - days * DAY
    told = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(
            RunsTable.update()
            .where(RunsTable.c.run_id == done.run_id)
            .values(start_time=moment, end_time=moment, create_timestamp=told, update_timestamp=told)
        )
    aged(instance, SqlEventLogStorageTable, done.run_id, timestamp=told)
    aged(instance, AssetCheckExecutionsTable, done.run_id, create_timestamp=told)
    folder = logs(instance) / done.run_id
    (folder / "compute_logs").mkdir(parents=True, exist_ok=True)
    os.utime(folder, (moment, moment))
    return done.run_id


def aged(instance: dg.DagsterInstance, table: db.Table, run_id: str, **values: Any) -> None:
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(table.update().where(table.c.run_id == run_id).values(**values))


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


def test_old_runs_go_with_events_and_logs_and_the_latest_of_everything_stays(instance: dg.DagsterInstance) -> None:
    first, latest_of_little = (run(instance, "little", days) for days in (90, 80))
    aged_out, second_last, last = (run(instance, "much", days) for days in (50, 40, 39))
    # They materialized nothing: the asset's latest is in a run that is neither young nor one of the last two.
    failed = [instance.create_run_for_job(SETS.resolve_job_def("little")) for _ in range(2)]
    for one in failed:
        instance.report_run_failed(one)
    waiting = instance.create_run_for_job(SETS.resolve_job_def("much"))
    before = known(instance)
    dry = retained(instance, apply=False)
    assert known(instance) == before, "a dry run changes nothing"
    expected = {first, aged_out, second_last}
    assert dry["runs"].gone == len(expected) and dry["runs"].before == dry["runs"].after == len(before[0])
    assert dry["runs"].oldest is not None and (datetime.now(UTC) - dry["runs"].oldest).days == 90

    done = retained(instance, apply=True)
    assert done["runs"].gone == len(expected)
    left, events, checks = known(instance)
    assert left == {latest_of_little, last, waiting.run_id, *(f.run_id for f in failed)}
    assert not {run_id for _, run_id in events} & expected
    assert all(not instance.all_logs(run_id) for run_id in expected)
    if isinstance(instance.compute_log_manager, LocalComputeLogManager):
        assert {path.name for path in logs(instance).iterdir()} >= {last, latest_of_little}
        assert not {path.name for path in logs(instance).iterdir()} & expected
    if isinstance(instance.event_log_storage, SqliteEventLogStorage):
        paths = {Path(instance.event_log_storage.path_for_shard(run_id)).exists() for run_id in expected}
        assert paths == {False}
    assert latest(instance, "once") == latest_of_little and latest(instance, "often") == last
    for asset, check in (("once", "once_is_fine"), ("often", "often_is_fine")):
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
        assert found[key].run_id == latest(instance, asset)
    assert len(checks) == 2, "those of runs that are gone are gone"
    assert {t.gone for t in retained(instance, apply=True).values()} == {0}


def test_what_steps_printed_in_runs_that_are_no_more_goes(instance: dg.DagsterInstance) -> None:
    if not isinstance(instance.compute_log_manager, LocalComputeLogManager):
        pytest.skip("this one keeps nothing")
    kept = run(instance, "little", 90)
    for name, days in (("old", 31), ("young", 29)):
        (logs(instance) / name).mkdir()
        os.utime(logs(instance) / name, (time.time() - days * DAY,) * 2)
    assert retained(instance, apply=False)["folders"].gone == 1 and (logs(instance) / "old").exists()
    assert retained(instance, apply=True)["folders"].gone == 1
    assert {path.name for path in logs(instance).iterdir() if path.is_dir()} >= {"young", kept}
    assert not (logs(instance) / "old").exists()


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


def test_a_storage_of_another_version_is_left_alone_and_says_so(instance: dg.DagsterInstance) -> None:
    for days in (90, 80):
        run(instance, "much", days)
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(db.text("update alembic_version set version_num = 'f495c27d5019'"))
    before = known(instance)
    done = retained(instance, apply=True, sync_dagster_runs=1)
    assert "unknown schema f495c27d5019" in done["runs"].note and {t.gone for t in done.values()} == {0}
    assert known(instance) == before
