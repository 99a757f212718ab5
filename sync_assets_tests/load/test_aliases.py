"""Old keys of merged records: a chain is followed to its end, and a ring, which no source should make, has one too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg2 import sql

from sync_assets.load import aliases
from sync_assets_tests.company import Company


def noted(company: Company, entity: str, into: Mapping[str, str]) -> None:
    with company.connected("hubspot") as connection:
        target = connection.target(entity)
        connection.database.transaction(lambda cursor: aliases.note(cursor, target, into))


def known(company: Company, entity: str, keys: Sequence[str]) -> dict[str, str]:
    with company.connected("hubspot") as connection:
        target = connection.target(entity)
        return connection.database.transaction(lambda cursor: aliases.known(cursor, target, keys))


def predecessors(company: Company, entity: str, keys: Sequence[str]) -> list[str]:
    with company.connected("hubspot") as connection:
        target = connection.target(entity)
        return sorted(connection.database.transaction(lambda c: aliases.with_predecessors(c, target, keys)))


def view(company: Company) -> dict[int, int]:
    return dict(company.query(sql.SQL("select old_id, id from hubspot.contact_aliases")))


def test_a_chain_leads_to_its_end_from_every_link(company: Company) -> None:
    noted(company, "contacts", {"1": "2", "2": "3", "3": "4", "9": "4"})
    noted(company, "deals", {"4": "5"})
    assert known(company, "contacts", ["1", "2", "3", "4", "7"]) == {"1": "4", "2": "4", "3": "4"}
    assert predecessors(company, "contacts", ["3", "7"]) == ["1", "2", "3", "7"]
    assert predecessors(company, "contacts", ["4"]) == ["1", "2", "3", "4", "9"]
    assert view(company) == {1: 4, 2: 4, 3: 4, 9: 4}, "a deal's key is another key"


def test_what_a_look_shows_replaces_what_was_known(company: Company) -> None:
    noted(company, "contacts", {"1": "2"})
    noted(company, "contacts", {"1": "3"})
    assert view(company) == {1: 3}


def test_a_ring_ends(company: Company) -> None:
    noted(company, "contacts", {"1": "2", "2": "1", "3": "1"})
    assert known(company, "contacts", ["1", "3"]).keys() == {"1", "3"}
    assert predecessors(company, "contacts", ["1"]) == ["1", "2", "3"]
    assert view(company).keys() == {1, 2, 3}
