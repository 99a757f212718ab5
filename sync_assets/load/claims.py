"""The worker's side of the inbox: which records are worth a look now, who looks, and what became of it.

A claim is by record: all that is due of one record is taken at once, and no two workers ever hold two events of it.
Everything is in the rows and in locks that end with their transaction, so it works through every pooler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sync_assets.load.cursor import Cursor
from sync_assets.load.holder import holder_is_dead

ALONE_AFTER = 2
"""Attempts after which a record is claimed by itself: what kills its worker must not take others with it."""

LONGEST_BACKOFF = 900
"""Seconds; the first is one, and each is twice the one before it, with up to half as much again at random."""

BACKOFF = f"make_interval(secs => least({LONGEST_BACKOFF}, power(2, greatest(attempts, 1) - 1)) * (1 + random() / 2))"

LAPSED = """
select id, leased_by, lease_until < clock_timestamp() from sync.webhook_events
 where account = %s and state = 'taken' for update skip locked
"""

SET_FREE = f"""
update sync.webhook_events
   set state = 'waiting', lease_until = null, leased_by = null, next_try_at = clock_timestamp() + {BACKOFF},
       reason = 'its worker ended without a word'
 where id = any(%s)
"""  # noqa: S608  BACKOFF is ours

GIVEN_BACK = """
update sync.webhook_events
   set state = 'waiting', lease_until = null, leased_by = null, attempts = greatest(0, attempts - 1), reason = %s,
       next_try_at = clock_timestamp() + make_interval(secs => %s * (1 + random() / 10))
 where id = any(%s) and state = 'taken' and leased_by = %s
"""

IGNORE = """
update sync.webhook_events set state = 'ignored', done_at = clock_timestamp(),
       reason = coalesce(reason, case when entity = '' then 'an event of nothing that is kept here'
                                      else 'there is no entity ' || entity end)
 where account = %s and state in ('new', 'waiting') and entity <> all(%s)
"""

GIVE_UP = """
update sync.webhook_events
   set state = 'dead', done_at = clock_timestamp(),
       reason = 'given up after ' || attempts || ' attempts: ' || coalesce(reason, 'none of them ended')
 where account = %s and state in ('new', 'waiting') and attempts >= %s
"""

DUE = """
select entity, tried >= %(alone)s, min(first) from (
  select entity, key, max(attempts) as tried, min(id) as first from sync.webhook_events
   where account = %(account)s and state in ('new', 'waiting') and next_try_at <= clock_timestamp()
     and entity <> all(%(resting)s)
   group by 1, 2) records
 group by 1, 2 order by 2, 3
"""

# The locks are held until this transaction ends. The look behind them is a statement of its own: it sees what whoever
# held one of them before has done.
LOCK = """
with due as materialized (
  select key, max(attempts) as tried, min(id) as first from sync.webhook_events
   where account = %(account)s and entity = %(entity)s and state in ('new', 'waiting')
     and next_try_at <= clock_timestamp()
   group by 1 having (max(attempts) >= %(after)s) = %(alone)s order by 3 limit %(limit)s * 4
)
select key from due
 where pg_try_advisory_xact_lock(hashtextextended(%(account)s || '/' || %(entity)s || '/' || key, 7)) limit %(limit)s
"""
TAKE = """
update sync.webhook_events
   set state = 'taken', attempts = attempts + 1, leased_by = %(me)s,
       lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 where account = %(account)s and entity = %(entity)s and key = any(%(keys)s) and state in ('new', 'waiting')
   and next_try_at <= clock_timestamp()
   and key <> all(array(select key from sync.webhook_events
                         where account = %(account)s and entity = %(entity)s and state = 'taken'))
returning key, id, attempts
"""

# Of several in the order in which they happened, whichever came first.
PUSHED = """
select key, record from sync.webhook_events
 where id = any(%s) and record is not null order by coalesce(occurred_at, received_at), id
"""

RENEW = """
update sync.webhook_events set lease_until = clock_timestamp() + make_interval(secs => %s)
 where account = %s and state = 'taken' and leased_by = %s
"""

DONE = """
update sync.webhook_events
   set state = 'done', done_at = clock_timestamp(), lease_until = null, leased_by = null, sync_id = %s, reason = %s
 where id = any(%s) and state = 'taken' and leased_by = %s
"""

FAILED = f"""
update sync.webhook_events
   set state = case when attempts >= %(most)s then 'dead' else 'waiting' end, lease_until = null, leased_by = null,
       done_at = case when attempts >= %(most)s then clock_timestamp() end,
       next_try_at = clock_timestamp() + {BACKOFF},
       reason = case when attempts >= %(most)s then 'given up after ' || attempts || ' attempts: ' else '' end
                || %(reason)s
 where id = any(%(events)s) and state = 'taken' and leased_by = %(me)s
"""  # noqa: S608  BACKOFF is ours

LEFT = """
select count(*) filter (where state in ('new', 'waiting', 'taken')), count(*) filter (where state = 'dead')
  from sync.webhook_events where account = %s and (state in ('new', 'waiting', 'taken') or state = 'dead')
"""


@dataclass
class Claimed:
    """A record and the events that told of it. The key "" means the entity as a whole."""

    key: str
    events: list[int] = field(default_factory=list)
    attempts: int = 0


def recover(cursor: Cursor, account: str, me: str) -> None:
    """Sets free what nobody is at work on: of workers that ended, and what this one, which begins, has left over."""
    cursor.execute(LAPSED, (account,))
    taken = cursor.fetchall()
    mine = [event for event, by, _ in taken if by == me]
    lost = [event for event, by, lapsed in taken if by != me and (lapsed or holder_is_dead(by))]
    if mine:
        give_back(cursor, mine, me, 0, "its worker was cut off")
    if lost:
        cursor.execute(SET_FREE, (lost,))


def sort_out(cursor: Cursor, account: str, entities: Sequence[str], most: int) -> None:
    """Puts aside events of nothing that is kept here, and those that have had `most` attempts."""
    cursor.execute(IGNORE, (account, list(entities)))
    cursor.execute(GIVE_UP, (account, most))


def due(cursor: Cursor, account: str, resting: Sequence[str]) -> list[tuple[str, bool]]:
    """The entities of which something is due, but the resting ones; and whether of records to be claimed alone."""
    cursor.execute(DUE, {"account": account, "resting": list(resting), "alone": ALONE_AFTER})
    return [(entity, alone) for entity, alone, _ in cursor.fetchall()]


def claim(
    cursor: Cursor, account: str, entity: str, me: str, *, limit: int, lease: float, alone: bool
) -> list[Claimed]:
    """Takes what is due of up to `limit` records and counts the attempt, before the work."""
    given = {"account": account, "entity": entity, "me": me, "lease": lease}
    cursor.execute(LOCK, given | {"limit": limit, "alone": alone, "after": ALONE_AFTER})
    keys = [key for (key,) in cursor.fetchall()]
    found: dict[str, Claimed] = {}
    if keys:
        cursor.execute(TAKE, given | {"keys": keys})
        for key, event, attempts in cursor.fetchall():
            claimed = found.setdefault(key, Claimed(key))
            claimed.events.append(event)
            claimed.attempts = max(claimed.attempts, attempts)
    return list(found.values())


def pushed(cursor: Cursor, records: Sequence[Claimed]) -> dict[str, list[bytes]]:
    """The records that came with their events, by key, in the order of the events."""
    cursor.execute(PUSHED, ([event for record in records for event in record.events],))
    found: dict[str, list[bytes]] = {}
    for key, record in cursor.fetchall():
        found.setdefault(key, []).append(bytes(record))
    return found


def done(cursor: Cursor, events: Sequence[int], me: str, sync_id: int, reason: str | None = None) -> None:
    cursor.execute(DONE, (sync_id, reason, list(events), me))


def failed(cursor: Cursor, events: Sequence[int], me: str, reason: str, most: int) -> None:
    """The record's own fault: the next attempt comes later each time, and after `most` of them none."""
    cursor.execute(FAILED, {"events": list(events), "me": me, "reason": reason, "most": most})


def give_back(cursor: Cursor, events: Sequence[int], me: str, seconds: float, reason: str) -> None:
    """Nobody's fault that is in the events: the attempt does not count, and the next one is in so many seconds."""
    cursor.execute(GIVEN_BACK, (reason, seconds, list(events), me))


def left(cursor: Cursor, account: str) -> tuple[int, int]:
    """How many events wait, and how many are dead."""
    cursor.execute(LEFT, (account,))
    waiting, dead = cursor.fetchone() or (0, 0)
    return waiting, dead
