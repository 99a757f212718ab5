"""What a check looks at and what it found, in words and numbers that hold no record's text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg2 import sql

from sync_assets.entity import Entity
from sync_assets.freshness import Freshness
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.target import Target
from sync_assets.settings import SyncSettings

SAMPLE = 10
"""Ids that a finding shows; the query beside them finds the rest."""


@dataclass(frozen=True)
class Finding:
    name: str
    passed: bool
    says: str
    severity: Literal["ERROR", "WARN"] = "ERROR"
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scope:
    """One entity, and the syncs whose rows are looked at; no syncs means the whole table."""

    database: Database
    settings: SyncSettings
    entity: Entity
    target: Callable[[str], Target]
    sync_ids: tuple[int, ...] = ()
    freshness: Freshness | None = None  # None: as the settings have it for all

    @property
    def own(self) -> Target:
        return self.target(self.entity.name)

    @property
    def rows(self) -> sql.Composable:
        """The condition on rows `t` of the entity's table."""
        if not self.sync_ids:
            return sql.SQL("true")
        return sql.SQL("t.sync_id = any({}::bigint[])").format(sql.Literal(list(self.sync_ids)))

    @property
    def where(self) -> dict[str, Any]:
        return {"account": self.own.account, "entity": self.entity.name, "syncs": list(self.sync_ids)}

    def ask(self, query: sql.Composable | str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(query, parameters)
            return cursor.fetchall()

        return self.database.transaction(work)

    def listing(self, table: str, entity_column: str) -> str:
        """A query, for people, of this entity's rows in a table of the schema sync."""
        query = sql.SQL("select * from {} where account = {} and {} = {}").format(
            sql.Identifier("sync", table),
            sql.Literal(self.own.account),
            sql.Identifier(entity_column),
            sql.Literal(self.entity.name),
        )
        return self.text(query)

    def text(self, query: sql.Composable) -> str:
        """A query as a person would run it."""
        return self.database.transaction(lambda cursor: " ".join(query.as_string(cursor).split()))
