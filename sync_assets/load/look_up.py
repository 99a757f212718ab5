"""Which records of a batch are not stored as they came: one look-up by key, in which Postgres compares the hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from sync_assets.load.batch import HASH_BYTES, Row
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target, key_array

# Postgres compares, and answers only what differs. `offset 0` has the rows looked up by their keys before they are
# joined, or the planner might read the whole table.
CHANGED = """
select wanted.place - 1, held.key is not null
  from unnest(%(keys)s::{type}[]) with ordinality wanted(key, place)
  left join ({held} offset 0) held on held.key = wanted.key
 where held.hash is distinct from substring(%(hashes)s from (wanted.place::int - 1) * {size} + 1 for {size})
    or held.shape is distinct from %(shape)s
 order by 1
"""
# In a query of its own the array is one value to the planner, who would else weigh each of its elements.
ONE_KEY = """
select t.{key} as key, t.payload_hash as hash, t.payload_shape as shape
  from {table} t where t.{key} = any((select %(keys)s::{type}[])::{type}[])
"""
SEVERAL_KEYS = """
select {text} as key, t.payload_hash as hash, t.payload_shape as shape
  from unnest(%(keys)s::text[]) sought(key) join {table} t on {same}
"""


@dataclass(frozen=True)
class Asked:
    """What Postgres is asked about records of one shape: which of these keys it holds with another hash."""

    shape: str
    keys: list[str]
    array: str | list[str]
    hashes: bytes


def asked(rows: Mapping[str, Row]) -> list[Asked]:
    """The look-ups that `changed` needs, which can be made before its transaction begins."""
    by_shape: dict[str, list[str]] = {}
    for key, row in rows.items():
        by_shape.setdefault(row.read.shape, []).append(key)
    found = []
    for shape, keys in by_shape.items():
        keys.sort()
        found.append(Asked(shape, keys, key_array(keys), b"".join([rows[key].hash for key in keys])))
    return found


def changed(
    cursor: Cursor, target: Target, rows: Mapping[str, Row], look_ups: Sequence[Asked] | None = None
) -> list[Row]:
    """The rows whose bytes are not those that are stored already; of each it is known then whether one is held."""
    found: list[Row] = []
    differing = _differing(target)
    for look_up in asked(rows) if look_ups is None else look_ups:
        cursor.execute(differing, {"keys": look_up.array, "hashes": look_up.hashes, "shape": look_up.shape})
        for place, held in cursor:
            row = rows[look_up.keys[place]]
            row.held = held
            found.append(row)
    return sorted(found, key=lambda row: row.key)


def _differing(target: Target) -> sql.Composed:
    size = sql.Literal(HASH_BYTES)
    if len(target.entity.keys) == 1:
        column = target.entity.keys[0]
        key_type = sql.SQL(target.type_of(column))
        held = sql.SQL(ONE_KEY).format(key=sql.Identifier(column), table=target.table, type=key_type)
        return sql.SQL(CHANGED).format(held=held, type=key_type, size=size)
    same = target.same_key("t", target.parts("sought.key"))
    held = sql.SQL(SEVERAL_KEYS).format(text=target.key_text("t"), table=target.table, same=same)
    return sql.SQL(CHANGED).format(held=held, type=sql.SQL("text"), size=size)
