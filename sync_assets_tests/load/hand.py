"""Loads records by hand, as one commit of a sync does, without a source."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sync_assets.account import Account
from sync_assets.entity import ById, Entity, Whole
from sync_assets.extract.pages import Page, key_reader
from sync_assets.load.batch import batch
from sync_assets.load.database import Database
from sync_assets.load.look_up import changed
from sync_assets.load.slow_path import write_slowly
from sync_assets.load.target import Target, targets
from sync_assets.load.upsert import Counts, write

LIST = Whole("/by-hand")


class Hand:
    def __init__(self, database: Database, account: Account, entity: Entity) -> None:
        self.database = database
        self.target: Target = database.transaction(lambda cursor: targets(cursor, account, [entity.name])[entity.name])
        self._seen = itertools.count(1)

    def page(self, *records: Any, seen: int | None = None, read: Whole | ById = LIST) -> Page:
        raw = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
        read_key = key_reader(self.target.entity.keys)
        keys = [None if (key := read_key(r)) is None else self.target.canonical(key) for r in raw]
        return Page("by hand", read, next(self._seen) if seen is None else seen, list(raw), keys)

    def load(self, *records: Any, slow: bool = False, **page: Any) -> Counts:
        return self.load_pages(self.page(*records, **page), slow=slow)

    def load_pages(self, *pages: Page, slow: bool = False, sync_id: int = 1) -> Counts:
        found = batch(pages, self.target.seed)

        def work(cursor: Any) -> Counts:
            rows = changed(cursor, self.target, found.rows)
            counts = (write_slowly if slow else write)(cursor, self.target, rows, sync_id)
            counts.unchanged += len(found.rows) - len(rows)
            counts.repeated += found.repeated
            counts.rejected += len(found.keyless)
            return counts

        return self.database.transaction(work)

    def stored(self, columns: str = "raw_json, seen, payload_shape, xmin::text, synced_at") -> list[tuple[Any, ...]]:
        schema, name = self.target.schema, self.target.entity.name
        keys = ", ".join(self.target.entity.keys)
        return self.database.rows(f"select {columns} from {schema}.{name} order by {keys}")

    def raw(self) -> list[dict[str, Any]]:
        return [raw for (raw,) in self.stored("raw_json")]


@contextmanager
def hand(url: str, account: Account, entity: Entity) -> Iterator[Hand]:
    database = Database(url)
    try:
        yield Hand(database, account, entity)
    finally:
        database.close()


def counts(**expected: int) -> Counts:
    return Counts(**expected)
