"""One company in step with its sources and then only read: what all entities are looked at in."""

from collections.abc import Iterator

import pytest

from sync_assets.postgres import EmbeddedPostgres
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company, environment
from sync_assets_tests.conftest import RESOLVED, UNLIMITED, Grown
from sync_assets_tests.founding import founded_alike


@pytest.fixture(scope="module")
def synced(cluster: EmbeddedPostgres, grown_template: Grown, request: pytest.FixtureRequest) -> Iterator[Company]:
    """A test that changes it must leave its content as it was."""
    name = "synced_for_" + request.module.__name__.rpartition(".")[2]
    url = cluster.create_database(name, grown_template.name)
    with Sandbox(rates=UNLIMITED, switches=RESOLVED) as sandbox:
        founded_alike(sandbox.world)
        yield Company(sandbox, environment(sandbox, url))
    cluster.drop_database(name)
