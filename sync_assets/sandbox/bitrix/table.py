"""One table of the shop: its rows ready to be sent, in the order of their ids.

The non-obvious decision: a row is kept only as the bytes that a list sends; whoever changes it decodes, edits and puts
it back. Thirty thousand basket items then cost what their answers cost, and a page is a join.
"""

from bisect import bisect_left, insort
from typing import Any

from sync_assets.sandbox.bitrix.shapes import Kind
from sync_assets.sandbox.dialect import Record, RefusedError, decode, encode
from sync_assets.sandbox.webhooks.news import News

Key = Any  # int, or the two letters of a status


class Table:
    def __init__(self, kind: Kind, news: News) -> None:
        self.kind, self.news = kind, news
        self.rows: dict[Key, bytes] = {}
        self.ids: list[Key] = []
        self.of_parent: dict[Any, list[Key]] = {}
        self.gone: list[Key] = []

    def get(self, id: Key) -> Record:
        if id not in self.rows:
            raise RefusedError(f"no {self.kind.one} {id}")
        record: Record = decode(self.rows[id])
        return record

    def add(self, **values: Any) -> None:
        record = self.kind.fresh(values)
        id = record[self.kind.key]
        if not self.ids or id > self.ids[-1]:
            self.ids.append(id)
        else:
            insort(self.ids, id)
        self.rows[id] = encode(record)
        self.news.tell("add", self.kind.name, id, {}, record)
        if self.kind.parent:
            self.of_parent.setdefault(record[self.kind.parent], []).append(id)

    def change(self, id: Key, **values: Any) -> Record:
        before = self.get(id)
        record = self.kind.fresh(before | values)
        self.news.tell("change", self.kind.name, id, before, record)
        self.rows[id] = encode(record)
        return record

    def drop(self, id: Key) -> None:
        record = self.get(id)
        del self.rows[id]
        del self.ids[bisect_left(self.ids, id)]
        if self.kind.parent:
            self.of_parent[record[self.kind.parent]].remove(id)
        self.gone.append(id)
        self.news.tell("drop", self.kind.name, id, record, {})

    def next_id(self, first: int = 1) -> int:
        """Ids are never given twice, not even those of rows that are gone."""
        last: int = max([first - 1, *self.ids[-1:], *self.gone])
        return last + 1

    def children(self, parent: Any) -> list[Key]:
        return list(self.of_parent.get(parent, ()))
