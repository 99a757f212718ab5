"""Tells each notifier what is due, no more and no less: what is due follows from the alert and from what it was told.

Timeline of one message. t0: it is claimed, with a lease, and that is committed. t1: it is sent. t2: that it was taken
is committed. Whoever dies between t0 and t2 loses nothing: the lease lapses, and it is sent again. It then comes twice
if it had been taken, as it does when a notifier takes a message and answers 500 all the same: neither Slack nor
Telegram knows a key by which to tell a repetition.

A notifier that is down is left alone for longer each time, whatever waits for it waits, and the other one does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial

from sync_assets.automation.window import every_day
from sync_assets.errors import RecordRejected, SyncError, Throttled
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.notify.message import Message
from sync_assets.notify.notifier import Notifier
from sync_assets.notify.wording import Told, Wording
from sync_assets.settings import SyncSettings

AT_ONCE = 3
"""More messages than this at once are one summary."""
LINES = 12
"""Alerts in one summary; their lines fit into every notifier's message."""
LEASE = timedelta(minutes=5)
PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
SECONDS = 25.0
"""A tick of a sensor must not take longer; the rest goes with the next one."""
GIVEN_UP = timedelta(days=7)
"""What nobody could be told for so long after it was over, nobody is told any more."""
ALONE = 3
"""What was refused so often together with others is sent by itself."""
PASSING = {"critical": ["critical"], "error": ["critical", "error"], "none": []}
ALL = ["critical", "error", "warning"]

DUE = """
select a.id from sync.alert_notices n join sync.alerts a on a.id = n.alert_id
 where n.notifier = %(notifier)s and n.recovery_told_at is null and n.next_try_at <= %(now)s
   and (n.lease_until is null or n.lease_until <= %(now)s)
   and (n.opening_told_at is null or a.recovered_at is not null
        or (a.green_since is null and %(remind)s > interval '0' and n.last_told_at <= %(now)s - %(remind)s))
   and (a.recovered_at is null or a.recovered_at > %(now)s - %(given_up)s)
   and (a.severity = any(%(severities)s)) = %(now_or_later)s
 order by a.id limit 200 for update of n skip locked
"""
CLAIM = """
update sync.alert_notices n set lease_until = %(now)s + %(lease)s
  from sync.alerts a where a.id = n.alert_id and n.notifier = %(notifier)s and n.alert_id = any(%(ids)s)
returning a.id, a.account, a.entity, a.cause, a.kind, a.severity, a.says, a.next_step, a.stopped, a.run_id, a.job,
          a.opened_at, a.last_seen_at, a.recovered_at, a.times,
          (select count(*) from sync.alerts b where (b.account, b.entity, b.cause) = (a.account, a.entity, a.cause)
              and b.id < a.id and b.opened_at > a.opened_at - interval '1 day')::int,
          n.held, n.attempts,
          case when n.opening_told_at is null then 'opening' when a.recovered_at is not null then 'recovery'
               else 'reminder' end
"""
TAKEN = """
update sync.alert_notices set opening_told_at = coalesce(opening_told_at, %(now)s), last_told_at = %(now)s,
       recovery_told_at = case when %(over)s then %(now)s end, held = false, attempts = 0, lease_until = null,
       reason = null
 where notifier = %(notifier)s and alert_id = any(%(ids)s)
"""
RELEASED = """
update sync.alert_notices
   set lease_until = null, reason = coalesce(%(reason)s, reason), attempts = attempts + %(tried)s,
       next_try_at = case when %(tried)s = 0 then next_try_at
         else %(now)s + least(%(longest)s, %(pause)s * power(2, least(attempts, 10))) end
 where notifier = %(notifier)s and alert_id = any(%(ids)s)
"""
CLOSED = """
insert into sync.alert_notifiers as t (notifier, failures, closed_until, reason)
values (%(notifier)s, 1, %(now)s + greatest(%(pause)s, %(told)s), %(reason)s)
on conflict (notifier) do update set failures = t.failures + 1, reason = excluded.reason,
   closed_until = %(now)s + greatest(%(told)s, least(%(longest)s, %(pause)s * power(2, least(t.failures, 10))))
"""
OPENED = """
insert into sync.alert_notifiers (notifier, took_at) values (%(notifier)s, %(now)s)
on conflict (notifier) do update set failures = 0, closed_until = null, reason = null, took_at = excluded.took_at
"""


@dataclass
class Sent:
    """What became of the messages of one tick."""

    taken: int = 0
    held: int = 0
    failed: int = 0

    def __str__(self) -> str:
        return f"{self.taken} messages taken, {self.failed} failed, {self.held} held for quiet hours"


class Telling:
    def __init__(self, database: Database, notifiers: Sequence[Notifier], settings: SyncSettings) -> None:
        self._database = database
        self._notifiers = notifiers
        self._wording = Wording(settings)
        self._quiet = (
            every_day(settings.sync_alert_quiet, settings.sync_alert_time_zone) if settings.sync_alert_quiet else None
        )
        self._passing = PASSING[settings.sync_alert_quiet_except]
        self._remind = timedelta(hours=settings.sync_alert_remind_hours)

    def tell(self, now: datetime) -> Sent:
        """Raises the SyncErrors of the database; what a notifier says ends up in its row."""
        sent, until = Sent(), time.monotonic() + SECONDS
        for notifier in self._notifiers:
            if not self._is_closed(notifier, now):
                self._tell(notifier, now, sent, until)
        return sent

    def _is_closed(self, notifier: Notifier, now: datetime) -> bool:
        row = self._database.query(
            "select closed_until > %s from sync.alert_notifiers where notifier = %s", (now, notifier.name)
        )
        return bool(row and row[0])

    def _tell(self, notifier: Notifier, now: datetime, sent: Sent, until: float) -> None:
        due, held = self._database.transaction(partial(self._claim, notifier=notifier.name, now=now))
        sent.held += held
        refusals = 0
        left = {told.id for told in due}
        for together, message in self._messages(due, now):
            if time.monotonic() > until or refusals == AT_ONCE:
                break
            error = _tried(notifier, message)
            left -= {told.id for told in together}
            if error is None:
                self._database.transaction(partial(_take, notifier=notifier.name, together=together, now=now))
                sent.taken += 1
                continue
            sent.failed += 1
            refused = isinstance(error, RecordRejected)
            refusals += refused
            settle = partial(_fail, notifier=notifier.name, together=together, now=now, error=error, refused=refused)
            self._database.transaction(settle)
            if not refused:
                break
        if left:
            release = {"notifier": notifier.name, "ids": sorted(left), "reason": None, "tried": 0, **_pauses(now)}
            self._database.transaction(lambda cursor: cursor.execute(RELEASED, release))

    def _claim(self, cursor: Cursor, notifier: str, now: datetime) -> tuple[list[Told], int]:
        quiet = self._quiet is not None and self._quiet.is_open(now)
        asked = {
            "notifier": notifier,
            "now": now,
            "remind": self._remind,
            "given_up": GIVEN_UP,
            "severities": self._passing if quiet else ALL,
            "lease": LEASE,
        }
        held = 0
        if quiet:
            cursor.execute(DUE, {**asked, "now_or_later": False})
            waiting = [row[0] for row in cursor.fetchall()]
            held = len(waiting)
            cursor.execute(
                "update sync.alert_notices set held = true where notifier = %s and alert_id = any(%s) and not held",
                (notifier, waiting),
            )
        cursor.execute(DUE, {**asked, "now_or_later": True})
        cursor.execute(CLAIM, {**asked, "ids": [row[0] for row in cursor.fetchall()]})
        names = [f.name for f in fields(Told)]
        found = [Told(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
        return sorted(found, key=lambda told: (ALL.index(told.severity), told.id)), held

    def _messages(self, due: Sequence[Told], now: datetime) -> Iterator[tuple[list[Told], Message]]:
        """The oldest first: the end of what is over before the beginning of what came back."""
        alone = [told for told in due if told.attempts >= ALONE]
        held = [told for told in due if told.held and told not in alone]
        rest = [told for told in due if not told.held and told not in alone]
        found: list[tuple[list[Told], Message]] = []
        for many, was_quiet, most in ((rest, False, AT_ONCE), (held, True, 1)):
            if len(many) <= most:
                alone += many
                continue
            for i in range(0, len(many), LINES):
                together = many[i : i + LINES]
                found.append((together, self._wording.summary(together, now, was_quiet=was_quiet)))
        found += [([told], self._wording.one(told, now)) for told in alone]
        yield from sorted(found, key=lambda pair: min(told.id for told in pair[0]))


def _tried(notifier: Notifier, message: Message) -> SyncError | None:
    try:
        notifier.send(message)
    except SyncError as e:
        return e
    except Exception as e:  # noqa: BLE001  a notifier that is broken keeps no other from telling
        return RecordRejected(f"it broke with {type(e).__name__}")
    return None


def _take(cursor: Cursor, notifier: str, together: Sequence[Told], now: datetime) -> None:
    for over in (False, True):
        ids = [told.id for told in together if (told.recovered_at is not None) == over]
        cursor.execute(TAKEN, {"notifier": notifier, "ids": ids, "now": now, "over": over})
    ids = [told.id for told in together]
    cursor.execute("update sync.alerts set told_at = coalesce(told_at, %s) where id = any(%s)", (now, ids))
    cursor.execute(OPENED, {"notifier": notifier, "now": now})


def _fail(
    cursor: Cursor, notifier: str, together: Sequence[Told], now: datetime, error: SyncError, *, refused: bool
) -> None:
    ids = [told.id for told in together]
    given = {"notifier": notifier, "ids": ids, "reason": str(error), **_pauses(now)}
    cursor.execute(RELEASED, {**given, "tried": int(refused)})
    if not refused:
        seconds = error.seconds if isinstance(error, Throttled) and error.seconds else 0.0
        cursor.execute(CLOSED, {**given, "told": min(LONGEST_PAUSE, timedelta(seconds=seconds))})


def _pauses(now: datetime) -> dict[str, object]:
    return {"now": now, "pause": PAUSE, "longest": LONGEST_PAUSE}
