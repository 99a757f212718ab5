"""How often a sync talks to Postgres: to a database in the cloud each time takes longer than all that is asked."""

from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.sync import Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.load.losing import LosingWire, Questions

MOST = {"tags": 17, "boards": 23, "cards": 25}
"""Questions to Postgres of a full sync that finds all as it was: one page of a list without links, parts of another
record, and three pages with links in one commit."""


@pytest.mark.parametrize("entity", MOST)
def test_a_sync_that_finds_nothing_new_asks_little(
    make_company: Callable[..., Company], make_database: Callable[..., str], sandbox: Any, entity: str
) -> None:
    with LosingWire(make_database(grown=True), lose=0) as wire:
        company = make_company(sandbox, database_url=wire.url)
        with company.connected() as connection:
            sync_entity(connection, company.entity("users"), Request("full"))  # connects, and asks for all that lasts
            before = wire.asked
            done = sync_entity(connection, company.entity(entity), Request("full"))
            asked = wire.asked - before
    assert done.totals["unchanged"] == done.totals["fetched"] > 0
    # One more where a request could not wait for the transaction under way: its own connection begins with one.
    assert asked <= MOST[entity] + 1


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_the_wire_counts_questions_however_they_arrive(piece: int) -> None:
    startup = b"\0\0\0\x10\0\x03\0\0user\0me\0"
    sent = b"\0\0\0\x08\x04\xd2\x16\x2f" + startup + b"p\0\0\0\x08pwd\0" + b"Q\0\0\0\x0dselect 1\0" * 3 + b"X\0\0\0\x04"
    questions = Questions()
    assert sum(questions.asked(sent[at : at + piece]) for at in range(0, len(sent), piece)) == 3
