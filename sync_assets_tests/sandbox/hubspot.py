"""A thin caller of the sandbox's HubSpot, and a portal for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import httpx

from sync_assets.sandbox.server import Sandbox


class Portal:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.company = sandbox.world.hubspot
        headers = {"Authorization": f"Bearer {sandbox.hubspot_token}"}
        self.http = httpx.Client(base_url=sandbox.hubspot_url, headers=headers, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(path, params=query or None).json()

    def post(self, path: str, body: Any) -> Any:
        return self.http.post(path, json=body).json()

    def pages(self, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        after: dict[str, str] = {}
        while True:
            answer = self.get(path, limit=100, **query, **after)
            yield answer["results"]
            if "paging" not in answer:
                return
            after = {"after": answer["paging"]["next"]["after"]}

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return [row for page in self.pages(path, **query) for row in page]

    def names(self, kind: str) -> str:
        return ",".join(row["name"] for row in self.get(f"/crm/v3/properties/{kind}")["results"])

    def search(self, kind: str, *filters: dict[str, Any], **more: Any) -> Any:
        return self.post(f"/crm/v3/objects/{kind}/search", {"filters": list(filters), **more})

    def found(self, kind: str, *filters: dict[str, Any], **more: Any) -> list[str]:
        """Every id that a search finds, page by page."""
        ids: list[str] = []
        after = "0"
        while True:
            answer = self.search(kind, *filters, limit=200, after=after, **more)
            ids += [row["id"] for row in answer["results"]]
            if "paging" not in answer:
                return ids
            after = answer["paging"]["next"]["after"]


def rule(name: str, operator: str, **values: Any) -> dict[str, Any]:
    return {"propertyName": name, "operator": operator, **values}
