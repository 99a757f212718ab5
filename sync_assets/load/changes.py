"""What happened to records: told once each to rules and sequences, in the transaction that writes the record.

Whoever writes (webhook, polling, the read-back of our own write) comes through `upsert.decide` or `deletions.bury`, and
so through here: what one of them stores is no change to the next. Told are entities that somebody listens to, after
their first complete load: what was there before us did not happen.

A change is our own where it shows what `sync.outbox` says that we sent, and nothing else. Where something else changed
with it, be it another custom field or tag, it is external, but bears the depth of ours: whoever reacts to it still
comes to an end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

CHANNEL = "sync_changes"

WANTED = """
select m.system, exists (select from sync.outbox o where o.account = m.account and o.sent is not null)
  from sync.metadata m
 where m.account = %(account)s and m.entity = %(entity)s and m.last_full_at is not null
   and exists (select from sync.listeners l
                where l.system = m.system and l.entity = m.entity and l.account in ('', m.account))
"""

NOBODY = "select null::text, null::boolean where false"

# Follows `written` in its own statement, which therefore also returns the row's record and time. A row that was neither
# created nor held has another writer, who came between our look and our write.
TOLD = """
, happened as materialized (
  select w.key, w.doc as after, w.at, j.held as before, j.held_at,
         case when not w.created then case when j.held is null then sync.written_meanwhile() else 'updated' end
              when exists (select from sync.tombstones b where b.account = %(account)s and b.entity = %(entity)s
                              and b.key = w.key and b.raw_json <> '{{}}') then 'restored'
              else 'created' end as kind,
         sync.names_changed(j.held, w.doc, %(volatile)s::text[]) as changed
    from written w left join {judged} on j.key = w.key
), told as (
  insert into sync.change_events (account, system, entity, key, revision, kind, before, after, changed, occurred_at,
                                  origin, cause, depth, sync_id)
  select %(account)s, %(system)s, %(entity)s, h.key, {revision}, h.kind, h.before, h.after, h.changed,
         coalesce(h.at, now()),
         case when own.names @> array(select unnest(h.changed) except select unnest(%(along)s::text[]))
              then 'self' else 'external' end,
         own.id, coalesce(own.depth + 1, 0), %(sync_id)s
    from happened h
    left join lateral sync.own_write2(%(account)s, %(entity)s, h.key, h.before, h.after, h.changed, h.held_at) own
           on %(wrote)s and own.id is not null
  returning 1
)
"""

REVISION = """
(select coalesce(max(e.revision), 0) + 1 from sync.change_events e
  where (e.account, e.entity, e.key) = (%(account)s, %(entity)s, {key}))
"""

NOTHING_HELD = "(select null::text as key, null::jsonb as held, null::timestamptz as held_at where false) j"

DEPARTED = """
insert into sync.change_events (account, system, entity, key, revision, kind, before, changed, occurred_at, sync_id)
select b.account, %(system)s, b.entity, b.key, {revision}, 'deleted', nullif(b.raw_json, '{{"erased": true}}'),
       sync.names_changed(b.raw_json, null, '{{}}'), b.deleted_at, %(sync_id)s
  from sync.tombstones b where b.account = %(account)s and b.entity = %(entity)s and b.key = any(%(keys)s)
"""

UNLISTEN = "delete from sync.listeners where consumer = %s and (system, account, entity) not in %s"
LISTEN = "insert into sync.listeners (consumer, system, account, entity) values (%s, %s, %s, %s) on conflict do nothing"

NOTIFY = "select pg_notify(%s, %s)"


@dataclass(frozen=True)
class Telling:
    """How the changes of one entity are told of, right now."""

    system: str
    wrote: bool  # whether anything was ever sent to this account: else no change is our own

    def given(self, target: Target) -> dict[str, object]:
        along = target.entity.tells.along if target.entity.tells else ()
        return {"system": self.system, "wrote": self.wrote, "along": list(along)}


def wanted(target: Target) -> sql.SQL:
    """A query of how the entity's changes are told of, right now; no row where nobody is told."""
    return sql.SQL(WANTED if target.entity.tells else NOBODY)


def told(*, held: bool) -> sql.Composed:
    """The statement's part that tells, behind its `written`; `held`: it has `judged` too."""
    judged = sql.SQL("judged j" if held else NOTHING_HELD)
    return sql.SQL(TOLD).format(judged=judged, revision=sql.SQL(REVISION).format(key=sql.SQL("h.key")))


def listens(cursor: Cursor, consumer: str, wanted: Collection[tuple[str, str, str]], *, whole: bool) -> None:
    """From now on `consumer` hears of these (system, account or "" for all, entity); `whole`: and of no other."""
    if whole:
        cursor.later(UNLISTEN, (consumer, tuple(wanted) or (("", "", ""),)))
    for one in sorted(wanted):
        cursor.later(LISTEN, (consumer, *one))


def departed(cursor: Cursor, target: Target, keys: Sequence[str], sync_id: int) -> None:
    """Tells of records that have just moved to the tombstones."""
    if not keys or target.entity.tells is None:
        return
    given = {"account": target.account, "entity": target.entity.name, "keys": list(keys), "sync_id": sync_id}
    cursor.execute(WANTED, given)
    if row := cursor.fetchone():
        revision = sql.SQL(REVISION).format(key=sql.SQL("b.key"))
        cursor.later(sql.SQL(DEPARTED).format(revision=revision), given | {"system": row[0]})
        announce(cursor, target.account)


def announce(cursor: Cursor, account: str) -> None:
    """To whoever waits, as soon as this transaction is committed."""
    cursor.later(NOTIFY, (CHANNEL, account))
