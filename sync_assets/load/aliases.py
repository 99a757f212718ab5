"""Records that were merged away: an old key leads to the record that it lives on in, and is never asked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812
from psycopg2.extras import execute_values

from sync_assets.load.target import Target

# A survivor tells whom it took in. What a look by key has found out is as good and stays.
LEARN = """
insert into sync.aliases (account, entity, key, into_key, evidence)
select distinct on (old.key) %(account)s, %(entity)s, old.key, {key}, 'the surviving record says so'
  from {table} t cross join lateral unnest({merged}) old(key)
 where t.sync_id = %(sync_id)s and old.key <> '' and old.key <> {key}
 order by old.key, t.seen desc
on conflict (account, entity, key) do nothing
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


def learn(cursor: Cursor, target: Target, sync_id: int) -> None:
    """Notes what the records written by a sync say about whom they took in."""
    if not target.entity.merged:
        return
    statement = sql.SQL(LEARN).format(
        table=target.table,
        key=target.key_text("t"),
        merged=sql.SQL(target.entity.merged),
    )
    cursor.execute(statement, {"account": target.account, "entity": target.entity.name, "sync_id": sync_id})


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
