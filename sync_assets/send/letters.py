"""What a person sees of the outbox, and what a person may do with it: send again, or let be. Each is put on record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sync_assets.account import Account
from sync_assets.errors import FixData
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.send.settle import step_back

COLUMNS = ("id", "account", "entity", "key", "operation", "wanted", "state", "attempts", "age", "reason")

LIST = """
select id, account, entity, key, operation, payload, state, attempts, clock_timestamp() - created_at, reason
  from sync.outbox
 where (%(account)s = '' or account = %(account)s) and (%(key)s = '' or key = %(key)s)
   and (cardinality(%(states)s::text[]) = 0 or state = any(%(states)s))
 order by id desc limit %(most)s
"""

SHOW = """
select to_jsonb(o), (select coalesce(jsonb_agg(to_jsonb(c) - 'outbox_id' order by field), '[]')
                       from sync.conflicts c where c.outbox_id = o.id)
  from sync.outbox o where id = %s
"""

STANDING = """
select account, failures, case when closed_until > clock_timestamp() then closed_until end, closed_reason,
       fuse_blown_at, fuse_reason
  from sync.delivery order by account
"""

REQUEUE = """
update sync.outbox set state = 'pending', attempts = 0, next_try_at = clock_timestamp(), done_at = null,
       rehearsed_at = null, sent = case when state <> 'unknown' then sent end
 where {which} and state in ('dead', 'unknown', 'dropped', 'failed') returning id, account
"""

DROP = """
update sync.outbox set state = 'dropped', reason = concat_ws('; ', reason, %(why)s), done_at = clock_timestamp()
 where {which} and state in ('pending', 'failed', 'dead', 'unknown') returning id, account, entity, key, operation
"""

ACTIVITY = """
insert into sync.activity_logs (account, activity, details)
select account, %s, jsonb_build_object('by', %s::text, 'outbox_ids', jsonb_agg(id order by id))
  from sync.outbox where id = any(%s) group by account
"""

OPEN_STATES = ("pending", "sending", "failed", "unknown", "dead")
"""What is not done with."""


@dataclass(frozen=True)
class Which:
    """Letters by their ids, or all of an account that are in the states which an action is for."""

    ids: tuple[int, ...] = ()
    account: str = ""

    @property
    def where(self) -> str:
        return "id = any(%(ids)s)" if self.ids else "account = %(account)s"

    @property
    def given(self) -> dict[str, Any]:
        return {"ids": list(self.ids), "account": self.account}


def listed(
    database: Database, *, account: str = "", key: str = "", states: Sequence[str] = OPEN_STATES, most: int = 50
) -> list[dict[str, Any]]:
    """The newest first."""

    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(LIST, {"account": account, "key": key, "states": list(states), "most": most})
        return cursor.fetchall()

    rows = [dict(zip(COLUMNS, row, strict=True)) for row in database.transaction(work)]
    for row in rows:
        row["wanted"] = ", ".join(f"{name} {value}" for name, value in row["wanted"].items())
        row["age"] = str(row["age"]).partition(".")[0]
    return rows


def shown(database: Database, id: int) -> dict[str, Any]:
    """Everything about one letter, its conflicts included. Raises FixData where there is none."""
    row = database.query(SHOW, (id,))
    if not row:
        raise FixData(f"no letter {id} in the outbox", next_step="sync-assets outbox list names those that are there")
    letter: dict[str, Any] = row[0]
    return letter | {"conflicts": row[1]}


def standing(database: Database) -> list[dict[str, Any]]:
    """Breaker and fuse of each account that anything was ever delivered for."""
    names = ("account", "failures", "closed_until", "closed_reason", "fuse_blown_at", "fuse_reason")
    return [dict(zip(names, row, strict=True)) for row in database.rows(STANDING)]


def requeue(database: Database, which: Which, *, by: str) -> list[int]:
    """They are due at once, and have all their tries again. What a read can show is looked at first, as ever; of what
    none can, somebody has said that it is to be sent again."""

    def work(cursor: Cursor) -> list[int]:
        cursor.execute(REQUEUE.format(which=which.where), which.given)
        found = cursor.fetchall()
        ids = [id for id, _ in found]
        cursor.execute(ACTIVITY, ("outbox_requeued", by, ids))
        for account in {account for _, account in found}:
            cursor.execute("select pg_notify('sync_outbox', %s)", (account,))
        return ids

    return database.transaction(work)


def drop(database: Database, which: Which, accounts: Sequence[Account], *, by: str) -> list[int]:
    """They never leave, and what they were about shows again what its source holds."""
    schemas = {account.name: account for account in accounts}

    def work(cursor: Cursor) -> list[int]:
        cursor.execute(DROP.format(which=which.where), which.given | {"why": f"dropped by {by}"})
        found = cursor.fetchall()
        keys: dict[tuple[str, str], list[str]] = {}
        for _, name, _, key, operation in found:
            account = schemas.get(name)
            outbound = account.system.outbound if account else None
            function = next((o.in_step for o in outbound.operations if o.name == operation), "") if outbound else ""
            if account and function:
                keys.setdefault((account.schema, function), []).append(key)
        for (schema, function), some in keys.items():
            step_back(cursor, schema, function, some)
        ids = [id for id, *_ in found]
        cursor.execute(ACTIVITY, ("outbox_dropped", by, ids))
        return ids

    return database.transaction(work)


def as_json(found: Any) -> str:
    return json.dumps(found, indent=2, default=str)
