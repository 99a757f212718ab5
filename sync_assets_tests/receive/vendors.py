"""A vendor of the tests' own: it signs as vendors do, in three ways, and calls by raw sockets or in many threads.

Its deliveries are lists of `{"id", "key", "name"}`; an item without a key cannot be read.
"""

import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from sync_assets.account import Account, System
from sync_assets.entity import Bucket
from sync_assets.settings import AccountSettings
from sync_assets.webhook import Delivery, Endpoint, Event

SECRET = "canary-of-the-signature-0123456789"
PATH_SECRET = "canary-of-the-path-0123456789"
TOLERANCE = timedelta(minutes=5)
PUBLIC = "https://hooks.example.com"


class VendorSettings(AccountSettings):
    secret: SecretStr | None = None
    path_secret: SecretStr | None = None
    signs_url: bool = False


def signature(secret: str, *parts: bytes) -> str:
    return hmac.digest(secret.encode(), b"".join(parts), "sha256").hex()


def endpoints(settings: VendorSettings) -> tuple[Endpoint, ...]:
    found: list[Endpoint] = []
    if settings.secret:
        secret = settings.secret.get_secret_value()

        def authentic(delivery: Delivery) -> bool:
            stamp = delivery.headers.get("x-stamp", "")
            parts = ([delivery.url.encode()] if settings.signs_url else []) + [stamp.encode(), delivery.body]
            fresh = stamp.isdigit() and abs(int(stamp) - delivery.received.timestamp()) <= TOLERANCE.total_seconds()
            right = signature(secret, *parts)
            return hmac.compare_digest(right.encode(), delivery.headers.get("x-signature", "").encode()) and fresh

        found.append(Endpoint(authentic, read, answer=b'{"status":"OK"}', body=64 * 1024, signs_url=settings.signs_url))
    if settings.path_secret:
        path = settings.path_secret.get_secret_value()
        found.append(Endpoint(lambda delivery: delivery.url.endswith("/" + path), read, name="open", secret=path))
    return tuple(found)


def read(delivery: Delivery) -> Iterator[Event]:
    if delivery.body == b"raise":
        raise ValueError(delivery.body)
    try:
        items = json.loads(delivery.body)
    except ValueError:
        yield Event("unreadable", payload=delivery.body, problem="its body is no JSON")
        return
    for item in items:
        payload = json.dumps(item).encode()
        if "key" not in item:
            yield Event(item["name"], "cards", payload=payload, problem="it names no record")
        else:
            yield Event(
                item["name"], "cards", str(item["key"]), identity=str(item.get("id", "")), payload=payload,
                unique=item.get("unique", True),
            )  # fmt: skip


def api(settings: VendorSettings) -> Any:
    raise AssertionError("a receiver asks nobody")


VENDOR = System(
    "vendor", "Vendor", VendorSettings, api, lambda _: (), (Bucket("vendor", rate=1),), ("/me", {}), endpoints=endpoints
)


def account(name: str = "vendor", **settings: Any) -> Account:
    return Account(name, VENDOR, VendorSettings(**({"secret": SECRET, "path_secret": PATH_SECRET} | settings)))


def items(*keys: int, name: str = "card:update") -> bytes:
    """One event per key, whose id is the key's."""
    return json.dumps([{"id": f"event-{key}", "key": key, "name": name} for key in keys]).encode()


def signed(body: bytes, stamp: float, *, secret: str = SECRET, url: str = "") -> dict[str, str]:
    told = str(int(stamp))
    return {"x-stamp": told, "x-signature": signature(secret, url.encode(), told.encode(), body)}
