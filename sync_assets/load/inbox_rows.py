"""The inbox as a person looks at it: counts, single events, and putting an event back in line or away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sync_assets.errors import FixConfig
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

STATES = """
select account, state, count(*), min(received_at), max(received_at), sum(deliveries)
  from sync.webhook_events where account = %s or %s = '' group by 1, 2 order by 1, 2
"""

LISTED = ("id", "account", "event", "entity", "key", "state", "attempts", "deliveries", "received_at", "reason")
SHOWN = (
    *("id", "account", "endpoint", "event", "entity", "key", "state", "attempts", "deliveries", "occurred_at"),
    *("received_at", "last_at", "next_try_at", "lease_until", "leased_by", "done_at", "sync_id", "reason"),
)

LATEST = f"""
select {", ".join(LISTED)} from sync.webhook_events
 where (account = %s or %s = '') and (state = %s or %s = '') order by id desc limit %s
"""  # noqa: S608  our own names

EVENT = f"""
select {", ".join(SHOWN)}, payload, record is not null from sync.webhook_events where id = %s
"""  # noqa: S608  our own names

# As one that waits, not as a new one: another delivery of it may have come in meanwhile and be new itself.
REPLAY = """
with back as (
  update sync.webhook_events
     set state = 'waiting', attempts = 0, next_try_at = clock_timestamp(), done_at = null, reason = 'put back in line'
   where state <> 'taken' and case when %(event)s::bigint is null then state = 'dead' else id = %(event)s end
     and (account = %(account)s or %(account)s = '')
  returning account
)
select account, count(*), pg_notify('sync_inbox', account) from back group by 1
"""


def states(database: Database, account: str) -> list[dict[str, Any]]:
    """By account and state: how many events, when the first and the last of them came, and how often all were sent."""
    names = ("account", "state", "events", "oldest", "newest", "deliveries")
    return [_told(names, row) for row in database.rows(STATES, (account, account))]


def latest(database: Database, account: str, state: str, count: int) -> list[dict[str, Any]]:
    return [_told(LISTED, row) for row in database.rows(LATEST, (account, account, state, state, count))]


def event(database: Database, id: int) -> dict[str, Any]:
    """Raises FixConfig where there is none with this id."""
    row = database.query(EVENT, (id,))
    if not row:
        raise _none(id)
    *values, payload, record = row
    sent = "its time is over: it was taken away" if payload is None else _pretty(bytes(payload))
    return {**_told(SHOWN, values), "record": "came with it" if record else "", "payload": sent}


def replay(database: Database, *, event: int | None, account: str) -> int:
    """Puts one event, or without one all that were given up, back in line. Answers how many.

    Raises FixConfig where a single event is not there or is being worked on.
    """

    def work(cursor: Cursor) -> int:
        cursor.execute(REPLAY, {"event": event, "account": account})
        return sum(count for _, count, _ in cursor.fetchall())

    count = database.transaction(work)
    if event is not None and not count:
        raise _none(event)
    return count


def drop(database: Database, id: int) -> None:
    """Raises FixConfig where a single event is not there or is being worked on."""
    if not database.query("delete from sync.webhook_events where id = %s and state <> 'taken' returning id", (id,)):
        raise _none(id)


def _none(id: int) -> FixConfig:
    return FixConfig(
        f"no event {id} is there, or a worker has it right now", next_step="look at the ids in sync-assets inbox"
    )


def _pretty(payload: bytes) -> str:
    try:
        return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace")


def _told(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    named = zip(names, row, strict=True)
    return {name: value.isoformat(" ", "seconds") if isinstance(value, datetime) else value for name, value in named}
