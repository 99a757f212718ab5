"""How long Dagster remembers: open-source Dagster keeps every run and every event for ever.

Runs go by the instance's own API, with their events and logs. Events without a run, as sensors write them for each
webhook that they work off, and evaluations of checks, which outlive their run, have no such API: they are removed from
their two tables, and only where the storage has the schema that this was written for. The latest materialization of
each asset and evaluation of each check stay, with the runs that made them, so the UI, freshness and checks know them.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.dagster_run import FINISHED_STATUSES, RunRecord
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from sync_assets.settings import SyncSettings
from sync_assets.upkeep.clean_up import Tidied

KNOWN_SCHEMAS = {"29b539ebc72a"}
"""Alembic revisions of Dagster's storage whose events are as this module believes: that of the locked version."""

AT_ONCE = 1000
"""Rows of one transaction, and runs of one question."""

RUNLESS = ""
"""The run_id of events without a run."""

KEPT_FOR_ASSETS = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")


@dataclass(frozen=True)
class _Old:
    """Moments before which things go."""

    runs: float
    events: datetime


def retain(instance: dg.DagsterInstance, settings: SyncSettings, *, apply: bool) -> Iterator[Tidied]:
    """Forgets, or says what it would; killed on the way it goes on with the next run."""
    old = _Old(
        time.time() - settings.sync_dagster_run_days * 86_400,
        datetime.now(UTC).replace(tzinfo=None) - timedelta(days=settings.sync_dagster_event_days),
    )
    storage = instance.event_log_storage
    problem = _unknown_schema(instance)
    kept = set() if problem else _runs_of_the_latest(storage)
    yield _runs(instance, settings, old, kept, apply=apply, problem=problem)
    if not problem:
        assert isinstance(storage, SqlEventLogStorage)  # noqa: S101  else its schema were unknown
        yield _events(storage, settings.sync_dagster_event_days, old.events, apply=apply)
        yield _checks(storage, settings.sync_dagster_event_days, old.events, apply=apply)
    if (folder := _log_folder(instance.compute_log_manager)) is not None:
        yield _logs(instance, folder, settings.sync_dagster_run_days, old.runs, apply=apply)


def _unknown_schema(instance: dg.DagsterInstance) -> str:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return f"{type(storage).__name__} is no SQL storage: nothing is removed"
    version = storage.alembic_version()
    current = version[0] if version else None
    if current not in KNOWN_SCHEMAS:
        return f"Dagster's storage has the unknown schema {current}: nothing is removed"
    return ""


def _runs(
    instance: dg.DagsterInstance, settings: SyncSettings, old: _Old, kept: set[str], *, apply: bool, problem: str
) -> Tidied:
    days, before = settings.sync_dagster_run_days, instance.get_runs_count()
    gone, oldest = 0, None
    if not problem:
        for record in _expired(instance, old.runs, settings.sync_dagster_runs, kept):
            gone += 1
            oldest = min(filter(None, (oldest, record.create_timestamp)))
            if apply:
                _delete(instance, record.dagster_run.run_id)
    after = instance.get_runs_count() if apply else before
    return Tidied("dagster.runs", "runs", days, before, gone, after, oldest, problem)


def _expired(instance: dg.DagsterInstance, before: float, most: int, kept: set[str]) -> list[RunRecord]:
    """The newest runs of each job stay, however old, and those that have not ended."""
    seen: dict[str, int] = defaultdict(int)
    expired: list[RunRecord] = []
    cursor: str | None = None
    while records := instance.get_run_records(limit=AT_ONCE, cursor=cursor):
        cursor = records[-1].dagster_run.run_id
        for record in records:
            run = record.dagster_run
            seen[run.job_name] += 1
            ended = record.end_time or record.update_timestamp.timestamp()
            is_over = run.status in FINISHED_STATUSES and ended < before
            if is_over and seen[run.job_name] > most and run.run_id not in kept:
                expired.append(record)
    return expired[::-1]


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    """The run last: who is killed before finds it again, and with it what is left of it."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    storage.delete_events(run_id)
    instance.delete_run(run_id)
    if isinstance(storage, SqliteEventLogStorage):
        # A file per run, which Dagster empties and leaves; it makes one anew where it is asked for the run again.
        storage._initialized_dbs.discard(run_id)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{storage.path_for_shard(run_id)}{suffix}").unlink(missing_ok=True)


def _runs_of_the_latest(storage: object) -> set[str]:
    assert isinstance(storage, SqlEventLogStorage)  # noqa: S101  asked by the caller
    events, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    with storage.index_connection() as connection:
        of_assets = db.select(events.run_id).where(events.id.in_(_latest_events()))
        of_checks = db.select(checks.run_id).where(checks.id.in_(_latest_checks()))
        return {run for query in (of_assets, of_checks) for (run,) in connection.execute(query) if run}


def _latest_events() -> db.Select[tuple[int]]:
    c = SqlEventLogStorageTable.c
    return (
        db.select(db.func.max(c.id))
        .where(c.asset_key.is_not(None), c.dagster_event_type.in_(KEPT_FOR_ASSETS))
        .group_by(c.asset_key, c.dagster_event_type, c.partition)
    )


def _latest_checks() -> db.Select[tuple[int]]:
    """Of each state: a run that failed before it checked anything has left what it had planned."""
    c = AssetCheckExecutionsTable.c
    return db.select(db.func.max(c.id)).group_by(c.asset_key, c.check_name, c.partition, c.execution_status)


def _events(storage: SqlEventLogStorage, days: int, before: datetime, *, apply: bool) -> Tidied:
    c = SqlEventLogStorageTable.c
    old = db.and_(c.run_id == RUNLESS, c.timestamp < before, c.id.not_in(_latest_events()))
    tidied = _removed(storage, SqlEventLogStorageTable, old, c.run_id == RUNLESS, c.timestamp, "events", days, apply)
    if apply and isinstance(storage, SqliteEventLogStorage):
        # SQLite has them twice: in the index, and in a file of no run that nobody reads for an asset.
        with storage.run_connection(RUNLESS) as connection:
            connection.execute(SqlEventLogStorageTable.delete().where(c.timestamp < before))
    return tidied


def _checks(storage: SqlEventLogStorage, days: int, before: datetime, *, apply: bool) -> Tidied:
    """Those of runs that are still there stay with them."""
    c = AssetCheckExecutionsTable.c
    runs = db.select(SqlEventLogStorageTable.c.run_id).where(SqlEventLogStorageTable.c.run_id != RUNLESS).distinct()
    old = db.and_(
        c.create_timestamp < before, c.id.not_in(_latest_checks()), db.or_(c.run_id.is_(None), c.run_id.not_in(runs))
    )
    return _removed(storage, AssetCheckExecutionsTable, old, db.true(), c.create_timestamp, "checks", days, apply)


def _removed(
    storage: SqlEventLogStorage,
    table: db.Table,
    old: db.ColumnElement[bool],
    all_of_them: db.ColumnElement[bool],
    age: db.ColumnElement[datetime],
    what: str,
    days: int,
    apply: bool,
) -> Tidied:
    with storage.index_connection() as connection:
        before = connection.execute(db.select(db.func.count()).select_from(table).where(all_of_them)).scalar_one()
        count, oldest = connection.execute(db.select(db.func.count(), db.func.min(age)).where(old)).one()
    gone = 0
    while apply:
        with storage.index_connection() as connection:
            ids = list(connection.scalars(db.select(table.c.id).where(old).order_by(table.c.id).limit(AT_ONCE)))
            if ids and table is SqlEventLogStorageTable:
                connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(ids)))
            connection.execute(table.delete().where(table.c.id.in_(ids)))
        gone += len(ids)
        if len(ids) < AT_ONCE:
            break
    name = f"dagster.{table.name}"
    return Tidied(name, what, days, before, gone if apply else count, before - gone, _utc(oldest))


def _log_folder(manager: ComputeLogManager[dg.DagsterInstance]) -> Path | None:
    return Path(manager._base_dir) if isinstance(manager, LocalComputeLogManager) else None


def _logs(instance: dg.DagsterInstance, folder: Path, days: int, before: float, *, apply: bool) -> Tidied:
    """What steps printed in runs that are no more."""
    folders = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    gone: list[float] = []
    for path in folders:
        with suppress(FileNotFoundError):
            changed = path.stat().st_mtime
            if changed < before and instance.get_run_by_id(path.name) is None:
                gone.append(changed)
                if apply:
                    shutil.rmtree(path, ignore_errors=True)
    oldest = datetime.fromtimestamp(min(gone), UTC) if gone else None
    after = len(folders) - len(gone) * apply
    return Tidied("dagster's logs", "folders", days, len(folders), len(gone), after, oldest)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
