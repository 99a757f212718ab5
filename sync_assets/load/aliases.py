"""Records that were merged away: an old key leads to the record that it lives on in, and is never asked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg2 import sql
from psycopg2.extras import execute_values

from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

# A survivor tells whom it took in. What a look by key has found out is as good and stays. A sync that failed has not
# come to this: what it wrote is asked too. Syncs of single records say nothing of what others wrote beside them.
SINCE = """
t.sync_id > (select coalesce(max(id), 0) from sync.logs
              where account = %(account)s and entity = %(entity)s and id < %(sync_id)s and holder is null
                and status in ('success', 'partial'))
"""
LEFT_OVER = """
select status not in ('success', 'partial') from sync.logs
 where account = %(account)s and entity = %(entity)s and id < %(sync_id)s and holder is null order by id desc limit 1
"""
OF_THESE = "exists (select from unnest(%(keys)s::text[]) k(key) where {same_key})"
LEARN = """
insert into sync.aliases (account, entity, key, into_key, evidence)
select distinct on (old.key) %(account)s, %(entity)s, old.key, {key}, 'the surviving record says so'
  from {table} t cross join lateral unnest({merged}) old(key)
 where {scope}
   and old.key <> '' and old.key <> {key}
 order by old.key, t.seen desc
on conflict (account, entity, key) do nothing
"""

# Some sources throw whoever was merged away into the bin, where it may be met before its survivor is.
NOT_BINNED = """
update sync.tombstones t set state = 'merged', merged_into = a.into_key, evidence = t.evidence || '; ' || a.evidence
  from sync.aliases a
 where (a.account, a.entity, a.key) = (t.account, t.entity, t.key)
   and t.account = %(account)s and t.entity = %(entity)s and t.state = 'binned'
"""

# A row whose survivor was read later than it.
SUPERSEDED = """
select {key}, a.into_key from {table} t
  join sync.aliases a on a.account = %(account)s and a.entity = %(entity)s and a.key = {key}
  join {table} s on {survivor}
 where s.seen > t.seen and (%(keys)s::text[] is null or a.key = any(%(keys)s) or a.into_key = any(%(keys)s))
"""

KNOWN = """
with recursive trail as (
  select key, into_key, 1 as steps from sync.aliases
   where account = %(account)s and entity = %(entity)s and key = any(%(keys)s)
  union all
  select trail.key, a.into_key, steps + 1 from trail
    join sync.aliases a on a.account = %(account)s and a.entity = %(entity)s and a.key = trail.into_key
   where steps < 50
)
select distinct on (key) key, into_key from trail order by key, steps desc
"""


PREDECESSORS = """
with recursive one as (
  select unnest(%(keys)s::text[]) as key
  union
  select a.key from sync.aliases a join one on a.into_key = one.key
   where a.account = %(account)s and a.entity = %(entity)s
)
select key from one
"""


def learn(cursor: Cursor, target: Target, sync_id: int, keys: Sequence[str] | None, *, alone: bool) -> None:
    """Notes what records say about whom they took in: those with these keys, or all since the last sync that succeeded.

    Unless they are asked `alone`, all are where the sync before this one did not succeed: it may have written some.
    """
    if not target.entity.merged:
        return
    if not alone:
        cursor.execute(LEFT_OVER, {"account": target.account, "entity": target.entity.name, "sync_id": sync_id})
        (left_over,) = cursor.fetchone() or (True,)
        keys = None if left_over else keys
    these = sql.SQL(OF_THESE).format(same_key=target.same_key("t", target.parts("k.key")))
    statement = sql.SQL(LEARN).format(
        table=target.table,
        key=target.key_text("t"),
        merged=sql.SQL(target.entity.merged),
        scope=sql.SQL(SINCE) if keys is None else these,
    )
    where = {"account": target.account, "entity": target.entity.name, "sync_id": sync_id, "keys": _list(keys)}
    cursor.later(statement, where)
    cursor.later(NOT_BINNED, where)


def superseded(cursor: Cursor, target: Target, keys: Sequence[str] | None) -> dict[str, str]:
    """Rows that are still held though their survivor was read after them, and the survivor's key.

    With `keys` only those of which one or the other has one of them.
    """
    statement = sql.SQL(SUPERSEDED).format(
        key=target.key_text("t"), table=target.table, survivor=target.same_key("s", target.parts("a.into_key"))
    )
    cursor.execute(statement, {"account": target.account, "entity": target.entity.name, "keys": _list(keys)})
    return dict(cursor.fetchall())


def _list(keys: Sequence[str] | None) -> list[str] | None:
    return None if keys is None else list(keys)


def note(cursor: Cursor, target: Target, into: Mapping[str, str]) -> None:
    """Notes what looks by key have shown: the record answered under another key."""
    execute_values(
        cursor,
        "insert into sync.aliases (account, entity, key, into_key, evidence) values %s"
        " on conflict (account, entity, key) do update set into_key = excluded.into_key, evidence = excluded.evidence",
        [(target.account, target.entity.name, key, other, "asked for by key") for key, other in into.items()],
    )


def known(cursor: Cursor, target: Target, keys: Sequence[str]) -> dict[str, str]:
    """For those of `keys` that were merged away, the key at the end of their chain."""
    if not keys:
        return {}
    cursor.execute(KNOWN, {"account": target.account, "entity": target.entity.name, "keys": list(keys)})
    return dict(cursor.fetchall())


def with_predecessors(cursor: Cursor, target: Target, keys: Sequence[str]) -> list[str]:
    """`keys`, and those of all records that live on in them."""
    cursor.execute(PREDECESSORS, {"account": target.account, "entity": target.entity.name, "keys": list(keys)})
    return [key for (key,) in cursor.fetchall()]
