"""What tables forget when its time is over: declared once beside who writes it, carried out in small transactions.

A payload may hold names and numbers of people; once its event is over it is kept for nobody but whoever looks into a
failure. Rows are taken oldest first, and those that somebody holds are passed over, so nobody waits and a process that
is killed in between has only forgotten less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sync_assets.load.cursor import Cursor

DEAD_STAY = 3
"""Times as long as the others: whoever looks for them has noticed late."""

DUE = """
{since} < clock_timestamp() - make_interval(secs => %(days)s * 86400) and ({when})
   and (%(accounts)s::text[] is null or {account} = any(%(accounts)s::text[]))
"""

THESE = """
t.ctid = any(array(select t.ctid from {table} t where {due} order by {since} limit %(most)s for update skip locked))
"""

CHANGE = "update {table} t set {empties} where {these}"
REMOVE = "delete from {table} t where {these}"
FORESEEN = "select count(*), min({since}) from {table} t where {due}"


@dataclass(frozen=True)
class Expiry:
    """What of a table expires so many days after `since`: SQL of our own, in which `t` is a row."""

    table: str
    since: str  # a moment; NULL: not yet
    when: str = "true"  # what else must hold
    empties: str = ""  # the assignments that empty a row; none: the row goes
    what: str = "rows"
    account: str = "t.account"  # whose the row is

    @property
    def due(self) -> str:
        return DUE.format(since=self.since, when=self.when, account=self.account)


PAYLOADS = Expiry(
    "sync.webhook_events",
    "t.done_at",
    "t.payload is not null or t.record is not null",
    empties="payload = null, record = null",
    what="payloads",
)
EVENTS = Expiry(
    "sync.webhook_events",
    "t.done_at",
    "t.state <> 'dead' or t.done_at < clock_timestamp() - make_interval(secs => %(days)s * 86400 * " + f"{DEAD_STAY})",
)
REJECTED = Expiry("sync.rejected", "t.last_at")
ACTIVITIES = Expiry("sync.activity_logs", "t.at")
RUNS = Expiry("sync.runs", "t.ended_at", account="null::text")
"""Of several accounts at once, so only of all."""
JOBS = Expiry(
    "sync.jobs",
    "t.ended_at",
    "t.job_id <> (select j.job_id from sync.jobs j where (j.account, j.job) = (t.account, t.job)"
    " order by j.requested_at desc limit 1)",
)

# Whoever points at it, or lives on in another, is told apart from one that never was by the tombstone's key.
NEEDED = """
(t.account, t.entity, t.key) in (select account, entity, key from sync.missing_parents)
or (t.account, t.entity, t.key) in (select account, entity, key from sync.aliases)
or (t.account, t.entity, t.key) in (select account, entity, into_key from sync.aliases)
"""
EXPIRED = """'{"expired": true}'"""
"""A tombstone that is still needed keeps its key. '{}' is one of a record that was never held."""

CONTENTS = Expiry(
    "sync.tombstones",
    "t.deleted_at",
    f"t.state <> 'erased' and t.raw_json <> '{{}}' and t.raw_json <> {EXPIRED} and ({NEEDED})",
    empties=f"raw_json = {EXPIRED}",
    what="contents",
)
TOMBSTONES = Expiry("sync.tombstones", "t.deleted_at", f"t.state <> 'erased' and not ({NEEDED})")


def forget(
    cursor: Cursor, expiry: Expiry, *, days: float, accounts: Sequence[str] | None = None, most: int | None = None
) -> int:
    """Empties or removes the oldest `most` rows that have expired, of all accounts where none are named.

    Answers how many: fewer than `most` where nothing is left but what others hold.
    """
    these = THESE.format(table=expiry.table, due=expiry.due, since=expiry.since)
    change = CHANGE if expiry.empties else REMOVE
    statement = change.format(table=expiry.table, empties=expiry.empties, these=these)
    cursor.execute(statement, {"days": days, "accounts": _list(accounts), "most": most})
    return cursor.rowcount


def foreseen(
    cursor: Cursor, expiry: Expiry, *, days: float, accounts: Sequence[str] | None = None
) -> tuple[int, datetime | None]:
    """How many rows `forget` would find, and since when the oldest waits for it."""
    query = FORESEEN.format(table=expiry.table, due=expiry.due, since=expiry.since)
    cursor.execute(query, {"days": days, "accounts": _list(accounts)})
    count, oldest = cursor.fetchone() or (0, None)
    return count, oldest


def tidy(cursor: Cursor, account: str, *, days: float, payload_days: float) -> tuple[int, int]:
    """Answers how many events were emptied, and how many removed."""
    emptied = forget(cursor, PAYLOADS, days=payload_days, accounts=[account])
    return emptied, forget(cursor, EVENTS, days=days, accounts=[account])


def _list(accounts: Sequence[str] | None) -> list[str] | None:
    return None if accounts is None else list(accounts)
