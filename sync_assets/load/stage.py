"""Where changed records wait to be judged: a temporary table for many, and for few the statement itself.

To make a temporary table, and to drop it when the connection ends, costs Postgres more than a few records do; and the
catalog of a database that webhooks write to all day would fill with what is left of such tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import AsIs

from sync_assets.load.batch import Row
from sync_assets.load.cursor import Cursor

MOST, MOST_BYTES = 100, 100_000
"""Of few records."""

TABLE = sql.Identifier("sync_stage")
COLUMNS = sql.SQL("key, doc, hash, seen, shape, omits, adds")

# Documents lie in the row itself where they fit its page, and uncompressed beside it where they do not.
OPEN = """
do $$ begin
  if to_regclass('pg_temp.sync_stage') is null then
    create temp table sync_stage (key text, doc text, hash bytea, seen bigint, shape text, omits text[], adds text[])
      with (toast_tuple_target = 8160) on commit delete rows;
    alter table sync_stage alter column doc set storage external;
  end if;
end $$
"""

# The limit is no limit: it tells the planner how many rows there are, who would guess 20,000 and read the whole target
# for a few.
IN_TABLE = "select * from {table} limit {count}"

FEW = sql.SQL("select * from (values %(staged)s) staged ({columns})").format(columns=COLUMNS)
FEW_KEYS = sql.SQL("select unnest(%(staged_keys)s::text[]) as key")
# What is no UTF-8 is refused by Postgres, as it is on its way into the table.
ONE = "(%s, convert_from(%s, 'UTF8'), %s, %s::bigint, %s, %s::text[], %s::text[])"


@dataclass(frozen=True)
class Staged:
    """Queries of what is staged, and what these are given."""

    count: int
    rows: sql.Composable
    keys: sql.Composable
    given: Mapping[str, Any] = field(default_factory=dict)


def opened(cursor: Cursor) -> None:
    """The table is there and empty."""
    cursor.later(OPEN)
    cursor.later("delete from sync_stage")


def in_table(count: int) -> Staged:
    rows = sql.SQL(IN_TABLE).format(table=TABLE, count=sql.Literal(count))
    return Staged(count, rows, rows)


def are_few(rows: Sequence[Row]) -> bool:
    return len(rows) <= MOST and sum(len(memoryview(row.record)) for row in rows) <= MOST_BYTES


def few(cursor: Cursor, rows: Sequence[Row]) -> Staged:
    spelled = (
        cursor.mogrify(
            ONE,
            (row.key, row.content, row.hash, row.seen, row.read.shape, list(row.read.omits), list(row.read.adds)),
        )
        for row in rows
    )
    values = AsIs(b", ".join(spelled).decode())
    return Staged(len(rows), FEW, FEW_KEYS, {"staged": values, "staged_keys": [row.key for row in rows]})
