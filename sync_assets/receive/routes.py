"""The addresses that vendors call, from the endpoints of the connected accounts; an account without secrets has none.

A path is looked for by its hash and compared with every address in constant time: how long that takes says nothing of
how much of a secret was right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest

from sync_assets.account import Account
from sync_assets.errors import FixConfig, MissingSetting
from sync_assets.webhook import Endpoint


@dataclass(frozen=True)
class Route:
    """One endpoint of one account."""

    account: str
    system: str
    endpoint: Endpoint = field(repr=False)
    path: str = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def label(self) -> str:
        return f"{self.account}/{self.endpoint.name}" if self.endpoint.name else self.account

    @property
    def shown(self) -> str:
        """The path, its secret hidden."""
        return f"/webhooks/{self.label}{'/***' if self.endpoint.secret else ''}"


class Routes:
    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def find(self, path: str) -> Route | None:
        asked = _digest(path)
        found = None
        for route in self._routes:
            if compare_digest(asked, route.digest):
                found = route
        return found


def routes_of(accounts: Sequence[Account], *, public_url: str) -> Routes:
    """Raises MissingSetting where no account has an endpoint, or one needs SYNC_PUBLIC_URL and there is none; FixConfig
    where two endpoints have one address."""
    routes: dict[str, Route] = {}
    for account in accounts:
        for endpoint in account.endpoints:
            path = endpoint.path(account.name)
            route = Route(account.name, account.system.name, endpoint, path, _digest(path))
            if path in routes:
                raise FixConfig(f"two endpoints of {account.name} have one address", next_step="give one another name")
            if endpoint.signs_url and not public_url:
                raise MissingSetting(
                    f"SYNC_PUBLIC_URL is not set, and {account.system.title} signs the address that it calls",
                    next_step="set SYNC_PUBLIC_URL to the https address under which vendors reach this receiver",
                    account=account.name,
                )
            routes[path] = route
    if not routes:
        raise MissingSetting(
            "no connected account has the secret of its webhooks",
            next_step="run sync-assets webhooks: it says what to set here and at each vendor",
        )
    return Routes(list(routes.values()))


def _digest(path: str) -> bytes:
    return sha256(path.encode("utf-8", "surrogatepass")).digest()
