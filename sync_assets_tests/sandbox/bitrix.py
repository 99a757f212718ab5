"""A thin caller of the sandbox's Bitrix, and a shop for each test."""

from __future__ import annotations

from typing import Any, Self

import httpx

from sync_assets.sandbox.server import Sandbox


class Shop:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.company = sandbox.world.bitrix
        self.http = httpx.Client(base_url=sandbox.bitrix_url, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def call(self, method: str, **given: Any) -> Any:
        return self.http.post(method, json=given).json()

    def rows(self, method: str, **given: Any) -> list[dict[str, Any]]:
        """One page."""
        return listed(self.call(method, **given)["result"])

    def all(self, method: str, **given: Any) -> list[dict[str, Any]]:
        """Every row, page by page until there is no `next`."""
        found: list[dict[str, Any]] = []
        start = 0
        while True:
            answer = self.call(method, **given, start=start)
            found += listed(answer["result"])
            if "next" not in answer:
                return found
            start = answer["next"]

    def keyset(self, method: str, **given: Any) -> list[dict[str, Any]]:
        """Every row by `>id`, uncounted."""
        found: list[dict[str, Any]] = []
        filters = given.pop("filter", {})
        while True:
            after = {">id": found[-1]["id"] if found else 0}
            page = self.rows(method, **given, filter=filters | after, order={"id": "asc"}, start=-1)
            if not page:
                return found
            found += page

    def truth(self, entity: str) -> list[dict[str, Any]]:
        return self.sandbox.world.truth("bitrix", entity)


def listed(result: Any) -> list[dict[str, Any]]:
    """The array of a list's result, which most methods wrap into a map of one key."""
    rows = next(iter(result.values())) if isinstance(result, dict) else result
    assert isinstance(rows, list)
    return rows
