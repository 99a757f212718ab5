"""Which records of a batch are not stored as they came: one look-up by key, in which Postgres compares the hashes.

What else a commit must know before it writes is answered with it, for the way to Postgres is longer than the look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from sync_assets.load.batch import HASH_BYTES, Row
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target, key_array

LOOK = """
select {stands}, found.places,
       (select fields from sync.metadata where account = %(account)s and entity = %(entity)s and {writes})
  from (select array_agg(place) from ({changed}) changed) found(places)
"""

# Postgres compares, and answers only what differs: the places of such records, counted from 1, negative where none is
# held. `offset 0` has the rows looked up by their keys before they are joined, or the planner might read the whole
# table.
CHANGED = """
select case when held.key is null then -1 else 1 end * ({before} + wanted.place) as place
  from unnest({keys}::{type}[]) with ordinality wanted(key, place)
  left join ({held} offset 0) held on held.key = wanted.key
 where held.hash is distinct from substring({hashes} from (wanted.place::int - 1) * {size} + 1 for {size})
    or held.shape is distinct from {shape}
"""
NONE_CHANGED = sql.SQL("select null::bigint as place where false")
# In a query of its own the array is one value to the planner, who would else weigh each of its elements.
ONE_KEY = """
select t.{key} as key, t.payload_hash as hash, t.payload_shape as shape
  from {table} t where t.{key} = any((select {keys}::{type}[])::{type}[])
"""
SEVERAL_KEYS = """
select {text} as key, t.payload_hash as hash, t.payload_shape as shape
  from unnest({keys}::text[]) sought(key) join {table} t on {same}
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


def changed(cursor: Cursor, target: Target, rows: Mapping[str, Row]) -> list[Row]:
    """The rows whose bytes are not those that are stored already; of each it is known then whether one is held."""
    return look(cursor, target, sql.SQL("true"), rows, asked(rows)).changed


@dataclass(frozen=True)
class Look:
    """What a commit finds when it begins."""

    stands: bool | None  # as `Ledger.begun` understands it
    changed: list[Row]  # as the function of that name
    fields: dict[str, Any] | None  # what is known of the entity's fields, where anything is to be written


def look(
    cursor: Cursor,
    target: Target,
    stands: sql.Composable,
    rows: Mapping[str, Row],
    look_ups: Sequence[Asked],
    new: list[Row] | None = None,
) -> Look:
    """`new` are all of the rows, in the order of their keys, where each of them is known to be new."""
    statement = sql.SQL(LOOK).format(
        stands=stands,
        writes=sql.SQL("true" if new else "found.places is not null"),
        changed=NONE_CHANGED if new or not look_ups else _changed(target, look_ups),
    )
    given = {f"{name}{n}": value for n, look_up in enumerate(look_ups) for name, value in vars(look_up).items()}
    cursor.execute(statement, given | {"account": target.account, "entity": target.entity.name})
    standing, places, fields = cursor.fetchone() or (None, None, None)
    if new:
        return Look(standing, new, fields)
    keys = [key for look_up in look_ups for key in look_up.keys] if places else []
    found: list[Row] = []
    for place in places or ():
        row = rows[keys[abs(place) - 1]]
        row.held = place > 0
        found.append(row)
    return Look(standing, sorted(found, key=lambda row: row.key), fields)


def _changed(target: Target, look_ups: Sequence[Asked]) -> sql.Composable:
    differing: list[sql.Composable] = []
    before = 0
    for n, look_up in enumerate(look_ups):
        given = {name: sql.Placeholder(f"{name}{n}") for name in ("hashes", "shape")} | {
            "keys": sql.Placeholder(f"array{n}")
        }
        differing.append(_differing(target, given, before))
        before += len(look_up.keys)
    return sql.SQL(" union all ").join(differing)


def _differing(target: Target, given: Mapping[str, sql.Composable], before: int) -> sql.Composed:
    if len(target.entity.keys) == 1:
        column = target.entity.keys[0]
        key_type = sql.SQL(target.type_of(column))
        held = sql.SQL(ONE_KEY).format(key=sql.Identifier(column), table=target.table, type=key_type, **given)
    else:
        key_type = sql.SQL("text")
        same = target.same_key("t", target.parts("sought.key"))
        held = sql.SQL(SEVERAL_KEYS).format(text=target.key_text("t"), table=target.table, same=same, **given)
    return sql.SQL(CHANGED).format(
        held=held, type=key_type, size=sql.Literal(HASH_BYTES), before=sql.Literal(before), **given
    )
