"""Decides before it writes: unchanged records cost one look-up by key; the rest are judged in one statement.

Guard: content wins when its source time is newer, or equal (no time counts as equal) and it was asked for later. So a
page that was read before a webhook and loaded after it loses; nor does it bring back who was looked for since in vain.
What the API shows wins over what was pushed before.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql

from sync_assets import crash
from sync_assets.load import changes, stage
from sync_assets.load.batch import SEEN, Row
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

COPY_HEADER, COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

# Rows are locked in key order first, so that two of our own writers cannot wait for each other in a ring.
LOCK = """
select 1 from {table} t join ({staged}) s on {same_key} order by {keys} for update of t
"""

# Each jsonb operator takes a document apart and builds it anew, so none is applied that has nothing to do. `offset 0`
# keeps the planner from computing a document twice.
DECIDE = """
with judged as materialized (
  select *, held is not null and held - %(volatile)s::text[] = doc - %(volatile)s::text[] as same
    from (
      select s.key, s.hash, s.seen, s.shape, t.raw_json as held, t.synced_at as held_at,
             case when t.raw_json is null or s.omits = '{{}}'
                  then case when s.adds = '{{}}' then s.doc::jsonb else s.doc::jsonb - s.adds end
                  else sync.carried(t.raw_json, s.doc::jsonb - s.adds, s.omits)
             end as doc
        from ({staged}) s left join {table} t on {same_key}
      offset 0
    ) incoming
), renewed as (
  update {table} t set payload_hash = j.hash, payload_shape = j.shape, seen = greatest(t.seen, j.seen)
    from judged j
   where j.same and {same_judged}
  returning 1
), to_write as (
  select key, doc, hash, seen, shape from judged where not same
), written as ({written}){told}
select (select count(*) from renewed), {outcome}
"""

# Nothing is held of what is staged: there is nothing to compare with, and judging would cost a tenth of a first load.
TAKE = """
with to_write as not materialized (
  select key, case when adds = '{{}}' then doc::jsonb else doc::jsonb - adds end as doc, hash, seen, shape
    from ({staged}) s
), written as ({written}){told}
select 0, {outcome}
"""

WRITTEN = """
  insert into {table} as t (raw_json, seen, sync_id, payload_hash, payload_shape)
  select doc, seen, %(sync_id)s, hash, shape from to_write where {not_buried}
  on conflict ({key_columns}) do update set
    raw_json = excluded.raw_json, seen = excluded.seen, sync_id = excluded.sync_id,
    payload_hash = excluded.payload_hash, payload_shape = excluded.payload_shape, synced_at = now()
  where excluded.source_changed_at > t.source_changed_at
     or (coalesce(excluded.source_changed_at = t.source_changed_at, true) and excluded.seen > t.seen)
     or (t.payload_shape = %(pushed)s and excluded.payload_shape <> %(pushed)s and excluded.seen > t.seen)
  returning xmax = 0 as created, {key_text} as key{and_record}
"""

OUTCOME = sql.SQL(
    "count(*) filter (where created), count(*) filter (where not created), array_agg(key) filter (where created)"
    " from written"
)

# Who of the entity was buried, and who is told of its changes.
HEEDED = """
select exists (select from sync.tombstones where account = %(account)s and entity = %(entity)s), {held}, told.*
  from (select) one left join ({wanted}) told on true
"""
NOT_ASKED = sql.SQL("null::boolean")
STAGED_IS_HELD = "exists (select from ({staged}) s join {table} t on {same_key})"

NOT_BURIED = """
not exists (select from sync.tombstones b
             where (b.account, b.entity, b.key) = (%(account)s, %(entity)s, to_write.key) and b.seen > to_write.seen)
"""

FORGET_TOMBSTONES = """
delete from sync.tombstones where account = %(account)s and entity = %(entity)s and key = any(%(keys)s)
"""

# What was looked at again and is the same still: a burial that rests on an older look must not count against it.
SEEN_AGAIN = """
update {table} t set seen = s.seen
  from unnest(%(keys)s::text[], %(seen)s::bigint[]) s(key, seen) where {same_key} and t.seen < s.seen
"""


@dataclass
class Counts:
    """What became of the records of one commit. Their sum is `fetched`."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    repeated: int = 0
    rejected: int = 0

    @property
    def fetched(self) -> int:
        return self.created + self.updated + self.unchanged + self.stale + self.repeated + self.rejected

    def __iadd__(self, more: Counts) -> Counts:
        for name, value in vars(more).items():
            setattr(self, name, getattr(self, name) + value)
        return self


def write(cursor: Cursor, target: Target, rows: list[Row], sync_id: int) -> Counts:
    """Writes rows that differ from what is stored. Raises psycopg2's DataError for a value that jsonb refuses."""
    if not rows:
        return Counts()
    if not any(row.held or row.read.adds for row in rows):
        heeded = _heeded(cursor, target)
        if not heeded.buried and not heeded.telling and _taken_straight(cursor, target, rows, sync_id):
            return Counts(created=len(rows))
    staged = stage.few(cursor, rows) if stage.are_few(rows) else _staged(cursor, rows)
    crash.point("after stage")
    return decide(cursor, target, sync_id, staged)


def _staged(cursor: Cursor, rows: list[Row]) -> stage.Staged:
    stage.opened(cursor)
    _copy(cursor, stage.TABLE, stage.COLUMNS, [row.staged for row in rows])
    return stage.in_table(len(rows))


def _taken_straight(cursor: Cursor, target: Target, rows: list[Row], sync_id: int) -> bool:
    """Nothing is held of these rows: a third less work for Postgres than by way of the staging table.

    False, and nothing is done, where another writer was first with a key, Postgres refuses a value, or row security
    forbids COPY: the way through the staging table knows what to do then, and what to say.
    """
    crash.point("after stage")
    columns = sql.SQL("raw_json, seen, payload_hash, payload_shape, sync_id")
    last = SEEN.pack(8, sync_id)
    parts = [part for row in rows for part in (row.straight, last)]
    try:
        _copy(cursor, target.table, columns, parts, behind="straight")
    except psycopg2.Error as e:
        if (e.pgcode or "")[:2] not in ("0A", "22", "23", "54"):
            raise
        cursor.execute("rollback to savepoint straight")
        return False
    crash.point("after upsert")
    return True


def _copy(cursor: Cursor, table: sql.Identifier, columns: sql.SQL, rows: list[bytes], behind: str = "") -> None:
    """`behind` names a savepoint that is made first."""
    # In one piece: for each piece, and each statement, psycopg2 waits for the interpreter, which reads the next pages.
    copied = b"".join((COPY_HEADER, *rows, COPY_END))
    savepoint = sql.SQL("savepoint {};").format(sql.Identifier(behind)) if behind else sql.SQL("")
    statement = sql.SQL("{}copy {} ({}) from stdin (format binary)").format(savepoint, table, columns)
    cursor.copy_expert(statement, io.BytesIO(copied), len(copied) + 1)


def decide(cursor: Cursor, target: Target, sync_id: int, staged: stage.Staged) -> Counts:
    """Loads what is staged into the target. Rows that are neither written nor the same are stale."""
    same_key = target.same_key("t", target.parts("s.key"))
    entity = target.entity
    given = {
        "sync_id": sync_id,
        "volatile": list(entity.volatile),
        "pushed": entity.pushed_shape,
        **_whose(target),
        **staged.given,
    }
    these = {"table": target.table, "same_key": same_key, "staged": staged.keys}
    cursor.later(sql.SQL(LOCK).format(**these, keys=target.key_columns("t")), given)
    # Asked behind the locks: whoever was burying one of these rows has ended.
    heeded = _heeded(cursor, target, sql.SQL(STAGED_IS_HELD).format(**these), staged.given)
    telling = heeded.telling
    names = {
        "table": target.table,
        "key_columns": target.key_columns(),
        "key_text": target.key_text("t"),
        "not_buried": sql.SQL(NOT_BURIED if heeded.buried else "true"),
        "and_record": sql.SQL(", t.raw_json as doc, t.source_changed_at as at" if telling else ""),
    }
    cursor.execute(
        sql.SQL(DECIDE if heeded.held else TAKE).format(
            **names,
            staged=staged.rows,
            same_key=same_key,
            same_judged=target.same_key("t", target.parts("j.key")),
            written=sql.SQL(WRITTEN).format(**names),
            told=changes.told(held=heeded.held) if telling else sql.SQL(""),
            outcome=OUTCOME,
        ),
        given | telling.given(target) if telling else given,
    )
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  an aggregate without GROUP BY has one row
    same, created, updated, born = row
    if telling and created + updated:
        changes.announce(cursor, target.account)
    if born and heeded.buried:
        cursor.later(FORGET_TOMBSTONES, _whose(target) | {"keys": born})
    crash.point("after upsert")
    return Counts(created=created, updated=updated, unchanged=same, stale=staged.count - same - created - updated)


def seen_again(cursor: Cursor, target: Target, rows: Iterable[Row]) -> None:
    """Notes of rows that were found unchanged when that was."""
    seen = {row.key: row.seen for row in rows}
    statement = sql.SQL(SEEN_AGAIN).format(table=target.table, same_key=target.same_key("t", target.parts("s.key")))
    cursor.later(statement, {"keys": sorted(seen), "seen": [seen[key] for key in sorted(seen)]})


@dataclass(frozen=True)
class _Heeded:
    buried: bool  # anybody of the entity
    held: bool  # any row that was asked about
    telling: changes.Telling | None


def _heeded(
    cursor: Cursor, target: Target, held: sql.Composable = NOT_ASKED, given: Mapping[str, Any] | None = None
) -> _Heeded:
    """What a write must heed, asked at one go."""
    statement = sql.SQL(HEEDED).format(held=held, wanted=changes.wanted(target))
    cursor.execute(statement, {**_whose(target), **(given or {})})
    buried, is_held, *told = cursor.fetchone() or (False, False, None, None)
    return _Heeded(buried, bool(is_held), changes.Telling(*told) if told[0] else None)


def _whose(target: Target) -> dict[str, str]:
    return {"account": target.account, "entity": target.entity.name}
