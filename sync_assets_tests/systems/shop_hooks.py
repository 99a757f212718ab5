"""What a shop posts, and what becomes of it: deliveries to the endpoint, and its events worked off."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from sync_assets.sync import Outcome, Request, sync_entity
from sync_assets.sync.look import Work
from sync_assets.sync.worker import Worker
from sync_assets.systems.bitrix.api import BitrixSettings
from sync_assets.systems.bitrix.shop import endpoints
from sync_assets.webhook import Delivery, Endpoint, Event
from sync_assets_tests.company import Company

SECRET = "shop-secret-of-forty-characters-and-more"
TOKEN = "the-token-in-the-body"
NOW = datetime(2026, 7, 9, 12, 0, tzinfo=UTC)
URL = "https://hooks.example.test/webhooks/bitrix/shop"


def endpoint(secret: str = SECRET, token: str = "", zone: str = "") -> Endpoint:
    (found,) = endpoints(
        BitrixSettings(
            webhook_url=SecretStr("https://shop.example.test/rest/1/secret"),
            shop_secret=SecretStr(secret),
            shop_token=SecretStr(token),
            shop_timezone=zone,
        )
    )
    return found


def delivery(body: object, secret: str = SECRET, late: float = 0.0) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    at = str(int((NOW - timedelta(seconds=late)).timestamp()))
    signature = hmac.new(secret.encode(), at.encode() + b"." + raw, hashlib.sha256).hexdigest()
    headers = {"x-sync-timestamp": at, "x-sync-signature": f"sha256={signature}"}
    return Delivery(URL, headers, raw, NOW)


def events(body: object, zone: str = "") -> list[Event]:
    return list(endpoint(zone=zone).events(delivery(body)))


def told(name: str, **data: Any) -> dict[str, Any]:
    return {"event": name, "data": {"webhook_timestamp": int(NOW.timestamp()), **data}}


def worked_off(company: Company, found: Iterable[Event]) -> dict[str, Outcome]:
    """Reads the records that events are about, as the inbox's worker does."""
    records: dict[str, dict[str, list[bytes]]] = {}
    for event in found:
        sent = records.setdefault(event.entity, {}).setdefault(event.key, [])
        sent += [event.record] if event.record else []
    done = {}
    with company.connected("bitrix") as connection:
        for entity, by_key in records.items():
            pushed = {key: sent for key, sent in by_key.items() if sent}
            request = Request("webhook", ids=tuple(by_key), pushed=pushed)
            done[entity] = sync_entity(connection, company.entity(entity, "bitrix"), request)
    return done


def inbox_worked_off(company: Company) -> Work:
    """The same by the worker itself, of what lies in the inbox."""
    worker, work = Worker(company.accounts["bitrix"], company.settings), Work()
    try:
        worker.work_off(time.monotonic() + 60, work)
        worker.tell(work)
    finally:
        worker.close()
    assert (work.problems, work.waiting, work.dead) == ([], 0, 0)
    return work
