"""A thin caller of the sandbox's Kommo, with one account for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import httpx

from sync_assets.sandbox.kommo.api import Kommo
from sync_assets.sandbox.server import Sandbox

Row = dict[str, Any]


class Account:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.company = sandbox.world.kommo
        self.url = sandbox.url("kommo")
        system = sandbox.world.systems["kommo"]
        assert isinstance(system, Kommo)
        self.auth, self.own = system.auth, system.credentials()
        headers = {"Authorization": f"Bearer {self.own['token']}"}
        self.http = httpx.Client(base_url=f"{self.url}/api/v4", headers=headers, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The body; None where there is none."""
        answer = self.http.get(path, params=query or None)
        return answer.json() if answer.content else None

    def pages(self, path: str, limit: int = 50) -> Iterator[list[Row]]:
        """Every page, by the links; `path` may have a query."""
        name = path.partition("?")[0].rsplit("/", 1)[-1]
        following: str | None = f"{path}{'&' if '?' in path else '?'}limit={limit}"
        while following:
            answer = self.http.get(following)
            if answer.status_code == 204:
                return
            yield answer.json()["_embedded"][name]
            following = answer.json()["_links"].get("next", {}).get("href")

    def all(self, path: str, limit: int = 250) -> list[Row]:
        return [row for page in self.pages(path, limit) for row in page]

    def ids(self, path: str) -> list[int]:
        return [row["id"] for row in self.all(path)]

    def truth(self, entity: str) -> list[Row]:
        return self.sandbox.world.truth("kommo", entity)

    def token(self, grant: str = "refresh_token", **changes: Any) -> httpx.Response:
        """POST /oauth2/access_token."""
        names = ("client_id", "client_secret", "redirect_uri")
        body = {name: self.own[name] for name in names} | {"grant_type": grant} | changes
        return httpx.post(f"{self.url}/oauth2/access_token", json=body)

    def as_bearer(self, token: str, path: str = "account", **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}/api/v4/{path}", headers={"Authorization": f"Bearer {token}", **headers})
