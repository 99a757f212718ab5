"""What the inbox forgets: events some time after they were worked off, and what webhooks sent, sooner.

A payload may hold names and numbers of people; once its event is over it is kept for nobody but whoever looks into a
failure.
"""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor  # noqa: N812

DEAD_STAY = 3
"""Times as long as the others: whoever looks for them has noticed late."""

EMPTY = """
update sync.webhook_events set payload = null, record = null
 where account = %s and done_at < clock_timestamp() - make_interval(secs => %s * 86400)
   and (payload is not null or record is not null)
"""

FORGET = """
delete from sync.webhook_events
 where account = %s and done_at < clock_timestamp() - make_interval(secs => %s * 86400)
   and (state <> 'dead' or done_at < clock_timestamp() - make_interval(secs => %s * 86400))
"""


def tidy(cursor: Cursor, account: str, *, days: float, payload_days: float) -> tuple[int, int]:
    """Answers how many events were emptied, and how many removed."""
    cursor.execute(EMPTY, (account, payload_days))
    emptied = cursor.rowcount
    cursor.execute(FORGET, (account, days, days * DEAD_STAY))
    return emptied, cursor.rowcount
