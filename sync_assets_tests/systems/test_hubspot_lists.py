"""HubSpot's lists by several cursors: everything once, in few requests, whatever a cursor is and wherever one stops."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sync_assets.errors import RetryLater
from sync_assets.sandbox.server import Sandbox
from sync_assets.sync import Outcome, Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import process

LIST = "/crm/v3/objects/contacts"
SMALL = {"hubspot.deals": "3", "hubspot.calls": "3"}
ONE = "read by one cursor"
CURSORS = ("id", "last", "opaque")


@pytest.fixture
def make_portal(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> Callable[..., tuple[Company, Sandbox]]:
    """make_portal(contacts, env={}, **switches) -> a portal of so many contacts and the company that mirrors it."""

    def make(contacts: int = 3200, env: dict[str, str] | None = None, **switches: str) -> tuple[Company, Sandbox]:
        named = {f"hubspot.{name}": value for name, value in switches.items()}
        sandbox = make_sandbox(switches={"hubspot.contacts": str(contacts), **SMALL, **named})
        return make_company(sandbox, **(env or {})), sandbox

    return make


@contextmanager
def pages_of(sandbox: Sandbox) -> Iterator[list[dict[str, str]]]:
    """The queries of the list's requests meanwhile, those for the bin left out."""
    found: list[dict[str, str]] = []
    before = len(sandbox.requests)
    yield found
    listed = (r for r in sandbox.requests[before:] if r.path == LIST and r.status == 200)
    found += [r.query for r in listed if "archived" not in r.query]


def everything(company: Company) -> Outcome:
    """A full sync of the contacts after which Postgres equals the world."""
    done = company.synced("full", "hubspot", "contacts")["contacts"]
    assert_contacts_equal(company)
    return done


def assert_contacts_equal(company: Company) -> None:
    truth, held = company.truth("contacts", "hubspot"), company.raw("contacts", "hubspot")
    assert held.keys() == truth.keys(), (truth.keys() - held.keys(), held.keys() - truth.keys())
    for key, record in truth.items():
        asked = {name: value for name, value in record["properties"].items() if value is not None}
        assert held[key] == record | {"properties": asked}
    company.assert_ledger_adds_up()


@pytest.mark.parametrize("ids", ["eras", "even"])
@pytest.mark.parametrize("after", CURSORS)
def test_every_contact_comes_once_however_a_cursor_is_spelled(
    make_portal: Callable[..., tuple[Company, Sandbox]], after: str, ids: str
) -> None:
    company, sandbox = make_portal(after=after, ids=ids)
    with pages_of(sandbox) as first:
        done = everything(company)
    assert done.totals["created"] == done.totals["fetched"] == 3200, "a contact came twice"
    assert 32 <= len(first) <= 32 + 4
    assert (ONE in done.note) == (after == "opaque")
    # The second time the rows that are here say where to part the list.
    with pages_of(sandbox) as second:
        again = everything(company)
    assert again.totals["unchanged"] == again.totals["fetched"] == 3200
    assert 32 <= len(second) <= 32 + 4
    starts = {int(q["after"]) for q in second if q.get("after", "").isdigit()}
    thirds = [company.sandbox.world.hubspot.shelves["contacts"].ids[3200 * i // 4] for i in (1, 2, 3)]
    assert starts.issuperset(thirds) == (after != "opaque")


@pytest.mark.parametrize("after", CURSORS)
def test_short_and_empty_pages_end_no_list(make_portal: Callable[..., tuple[Company, Sandbox]], after: str) -> None:
    company, _ = make_portal(after=after, short_pages="yes")
    for _ in range(2):
        done = everything(company)
        assert done.totals["fetched"] == 3200
        assert (ONE in done.note) == (after == "opaque")


@pytest.mark.parametrize("after", ["id", "opaque"])
@pytest.mark.parametrize("ids", ["eras", "even"])
def test_ids_that_are_sorted_as_text_leave_a_list_to_one_cursor(
    make_portal: Callable[..., tuple[Company, Sandbox]], ids: str, after: str
) -> None:
    company, _ = make_portal(after=after, order="lexicographic", ids=ids)
    for _ in range(2):
        done = everything(company)
        # Where all ids have as many digits, both orders are one.
        assert (ONE in done.note) == (ids == "eras" or after == "opaque")
