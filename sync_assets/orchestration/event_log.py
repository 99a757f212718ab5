"""Dagster's event log in Postgres, with a fraction of the statements: one run of all systems stores 1,500 events.

What is left out of Dagster's own is what it does for others: a connection per event, a look before each statement
whether it lives, a NOTIFY that nobody listens to, and a look for its own tables and columns. What is planned at the
beginning of a run is one statement; what a step says on its way is held until the step says something else or somebody
reads. What is stored is the same, row by row; where its connection is lost, another one stores it. A process that is
killed takes along what it held: what a step that had not ended said of its outputs and checks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import Connection, exc, text
from sqlalchemy.dialects import postgresql

from sync_assets.orchestration.held import Held
from sync_assets.orchestration.kept_connections import engine, storing

BATCH = "DAGSTER_EVENT_BATCH_SIZE"
"""Dagster reads it from the environment alone. With it, what is planned comes in one piece."""

T = TypeVar("T")
Row = Mapping[str, Any]

_found: dict[str, set[str]] = {}
"""By URL the tables, and the columns of Dagster's table of assets, that are known to be there."""

PLANNED = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}

ON_THE_WAY = {
    DagsterEventType.STEP_INPUT,
    DagsterEventType.LOADED_INPUT,
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.HANDLED_OUTPUT,
    DagsterEventType.ASSET_CHECK_EVALUATION,
}
"""What a step says before it says that it has ended."""

AWAY = (exc.OperationalError, exc.InterfaceError, DagsterPostgresException)

EVALUATED = text("""
update asset_check_executions c
   set execution_status = v.status, evaluation_event = v.event, evaluation_event_timestamp = v.at,
       evaluation_event_storage_id = v.id, materialization_event_storage_id = v.materialization
  from unnest(cast(:asset_key as text[]), cast(:check_name as text[]), cast(:run_id as text[]),
              cast(:partition as text[]), cast(:execution_status as text[]), cast(:evaluation_event as text[]),
              cast(:evaluation_event_timestamp as timestamp[]), cast(:evaluation_event_storage_id as bigint[]),
              cast(:materialization_event_storage_id as bigint[]))
       v (asset_key, check_name, run_id, partition, status, event, at, id, materialization)
 where c.asset_key = v.asset_key and c.check_name = v.check_name and c.run_id = v.run_id
   and c.partition is not distinct from v.partition
returning v.id
""")


class EventLog(PostgresEventLogStorage):
    def __init__(self, postgres_url: str) -> None:
        # Its tables are made by Dagster's own storage, of which this one takes the place.
        super().__init__(postgres_url, should_autocreate_tables=False)
        os.environ.setdefault(BATCH, "1000")
        self._found = _found.setdefault(postgres_url, set())
        self._engine = engine(postgres_url)
        self._held = Held[EventLogEntry](self._store, AWAY)

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._found and super().has_table(table_name):
            self._found.add(table_name)
        return table_name in self._found

    def has_asset_key_col(self, column_name: str) -> bool:
        known = f"{AssetKeyTable.name}.{column_name}"
        if known not in self._found and super().has_asset_key_col(column_name):
            self._found.add(known)
        return known in self._found

    def store_event(self, event: EventLogEntry) -> None:
        self._held.take(event, waits=event.dagster_event_type in ON_THE_WAY and bool(event.run_id))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """What is planned is stored all or nothing, where Dagster stores one after another."""
        if {event.dagster_event_type for event in events} <= PLANNED:
            self._store(events)
        else:
            super().store_event_batch(events)

    def dispose(self) -> None:
        self._held.let_go()
        super().dispose()

    def _connect(self) -> AbstractContextManager[Connection]:
        """Whoever reads finds all that was said before."""
        self._held.let_go()
        return super()._connect()

    @contextmanager
    def index_transaction(self) -> Iterator[Connection]:
        """By statements: to change how a connection commits, and to change it back, is two more."""
        with self._connect() as connection:
            connection.exec_driver_sql("begin")
            try:
                yield connection
            except BaseException:
                with suppress(exc.DBAPIError):
                    connection.exec_driver_sql("rollback")
                raise
            connection.exec_driver_sql("commit")

    def _store(self, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        self._surely(lambda: self._store_rows(events, rows))

    def _store_rows(self, events: Sequence[EventLogEntry], rows: Sequence[Row]) -> None:
        alone = len(events) == 1 and events[0].dagster_event_type not in ASSET_EVENTS | ASSET_CHECK_EVENTS
        # Asked within the transaction, it would be another connection's question.
        indexed = not alone and self.has_secondary_index(ASSET_KEY_INDEX_COLS)
        with self._connect() if alone else self.index_transaction() as connection:
            assets: dict[str, Row] = {}
            planned: list[Row] = []
            evaluated: list[Row] = []
            for id, event, row in zip(_inserted(connection, rows), events, rows, strict=True):
                kind = event.dagster_event_type
                if kind in ASSET_EVENTS and (asset := event.get_dagster_event().asset_key):
                    self._store_asset_event_tags(connection, [event], [id])
                    key = asset.to_string()
                    assets[key] = {**assets.get(key, {}), **self._get_asset_entry_values(event, id, indexed)}
                if kind in ASSET_CHECK_EVENTS:
                    told = kind == DagsterEventType.ASSET_CHECK_EVALUATION and event.run_id
                    (evaluated if told else planned).extend(_check_rows(event, id, row))
            _store_assets(connection, assets)
            if planned:
                connection.execute(AssetCheckExecutionsTable.insert(), planned)
            if evaluated:
                _store_evaluated(connection, evaluated)

    def _surely(self, work: Callable[[], T]) -> T:
        """Once more where the connection was lost; what was committed without an answer then stands twice."""
        with storing():
            try:
                return work()
            except exc.DBAPIError as e:
                if not e.connection_invalidated:
                    raise
                return work()


def _inserted(connection: Connection, rows: Sequence[Row]) -> list[int]:
    insert = SqlEventLogStorageTable.insert()
    stored = insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
    return [int(id) for (id,) in connection.execute(stored, rows)]


def _store_assets(connection: Connection, assets: Mapping[str, Row]) -> None:
    """What their last events say of them, by key: in one statement those of whom the same is said."""
    for names in dict.fromkeys(tuple(said) for said in assets.values()):
        # In the order of their keys, that two runs never wait for each other.
        rows = [{"asset_key": key, **said} for key, said in sorted(assets.items()) if tuple(said) == names]
        insert = postgresql.insert(AssetKeyTable).values(rows)
        newer = {name: insert.excluded[name] for name in names}
        if newer:
            insert = insert.on_conflict_do_update(index_elements=["asset_key"], set_=newer)
        else:
            insert = insert.on_conflict_do_nothing(index_elements=["asset_key"])
        connection.execute(insert)


def _store_evaluated(connection: Connection, checks: Sequence[Row]) -> None:
    """In the place of what was planned; in both places where a lost answer had it planned twice."""
    last = {(c["asset_key"], c["check_name"], c["run_id"], c["partition"]): c for c in checks}
    columns = {name: [check[name] for check in last.values()] for name in checks[0]}
    planned = {id for (id,) in connection.execute(EVALUATED, columns)}
    if alone := [check for check in last.values() if check["evaluation_event_storage_id"] not in planned]:
        connection.execute(AssetCheckExecutionsTable.insert(), alone)


def _check_rows(entry: EventLogEntry, id: int, row: Row) -> list[Row]:
    """One; of what is planned for several partitions, one for each."""
    check: Any = entry.get_dagster_event().event_specific_data
    status, materialization = "PLANNED", None
    if entry.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
        status, materialization = "SUCCEEDED" if check.passed else "FAILED", check.target_materialization_data
    subset = getattr(check, "partitions_subset", None)
    partitions = subset.get_partition_keys() if subset else [getattr(check, "partition", None)]
    return [
        {
            "asset_key": check.asset_key.to_string(),
            "check_name": check.check_name,
            "partition": partition,
            "run_id": entry.run_id,
            "execution_status": status,
            "evaluation_event": row["event"],
            "evaluation_event_timestamp": row["timestamp"],
            "evaluation_event_storage_id": id,
            "materialization_event_storage_id": materialization and materialization.storage_id,
        }
        for partition in partitions
    ]
