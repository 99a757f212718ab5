"""Dagster's own storage: Postgres, in a schema `dagster`, where DATABASE_URL is set; SQLite files where it is not.

The URL is read from the environment when an instance is made, so dagster.yaml and the JSON that Dagster hands to its
child processes hold no secret. A code server makes an instance for each tick of each sensor: whether the tables are
there is looked at once in a process, or a tick would take half a second more and miss every second of its slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.runs import RunStorage
from dagster._core.storage.schedules import ScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresRunStorage, PostgresScheduleStorage
from psycopg2 import sql

from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.orchestration.event_log import EventLog
from sync_assets.orchestration.kept_connections import engine
from sync_assets.settings import environment

SCHEMA = "dagster"

TABLES = ("runs", "instance_info", "event_logs", "jobs")
"""By which Dagster's storages tell whether they have been made; each looks over a connection of its own for all."""

THERE = """
select to_regnamespace(%s) is not null, bool_and(to_regclass(%s || '.' || name) is not null) from unnest(%s) name
"""

_ready: set[str] = set()
"""URLs of databases that have Dagster's tables."""


class EnvironmentStorage(DagsterStorage[DagsterInstance], ConfigurableClass):
    """Named in dagster.yaml; what it makes is one of Dagster's own storages."""

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Any:
        url = environment().get("DATABASE_URL")
        if url is None:
            folder = Path.cwd() / ".dagster" / "storage"
            folder.mkdir(parents=True, exist_ok=True)
            return DagsterSqliteStorage.from_local(str(folder), inst_data)
        if url not in _ready:
            database = Database(url, name="sync_assets dagster storage")
            try:
                made, whole = database.query(THERE, (SCHEMA, SCHEMA, list(TABLES)))
                if not made:
                    database.query("create schema if not exists dagster")
                if whole:
                    _ready.add(url)
            finally:
                database.close()
        storage = PostgresStorage(dagster_url(url), make_tables=url not in _ready, inst_data=inst_data)
        _ready.add(url)
        return storage


def make_tables(url: str, *, role: str) -> None:
    """Dagster's own tables, as `role`: whoever may make none finds them there. Takes two seconds."""
    database = Database(url, name="sync_assets dagster storage")
    try:
        database.transaction(partial(_make_schema, role=role))
    finally:
        database.close()
    storage = DagsterPostgresStorage(dagster_url(url, role=role))
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part.dispose()


def _make_schema(cursor: Cursor, *, role: str) -> None:
    cursor.execute("select to_regnamespace(%s) is null", (SCHEMA,))
    if cursor.fetchone() == (True,):
        cursor.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        cursor.execute(sql.SQL("create schema {}").format(sql.Identifier(SCHEMA)))


class Runs(PostgresRunStorage):
    def __init__(self, postgres_url: str) -> None:
        # The tables of both are made by Dagster's own, of which these take the place.
        super().__init__(postgres_url, should_autocreate_tables=False)
        self._engine = engine(postgres_url)


class Schedules(PostgresScheduleStorage):
    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False)
        self._engine = engine(postgres_url)


class PostgresStorage(DagsterPostgresStorage):
    def __init__(
        self, postgres_url: str, *, make_tables: bool = True, inst_data: ConfigurableClassData | None = None
    ) -> None:
        super().__init__(postgres_url, make_tables, inst_data=inst_data)
        self._runs, self._schedules = Runs(postgres_url), Schedules(postgres_url)
        self._events = EventLog(postgres_url)

    @property
    def run_storage(self) -> RunStorage:
        return self._runs

    @property
    def schedule_storage(self) -> ScheduleStorage:
        return self._schedules

    @property
    def event_log_storage(self) -> EventLogStorage:
        return self._events


def dagster_url(url: str, *, role: str = "") -> str:
    """SQLAlchemy 2.1 maps `postgresql://` to another driver, so the driver is spelled out. `role`: act as that one."""
    rest = url.partition("://")[2]
    joint = "&" if "?" in rest else "?"
    acting = f"%20-crole%3D{role}" if role else ""
    return f"postgresql+psycopg2://{rest}{joint}options=-csearch_path%3D{SCHEMA}{acting}"
