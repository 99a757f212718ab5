"""One small world per test, over real sockets."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.bitrix import Shop
from sync_assets_tests.sandbox.hubspot import Portal
from sync_assets_tests.sandbox.kommo import Account
from sync_assets_tests.sandbox.receiver import receiver as receiver

UNLIMITED = {"kaiten": 0.0, "worksection": 0.0, "hubspot": 0.0, "kommo": 0.0, "bitrix": 0.0}


@pytest.fixture
def sb() -> Iterator[Sandbox]:
    with Sandbox(rates=UNLIMITED) as sandbox:
        yield sandbox


class Client:
    """A thin caller of both APIs."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        headers = {"Authorization": f"Bearer {sandbox.kaiten_token}"}
        self.http = httpx.Client(base_url=f"{sandbox.kaiten_url}/api/latest", headers=headers, timeout=5)

    def kaiten(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        return self.http.request(method, path, **more)

    def cards(self, **query: Any) -> list[dict[str, Any]]:
        """Every card, paged by offset."""
        found: list[dict[str, Any]] = []
        while page := self.kaiten(
            "/cards", params={"limit": 100, "offset": len(found), "order_by": "id", **query}
        ).json():
            found += page
        return found

    def worksection(self, action: str, **parameters: Any) -> Any:
        body = {
            "action": action,
            **parameters,
            "access_token": self.sandbox.world.systems["worksection"].credentials()["access_token"],
        }
        return self.http.post(f"{self.sandbox.worksection_url}/api/oauth2", json=body).json()


@pytest.fixture
def client(sb: Sandbox) -> Iterator[Client]:
    caller = Client(sb)
    with caller.http:
        yield caller


@pytest.fixture
def portal(sb: Sandbox) -> Iterator[Portal]:
    caller = Portal(sb)
    with caller.http:
        yield caller


@pytest.fixture
def account(sb: Sandbox) -> Iterator[Account]:
    caller = Account(sb)
    with caller.http:
        yield caller


@pytest.fixture
def shop(sb: Sandbox) -> Iterator[Shop]:
    caller = Shop(sb)
    with caller.http:
        yield caller
