"""Syncs whose process ended without a word: their rows in `sync.logs` are closed by whoever comes next."""

from __future__ import annotations

from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.holder import holder_is_dead

RUNNING = """
select id, holder, lease_until < clock_timestamp() from sync.logs
 where account = %s and entity = %s and status = 'running' and (%s or holder is not null) and id <> %s
"""

LOST = """
update sync.logs set status = 'lost', finished_at = clock_timestamp(), error = 'its process ended without a word'
 where id = any(%s) and status = 'running'
"""

ALL_RUNNING = """
select l.id, l.holder, l.lease_until < clock_timestamp(), m.lease_holder, m.lease_until < clock_timestamp()
  from sync.logs l join sync.metadata m using (account, entity) where l.status = 'running'
   for update of m
"""
"""The lock is the one under which a sync takes its lease: none begins between the look and the verdict."""

LAPSED = """
select l.account || '/' || l.entity from sync.logs l join sync.metadata m using (account, entity)
 where l.run_id = %s and l.status = 'running' and coalesce(l.lease_until, m.lease_until) < clock_timestamp()
 order by l.id
"""


def close_lost(cursor: Cursor, account: str, entity: str, *, leased: bool, but: int = 0) -> None:
    """`leased`: the caller has just got the entity's lease, so nobody else's sync that had it is running any more.

    `but` is the caller's own.
    """
    cursor.execute(RUNNING, (account, entity, leased, but))
    lost = [log for log, holder, lapsed in cursor.fetchall() if holder is None or lapsed or holder_is_dead(holder)]
    if lost:
        cursor.later(LOST, (lost,))


def lapsed_syncs(database: Database, run_id: str) -> list[str]:
    """The entities, as account/entity, that a Dagster run is syncing according to the ledger, though its lease of them
    has lapsed."""
    return [name for (name,) in database.rows(LAPSED, (run_id,))]


def close_all_lost(database: Database) -> int:
    """Closes the syncs of all entities whose process has ended without a word; answers how many.

    A sync that only seemed dead (its machine was asleep) and goes on corrects its row when it ends.
    """
    return database.transaction(_close_all)


def _close_all(cursor: Cursor) -> int:
    cursor.execute(ALL_RUNNING)
    lost = []
    for log, own, own_lapsed, leased, lease_lapsed in cursor.fetchall():
        holder, lapsed = (own, own_lapsed) if own else (leased, lease_lapsed)
        if holder is None or lapsed or holder_is_dead(holder):
            lost.append(log)
    if lost:
        cursor.execute(LOST, (lost,))
    return len(lost)
