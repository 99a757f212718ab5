"""Dagster's event log in Postgres, with a third of the statements: one run of all systems stores 1,500 events.

What is left out of Dagster's own is what it does for others: a connection per event, a look before each statement
whether it lives, a NOTIFY that nobody listens to, and a look for its own tables. What is planned at the beginning of a
run is one statement. What is stored is the same, row by row; where its connection is lost, another one stores it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql

from sync_assets.orchestration.kept_connections import engine, storing

BATCH = "DAGSTER_EVENT_BATCH_SIZE"
"""Dagster reads it from the environment alone. With it, what is planned comes in one piece."""

T = TypeVar("T")

_found: dict[str, set[str]] = {}
"""By URL the tables that are known to be there."""

PLANNED = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}


class EventLog(PostgresEventLogStorage):
    def __init__(self, postgres_url: str) -> None:
        # Its tables are made by Dagster's own storage, of which this one takes the place.
        super().__init__(postgres_url, should_autocreate_tables=False)
        os.environ.setdefault(BATCH, "1000")
        self._found = _found.setdefault(postgres_url, set())
        self._engine = engine(postgres_url)

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._found and super().has_table(table_name):
            self._found.add(table_name)
        return table_name in self._found

    def store_event(self, event: EventLogEntry) -> None:
        id = self._surely(lambda: self._insert(event))
        if not event.is_dagster_event:
            return
        if event.dagster_event_type in ASSET_EVENTS and event.get_dagster_event().asset_key:
            self._surely(lambda: self._index(event, id))
        if event.dagster_event_type in ASSET_CHECK_EVENTS:
            self._surely(lambda: self.store_asset_check_event(event, id))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        if {event.dagster_event_type for event in events} <= PLANNED and not any(map(_partitioned, events)):
            self._surely(lambda: self._store_planned(events))
        else:
            super().store_event_batch(events)

    def _insert(self, event: EventLogEntry) -> int:
        with self._connect() as connection:
            stored = self.prepare_insert_event(event).returning(SqlEventLogStorageTable.c.id)
            return int(connection.execute(stored).scalar_one())

    def _index(self, event: EventLogEntry, id: int) -> None:
        with self.index_transaction() as connection:
            self._store_asset_event_tags(connection, [event], [id])
            self._store_asset_event(connection, event, id)

    def _surely(self, work: Callable[[], T]) -> T:
        """Once more where the connection was lost; an event that was committed without an answer then stands twice."""
        with storing():
            try:
                return work()
            except exc.DBAPIError as e:
                if not e.connection_invalidated:
                    raise
                return work()

    def _store_planned(self, events: Sequence[EventLogEntry]) -> None:
        """All or nothing, where Dagster stores one after another."""
        indexed = self.has_secondary_index(ASSET_KEY_INDEX_COLS)
        stored = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        with self.index_transaction() as connection:
            ids = [int(row[0]) for row in connection.execute(stored)]
            assets: dict[str, dict[str, Any]] = {}
            checks: list[dict[str, Any]] = []
            for id, entry, row in zip(ids, events, map(self._event_to_row, events), strict=True):
                planned = entry.get_dagster_event()
                if entry.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                    checks.append(self._check_row(entry, id, row))
                elif planned.asset_key:
                    assets[planned.asset_key.to_string()] = self._get_asset_entry_values(entry, id, indexed)
            if checks:
                connection.execute(AssetCheckExecutionsTable.insert().values(checks))
            if assets:
                insert = postgresql.insert(AssetKeyTable).values([{"asset_key": k, **v} for k, v in assets.items()])
                names = next(iter(assets.values()))
                newer = {name: insert.excluded[name] for name in names}
                connection.execute(insert.on_conflict_do_update(index_elements=["asset_key"], set_=newer))

    def _check_row(self, entry: EventLogEntry, id: int, row: dict[str, Any]) -> dict[str, Any]:
        planned: Any = entry.get_dagster_event().event_specific_data
        return {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "partition": None,
            "run_id": entry.run_id,
            "execution_status": "PLANNED",
            "evaluation_event": row["event"],
            "evaluation_event_timestamp": row["timestamp"],
            "evaluation_event_storage_id": id,
        }


def _partitioned(entry: EventLogEntry) -> bool:
    planned: Any = entry.get_dagster_event().event_specific_data
    return bool(getattr(planned, "partition", None) or getattr(planned, "partitions_subset", None))
