"""Records that were merged away: an old key leads to the record that it lives on in, and is never asked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.extras import execute_values

from sync_assets.load.target import Target

# A survivor tells whom it took in. What a look by key has found out is as good and stays. A sync that failed has not
# come to this: what it wrote is asked too.
LEARN = """
insert into sync.aliases (account, entity, key, into_key, evidence)
select distinct on (old.key) %(account)s, %(entity)s, old.key, {key}, 'the surviving record says so'
  from {table} t cross join lateral unnest({merged}) old(key)
 where t.sync_id > (select coalesce(max(id), 0) from sync.logs
                      where account = %(account)s and entity = %(entity)s and id < %(sync_id)s
                        and status in ('success', 'partial'))
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
 where s.seen > t.seen
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


def learn(cursor: Cursor, target: Target, sync_id: int) -> None:
    """Notes what the records written since the last sync that succeeded say about whom they took in."""
    if not target.entity.merged:
        return
    statement = sql.SQL(LEARN).format(
        table=target.table,
        key=target.key_text("t"),
        merged=sql.SQL(target.entity.merged),
    )
    where = {"account": target.account, "entity": target.entity.name, "sync_id": sync_id}
    cursor.execute(statement, where)
    cursor.execute(NOT_BINNED, where)


def superseded(cursor: Cursor, target: Target) -> dict[str, str]:
    """Rows that are still held though their survivor was read after them, and the survivor's key."""
    statement = sql.SQL(SUPERSEDED).format(
        key=target.key_text("t"), table=target.table, survivor=target.same_key("s", target.parts("a.into_key"))
    )
    cursor.execute(statement, {"account": target.account, "entity": target.entity.name})
    return dict(cursor.fetchall())


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
    cursor.execute(KNOWN, {"account": target.account, "entity": target.entity.name, "keys": list(keys)})
    return dict(cursor.fetchall())


def with_predecessors(cursor: Cursor, target: Target, keys: Sequence[str]) -> list[str]:
    """`keys`, and those of all records that live on in them."""
    cursor.execute(PREDECESSORS, {"account": target.account, "entity": target.entity.name, "keys": list(keys)})
    return [key for (key,) in cursor.fetchall()]
