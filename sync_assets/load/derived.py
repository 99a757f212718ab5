"""Derived tables: brought in line with a computed frame in one transaction that writes only the rows that differ."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from psycopg2 import sql

from sync_assets.entity import Derived
from sync_assets.load.cursor import Cursor

if TYPE_CHECKING:
    import pandas as pd

STAGE = """
create temp table sync_derived on commit drop as select {columns} from {table} limit 0
"""

TAKE_AWAY = """
delete from {table} t where not exists (select from sync_derived d where d.{key} = t.{key})
"""

BRING_IN = """
insert into {table} as t ({columns}) select {columns} from sync_derived order by {key}
on conflict ({key}) do update set {assigned}, synced_at = now() where ({held}) is distinct from ({given})
returning xmax = 0
"""


def store(cursor: Cursor, schema: str, derived: Derived, frame: pd.DataFrame) -> dict[str, int]:
    """Answers how many rows were created, updated, unchanged and deleted."""
    names = [str(name) for name in frame.columns]
    parts = {
        "table": sql.Identifier(schema, derived.name),
        "key": sql.Identifier(derived.key),
        "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
        "assigned": sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in names if n != derived.key
        ),
        "held": sql.SQL(", ").join(sql.Identifier("t", n) for n in names),
        "given": sql.SQL(", ").join(sql.Identifier("excluded", n) for n in names),
    }
    cursor.execute(sql.SQL(STAGE).format(**parts))
    text = io.StringIO(frame.to_csv(index=False, header=False, na_rep="\\N"))
    cursor.copy_expert("copy sync_derived from stdin (format csv, null '\\N')", text)
    cursor.execute(sql.SQL(TAKE_AWAY).format(**parts))
    deleted = cursor.rowcount
    cursor.execute(sql.SQL(BRING_IN).format(**parts))
    written = [created for (created,) in cursor.fetchall()]
    created = sum(written)
    return {
        "created": created,
        "updated": len(written) - created,
        "unchanged": len(frame) - len(written),
        "deleted": deleted,
    }
