"""The state of every cause in `sync.alerts`: it opens once, is seen again, goes away and is over when it stays away.

One look is one transaction under one lock, so that a process that dies in between leaves the state of the look before,
and the next look finds the same again. A failed run is an event and counts once, which `sync.alert_runs` remembers;
everything else is taken as it stands.

What came back within a day must stay away for longer each time before it is over: ten minutes, twenty, and so on. So a
cause that comes and goes all day long is told of a dozen times at most.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.notify.cause import Cause, Key
from sync_assets.notify.message import short

SETTLE = timedelta(minutes=10)
LONGEST_SETTLE = timedelta(hours=12)
BACK = timedelta(days=1)
"""A cause that comes back within this time of an earlier opening is one that comes and goes."""

KEPT = timedelta(days=90)
"""How long what is over stays listed: a quarter, for whoever asks what went wrong in it."""
RUNS_KEPT = timedelta(days=14)
AGAIN = timedelta(hours=1)
"""Runs that ended this long before the last look are looked at once more: clocks differ, and commits come late."""


@dataclass(frozen=True)
class Look:
    """What is wrong now.

    `failed`: causes of runs, with their ids; each counts once. `runs`: the ids of all failed runs that were looked at.
    `red`: causes as they stand now. `green`: keys of open alerts of checks and states that are not red now. `over`: ids
    of open alerts of steps and runs that have succeeded since.
    """

    failed: Sequence[Cause] = ()
    runs: Collection[str] = ()
    red: Sequence[Cause] = ()
    green: Collection[Key] = ()
    over: Collection[int] = ()


@dataclass(frozen=True)
class Open:
    """An alert of a run that is not over, as far as is known."""

    id: int
    kind: str
    key: Key
    last_seen_at: datetime
    run_id: str | None
    job: str | None
    assets: tuple[str, ...]


def open_alerts(database: Database) -> list[Open]:
    rows = database.rows(
        "select id, kind, account, entity, cause, last_seen_at, run_id, job, assets from sync.alerts"
        " where recovered_at is null order by id"
    )
    return [
        Open(id, kind, (a, e, c), seen, run, job, tuple(assets)) for id, kind, a, e, c, seen, run, job, assets in rows
    ]


def runs_since(database: Database, now: datetime) -> datetime:
    """From when on failed runs are looked at."""
    return (last_look(database) or now) - AGAIN


def unseen(database: Database, runs: Sequence[str]) -> list[str]:
    """Those of `runs` that no look has counted."""
    seen = database.rows("select run_id from sync.alert_runs where run_id = any(%s)", (list(runs),))
    return [run for run in runs if (run,) not in seen]


def record(database: Database, look: Look, *, notifiers: Sequence[str], now: datetime) -> None:
    """Takes a look into the books, at the time `now`. Raises the SyncErrors of the database."""
    database.transaction(partial(_record, look=look, notifiers=list(notifiers), now=now))


def _record(cursor: Cursor, look: Look, notifiers: list[str], now: datetime) -> None:
    cursor.execute(
        "insert into sync.alert_looks (looked_at) values (%s)"
        " on conflict (one) do update set looked_at = greatest(alert_looks.looked_at, excluded.looked_at)",
        (now,),
    )
    new = _count_runs(cursor, look.runs)
    seen: set[int] = set()
    for cause in look.failed:
        if cause.run_id in new:
            seen.add(_saw(cursor, cause, now, is_event=True))
    for cause in look.red:
        seen.add(_saw(cursor, cause, now, is_event=False))
    _greened(cursor, look, seen, now)
    cursor.execute(OVER, {"now": now, "settle": SETTLE, "longest": LONGEST_SETTLE, "back": BACK})
    cursor.execute(
        "insert into sync.alert_notices (alert_id, notifier, next_try_at)"
        " select a.id, n, %s from sync.alerts a, unnest(%s::text[]) n where a.recovered_at is null or a.id = any(%s)"
        " on conflict do nothing",
        (now, notifiers, sorted(seen)),
    )
    cursor.execute("delete from sync.alerts where recovered_at < %s", (now - KEPT,))
    cursor.execute("delete from sync.alert_runs where seen_at < %s", (now - RUNS_KEPT,))


def _count_runs(cursor: Cursor, runs: Collection[str]) -> set[str]:
    cursor.execute(
        "insert into sync.alert_runs (run_id) select unnest(%s::text[]) on conflict do nothing returning run_id",
        (sorted(runs),),
    )
    return {run for (run,) in cursor.fetchall()}


SAW = """
insert into sync.alerts as a (account, entity, cause, kind, severity, says, next_step, stopped, run_id, job, assets,
                              opened_at, last_seen_at)
values (%(account)s, %(entity)s, %(what)s, %(kind)s, %(severity)s, %(says)s, %(next_step)s, %(stopped)s, %(run_id)s,
        %(job)s, %(assets)s, %(at)s, %(at)s)
on conflict (account, entity, cause) where recovered_at is null do update
   set says = excluded.says, next_step = excluded.next_step, severity = excluded.severity, stopped = excluded.stopped,
       run_id = coalesce(excluded.run_id, a.run_id), job = excluded.job, assets = excluded.assets,
       last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at), green_since = null,
       times = a.times + case when %(is_event)s or a.green_since is not null then 1 else 0 end
returning id
"""


def _saw(cursor: Cursor, cause: Cause, now: datetime, *, is_event: bool) -> int:
    words = {"says": short(cause.says), "next_step": short(cause.next_step)}
    lists = {"stopped": list(cause.stopped), "assets": list(cause.assets)}
    at = min(cause.at, now)
    cursor.execute(SAW, {**vars(cause), **words, **lists, "at": at, "is_event": is_event})
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  returning
    return int(row[0])


def _greened(cursor: Cursor, look: Look, seen: set[int], now: datetime) -> None:
    keys = sorted(set(look.green))
    cursor.execute(
        "update sync.alerts a set green_since = greatest(%(now)s, opened_at)"
        " where recovered_at is null and green_since is null and id <> all(%(seen)s) and (id = any(%(over)s)"
        "  or (kind in ('check', 'state') and exists (select from unnest(%(a)s::text[], %(e)s::text[], %(c)s::text[])"
        "      as k (account, entity, cause)"
        "      where (k.account, k.entity, k.cause) = (a.account, a.entity, a.cause))))",
        {
            "now": now,
            "seen": sorted(seen),
            "over": sorted(look.over),
            "a": [account for account, _, _ in keys],
            "e": [entity for _, entity, _ in keys],
            "c": [what for _, _, what in keys],
        },
    )


OVER = """
with how_often as (
  select a.id, (select count(*) from sync.alerts b
                 where (b.account, b.entity, b.cause) = (a.account, a.entity, a.cause)
                   and b.id < a.id and b.opened_at > a.opened_at - %(back)s) as before
    from sync.alerts a where a.recovered_at is null and a.green_since is not null)
update sync.alerts a set recovered_at = green_since
  from how_often h
 where h.id = a.id
   and a.green_since + case when h.before = 0 then interval '0'
         else least(%(longest)s, %(settle)s * power(2, least(h.before - 1, 10))) end <= %(now)s
"""


def listed(database: Database, *, over_since: datetime | None = None) -> list[dict[str, Any]]:
    """Alerts as rows, open ones first; those that were over after `over_since` too."""
    return [dict(zip(LISTED_FIELDS, row, strict=True)) for row in database.rows(LISTED, (over_since,))]


def last_look(database: Database) -> datetime | None:
    """When the sensor last looked."""
    looked: datetime | None = (database.query("select looked_at from sync.alert_looks") or (None,))[0]
    return looked


def troubled(database: Database) -> list[tuple[str, str]]:
    """Notifiers that failed the last time, and what they said."""
    rows = database.rows("select notifier, reason from sync.alert_notifiers where failures > 0 order by 1")
    return [(name, reason) for name, reason in rows]


LISTED_FIELDS = (
    "account", "entity", "cause", "severity", "says", "next_step", "stopped", "times", "opened_at", "last_seen_at",
    "told_at", "recovered_at", "run_id", "not_told_by",
)  # fmt: skip
LISTED = """
select a.account, a.entity, a.cause, a.severity, a.says, a.next_step, a.stopped, a.times, a.opened_at, a.last_seen_at,
       a.told_at, a.recovered_at, a.run_id,
       (select string_agg(n.notifier || coalesce(': ' || n.reason, ''), '; ' order by n.notifier)
          from sync.alert_notices n where n.alert_id = a.id and n.opening_told_at is null)
  from sync.alerts a where a.recovered_at is null or a.recovered_at > %s
 order by a.recovered_at is not null, a.opened_at desc, a.id
"""
