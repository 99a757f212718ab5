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

ENTITIES_OF = {name: tuple(entity for entity in ENTITIES if name in entity.hints) for e in ENTITIES for name in e.hints}
KEPT = ("ID", "ACTION", "TYPE")

WHOLE = {"order_items": ("ONSALEORDERSAVED", "ONSALEBEFOREORDERDELETE")}
"""Told of by their order's events, whose id is not theirs: those of all orders that changed are read."""


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
    found = ENTITIES_OF.get(name, ()) if key else ()
    payload = {"event": name, **{field: value[:40] for field, value in kept.items() if value}, "ts": stamp[:20]}
    for entity in [e.name for e in found] or [""]:
        yield Event(
            name,
            entity,
            key if entity and name not in WHOLE.get(entity, ()) else "",
            at=moment(int(stamp)) if number(stamp) else None,
            identity=digest(name.encode(), kept["ID"].encode(), stamp.encode(), entity.encode()),
            unique=False,
            payload=msgspec.json.encode(payload),
            problem="it bears no id" if name in ENTITIES_OF and not key else "",
        )


def _fields(body: bytes) -> dict[str, str]:
    return {name: form.text(value) for name, value in form.fields(body)}


REGISTRATION = Registration(
    tuple(ENTITIES_OF),
    "Bitrix24: Developer resources, Other, Outbound webhook; its authentication code is BITRIX_APPLICATION_TOKEN",
    ("application_token",),
)
