"""Kommo's webhooks: forms with PHP's brackets, without a signature, several records and actions in one.

Who calls is proved by the address, whose last part is ours, and by the account that the form says it is of. Of a form
only ids, times and codes are kept: names, phones and texts are read from the API, where the token may.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from sync_assets import form
from sync_assets.errors import WrongShape
from sync_assets.systems.kommo.entities import ENTITIES
from sync_assets.webhook import (
    Delivery,
    Endpoint,
    Event,
    Registration,
    Subscription,
    bears,
    digest,
    moment,
    number,
    same,
    unreadable,
)

if TYPE_CHECKING:
    from sync_assets.extract.http import Door
    from sync_assets.systems.kommo.api import KommoSettings

ENTITY_OF = {name: entity.name for entity in ENTITIES for name in entity.hints}

ACCOUNT = re.compile(rb"(?:^|&)account(?:\[|%5B)(id|subdomain)(?:\]|%5D)=([^&]{0,100})", re.IGNORECASE)
ELEMENT = re.compile(r"([a-z_]{1,40})\[([a-z_]{1,40})\]\[([^\[\]]{0,40})\]((?:\[note\])?)\[(\w{1,40})\]")
SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company", "customers": "customer"}
ELEMENT_TYPES = {"1": "contact", "2": "lead", "3": "company", "12": "customer"}
KEPT = frozenset(
    (
        "id", "type", "uid", "status_id", "old_status_id", "pipeline_id", "old_pipeline_id", "responsible_user_id",
        "old_responsible_user_id", "element_id", "element_type", "note_type", "last_modified", "updated_at", "talk_id",
        "entity_type", "entity_id",
    )
)  # fmt: skip

UNLISTED = ("update_task",)
"""Events that are no part of Kommo's own list, though clients ask for them; where they are refused it goes without."""


class _Record:
    """What a form says of one record, told apart by root, action and number."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.hash = hashlib.blake2b(digest_size=16)


class _Webhook(msgspec.Struct):
    destination: str
    disabled: bool = False
    settings: list[str] = []


class _Embedded(msgspec.Struct):
    webhooks: list[_Webhook] = []


class _Webhooks(msgspec.Struct):
    embedded: _Embedded = msgspec.field(name="_embedded", default_factory=_Embedded)


def endpoints(settings: KommoSettings) -> tuple[Endpoint, ...]:
    secret = settings.webhook_secret.get_secret_value()
    if not secret:
        return ()
    called = bears(secret)
    subdomain = _subdomain(settings.base_url)

    def authentic(delivery: Delivery) -> bool:
        return called(delivery) and _of_account(delivery.body, settings.account_id, subdomain)

    return (Endpoint(authentic, events, secret=secret),)


def events(delivery: Delivery) -> Iterator[Event]:
    records: dict[tuple[str, str, str], _Record] = {}
    for name, value in form.fields(delivery.body):
        if (found := ELEMENT.match(name)) is None:
            continue
        root, action, number, _, field = found.groups()
        record = records.setdefault((root, action, number), _Record())
        record.hash.update(b"%d:%b=%d:%b" % (len(name), name.encode(), len(value), value))
        if field in KEPT and found.end() == len(name):
            record.fields[field] = form.text(value)[:100]
    for (root, action, _), record in records.items():
        yield _event(root, action, record)
    if form.cut(delivery.body):
        yield unreadable(delivery.body, f"more than {form.MOST:,} fields: the rest was not looked at")
    elif not records:
        yield unreadable(delivery.body, "a form that tells of no record")


def _event(root: str, action: str, record: _Record) -> Event:
    fields = record.fields
    kind = SINGULAR.get(root, root)
    if kind == "contact" and fields.get("type") == "company":
        kind = "company"  # Kommo sends companies as contacts
    if action == "note":
        kind = ELEMENT_TYPES.get(fields.get("element_type", ""), kind)
    name = f"{action}_{kind}"
    key = number(fields.get("element_id" if action == "note" else "id"))
    stamp = fields.get("updated_at") or fields.get("last_modified") or ""
    entity = ENTITY_OF.get(name, "")
    return Event(
        name,
        entity if key else "",
        key if entity else "",
        at=moment(int(stamp)) if number(stamp) else None,
        identity=digest(name.encode(), record.hash.digest()),
        # A deletion says no time: the next one of the same record, after it was restored, looks just like it.
        unique=bool(stamp) and action != "delete",
        payload=msgspec.json.encode({"event": name, **fields}),
        problem="it bears no id" if entity and not key else "",
    )


def _of_account(body: bytes, account_id: str, subdomain: str) -> bool:
    """Whether the form is of the account: by its id where both sides know it, else by its subdomain."""
    said = {name.lower(): value for name, value in ACCOUNT.findall(body)}
    if account_id and b"id" in said:
        return same(form.text(said[b"id"]), account_id)
    if subdomain:
        return same(form.text(said.get(b"subdomain", b"")).lower(), subdomain)
    return not account_id


def _subdomain(base_url: str) -> str:
    """The account's name in its address; "" for an address that has none, as the sandbox's."""
    host = urlsplit(base_url).hostname or ""
    return host.partition(".")[0] if re.search(r"\.(kommo|amocrm)\.[a-z]+$", host) else ""


def listed(door: Door, url: str) -> Sequence[Subscription]:
    answer = door.ask("/webhooks", {"filter[destination]": url})
    found = msgspec.json.decode(answer.body, type=_Webhooks).embedded.webhooks
    ours = [webhook for webhook in found if webhook.destination == url]
    if not ours:
        return [Subscription("missing")]
    if all(webhook.disabled for webhook in ours):
        return [Subscription("off", says="Kommo disabled it: more than 100 answers in 2 hours were not what it wants")]
    heard = {event for webhook in ours if not webhook.disabled for event in webhook.settings}
    lacks = [event for event in REGISTRATION.events if event not in heard]
    return [Subscription("missing", says=f"it lacks {', '.join(lacks)}") if lacks else Subscription("on")]


def create(door: Door, _settings: KommoSettings, url: str, there: Subscription) -> None:
    """What Kommo disabled is not known to come back by being set again, so it is taken away first."""
    if there.state == "off":
        door.ask("/webhooks", {}, body=msgspec.json.encode({"destination": url}), method="DELETE")
    everything = tuple(ENTITY_OF)
    try:
        door.ask("/webhooks", {}, body=msgspec.json.encode({"destination": url, "settings": everything}))
    except WrongShape:
        wanted = {"destination": url, "settings": REGISTRATION.events}
        door.ask("/webhooks", {}, body=msgspec.json.encode(wanted))


REGISTRATION = Registration(
    tuple(name for name in ENTITY_OF if name not in UNLISTED),
    "Kommo: Settings, Integrations, Web hooks (plan Advanced or higher)",
    ("webhook_secret",),
    listed,
    create,
)
