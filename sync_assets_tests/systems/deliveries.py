"""Requests as vendors send them, to the endpoints of accounts as the environment connects them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from sync_assets.account import Account, connected_accounts
from sync_assets.systems import SYSTEMS
from sync_assets.webhook import Delivery, Endpoint, Event

PUBLIC = "https://hooks.example.test"
RECEIVED = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
PATH_SECRET = "canary-path-0123456789-abcdef"

ACCOUNTS = {
    "KAITEN_API_URL": "https://example.kaiten.ru",
    "KAITEN_API_TOKEN": "canary-kaiten",
    "WORKSECTION_DOMAIN": "example.worksection.com",
    "WORKSECTION_HASH": "canary-worksection",
    "HUBSPOT_ACCESS_TOKEN": "canary-hubspot",
    "KOMMO_BASE_URL": "https://example.kommo.com",
    "KOMMO_ACCESS_TOKEN": "canary-kommo",
    "BITRIX_WEBHOOK_URL": "https://example.bitrix24.com/rest/1/canary-bitrix/",
}
SECRETS = {
    "KAITEN_WEBHOOK_SECRET": PATH_SECRET,
    "KOMMO_WEBHOOK_SECRET": PATH_SECRET,
    "HUBSPOT_WEBHOOK_SECRET": "canary-client-secret",
    "WORKSECTION_WEBHOOK_USER": "hooks",
    "WORKSECTION_WEBHOOK_PASSWORD": "canary-password-0123456789-abc",
    "BITRIX_APPLICATION_TOKEN": "canary-application-token",
}


def account(name: str, **env: str) -> Account:
    accounts, _ = connected_accounts(SYSTEMS, {**ACCOUNTS, **SECRETS, **env})
    return next(a for a in accounts if a.name == name)


def endpoint(name: str, **env: str) -> Endpoint:
    """The vendor's own endpoint of the account; variables in `env` come on top of all secrets."""
    (found,) = (e for e in account(name, **env).endpoints if not e.name)
    return found


def delivery(
    body: bytes | str | Mapping[str, str],
    url: str = f"{PUBLIC}/webhooks",
    *,
    headers: Mapping[str, str] | None = None,
    received: datetime = RECEIVED,
    method: str = "POST",
) -> Delivery:
    """A mapping becomes a form, a text UTF-8."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else urlencode(body)).encode()
    return Delivery(url, headers or {}, raw, received, method)


def events(name: str, body: bytes | str | Mapping[str, str], **env: str) -> list[Event]:
    return list(endpoint(name, **env).events(delivery(body)))


def about(found: list[Event]) -> list[tuple[str, str, str]]:
    """Name, entity and key of each."""
    return [(e.name, e.entity, e.key) for e in found]
