"""How well webhooks are delivered: of what an incremental sync found changed, how much no webhook had told of.

A webhook that came brought its record here at once, so the sync after it finds that unchanged. What it finds changed
was not delivered, or not yet.
"""

from __future__ import annotations

from typing import Any

from psycopg2 import sql

from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.target import Target

NOTE = """
update sync.logs l set unheard = deleted + (
  select count(*) from {table} t
   where t.sync_id = l.id and not exists (
     select from sync.webhook_events e
      where (e.account, e.entity) = (l.account, l.entity) and e.key in ({key}, '')
        and e.received_at >= coalesce((select max(b.started_at) from sync.logs b
                                        where b.account = l.account and b.entity = l.entity and b.id < l.id
                                          and b.holder is null), '-infinity')))
 where l.id = %s
"""

QUALITY = """
with events as (
  select account, entity, count(*) as events, count(distinct key) as records, sum(deliveries) as deliveries
    from sync.webhook_events
   where entity <> '' and received_at > clock_timestamp() - make_interval(days => %(days)s) group by 1, 2
), changes as (
  select account, entity, sum(created + updated + deleted + merged) filter (where kind = 'webhook') as by_webhooks,
         sum(unheard) as unheard
    from sync.logs where started_at > clock_timestamp() - make_interval(days => %(days)s) group by 1, 2
)
select account, entity, coalesce(events, 0), coalesce(records, 0), coalesce(deliveries, 0), coalesce(by_webhooks, 0),
       coalesce(unheard, 0)
  from events full join changes using (account, entity)
 where events is not null or by_webhooks > 0 or unheard is not null
 order by 1, 2
"""


def note_unheard(cursor: Cursor, target: Target, sync_id: int) -> None:
    """Counts in a sync's row the records that it changed and that no webhook had told of since the sync before it."""
    cursor.execute(sql.SQL(NOTE).format(table=target.table, key=target.key_text("t")), (sync_id,))


def quality(database: Database, days: int) -> list[dict[str, Any]]:
    """By entity: events and the records that they were of, changes that they brought, and changes that went untold."""

    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(QUALITY, {"days": days})
        return cursor.fetchall()

    names = ("account", "entity", "events", "records", "deliveries", "brought", "untold")
    found = []
    for account, entity, *counts in database.transaction(work):
        row: dict[str, Any] = dict(zip(names, (account, entity, *map(int, counts)), strict=True))
        changes = row["brought"] + row["untold"]
        row["delivered_percent"] = round(100 * row["brought"] / changes, 1) if changes else None
        found.append(row)
    return found
