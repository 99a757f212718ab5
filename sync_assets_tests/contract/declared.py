"""Every entity that is declared, as parameters for the tests of this folder."""

from typing import Any

import pytest

from sync_assets.account import Account, connected_accounts
from sync_assets.entity import Entity
from sync_assets.systems import SYSTEMS

ENVIRONMENT = {
    "KAITEN_API_URL": "https://example.kaiten.ru/api/latest",
    "KAITEN_API_TOKEN": "no-token",
    "WORKSECTION_DOMAIN": "example.worksection.com",
    "WORKSECTION_HASH": "no-key",
    "HUBSPOT_ACCESS_TOKEN": "no-token",
    "KOMMO_BASE_URL": "https://example.kommo.com",
    "KOMMO_ACCESS_TOKEN": "no-token",
    "BITRIX_WEBHOOK_URL": "https://example.bitrix24.com/rest/1/no-secret/",
}
ACCOUNTS: list[Account] = connected_accounts(SYSTEMS, ENVIRONMENT)[0]
NAMES = [a.name for a in ACCOUNTS]
DECLARED: list[tuple[Account, Entity]] = [(a, e) for a in ACCOUNTS for e in a.entities]


def entities(chosen: Any = lambda entity: True) -> Any:
    """Parametrises `account` (a name) and `name` (of an entity) over those that `chosen` takes."""
    cases = [pytest.param(a.name, e.name, id=f"{a.name}.{e.name}") for a, e in DECLARED if chosen(e)]
    return pytest.mark.parametrize(("account", "name"), cases)
