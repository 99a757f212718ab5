"""One company, synced once in full and then only read: what all entities are looked at in."""

from collections.abc import Iterator

import pytest

from sync_assets.postgres import EmbeddedPostgres
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company, environment
from sync_assets_tests.conftest import UNLIMITED
from sync_assets_tests.contract.declared import NAMES


@pytest.fixture(scope="module")
def synced(cluster: EmbeddedPostgres, template: str, request: pytest.FixtureRequest) -> Iterator[Company]:
    """A test that changes it must leave its content as it was."""
    name = "synced_for_" + request.module.__name__.rpartition(".")[2]
    url = cluster.create_database(name, template)
    with Sandbox(rates=UNLIMITED) as sandbox:
        company = Company(sandbox, environment(sandbox, url))
        for account in NAMES:
            company.synced("full", account)
        yield company
    cluster.drop_database(name)
