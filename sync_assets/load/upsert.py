"""Decides before it writes: unchanged records cost one look-up by key; the rest pass a staging table in one statement.

Guard: content wins when its source time is newer, or equal (no time counts as equal) and it was asked for later. So a
page that was read before a webhook and loaded after it loses.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from struct import Struct

import msgspec
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from sync_assets import crash
from sync_assets.entity import ById, Whole
from sync_assets.errors import AnswerTooLarge
from sync_assets.extract.pages import Page
from sync_assets.load.sparse import nulls_of
from sync_assets.load.target import Target

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

# Documents lie in the row itself where they fit its page, and uncompressed beside it where they do not.
STAGE = """
create temp table if not exists sync_stage (
  key text, doc text, hash bytea, seen bigint, shape text, omits text[], adds text[]
) with (toast_tuple_target = 8160) on commit delete rows
"""
EXTERNAL = "alter table sync_stage alter column doc set storage external"

COPY_HEADER, COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
FIELDS, LENGTH, SEEN = Struct(">hi"), Struct(">i"), Struct(">iq")
ARRAY, BOUNDS, TEXT = Struct(">iii"), Struct(">ii"), 25

# Rows are locked in key order first, so that two of our own writers cannot wait for each other in a ring. The limit is
# no limit: it tells the planner how many rows are staged, who would guess 20,000 and read the whole target for a few.
LOCK = """
select 1 from {table} t
  join (select * from sync_stage limit %(staged)s) s on {same_key}
 order by {keys} for update of t
"""

# Each jsonb operator takes a document apart and builds it anew, so none is applied that has nothing to do. `offset 0`
# keeps the planner from computing a document twice.
DECIDE = """
with judged as materialized (
  select *, held is not null and held - %(volatile)s::text[] = doc - %(volatile)s::text[] as same
    from (
      select s.key, s.hash, s.seen, s.shape, t.raw_json as held,
             case when t.raw_json is null or s.omits = '{{}}'
                  then case when s.adds = '{{}}' then s.doc::jsonb else s.doc::jsonb - s.adds end
                  else sync.carried(t.raw_json, s.doc::jsonb - s.adds, s.omits)
             end as doc
        from (select * from sync_stage limit %(staged)s) s left join {table} t on {same_key}
      offset 0
    ) incoming
), renewed as (
  update {table} t set payload_hash = j.hash, payload_shape = j.shape
    from judged j
   where j.same and {same_judged}
  returning 1
), to_write as (
  select doc, hash, seen, shape from judged where not same
), written as ({written})
select (select count(*) from renewed), {outcome}
"""

# Nothing is held of what is staged: there is nothing to compare with, and judging would cost a tenth of a first load.
TAKE = """
with to_write as not materialized (
  select case when adds = '{{}}' then doc::jsonb else doc::jsonb - adds end as doc, hash, seen, shape from sync_stage
), written as ({written})
select 0, {outcome}
"""

WRITTEN = """
  insert into {table} as t (raw_json, seen, sync_id, payload_hash, payload_shape)
  select doc, seen, %(sync_id)s, hash, shape from to_write
  on conflict ({key_columns}) do update set
    raw_json = excluded.raw_json, seen = excluded.seen, sync_id = excluded.sync_id,
    payload_hash = excluded.payload_hash, payload_shape = excluded.payload_shape, synced_at = now()
  where excluded.source_changed_at > t.source_changed_at
     or (coalesce(excluded.source_changed_at = t.source_changed_at, true) and excluded.seen > t.seen)
  returning xmax = 0 as created, {key_text} as key
"""

OUTCOME = sql.SQL(
    "count(*) filter (where created), count(*) filter (where not created), array_agg(key) filter (where created)"
    " from written"
)

ONE_KEY = "select t.{key}::text, t.payload_hash, t.payload_shape from {table} t where t.{key} = any(%s::{type}[])"

FORGET_TOMBSTONES = "delete from sync.tombstones where account = %s and entity = %s and key = any(%s)"


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


@dataclass
class Row:
    """A record on its way to the staging table."""

    key: str
    record: bytes | msgspec.Raw
    seen: int
    read: Whole | ById
    hash: bytes
    sparse: tuple[str, ...] = ()

    @cached_property
    def staged(self) -> bytes:
        """The row as COPY's binary format spells it: nothing to escape here, nothing to look for there."""
        key, record = self.key.encode(), self.content
        return b"".join((
            FIELDS.pack(7, len(key)), key,
            LENGTH.pack(len(record)), record,
            LENGTH.pack(len(self.hash)), self.hash,
            SEEN.pack(8, self.seen),
            _of_read(self.read.shape, self.read.omits, self.read.adds),
        ))  # fmt: skip

    @cached_property
    def content(self) -> bytes:
        """What is stored: the record as it came, without the nulls of its sparse parts."""
        if not self.sparse or self._parts is None:
            return bytes(self.record)
        parts = dict(self._parts)
        for name in self.sparse:
            if name in parts:
                parts[name] = msgspec.Raw(nulls_of(self.read.path, name).left_out(parts[name]))
        return msgspec.json.encode(parts)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The record's top-level fields, None where a parser refuses it."""
        return None if self._parts is None else tuple(self._parts)

    @cached_property
    def _parts(self) -> dict[str, msgspec.Raw] | None:
        try:
            return _fields(self.record)
        except (msgspec.DecodeError, RecursionError):
            return None

    def prepare(self) -> None:
        """Works out ahead of the transaction what it will ask for."""
        _ = self.staged, self.names


@dataclass
class Batch:
    """The records of one commit, one per key, and what was left out on the way."""

    rows: dict[str, Row] = field(default_factory=dict)
    keyless: list[bytes] = field(default_factory=list)
    oversized: dict[str, AnswerTooLarge] = field(default_factory=dict)
    repeated: int = 0
    suspect: bool = False


def batch(pages: Iterable[Page], sparse: tuple[str, ...] = ()) -> Batch:
    """Of two records with one key the one asked for later stays, of one page the last."""
    found = Batch()
    for page in pages:
        found.suspect |= page.suspect
        for record, key in zip(page.records, page.keys, strict=True):
            if key is None:
                found.keyless.append(bytes(record))
                continue
            if key in page.oversized:
                found.repeated += key in found.oversized
                found.oversized[key] = page.oversized[key]
                continue
            if (held := found.rows.get(key)) is not None:
                found.repeated += 1
                if held.seen > page.seen:
                    continue
            digest = hashlib.blake2b(record, digest_size=16).digest()
            found.rows[key] = Row(key, record, page.seen, page.read, digest, sparse)
    return found


def changed(cursor: Cursor, target: Target, rows: dict[str, Row]) -> list[Row]:
    """The rows whose bytes are not those that are stored already."""
    keys = sorted(rows)
    if not keys:
        return []
    if len(target.entity.keys) == 1:
        column = target.entity.keys[0]
        query = sql.SQL(ONE_KEY).format(
            key=sql.Identifier(column), table=target.table, type=sql.SQL(target.type_of(column))
        )
    else:
        query = sql.SQL(
            "select {text}, t.payload_hash, t.payload_shape"
            "  from unnest(%s::text[]) wanted(key) join {table} t on {same}"
        ).format(
            text=target.key_text("t"),
            table=target.table,
            same=target.same_key("t", target.parts("wanted.key")),
        )
    cursor.execute(query, (keys,))
    held = {key: (bytes(hash_ or b""), shape) for key, hash_, shape in cursor}
    return [r for k in keys if held.get(k) != ((r := rows[k]).hash, r.read.shape)]


def write(cursor: Cursor, target: Target, rows: list[Row], sync_id: int) -> Counts:
    """Writes rows that differ from what is stored. Raises psycopg2's DataError for a value that jsonb refuses."""
    if not rows:
        return Counts()
    stage(cursor, rows)
    crash.point("after stage")
    return decide(cursor, target, sync_id, len(rows))


def stage(cursor: Cursor, rows: list[Row]) -> None:
    open_stage(cursor)
    staged = b"".join((COPY_HEADER, *(row.staged for row in rows), COPY_END))
    # In one piece: for each piece psycopg2 waits for the interpreter, which is reading the next pages.
    columns = "key, doc, hash, seen, shape, omits, adds"
    copy = f"copy sync_stage ({columns}) from stdin (format binary)"
    cursor.copy_expert(copy, io.BytesIO(staged), len(staged) + 1)


def open_stage(cursor: Cursor) -> None:
    cursor.execute("select to_regclass('pg_temp.sync_stage') is null")
    row = cursor.fetchone()
    if row and row[0]:
        cursor.execute(STAGE)
        cursor.execute(EXTERNAL)
    cursor.execute("delete from sync_stage")


def decide(cursor: Cursor, target: Target, sync_id: int, staged: int) -> Counts:
    """Loads the staging table into the target. Rows that are neither written nor the same are stale."""
    same_key = target.same_key("t", target.parts("s.key"))
    given = {"sync_id": sync_id, "staged": staged, "volatile": list(target.entity.volatile)}
    cursor.execute(sql.SQL(LOCK).format(table=target.table, same_key=same_key, keys=target.key_columns("t")), given)
    names = {"table": target.table, "key_columns": target.key_columns(), "key_text": target.key_text("t")}
    cursor.execute(
        sql.SQL(DECIDE if cursor.rowcount else TAKE).format(
            **names,
            same_key=same_key,
            same_judged=target.same_key("t", target.parts("j.key")),
            written=sql.SQL(WRITTEN).format(**names),
            outcome=OUTCOME,
        ),
        given,
    )
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  an aggregate without GROUP BY has one row
    same, created, updated, born = row
    if born:
        cursor.execute(FORGET_TOMBSTONES, (target.account, target.entity.name, born))
    crash.point("after upsert")
    return Counts(created=created, updated=updated, unchanged=same, stale=staged - same - created - updated)


@lru_cache
def _of_read(shape: str, omits: tuple[str, ...], adds: tuple[str, ...]) -> bytes:
    """The fields that all rows of one read share."""
    return b"".join(LENGTH.pack(len(f)) + f for f in (shape.encode(), _array(omits), _array(adds)))


def _array(names: tuple[str, ...]) -> bytes:
    """A text[] in Postgres' binary format."""
    if not names:
        return ARRAY.pack(0, 0, TEXT)
    held = [name.encode() for name in names]
    return ARRAY.pack(1, 0, TEXT) + BOUNDS.pack(len(held), 1) + b"".join(LENGTH.pack(len(n)) + n for n in held)
