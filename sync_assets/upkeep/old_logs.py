"""Rows of `sync.logs` whose time is over: summed by month in the statement that removes them.

A row stays as long as anything points at it, so `sync_id` always leads somewhere; so does the last one of each entity,
kind and status, which the next sync is held against. What points at a row that is this old may cease to, but nothing
begins to: who points at what is therefore looked up once, outside the transactions that remove.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial

from psycopg2 import sql

from sync_assets import crash
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.settings import SyncSettings

SINGLE = ("webhook", "reconcile", "reverse")
"""Kinds of syncs that look at single records, without being asked by a person."""

MIRRORED = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute s on s.attrelid = c.oid and s.attname = 'sync_id' and not s.attisdropped
 where c.relkind in ('r', 'p') and (n.nspname, c.relname) not in (('sync', 'record'), ('sync', 'logs'))
   and n.nspname !~ '^pg_'
"""
"""Every table with a sync_id, of accounts that are no longer connected too."""

LAST = "select max(id) from sync.logs group by account, entity, kind, status"

OLD = """
select id, started_at from sync.logs
 where id > %(after)s and (kind = any(%(single)s)) = %(is_single)s
   and finished_at < clock_timestamp() - make_interval(days => %(days)s)
 order by id limit %(most)s
"""

SUMMED = """
with gone as (
  delete from sync.logs where id = any(%(ids)s) returning *
), summed as (
  insert into sync.forgotten_logs as f
         (account, system, entity, kind, month, syncs, failed, fetched, created, updated, unchanged, stale, repeated,
          rejected, deleted, merged, requests, seconds)
  select account, min(system), entity, kind, date_trunc('month', started_at at time zone 'UTC')::date, count(*),
         count(*) filter (where status in ('failed', 'lost')), sum(fetched), sum(created), sum(updated), sum(unchanged),
         sum(stale), sum(repeated), sum(rejected), sum(deleted), sum(merged), sum(requests),
         sum(extract(epoch from finished_at - started_at))
    from gone group by account, entity, kind, 5
  on conflict (account, entity, kind, month) do update set
    syncs = f.syncs + excluded.syncs, failed = f.failed + excluded.failed, fetched = f.fetched + excluded.fetched,
    created = f.created + excluded.created, updated = f.updated + excluded.updated,
    unchanged = f.unchanged + excluded.unchanged, stale = f.stale + excluded.stale,
    repeated = f.repeated + excluded.repeated, rejected = f.rejected + excluded.rejected,
    deleted = f.deleted + excluded.deleted, merged = f.merged + excluded.merged,
    requests = f.requests + excluded.requests, seconds = f.seconds + excluded.seconds
  returning 1
)
select count(*) from gone
"""


def forget(
    database: Database, settings: SyncSettings, *, apply: bool, at_once: int
) -> Iterator[tuple[str, int, int, datetime | None]]:
    """For syncs of single records and for all others: (whose, days, how many go or would, since when the oldest)."""
    needed = database.transaction(_needed)
    for kinds, days in (("single records", settings.sync_single_log_days), ("entities", settings.sync_log_days)):
        given = {"single": list(SINGLE), "is_single": kinds == "single records", "days": days, "most": at_once}
        count, oldest, after = 0, None, 0
        while rows := database.transaction(partial(_old, given={**given, "after": after})):
            ids = [id for id, _ in rows if id not in needed]
            oldest = oldest or next((began for id, began in rows if id not in needed), None)
            after = rows[-1][0]
            count += database.transaction(partial(_sum_up, ids=ids)) if apply and ids else len(ids)
        yield kinds, days, count, oldest


def _needed(cursor: Cursor) -> set[int]:
    cursor.execute(LAST)
    needed = {id for (id,) in cursor.fetchall()}
    cursor.execute(MIRRORED)
    for schema, table in cursor.fetchall():
        pointing = sql.SQL("select distinct sync_id from {} where sync_id is not null")
        cursor.execute(pointing.format(sql.Identifier(schema, table)))
        needed |= {id for (id,) in cursor.fetchall()}
    return needed


def _old(cursor: Cursor, given: Mapping[str, object]) -> list[tuple[int, datetime]]:
    cursor.execute(OLD, given)
    return cursor.fetchall()


def _sum_up(cursor: Cursor, ids: list[int]) -> int:
    crash.point("in clean-up")
    cursor.execute(SUMMED, {"ids": ids})
    row = cursor.fetchone()
    return row[0] if row else 0
