"""The shop's own webhook: 1C-Bitrix event handlers post orders, goods and people (integrations/bitrix).

An order is a hint like any other. People and goods are sent whole, since the API shows no buyer and not every product;
of either only the named parts go further than this, and of the rest of a body nothing does.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator
from datetime import datetime, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sync_assets.extract import scan
from sync_assets.systems.bitrix.api import BitrixSettings
from sync_assets.systems.bitrix.pushed import Row, key_of, moment, person, product
from sync_assets.webhook import Delivery, Endpoint, Event, digest, same, unreadable

TOLERANCE = 300.0
"""Seconds that a delivery's time may lie before or after ours."""

TOLD = ("webhook_timestamp", "DATE_UPDATE", "TIMESTAMP_X")
"""Where an event says when it happened, the surest first."""

OF_ORDER = (
    *("ID", "ACCOUNT_NUMBER", "STATUS_ID", "OLD_STATUS_ID", "CANCELED", "PAYED", "DEDUCTED", "PRICE", "CURRENCY"),
    *("USER_ID", "DATE_INSERT", "DATE_UPDATE", "DATE_STATUS", "VERSION", "webhook_timestamp", "webhook_source"),
)
"""What is kept of an order's event, for people to look at: the order itself is read from the API."""

NAME = re.compile(r"(order|product|user)\.([a-z_]{1,30})")
STAMP = re.compile(r"[0-9]{1,12}")
ENTITIES = {"order": "orders", "product": "products", "user": "users"}

UNREADABLE = (ValueError, RecursionError)


def endpoints(settings: BitrixSettings) -> tuple[Endpoint, ...]:
    """One where a secret is set: that of the signature, or the token of the handler that signs nothing."""
    secret, token = settings.shop_secret.get_secret_value(), settings.shop_token.get_secret_value()
    if not secret and not token:
        return ()
    zone = ZoneInfo(settings.shop_timezone) if settings.shop_timezone else None
    authentic, events = partial(_authentic, secret, token), partial(_events, zone)
    return (Endpoint(authentic, events, name="shop", answer=b'{"status":"success"}'),)


def _authentic(secret: str, token: str, delivery: Delivery) -> bool:
    signature = delivery.headers.get("x-sync-signature")
    if signature is not None:
        return bool(secret) and _signed(secret, signature, delivery)
    return bool(token) and same(_token(delivery.body), token)


def _signed(secret: str, signature: str, delivery: Delivery) -> bool:
    at = delivery.headers.get("x-sync-timestamp", "")
    if not STAMP.fullmatch(at):
        return False
    right = hmac.new(secret.encode(), at.encode() + b"." + delivery.body, "sha256").hexdigest()
    return same(signature, f"sha256={right}") and abs(delivery.received.timestamp() - int(at)) <= TOLERANCE


def _token(body: bytes) -> str:
    try:
        found = _json(body)
    except UNREADABLE:
        return ""
    token = found.get("token") if isinstance(found, dict) else None
    return token if isinstance(token, str) else ""


def _events(zone: tzinfo | None, delivery: Delivery) -> Iterator[Event]:
    try:
        body = _json(delivery.body)
    except UNREADABLE:
        yield from _damaged(zone, delivery)
        return
    if not isinstance(body, dict):
        yield unreadable(delivery.body, "the body is not an object")
    elif isinstance(body.get("events"), list):
        for told in body["events"]:
            yield from _of(told, zone)
    else:
        yield from _of(body, zone)


def _damaged(zone: tzinfo | None, delivery: Delivery) -> Iterator[Event]:
    """Of a body that no parser takes, one event after the other."""
    try:
        parts = scan.elements(delivery.body, "events")
    except ValueError:
        yield unreadable(delivery.body, "the body is not JSON")
        return
    for part in parts:
        try:
            told = _json(part)
        except UNREADABLE:
            yield unreadable(part, "the event is not JSON")
        else:
            yield from _of(told, zone)


def _of(told: object, zone: tzinfo | None) -> Iterator[Event]:
    """The records that one event is about: the first bears its name's entity."""
    try:
        came = _spelled(told)
    except RecursionError:
        yield unreadable(b"", "the event is nested too deeply")
        return
    if not isinstance(told, dict):
        yield unreadable(came, "the event is not an object")
        return
    data, name = told.get("data"), NAME.fullmatch(str(told.get("event")))
    if not isinstance(data, dict) or not name:
        yield unreadable(came, "the event has no data" if name else "the event has no name that we know")
        return
    if not (key := key_of(data)):
        yield unreadable(came, "the record has no ID")
        return
    kind, what = name.groups()
    at = next((found for found in (moment(data.get(n), zone) for n in TOLD) if found), None)
    event = partial(_event, name.group(), at, came, bool(data.get("webhook_timestamp")))
    deleted = what == "delete"
    if kind == "order":
        yield event("orders", key, payload={n: data[n] for n in OF_ORDER if n in data and _scalar(data[n])})
        buyer = data.get("user")
        if isinstance(buyer, dict) and (key := key_of(buyer)):
            yield event("users", key, record=person(buyer, zone))
    else:
        spelled = person if kind == "user" else product
        yield event(ENTITIES[kind], key, record=b"null" if deleted else spelled(data, zone))
        for price in _rows(data.get("PRICES")):
            if kind == "product" and (key := key_of(price)):
                yield event("prices", key)


def _event(
    name: str,
    at: datetime | None,
    came: bytes,
    unique: bool,
    entity: str,
    key: str,
    *,
    payload: Row | None = None,
    record: bytes = b"",
) -> Event:
    # Of what is not kept two events may differ all the same.
    identity = digest(entity.encode(), key.encode(), came)
    said = {"event": name, "data": payload or {"ID": key}}
    return Event(name, entity, key, at=at, identity=identity, unique=unique, payload=_spelled(said), record=record)


def _rows(value: object) -> list[Row]:
    found = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [row for row in found if isinstance(row, dict)]


def _scalar(value: object) -> bool:
    return not isinstance(value, dict | list)


def _spelled(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _json(body: bytes) -> Any:
    """Numbers stay texts, whatever their size. Raises ValueError or RecursionError for what is not JSON."""
    text = body.decode("utf-8", "replace")
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
