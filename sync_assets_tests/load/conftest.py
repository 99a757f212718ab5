"""One migrated database for tests that only ask it, and a hand that loads records without any source."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from sync_assets.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def asked_url(cluster: EmbeddedPostgres, template: str) -> Iterator[str]:
    yield cluster.create_database("asked", template)
    cluster.drop_database("asked")


@pytest.fixture(scope="module")
def asked(asked_url: str) -> Iterator[Connection]:
    """A connection of autocommit to a database that nobody changes."""
    connection = psycopg2.connect(asked_url)
    connection.autocommit = True
    yield connection
    connection.close()
