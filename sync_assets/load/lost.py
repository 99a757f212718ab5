"""Syncs whose process ended without a word: their rows in `sync.logs` are closed by whoever comes next."""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from sync_assets.load.holder import holder_is_dead

RUNNING = """
select id, holder, lease_until < clock_timestamp() from sync.logs
 where account = %s and entity = %s and status = 'running' and (%s or holder is not null)
"""

LOST = """
update sync.logs set status = 'lost', finished_at = clock_timestamp(), error = 'its process ended without a word'
 where id = any(%s) and status = 'running'
"""


def close_lost(cursor: Cursor, account: str, entity: str, *, leased: bool) -> None:
    """`leased`: the caller has just got the entity's lease, so nobody else's sync that had it is running any more."""
    cursor.execute(RUNNING, (account, entity, leased))
    lost = [log for log, holder, lapsed in cursor.fetchall() if holder is None or lapsed or holder_is_dead(holder)]
    if lost:
        cursor.execute(LOST, (lost,))
