"""What a complete sweep did not see, and the source confirms to be gone, moves from its table to `sync.tombstones`.

Proof before deletion: the sweep's sightings must add up to its ledger, the number of the missing must be plausible (the
fuse), and where the API can be asked for one record it is asked. A record that answers after all is simply loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg2 import sql

from sync_assets import crash
from sync_assets.entity import Link
from sync_assets.errors import FuseBlown
from sync_assets.load import changes
from sync_assets.load.cursor import Cursor
from sync_assets.load.erasure import erase
from sync_assets.load.target import Target

FUSE_FLOOR = 10
"""Up to this many deletions never blow the fuse by their share, only by an empty listing."""

MISSING = """
select sighted, keyless, counted, array(
   select {key} from {table} t
    where t.seen < %(seen)s and t.payload_shape is distinct from %(pushed)s and not exists (
      select from (select unnest(keys) as key from sync.sightings
                    where account = %(account)s and entity = %(entity)s and sweep = %(sweep)s) s where s.key = {key})
    order by {keys})
  from (select coalesce(sum(records), 0)::bigint, coalesce(sum(records - cardinality(keys)), 0)::bigint,
               (select coalesce(sum(fetched), 0)::bigint from sync.logs
                 where account = %(account)s and entity = %(entity)s and sweep = %(sweep)s)
          from sync.sightings where account = %(account)s and entity = %(entity)s and sweep = %(sweep)s)
       sums(sighted, keyless, counted)
"""

BURY = """
with gone as (
  delete from {table} t
   using unnest(%(keys)s::text[], %(evidence)s::text[], %(states)s::text[], %(into)s::text[], %(at)s::timestamptz[],
                %(seen)s::bigint[])
         g(key, evidence, state, into_key, at, seen)
   where {same_key} and t.seen < coalesce(g.seen, t.seen + 1)
     and (%(by_sender)s or t.payload_shape is distinct from %(pushed)s)
  returning t.raw_json, t.first_seen_at, g.key, g.evidence, g.state, g.into_key, g.at, coalesce(g.seen, t.seen) as seen
)
insert into sync.tombstones
       (account, entity, key, raw_json, evidence, state, merged_into, deleted_at, first_seen_at, sync_id, seen)
select %(account)s, %(entity)s, key, raw_json, evidence, state, into_key, coalesce(at, now()), first_seen_at,
       %(sync_id)s, seen from gone
on conflict (account, entity, key) do update
  set raw_json = excluded.raw_json, evidence = excluded.evidence, state = excluded.state, seen = excluded.seen,
      merged_into = excluded.merged_into, deleted_at = excluded.deleted_at, sync_id = excluded.sync_id
returning key, state
"""

# What had left its table for the bin and is not there any more either.
LEFT_THE_BIN = """
update sync.tombstones t set state = g.state, evidence = g.evidence, merged_into = g.into_key
  from unnest(%(keys)s::text[], %(evidence)s::text[], %(states)s::text[], %(into)s::text[])
       g(key, evidence, state, into_key)
 where t.account = %(account)s and t.entity = %(entity)s and t.key = g.key
   and t.state = 'binned' and g.state <> 'binned'
"""

# Who was looked for in vain and is not held either: nothing that was read before may bring them in.
BAN = """
insert into sync.tombstones (account, entity, key, raw_json, evidence, state, merged_into, first_seen_at, sync_id, seen)
select %(account)s, %(entity)s, g.key, '{{}}', g.evidence, g.state, g.into_key, now(), %(sync_id)s, g.seen
  from unnest(%(keys)s::text[], %(evidence)s::text[], %(states)s::text[], %(into)s::text[], %(seen)s::bigint[])
       g(key, evidence, state, into_key, seen)
 where g.seen is not null and not exists (select from {table} t where {same_key})
on conflict (account, entity, key) do update set seen = greatest(tombstones.seen, excluded.seen)
"""

BY_LOOKS = """
select (select coalesce(sum(deleted), 0)::bigint from sync.logs
         where account = %(account)s and entity = %(entity)s and holder is not null
           and started_at > clock_timestamp() - interval '1 hour')
     + (select count(*) from {table} t join unnest(%(keys)s::text[]) k(key) on {same_key})
"""

BEREFT = """
select count(*) from {table} t where {key} = any(%(keys)s) and not exists (select from {parent} p where {joined})
"""

LIVING = """
select {key} from {table} t join unnest(%(keys)s::text[]) k(key) on {same_key} where t.seen < %(seen)s
"""

# A set that was read whole later than a row of it, and without it.
LEFT_ITS_SET = """
select {key} from {table} t
 where t.{column}::text = any(%(values)s) and {key} <> all(%(shown)s) and t.seen < %(seen)s
"""

# Never older than what is held: a record that changed after it was deleted was restored.
TOLD = """
select {key}, max(told.at) from ({deletions}) told(key, at) join {table} t on {same_key}
 where told.at >= coalesce(t.source_changed_at, '-infinity') group by 1
"""

OUT_OF_THE_BIN = """
select key from sync.tombstones where account = %(account)s and entity = %(entity)s
   and state = 'binned' and deleted_at > now() - interval '{days} days' and key <> all(%(keys)s) order by key
"""

BIN_DAYS = 90
"""A bin keeps a record so long; what leaves it sooner was restored, or erased for good."""


Left = Literal["gone", "binned", "merged", "erased"]


@dataclass(frozen=True)
class Departed:
    """How a record left its table."""

    evidence: str
    state: Left = "gone"
    into: str | None = None
    at: datetime | None = None  # as the source tells it; None: when we noticed
    seen: int | None = None  # of the request that did not show it: what was read later stays. None: no such request


@dataclass(frozen=True)
class Fuse:
    """How many deletions one sync may make. `released` is a number that a person allowed, for this run only."""

    percent: float
    released: int | None = None

    def check(self, *, missing: int, rows: int, seen: int) -> None:
        """Raises FuseBlown, with both numbers, where a sweep would delete implausibly much."""
        if missing == 0 or (self.released is not None and missing <= self.released):
            return
        if seen == 0 or missing > max(FUSE_FLOOR, rows * self.percent / 100):
            raise FuseBlown(
                f"the source shows {seen} records where {rows} are stored: {missing} would be deleted",
                next_step=f"look at the source; if they are really gone, run it once with allow_deletions: {missing}",
            )


@dataclass(frozen=True)
class Unseen:
    """What a sweep did not see. A record that it saw without a key may be any of these."""

    keys: list[str]
    living: int  # counted only where somebody was not seen
    seen: int
    keyless: int


def missing(cursor: Cursor, target: Target, *, sweep: int, seen: int) -> Unseen:
    """The keys of the living that a sweep did not see, of those that its source could have shown.

    Raises FuseBlown where the sightings do not add up to what the ledger counted: then nothing can be derived.
    """
    pushed = {"pushed": target.entity.pushed_shape}
    where = {"account": target.account, "entity": target.entity.name, "sweep": sweep, "seen": seen, **pushed}
    cursor.execute(
        sql.SQL(MISSING).format(table=target.table, key=target.key_text("t"), keys=target.key_columns("t")),
        where,
    )
    sighted, keyless, counted, keys = cursor.fetchone() or (0, 0, 0, [])
    if sighted != counted:
        raise FuseBlown(
            f"the sweep's sightings ({sighted}) do not add up to its ledger ({counted}); nothing was deleted",
            next_step="run a full sync again",
        )
    if not keys:
        return Unseen(keys, 0, sighted, keyless)
    living_rows = "select count(*) from {} where payload_shape is distinct from %(pushed)s"
    cursor.execute(sql.SQL(living_rows).format(target.table), pushed)
    (living,) = cursor.fetchone() or (0,)
    return Unseen(keys, living, sighted, keyless)


def bury(
    cursor: Cursor, target: Target, departed: Mapping[str, Departed], sync_id: int, *, by_sender: bool = False
) -> tuple[int, int]:
    """Moves records to the tombstones, each with how we know. Answers how many were deleted, and how many merged.

    Rows that were pushed to us leave by the word of their sender only: the API never showed them.
    """
    if not departed:
        return 0, 0
    crash.point("in sweep")
    given = _given(target, departed, sync_id) | {"pushed": target.entity.pushed_shape, "by_sender": by_sender}
    cursor.execute(
        sql.SQL(BURY).format(table=target.table, same_key=target.same_key("t", target.parts("g.key"))), given
    )
    left = dict(cursor.fetchall())
    changes.departed(cursor, target, list(left), sync_id)
    cursor.later(LEFT_THE_BIN, given)
    erase(cursor, target, [key for key, d in departed.items() if d.state == "erased"])
    merged = list(left.values()).count("merged")
    return len(left) - merged, merged


def buried_by_looks(cursor: Cursor, target: Target, keys: Sequence[str]) -> int:
    """How many records will have left their table within an hour, by looks at single ones, when these have too."""
    statement = sql.SQL(BY_LOOKS).format(table=target.table, same_key=target.same_key("t", target.parts("k.key")))
    cursor.execute(statement, {"account": target.account, "entity": target.entity.name, "keys": list(keys)})
    row = cursor.fetchone()
    return row[0] if row else 0


def ban(cursor: Cursor, target: Target, departed: Mapping[str, Departed], sync_id: int) -> None:
    """Leaves a tombstone for each of them that was never held, and makes those that there are as new as this look."""
    same_key = target.same_key("t", target.parts("g.key"))
    cursor.later(sql.SQL(BAN).format(table=target.table, same_key=same_key), _given(target, departed, sync_id))


def _given(target: Target, departed: Mapping[str, Departed], sync_id: int) -> dict[str, object]:
    return {
        "account": target.account,
        "entity": target.entity.name,
        "keys": list(departed),
        "evidence": [d.evidence for d in departed.values()],
        "states": [d.state for d in departed.values()],
        "into": [d.into for d in departed.values()],
        "at": [d.at for d in departed.values()],
        "seen": [d.seen for d in departed.values()],
        "sync_id": sync_id,
    }


def bereft(cursor: Cursor, target: Target, parent: Target, link: Link, keys: Sequence[str]) -> int:
    """How many of the rows with these keys belong to a parent that has left its own table, with proof."""
    joined = sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier("p", key), sql.Identifier("t", name))
        for key, name in zip(parent.entity.keys, link.names, strict=True)
    )
    cursor.execute(
        sql.SQL(BEREFT).format(table=target.table, key=target.key_text("t"), parent=parent.table, joined=joined),
        {"keys": list(keys)},
    )
    row = cursor.fetchone()
    return row[0] if row else 0


def still_living(cursor: Cursor, target: Target, keys: Sequence[str], *, seen: int) -> list[str]:
    """Those of `keys` whose row was read before `seen`."""
    statement = sql.SQL(LIVING).format(
        key=target.key_text("t"), table=target.table, same_key=target.same_key("t", target.parts("k.key"))
    )
    cursor.execute(statement, {"keys": list(keys), "seen": seen})
    return [key for (key,) in cursor.fetchall()]


def left_its_set(
    cursor: Cursor, target: Target, column: str, values: Sequence[str], *, shown: Sequence[str], seen: int
) -> list[str]:
    """The rows with one of `values` in `column` that are not among the `shown`, and were read before `seen`."""
    statement = sql.SQL(LEFT_ITS_SET).format(
        key=target.key_text("t"), table=target.table, column=sql.Identifier(column)
    )
    cursor.execute(statement, {"values": list(values), "shown": list(shown), "seen": seen})
    return [key for (key,) in cursor.fetchall()]


def told(cursor: Cursor, target: Target) -> dict[str, datetime]:
    """Records that are held though another entity tells of their deletion, and when that was."""
    cursor.later(sql.SQL("set local search_path = {}").format(sql.Identifier(target.schema)))
    statement = sql.SQL(TOLD).format(
        key=target.key_text("t"),
        deletions=sql.SQL(target.entity.deletions),
        table=target.table,
        same_key=target.same_key("t", target.parts("told.key")),
    )
    cursor.execute(statement)
    return dict(cursor.fetchall())


def out_of_the_bin(cursor: Cursor, target: Target, binned: Sequence[str]) -> list[str]:
    """Records that we hold for binned, not so long ago that the bin forgets them, and that are not in it any more."""
    cursor.execute(
        OUT_OF_THE_BIN.format(days=BIN_DAYS),
        {"account": target.account, "entity": target.entity.name, "keys": list(binned)},
    )
    return [key for (key,) in cursor.fetchall()]
