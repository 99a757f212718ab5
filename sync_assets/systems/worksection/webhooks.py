"""Worksection's webhooks: lists of events by HTTP Basic, answered by {"status":"OK"} within five seconds.

What is told of a subtask or of a comment leads to the task that the event's page names.
Times come to the minute and without a zone: two events may look the same, so none is taken for another's repetition
once that one was worked off. No names, texts or values are kept.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from sync_assets.errors import FixConfig
from sync_assets.extract import scan
from sync_assets.systems.worksection.entities import PROJECTS, TASKS
from sync_assets.webhook import Delivery, Endpoint, Event, Registration, Subscription, digest, number, same, unreadable

if TYPE_CHECKING:
    from sync_assets.extract.http import Door
    from sync_assets.systems.worksection.api import WorksectionSettings

ENTITY_OF = {name: entity for entity in (PROJECTS, TASKS) for name in entity.hints}

UNLISTED = ("reopen_task", "close_project", "reopen_project", "delete_project")
"""Events that are no part of Worksection's own list. The first stands in its examples and is asked for all the same."""


PAGE = re.compile(r"/project/\d+/(\d+)/|/task/(\d+)/", re.ASCII)


class _Object(msgspec.Struct):
    type: str = ""
    id: str | int = ""
    page: str = ""


class _Row(msgspec.Struct):
    action: str
    object: _Object
    new: msgspec.Raw = msgspec.Raw(b"{}")


class _Webhook(msgspec.Struct):
    id: str | int
    url: str
    status: str = ""
    events: str = ""


class _Webhooks(msgspec.Struct):
    data: list[_Webhook] = []


def endpoints(settings: WorksectionSettings) -> tuple[Endpoint, ...]:
    user, password = settings.webhook_user, settings.webhook_password.get_secret_value()
    if not (user and password):
        return ()
    expected = base64.b64encode(f"{user}:{password}".encode()).decode()

    def authentic(delivery: Delivery) -> bool:
        scheme, _, given = delivery.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "basic" and same(given.strip(), expected)

    return (Endpoint(authentic, events, answer=b'{"status":"OK"}'),)


def events(delivery: Delivery) -> Iterator[Event]:
    """Nothing for an empty body: so Worksection tries an address before it takes it."""
    body = delivery.body.strip()
    for element in scan.items(body) if body not in (b"", b"{}") else ():
        try:
            yield _event(msgspec.json.decode(element, type=_Row), element)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield unreadable(element, "no event of Worksection", evidence=element)


def _event(row: _Row, element: bytes) -> Event:
    name = f"{row.action}_{row.object.type}"[:60]
    entity, id = ENTITY_OF.get(name), str(row.object.id)
    key = _task(row.object) if entity is TASKS else number(id)
    lost = entity is PROJECTS and not key
    payload: dict[str, Any] = {"event": name, "id": id[:20], "page": row.object.page[:80]}
    with suppress(msgspec.DecodeError):  # where nothing is new it may be an empty text
        payload["changed"] = sorted(msgspec.json.decode(row.new, type=dict[str, msgspec.Raw]))[:50]
    return Event(
        name,
        entity.name if entity and not lost else "",
        key if entity else "",
        identity=digest(element),
        unique=False,
        payload=msgspec.json.encode(payload),
        problem="it bears no id" if lost else "",
    )


def _task(about: _Object) -> str:
    """The id of the task, its top one where the page tells, else that of the subtask which is meant."""
    page = PAGE.match(about.page)
    return number((page and (page[1] or page[2])) or (about.id if about.type == "task" else ""))


def listed(door: Door, url: str) -> Sequence[Subscription]:
    found = msgspec.json.decode(door.ask("get_webhooks", {}).body, type=_Webhooks).data
    ours = [webhook for webhook in found if webhook.url == url]
    if not ours:
        return [Subscription("missing")]
    active = [webhook for webhook in ours if webhook.status == "active"]
    if not active:
        return [Subscription("off", id=str(ours[0].id), says="Worksection pauses what failed 10 times")]
    heard = {event.strip() for webhook in active for event in webhook.events.split(",")}
    lacks = [event for event in REGISTRATION.events if event not in heard]
    says = f"it lacks {', '.join(lacks)}" if lacks else ""
    return [Subscription("missing" if lacks else "on", id=str(active[0].id), says=says)]


def create(door: Door, settings: WorksectionSettings, url: str, there: Subscription) -> None:
    """There is no way to change one or to switch it on again: it is taken away and made anew."""
    if there.id:
        door.ask("delete_webhook", {"id": there.id})
    wanted = {
        "url": url,
        "http_user": settings.webhook_user,
        "http_pass": settings.webhook_password.get_secret_value(),
    }
    # In the body: addresses end up in logs, and this one would hold the password.
    everything = msgspec.json.encode({**wanted, "events": ",".join((*REGISTRATION.events, UNLISTED[0]))})
    try:
        door.ask("add_webhook", {}, body=everything)
    except FixConfig:
        wanted["events"] = ",".join(REGISTRATION.events)
        door.ask("add_webhook", {}, body=msgspec.json.encode(wanted))


REGISTRATION = Registration(
    tuple(name for name in ENTITY_OF if name not in UNLISTED),
    "Worksection: account settings, API, Webhooks, with the user and the password of WORKSECTION_WEBHOOK_*",
    ("webhook_user", "webhook_password"),
    listed,
    create,
)
