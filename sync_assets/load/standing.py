"""How an entity stands when its sync comes to its end: asked at one go, for it is the last that many syncs ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql

from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

STANDING = """
select rows, newest,
       (select count(*) from sync.missing_parents
         where account = %(account)s and child_entity = %(entity)s and state = 'waiting'),
       exists (select from sync.missing_parents
                where account = %(account)s and entity = any(%(parents)s) and state <> 'gone'
                  and next_try_at <= clock_timestamp())
  from ({stored}) stored(rows, newest)
"""

STORED = "select count(*), max(source_changed_at) from {}"
NOT_COUNTED = sql.SQL("select null::bigint, null::timestamptz")


@dataclass(frozen=True)
class Standing:
    rows: int | None = None
    newest: datetime | None = None  # change of a row, by the source's clock
    waiting: int = 0  # links whose parent is not there
    due: bool = False  # whether a parent that its rows may point at is to be asked for now


def standing(cursor: Cursor, target: Target, *, counted: bool) -> Standing:
    """Without `rows` and `newest` where nothing is `counted`: that takes reading the table."""
    stored = sql.SQL(STORED).format(target.table) if counted else NOT_COUNTED
    parents = [link.to for link in target.entity.links]
    cursor.execute(
        sql.SQL(STANDING).format(stored=stored),
        {"account": target.account, "entity": target.entity.name, "parents": parents},
    )
    row = cursor.fetchone()
    return Standing(*row) if row else Standing()
