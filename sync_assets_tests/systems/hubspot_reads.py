"""A portal of any size beside its mirror, and what its lists and searches were asked: shared by the tests of reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets.sync import Outcome
from sync_assets.systems.hubspot import listing
from sync_assets_tests.company import Company

CONTACTS = "/crm/v3/objects/contacts"
ONE = "read by one cursor"
FEW = {"hubspot.deals": "3", "hubspot.calls": "3", "hubspot.properties": "12"}

ALL = 800
"""Contacts of a portal whose lists are a fourth of what they are elsewhere, and have as many pages."""

MakePortal = Callable[..., tuple[Company, Sandbox]]


@pytest.fixture
def make_portal(make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]) -> MakePortal:
    """make_portal(contacts, env={}, rates={}, **switches) -> the company that mirrors it, and its sandbox."""

    def make(
        contacts: int = 3200,
        env: dict[str, str | None] | None = None,
        rates: dict[str, float] | None = None,
        **switches: str,
    ) -> tuple[Company, Sandbox]:
        named = {f"hubspot.{name}": value for name, value in switches.items()}
        given = {"switches": {**FEW, "hubspot.contacts": str(contacts), **named}}
        sandbox = make_sandbox(**(given | ({"rates": rates} if rates else {})))
        return make_company(sandbox, **(env or {})), sandbox

    return make


@pytest.fixture
def make_short(make_portal: MakePortal, monkeypatch: pytest.MonkeyPatch) -> MakePortal:
    """As `make_portal`, where a page has 25 records and 500 are worth more than one cursor."""
    monkeypatch.setattr(listing, "SIZE", listing.SIZE // 4)
    monkeypatch.setattr(listing, "WORTH_SPLITTING", listing.WORTH_SPLITTING // 4)
    return partial(make_portal, contacts=ALL)


@contextmanager
def pages_of(sandbox: Sandbox, path: str = CONTACTS) -> Iterator[list[dict[str, str]]]:
    """The queries of the good answers meanwhile to this path; of a list those for the bin are left out."""
    found: list[dict[str, str]] = []
    before = len(sandbox.requests)
    yield found
    listed = (r for r in sandbox.requests[before:] if r.path == path and r.status == 200)
    found += [r.query for r in listed if "archived" not in r.query]


def in_step(company: Company, entity: str = "contacts", kind: str = "full") -> Outcome:
    """A sync of one entity after which Postgres equals the world."""
    done = company.synced(kind, "hubspot", entity)[entity]
    assert_equal(company, entity)
    return done


def assert_equal(company: Company, *entities: str) -> None:
    """Of these, else of the contacts."""
    for entity in entities or ("contacts",):
        truth, held = company.truth(entity, "hubspot"), company.raw(entity, "hubspot")
        assert held.keys() == truth.keys(), (truth.keys() - held.keys(), held.keys() - truth.keys())
        for key, record in truth.items():
            filled = {name: value for name, value in record["properties"].items() if value is not None}
            assert held[key] == record | {"properties": filled}, f"{entity} {key}: {held[key]} is not {record}"
    company.assert_ledger_adds_up()
