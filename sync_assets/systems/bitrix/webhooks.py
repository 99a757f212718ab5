"""Bitrix's events: forms with PHP's brackets, proved by the application token that each bears.

An event comes once, late and without a retry, and says to the second when. Two saves of an order in one second look the
same, so none is taken for another's repetition once that one was worked off. What an event bears beside ids (tokens,
and a new user's name and e-mail) is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from sync_assets import form
from sync_assets.systems.bitrix.entities import ENTITIES
from sync_assets.webhook import Delivery, Endpoint, Event, Registration, digest, moment, number, same, unreadable

if TYPE_CHECKING:
    from sync_assets.systems.bitrix.api import BitrixSettings

ENTITY_OF = {name: entity.name for entity in ENTITIES for name in entity.hints}
KEPT = ("ID", "ACTION", "TYPE")


def endpoints(settings: BitrixSettings) -> tuple[Endpoint, ...]:
    token, member = settings.application_token.get_secret_value(), settings.member_id
    if not token:
        return ()

    def authentic(delivery: Delivery) -> bool:
        said = _fields(delivery.body)
        proved = same(said.get("auth[application_token]", ""), token)
        return proved and (not member or same(said.get("auth[member_id]", ""), member))

    return (Endpoint(authentic, events, body=256 * 2**10),)


def events(delivery: Delivery) -> Iterator[Event]:
    said = _fields(delivery.body)
    name = said.get("event", "")[:80].upper()
    if not name:
        yield unreadable(delivery.body, "a form that names no event")
        return
    # A new user is told of by all that is known of him, other records by an inner list.
    kept = {field: said.get(f"data[FIELDS][{field}]", said.get(f"data[{field}]", "")) for field in KEPT}
    key, stamp = number(kept["ID"]), said.get("ts", "")
    entity = ENTITY_OF.get(name, "")
    payload = {"event": name, **{field: value[:40] for field, value in kept.items() if value}, "ts": stamp[:20]}
    yield Event(
        name,
        entity if key else "",
        key if entity else "",
        at=moment(int(stamp)) if number(stamp) else None,
        identity=digest(name.encode(), kept["ID"].encode(), stamp.encode()),
        unique=False,
        payload=msgspec.json.encode(payload),
        problem="it bears no id" if entity and not key else "",
    )


def _fields(body: bytes) -> dict[str, str]:
    return {name: form.text(value) for name, value in form.fields(body)}


REGISTRATION = Registration(
    tuple(ENTITY_OF),
    "Bitrix24: Developer resources, Other, Outbound webhook; its authentication code is BITRIX_APPLICATION_TOKEN",
    ("application_token",),
)
