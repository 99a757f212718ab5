"""Carries actions out as far as they go here: a row of the outbox, or a change of our own tables.

Nothing leaves from here. All of it happens in the caller's transaction, so an action is as exactly-once as whatever the
caller marks as done in it; the same idempotency key adds no second row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from psycopg2 import sql

from sync_assets.automation.action_forms import Action, parse_action
from sync_assets.automation.fields import Record, contact_id, value_at
from sync_assets.automation.sequence_runs import start, stop
from sync_assets.automation.templates import Scope, Template, filled
from sync_assets.errors import ActionRefused
from sync_assets.load.cursor import Cursor
from sync_assets.operation import HTTP

__all__ = ["Action", "Context", "enqueue", "parse_action"]

INSERT = """
insert into sync.outbox (account, entity, key, operation, payload, base, idempotency_key, depth, cause)
values (%(account)s, %(entity)s, %(key)s, %(operation)s, %(payload)s, %(base)s, %(idempotency_key)s, %(depth)s,
        %(cause)s)
on conflict (idempotency_key) do nothing returning id
"""

OF_ORDER = """
update sync.outbox set depth = %s, cause = %s
 where id = (select max(id) from sync.outbox where account = %s and entity = 'orders' and key = %s) and id > %s
returning id
"""


@dataclass(frozen=True)
class Context:
    """What an action is done to, and what it rests on: whole records, None where there is none."""

    account: str
    system: str
    entity: str
    key: str
    before: Record | None = None
    after: Record | None = None
    current: Record | None = None
    words: Mapping[str, Any] = field(default_factory=dict)
    """What templates may name beside records: rule.key, event.id, ..."""
    cause: str = ""
    """Who wants it, in words: "rule vip_to_won"."""
    event: int | None = None

    @property
    def believed(self) -> Record:
        """The record on which the decision rests."""
        return self.after or self.current or {}


@dataclass(frozen=True)
class Doing:
    cursor: Cursor
    action: Action
    context: Context
    scope: Scope
    idempotency_key: str
    depth: int

    @property
    def given(self) -> Mapping[str, Any]:
        return self.action.given

    def wrong(self, what: str) -> ActionRefused:
        return ActionRefused(f"{self.action.do}: {what}", file=self.action.file or None, line=self.action.line or None)


def enqueue(cursor: Cursor, action: Action, context: Context, *, idempotency_key: str, depth: int) -> int | None:
    """The id of the row in the outbox; None where nothing has to leave, or the order's status is what it is to be.

    `depth`: how many of our own reactions led to this, itself not counted. Raises ActionRefused where it cannot be done
    to this record; nothing was written then.
    """
    words = {"account": context.account, "entity": context.entity, "key": context.key, **context.words}
    sides = {"before": context.before, "after": context.after, "current": context.current}
    scope = Scope(sides, words, partial(_contact, cursor, context))
    return DO[action.do](Doing(cursor, action, context, scope, idempotency_key, depth))


def _contact(cursor: Cursor, context: Context) -> Record | None:
    if context.system != "kommo":
        return None
    whose = contact_id(context.current or context.after)
    if context.entity == "contacts":
        return context.current or context.after
    if not isinstance(whose, int):
        return None
    cursor.execute(
        sql.SQL("select raw_json from {} where id = %s").format(sql.Identifier(context.account, "contacts")), (whose,)
    )
    row = cursor.fetchone()
    return row[0] if row else None


def _row(doing: Doing, payload: Mapping[str, Any], base: Mapping[str, Any], **where: str) -> int | None:
    context = doing.context
    cursor = doing.cursor
    row = {"account": context.account, "entity": context.entity, "key": context.key} | where
    cursor.execute(
        INSERT,
        row
        | {
            "operation": doing.action.do,
            "payload": json.dumps(payload),
            "base": json.dumps(base),
            "idempotency_key": doing.idempotency_key,
            "depth": doing.depth,
            "cause": context.cause,
        },
    )
    if (made := cursor.fetchone()) is None:
        cursor.execute("select id from sync.outbox where idempotency_key = %s", (doing.idempotency_key,))
        made = cursor.fetchone()
    cursor.execute("select pg_notify('sync_outbox', %s)", (row["account"],))
    return int(made[0]) if made else None


def _base(doing: Doing, names: Mapping[str, Any]) -> dict[str, Any]:
    """What the record holds where something is wanted: whoever changes that before we do wins."""
    held = doing.context.believed
    return {name: value_at(held, tuple(name.split("."))) for name in names} if held else {}


def _set(doing: Doing, payload: Mapping[str, Any]) -> int | None:
    return _row(doing, payload, _base(doing, payload))


def _set_status(doing: Doing) -> int | None:
    pipeline = doing.given.get("pipeline") or value_at(doing.context.believed, ("pipeline_id",))
    if pipeline is None:
        raise doing.wrong("the record is in no pipeline")
    return _set(doing, {"pipeline_id": pipeline, "status_id": doing.given["status"]})


def _set_field(doing: Doing) -> int | None:
    return _set(doing, {doing.given["field"]: filled(doing.given["value"], doing.scope)})


def _add_tag(doing: Doing) -> int | None:
    tag = doing.given["tag"].text(doing.scope).strip()
    if not tag:
        raise doing.wrong("the tag is empty")
    return _row(doing, {f"tags.{tag}": True}, {})


def _assign(doing: Doing) -> int | None:
    return _set(doing, {"responsible_user_id": _number(doing, "user")})


def _create_task(doing: Doing) -> int | None:
    due: timedelta = doing.given["due"]
    doing.cursor.execute("select extract(epoch from clock_timestamp() + %s)::bigint", (due,))
    payload = {
        "text": _some_text(doing),
        "complete_till": int((doing.cursor.fetchone() or (0,))[0]),
        "task_type_id": doing.given["type"],
    }
    if doing.given["assign"] is not None:
        payload["responsible_user_id"] = _number(doing, "assign")
    return _row(doing, payload, {})


def _add_note(doing: Doing) -> int | None:
    return _row(doing, {"text": _some_text(doing)}, {})


def _push_order_status(doing: Doing) -> int | None:
    """By SQL like anybody else's change, which the trigger on orders puts into the outbox."""
    context, cursor = doing.context, doing.cursor
    own = context.system == "bitrix" and context.entity == "orders"
    account = doing.given["account"] or (context.account if own else "bitrix")
    if doing.given["order"] is None and not own:
        raise doing.wrong("it does not say which order")
    order = _number(doing, "order") if doing.given["order"] is not None else int(context.key)
    cursor.execute("select to_regclass(%s) is not null", (f'"{account}".orders',))
    if not (cursor.fetchone() or (False,))[0]:
        raise doing.wrong(f"there is no account {account} with orders")
    cursor.execute("select coalesce(max(id), 0) from sync.outbox")
    (newest,) = cursor.fetchone() or (0,)
    table = sql.Identifier(account, "orders")
    cursor.execute(sql.SQL("update {} set crm_status = %s where id = %s").format(table), (doing.given["status"], order))
    if not cursor.rowcount:
        raise doing.wrong(f"there is no order {order}")
    cursor.execute(OF_ORDER, (doing.depth, context.cause, account, str(order), newest))
    row = cursor.fetchone()
    return int(row[0]) if row else None


def _start_sequence(doing: Doing) -> int | None:
    context = doing.context
    start(
        doing.cursor, doing.given["key"], account=context.account, system=context.system, entity=context.entity,
        key=context.key, record=context.current or context.after, event=context.event, depth=doing.depth,
        by=context.cause,
    )  # fmt: skip
    return None


def _stop_sequence(doing: Doing) -> int | None:
    context = doing.context
    stop(
        doing.cursor,
        doing.given["key"],
        context.account,
        context.entity,
        context.key,
        why=f"stopped by {context.cause}",
    )
    return None


def _http_post(doing: Doing) -> int | None:
    """Order holds per record and host; the record's own way back does not wait for it."""
    context, url = doing.context, doing.given["url"]
    body = filled(doing.given["body"], doing.scope)
    whose = f"{context.account}/{context.entity}/{context.key}"
    payload = {"url": url, "body": body, "idempotency_key": str(uuid4())}
    return _row(doing, payload, {}, account=HTTP, entity=urlsplit(url).netloc, key=whose)


def _log(doing: Doing) -> int | None:
    context = doing.context
    details = {
        "text": doing.given["text"].text(doing.scope),
        "entity": context.entity,
        "key": context.key,
        "by": context.cause,
    }
    doing.cursor.execute(
        "insert into sync.activity_logs (account, activity, details) values (%s, 'automation_log', %s)",
        (context.account, json.dumps(details)),
    )
    return None


def _some_text(doing: Doing) -> str:
    text: str = doing.given["text"].text(doing.scope).strip()
    if not text:
        raise doing.wrong("the text is empty")
    return text


def _number(doing: Doing, name: str) -> int:
    given = doing.given[name]
    value = given.value(doing.scope) if isinstance(given, Template) else given
    text = "" if isinstance(value, bool) else str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise doing.wrong(f"{name} leads to no number")
    return int(text)


DO: Mapping[str, Callable[[Doing], int | None]] = {
    "set_status": _set_status,
    "set_field": _set_field,
    "add_tag": _add_tag,
    "assign": _assign,
    "create_task": _create_task,
    "add_note": _add_note,
    "push_order_status": _push_order_status,
    "start_sequence": _start_sequence,
    "stop_sequence": _stop_sequence,
    "http_post": _http_post,
    "log": _log,
}
