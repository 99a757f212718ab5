"""A change of a record as rules take it up: claimed by its state, and the changes of one record in their order.

Never by number: an event with a smaller id may be committed later. Who takes one holds its row until all that follows
from it is committed with the note that it was taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from psycopg2 import sql

from sync_assets.automation.conditions import same
from sync_assets.automation.fields import Record, value_at
from sync_assets.automation.subjects import Subject, subjects
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.retention import Expiry, forget

WORDS = ("created", "updated", "deleted", "restored", "stage_changed", "responsible_changed")
"""What may have happened to a record; several of them at once."""

T = TypeVar("T")

AT_ONCE = 500
"""Changes that are asked for in one go."""

RULES, SEQUENCES = "rules_at", "sequenced_at"
"""Who takes changes up, by the column in which each notes that it did."""

WAITING = """
select id from sync.change_events where {taken} is null and account = any(%s) order by id limit %s
"""

CLAIM = """
select id, account, system, entity, key, kind, before, after, changed, occurred_at, origin, depth
  from sync.change_events e
 where id = %s and {taken} is null
   and not exists (select from sync.change_events p
                    where (p.account, p.entity, p.key) = (e.account, e.entity, e.key)
                      and p.{taken} is null and p.revision < e.revision)
   for update of e skip locked
"""

TAKEN = "update sync.change_events set {taken} = clock_timestamp() where id = %s"

PASSED_BY = """
update sync.change_events set rules_at = clock_timestamp() where id in (
  select id from sync.change_events
   where rules_at is null and account = any(%s) and system || ' ' || entity <> all(%s) for update skip locked)
"""

CHANGES = Expiry("sync.change_events", "t.written_at")


@dataclass(frozen=True)
class ChangeEvent:
    """A row of sync.change_events."""

    id: int
    account: str
    system: str
    entity: str
    key: str
    kind: str
    before: Record | None
    after: Record | None
    changed: list[str]
    occurred_at: datetime
    origin: str
    depth: int

    @property
    def subject(self) -> Subject:
        return subjects()[self.system, self.entity]

    @property
    def words(self) -> frozenset[str]:
        """What happened. A change of nothing but what moves with every other one is none."""
        if self.kind != "updated":
            return frozenset({self.kind})
        tells, found = self.subject.tells, set()
        if not set(self.changed) <= set(tells.along):
            found.add("updated")
        if any(self._differ(field) for field in tells.stage):
            found.add("stage_changed")
        if tells.responsible and self._differ(tells.responsible):
            found.add("responsible_changed")
        return frozenset(found)

    def _differ(self, field: str) -> bool:
        path = tuple(field.split("."))
        return not same(value_at(self.before, path), value_at(self.after, path))


def take_up(
    database: Database, accounts: Sequence[str], by: str, one: Callable[..., T | None], until: float
) -> Iterator[T]:
    """What `one` answers for each change that waits, called with (cursor, id=...) in a transaction of its own.

    None: it took nothing up. Ends when nothing is left, or that moment of the monotonic clock has come.
    """
    go_on = True
    while go_on:
        go_on = False
        for id in database.transaction(partial(waiting, accounts=accounts, most=AT_ONCE, by=by)):
            if time.monotonic() > until:
                return
            if (found := database.transaction(partial(one, id=id))) is not None:
                go_on = True
                yield found


def waiting(cursor: Cursor, accounts: Sequence[str], most: int, by: str = RULES) -> list[int]:
    """The oldest changes that these have not taken up yet."""
    cursor.execute(sql.SQL(WAITING).format(taken=sql.Identifier(by)), (list(accounts), most))
    return [id for (id,) in cursor.fetchall()]


def claim(cursor: Cursor, id: int, by: str = RULES) -> ChangeEvent | None:
    """None where it is taken, somebody holds it, or an earlier change of its record waits."""
    cursor.execute(sql.SQL(CLAIM).format(taken=sql.Identifier(by)), (id,))
    row = cursor.fetchone()
    return ChangeEvent(*row) if row else None


def taken(cursor: Cursor, event: ChangeEvent, by: str = RULES) -> None:
    cursor.execute(sql.SQL(TAKEN).format(taken=sql.Identifier(by)), (event.id,))


def stored(cursor: Cursor, account: str, entity: str, key: str) -> Record | None:
    """The record as it is now; None where it is gone."""
    statement = sql.SQL("select raw_json from {} where id = %s").format(sql.Identifier(account, entity))
    cursor.execute(statement, (key,))
    row = cursor.fetchone()
    return row[0] if row else None


def pass_by(cursor: Cursor, accounts: Sequence[str], listened: Sequence[str]) -> int:
    """Changes of entities that no rule is about, "system entity" each, wait for nobody."""
    cursor.execute(PASSED_BY, (list(accounts), list(listened)))
    return cursor.rowcount


def expire(cursor: Cursor, accounts: Sequence[str], days: int) -> int:
    """Forgets what happened so long ago, taken up or not: whole records of people are in it."""
    return forget(cursor, CHANGES, days=days, accounts=accounts)
