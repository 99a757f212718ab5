"""Links that point at nobody, and healing them: the missing parent waits with a name and is asked for by its key.

Nothing is enforced and no stub row is made: the child is stored as it is, and what waits is counted beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg2 import sql

from sync_assets.entity import Link
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

HEAL_AT_ONCE = 200
"""Requests for parents by key in one sync; the rest follow with the next."""

HEAL_BESIDE = 10
"""The same for a sync that webhooks asked for: it is to be over in a moment."""

NEXT_TRY = "least(interval '1 day', interval '5 minutes' * power(2, tries))"

# `{scope}` limits the look to the rows that this sync wrote: the whole table is for the integrity check.
#
# Each parent is looked for once, and before anything else is asked about it: about a table that has just been filled
# the planner knows nothing, and would begin with what never helps.
ORPHANS = """
select {child_key} as parent, c.children
  from (select {columns}, count(*) as children from {child} c
         where {pointing} and {scope} group by {columns} offset 0) c
 where not exists (select from {parent} p where {joined}) and not exists ({alias})
"""

# Whoever was merged into another record is not missing.
ALIAS = """
select from sync.aliases a where a.account = {account} and a.entity = {entity} and a.key = {child_key}
"""

AWAIT = """
insert into sync.missing_parents (account, entity, key, child_entity, child_columns)
select %(account)s, %(entity)s, o.parent, %(child)s, %(columns)s from ({orphans}) o
on conflict do nothing
"""

ARRIVED = """
delete from sync.missing_parents m
 where m.account = %(account)s and m.entity = %(entity)s
   and (exists (select from {table} t where {same_key})
        or exists (select from sync.aliases a where (a.account, a.entity, a.key) = (m.account, m.entity, m.key)))
"""

NO_LONGER_ASKED_FOR = """
delete from sync.missing_parents m
 where m.account = %(account)s and m.entity = %(entity)s
   and m.child_entity = %(child)s and m.child_columns = %(columns)s
   and not exists (select from {child} c where {pointing} and {child_key} = m.key)
"""

# Taken at once: whoever asks for a parent meets parents of its own, and must not find this one due again.
DUE = f"""
with due as (
  select distinct key from sync.missing_parents
   where account = %(account)s and entity = %(entity)s and state <> 'gone' and next_try_at <= clock_timestamp()
   order by key limit %(most)s
), taken as (
  update sync.missing_parents m set next_try_at = clock_timestamp() + {NEXT_TRY}
    from due where m.account = %(account)s and m.entity = %(entity)s and m.key = due.key
)
select key from due order by key
"""  # noqa: S608  NEXT_TRY is ours

TOMBSTONED = """
update sync.missing_parents m set state = 'gone', evidence = 'gone since ' || t.deleted_at::date || ': ' || t.evidence
  from sync.tombstones t
 where m.account = %(account)s and m.entity = %(entity)s and m.state = 'waiting'
   and (t.account, t.entity, t.key) = (m.account, m.entity, m.key)
"""

TRIED = f"""
update sync.missing_parents set tries = tries + 1, state = %(state)s, evidence = %(evidence)s,
       next_try_at = clock_timestamp() + {NEXT_TRY}
 where account = %(account)s and entity = %(entity)s and key = %(key)s
"""  # noqa: S608  NEXT_TRY is ours


def orphans(child: Target, parent: Target, link: Link, scope: sql.Composable) -> sql.Composed:
    """A query of the parents that `child` points at in vain: (parent key as text, number of children)."""
    on = ((link.on,) if isinstance(link.on, str) else link.on) or parent.entity.keys
    joined = sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier("p", o), sql.Identifier("c", n))
        for n, o in zip(link.names, on, strict=True)
    )
    return sql.SQL(ORPHANS).format(
        child=child.table,
        parent=parent.table,
        joined=joined,
        pointing=_pointing(link),
        scope=scope,
        child_key=_child_key(link),
        alias=sql.SQL(ALIAS).format(
            account=sql.Literal(parent.account), entity=sql.Literal(parent.entity.name), child_key=_child_key(link)
        ),
        columns=sql.SQL(", ").join(sql.Identifier("c", name) for name in link.names),
    )


def note_missing(
    cursor: Cursor,
    child: Target,
    parent: Target,
    link: Link,
    sync_id: int | None = None,
    keys: Sequence[str] | None = None,
) -> None:
    """Puts the parents that rows point at in vain on the waiting list.

    `keys` limits the look to these rows, `sync_id` to those of one sync, which takes reading the table.
    """
    scope = sql.SQL("true") if sync_id is None else sql.SQL("c.sync_id = {}").format(sql.Literal(sync_id))
    if keys is not None:
        scope = sql.SQL("exists (select from unnest({}::text[]) k(key) where {})").format(
            sql.Literal(list(keys)), child.same_key("c", child.parts("k.key"))
        )
    if keys is None or keys:
        cursor.later(sql.SQL(AWAIT).format(orphans=orphans(child, parent, link, scope)), _where(child, parent, link))


def no_longer_asked_for(cursor: Cursor, child: Target, parent: Target, link: Link) -> None:
    """Takes parents from the list that no row of `child` points at any more."""
    statement = sql.SQL(NO_LONGER_ASKED_FOR).format(
        child=child.table, pointing=_pointing(link), child_key=_child_key(link)
    )
    cursor.later(statement, _where(child, parent, link))


def _where(child: Target, parent: Target, link: Link) -> dict[str, str]:
    return {
        "account": child.account,
        "entity": parent.entity.name,
        "child": child.entity.name,
        "columns": ", ".join(link.names),
    }


def settle(cursor: Cursor, parent: Target) -> None:
    """Takes parents that have come off the list, and marks those that were deleted."""
    where = {"account": parent.account, "entity": parent.entity.name}
    arrived = sql.SQL(ARRIVED).format(table=parent.table, same_key=parent.same_key("t", parent.parts("m.key")))
    cursor.later(arrived, where)
    cursor.later(TOMBSTONED, where)


def due(cursor: Cursor, parent: Target, requests: int = HEAL_AT_ONCE) -> list[str]:
    """Keys of parents to be asked for now, in so many requests; nobody else is told them for a while."""
    most = requests * (parent.entity.one.at_once if parent.entity.one else 1)
    cursor.execute(DUE, {"account": parent.account, "entity": parent.entity.name, "most": most})
    return [key for (key,) in cursor.fetchall()]


def tried(cursor: Cursor, parent: Target, outcomes: Mapping[str, tuple[str, str]]) -> None:
    """Records for each key what asking for it gave: (state, evidence)."""
    for key, (state, evidence) in outcomes.items():
        cursor.later(
            TRIED,
            {
                "account": parent.account,
                "entity": parent.entity.name,
                "key": key,
                "state": state,
                "evidence": evidence,
            },
        )


def _pointing(link: Link) -> sql.Composable:
    tests: list[sql.Composable] = [sql.SQL("{} is not null").format(sql.Identifier("c", n)) for n in link.names]
    tests += [
        sql.SQL("{}::text <> all({})").format(sql.Identifier("c", n), sql.Literal(list(link.none)))
        for n in link.names[-1:]
        if link.none
    ]
    return sql.SQL(" and ").join(tests)


def _child_key(link: Link) -> sql.Composable:
    return sql.SQL(" || '/' || ").join(sql.SQL("{}::text").format(sql.Identifier("c", n)) for n in link.names)
