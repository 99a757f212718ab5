"""How often a sync talks to Postgres: to a database in the cloud each time takes longer than all that is asked."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sync_assets.sync import Connected, Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.load.losing import LosingWire

MOST = {"tags": 8, "boards": 11, "cards": 11}
"""Messages to Postgres of a full sync that finds all as it was: one page of a list without links, parts of another
record, and three pages with links in one commit."""

MOST_OF_ONE = 10
"""The same of a look at one record that has changed, as a webhook asks for it."""


@pytest.fixture
def far(
    make_company: Callable[..., Company], make_database: Callable[..., str], sandbox: Any
) -> Iterator[tuple[LosingWire, Connected, Company]]:
    """Connected, and told all that lasts."""
    with LosingWire(make_database(grown=True), lose=0) as wire:
        company = make_company(sandbox, database_url=wire.url)
        with company.connected() as connection:
            sync_entity(connection, company.entity("users"), Request("full"))
            # The meter's own connection, which is there as soon as a request meets a transaction under way.
            connection.database.transaction(lambda _: connection.meter.query("select 1"))
            yield wire, connection, company


@pytest.mark.parametrize("entity", MOST)
def test_a_sync_that_finds_nothing_new_asks_little(far: tuple[LosingWire, Connected, Company], entity: str) -> None:
    wire, connection, company = far
    before = wire.asked
    done = sync_entity(connection, company.entity(entity), Request("full"))
    assert done.totals["unchanged"] == done.totals["fetched"] > 0
    assert wire.asked - before <= MOST[entity]


def test_a_look_at_one_record_asks_little(far: tuple[LosingWire, Connected, Company]) -> None:
    wire, connection, company = far
    looked_at, changed, *_ = company.truth("cards")
    sync_entity(connection, company.entity("cards"), Request("webhook", ids=(str(looked_at),)))
    company.sandbox.world.kaiten.update_card(changed, title="another one")
    before = wire.asked
    done = sync_entity(connection, company.entity("cards"), Request("webhook", ids=(str(changed),)))
    assert (done.totals["fetched"], done.totals["updated"]) == (1, 1)
    assert wire.asked - before <= MOST_OF_ONE
