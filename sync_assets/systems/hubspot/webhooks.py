"""HubSpot's webhooks: signed lists of up to 100 events, each of a type, an action and an id.

The signature of version 3 covers the address, the body and a time. Versions 1 and 2 bear no time, so whoever heard one
can repeat it for ever: they count where HUBSPOT_WEBHOOK_V1 allows it, and never in place of a version 3 that is there.
Of an event everything is kept but the value that a property got and who changed it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from sync_assets.extract import scan
from sync_assets.systems.hubspot.entities import entities
from sync_assets.webhook import Delivery, Endpoint, Event, Registration, digest, moment, number, same, unreadable

if TYPE_CHECKING:
    from sync_assets.systems.hubspot.api import HubSpotSettings

OLD_SECONDS = 300.0
"""A signature that is older does not count; HubSpot's own rule."""

AHEAD_SECONDS = 60.0
"""Nor does one from the future, beyond what clocks differ by."""

TYPES = {"0-1": "contact", "0-3": "deal", "0-48": "call"}
"""What the events of every type of object (`object.*`) say, and the events of one type."""

ENTITIES_OF = {
    name: tuple(entity.name for entity in entities(1) if name in entity.hints) for e in entities(1) for name in e.hints
}

Id = int | str


class _Told(msgspec.Struct, rename="camel", omit_defaults=True):
    """The fields that are kept."""

    subscription_type: str = ""
    event_type: str = ""
    event_id: Id | None = None
    subscription_id: Id | None = None
    portal_id: Id | None = None
    app_id: Id | None = None
    occurred_at: int | None = None
    object_id: Id | None = None
    object_type_id: str | None = None
    property_name: str | None = None
    change_source: str | None = None
    change_flag: str | None = None
    association_type: str | None = None
    from_object_id: Id | None = None
    to_object_id: Id | None = None
    from_object_type_id: str | None = None
    to_object_type_id: str | None = None
    association_removed: bool | None = None
    is_primary_association: bool | None = None
    primary_object_id: Id | None = None
    merged_object_ids: list[Id] = []
    new_object_id: Id | None = None


class Signatures:
    """Who calls, by the client secret of the app; `used` counts the versions that proved it."""

    def __init__(self, secret: str, *, older: bool) -> None:
        self._secret = secret
        self._older = older
        self.used: Counter[str] = Counter()

    def __call__(self, delivery: Delivery) -> bool:
        headers = delivery.headers
        version = "v3" if "x-hubspot-signature-v3" in headers else headers.get("x-hubspot-signature-version", "v1")
        if version == "v3":
            good = self._v3(delivery, headers.get("x-hubspot-signature-v3", ""))
        else:
            given = headers.get("x-hubspot-signature", "")
            good = self._older and version in ("v1", "v2") and same(given, self._plain(delivery, version))
        if good:
            self.used[version] += 1
            if self.used[version] == 1:
                logging.getLogger("sync_assets").info("HubSpot signs its webhooks by version %s", version[1:])
        return good

    def _v3(self, delivery: Delivery, given: str) -> bool:
        stamp = delivery.headers.get("x-hubspot-request-timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
            return False
        age = delivery.received.timestamp() - int(stamp) / 1000
        signed = b"".join((delivery.method.encode(), delivery.url.encode(), delivery.body, stamp.encode()))
        expected = base64.b64encode(hmac.digest(self._secret.encode(), signed, "sha256")).decode()
        return same(given, expected) and -AHEAD_SECONDS <= age <= OLD_SECONDS

    def _plain(self, delivery: Delivery, version: str) -> str:
        called = b"" if version == "v1" else f"{delivery.method}{delivery.url}".encode()
        return hashlib.sha256(self._secret.encode() + called + delivery.body).hexdigest()


def endpoints(settings: HubSpotSettings) -> tuple[Endpoint, ...]:
    secret = settings.webhook_secret.get_secret_value()
    signatures = Signatures(secret, older=settings.webhook_v1 == "yes")
    return (Endpoint(signatures, events, signs_url=True),) if secret else ()


def events(delivery: Delivery) -> Iterator[Event]:
    for element in scan.items(delivery.body):
        try:
            told = msgspec.json.decode(element, type=_Told)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield unreadable(element, "no event of HubSpot", evidence=element)
            continue
        yield from _events(told)


def _events(told: _Told) -> Iterator[Event]:
    """One per record that an event is about, twice where its associations are concerned too."""
    name = (told.subscription_type or told.event_type)[:80]
    prefix, _, action = name.partition(".")
    if action == "associationChange":
        kind, keys = _kind_of_association(told, prefix), [told.from_object_id]
    else:
        kind = TYPES.get(told.object_type_id or "", told.object_type_id or "") if prefix == "object" else prefix
        # After a merge each of the ids may be the survivor's, or lead to it, or to nothing.
        keys = [told.object_id, told.new_object_id, told.primary_object_id, *told.merged_object_ids]
    found = ENTITIES_OF.get(f"{kind}.{action}", ())
    said = (told.portal_id, name, told.object_type_id, told.property_name, told.occurred_at, told.event_id)
    which = (told.object_id, told.from_object_id, told.to_object_id, told.association_type, told.association_removed)
    numbers = list(dict.fromkeys(filter(None, map(number, keys))))
    about = [(entity, key) for entity in found for key in numbers] or [("", "")]
    for entity, key in about:
        yield Event(
            name,
            entity,
            key,
            at=None if told.occurred_at is None else moment(told.occurred_at / 1000),
            identity=digest(repr((said, which, told.merged_object_ids, entity, key)).encode()),
            unique=told.occurred_at is not None or told.event_id is not None,
            payload=msgspec.json.encode(told),
            problem="it bears no id" if found and not numbers else "" if name else "it does not say what it is",
        )


def _kind_of_association(told: _Told, prefix: str) -> str:
    """The type that an association leads from; "" where either end is of a type that is not kept here."""
    words = (told.association_type or "").lower().split("_to_")
    if len(words) == 2:
        ends = (words[0], words[1])
    else:
        ends = (
            TYPES.get(told.from_object_type_id or "", "" if prefix == "object" else prefix),
            TYPES.get(told.to_object_type_id or "", ""),
        )
    return ends[0] if {*ends} <= {*TYPES.values()} else ""


REGISTRATION = Registration(
    tuple(ENTITIES_OF),
    "HubSpot: the private app, Webhooks: target URL and subscriptions; its client secret is under Auth. What is named"
    " call.* is the subscription object.* for calls",
    ("webhook_secret",),
)
