"""A change of a record as rules take it up: claimed by its state, and the changes of one record in their order.

Never by number: an event with a smaller id may be committed later. Who takes one holds its row until all that follows
from it is committed with the note that it was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from sync_assets.automation.conditions import same
from sync_assets.automation.fields import Record, value_at
from sync_assets.automation.subjects import Subject, subjects

WORDS = ("created", "updated", "deleted", "restored", "stage_changed", "responsible_changed")
"""What may have happened to a record; several of them at once."""

RULES, SEQUENCES = "rules_at", "sequenced_at"
"""Who takes changes up, by the column in which each notes that it did."""

NEXT = """
select id, account, system, entity, key, kind, before, after, changed, occurred_at, origin, depth
  from sync.change_events e
 where {taken} is null and account = any(%s)
   and not exists (select from sync.change_events p
                    where (p.account, p.entity, p.key) = (e.account, e.entity, e.key)
                      and p.{taken} is null and p.revision < e.revision)
 order by id limit 1 for update of e skip locked
"""

TAKEN = "update sync.change_events set {taken} = clock_timestamp() where id = %s"

PASSED_BY = """
update sync.change_events set rules_at = clock_timestamp()
 where rules_at is null and account = any(%s) and system || ' ' || entity <> all(%s)
"""

EXPIRE = """
delete from sync.change_events where account = any(%s) and written_at < clock_timestamp() - make_interval(days => %s)
"""


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


def claim(cursor: Cursor, accounts: Sequence[str], by: str = RULES) -> ChangeEvent | None:
    """The oldest change that these have not taken up yet, and that nobody else holds."""
    cursor.execute(sql.SQL(NEXT).format(taken=sql.Identifier(by)), (list(accounts),))
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
    cursor.execute(EXPIRE, (list(accounts), days))
    return cursor.rowcount
