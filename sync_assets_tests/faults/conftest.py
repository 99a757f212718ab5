"""Companies that come in to Kommo by OAuth. Every token that their sandbox ever issues is a canary."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sync_assets.postgres import EmbeddedPostgres
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company
from sync_assets_tests.faults.guarded import Guarded, guarded_database
from sync_assets_tests.kommo_door import auth, oauth_of, renewals
from sync_assets_tests.send.shop import at_point, open_shop, shop

__all__ = ["at_point", "open_shop", "shop"]


@pytest.fixture
def make_oauth(make_company: Callable[..., Company], make_sandbox: Any, canary: Canary) -> Iterator[Any]:
    """make_oauth(sandbox=None, *, switches={}, **options of make_company) -> a company that comes in by OAuth."""
    issued: list[str] = []

    def watched(sandbox: Sandbox) -> None:
        door, issue = auth(sandbox), auth(sandbox).issue
        issued.extend(door.pair[name] for name in ("access_token", "refresh_token"))

        def recorded() -> dict[str, Any]:
            pair = issue()
            issued.extend(pair[name] for name in ("access_token", "refresh_token"))
            return pair

        door.issue = recorded

    def make(sandbox: Sandbox | None = None, *, switches: dict[str, str] | None = None, **more: Any) -> Company:
        if sandbox is None:
            sandbox = make_sandbox(switches=switches or {})
            watched(sandbox)
        return make_company(sandbox, **(oauth_of(sandbox) | more))

    yield make
    canary.watch(*issued)


@pytest.fixture
def oauth(make_oauth: Callable[..., Company]) -> Company:
    """Its pair is stored."""
    company = make_oauth()
    company.synced("full", "kommo", "users")
    assert renewals(company) == [200]
    company.sandbox.requests.clear()
    return company


@pytest.fixture(scope="session")
def guarded(cluster: EmbeddedPostgres) -> Iterator[Guarded]:
    with guarded_database(cluster, "s8_rights", dagster=True) as found:
        found.company.synced("full", "kaiten")
        found.company.synced("full", "hubspot", ("owners", "contacts"))
        yield found
