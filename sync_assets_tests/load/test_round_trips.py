"""How often a sync talks to Postgres: to a database in the cloud each time takes longer than all that is asked."""

from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.sync import Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.load.losing import LosingWire

MOST = {"tags": 7, "boards": 10, "cards": 10}
"""Messages to Postgres of a full sync that finds all as it was: one page of a list without links, parts of another
record, and three pages with links in one commit."""


@pytest.mark.parametrize("entity", MOST)
def test_a_sync_that_finds_nothing_new_asks_little(
    make_company: Callable[..., Company], make_database: Callable[..., str], sandbox: Any, entity: str
) -> None:
    with LosingWire(make_database(grown=True), lose=0) as wire:
        company = make_company(sandbox, database_url=wire.url)
        with company.connected() as connection:
            sync_entity(connection, company.entity("users"), Request("full"))  # connects, and asks for all that lasts
            # The meter's own connection, which is there as soon as a request meets a transaction under way.
            connection.database.transaction(lambda _: connection.meter.query("select 1"))
            before = wire.asked
            done = sync_entity(connection, company.entity(entity), Request("full"))
            asked = wire.asked - before
    assert done.totals["unchanged"] == done.totals["fetched"] > 0
    assert asked <= MOST[entity]
