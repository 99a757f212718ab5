"""Beginnings of lists that are asked for ahead: sooner, in no more requests, and nothing is lost or doubled by it."""

from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from sync_assets.errors import Forbidden, SourceUnavailable, SyncError
from sync_assets.sandbox.server import Sandbox
from sync_assets.sync import Outcome, Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.systems.hubspot_reads import CONTACTS, MakePortal, assert_equal, make_portal, make_short

__all__ = ["make_portal", "make_short"]

NAMES = ("owners", "contacts", "deals", "calls")
SIZES = {"deals": "63", "calls": "600"}
CALLS, DEALS = "/crm/v3/objects/calls", "/crm/v3/objects/deals"


def in_one_run(
    company: Company,
    *names: str,
    before: Callable[[str], None] = lambda _: None,
    told: bool = True,
    account: str = "hubspot",
) -> dict[str, Outcome | SyncError]:
    """A full sync of these, one after the other, by one connection; unless not `told`, each knows what follows."""
    entities = [company.entity(name, account) for name in names or NAMES]
    done: dict[str, Outcome | SyncError] = {}
    with company.connected(account) as connection:
        for place, entity in enumerate(entities, 1):
            before(entity.name)
            try:
                following = entities[place:] if told else ()
                done[entity.name] = sync_entity(connection, entity, Request("full"), following=following)
            except SyncError as e:
                done[entity.name] = e
    return done


def settled(sandbox: Sandbox) -> None:
    """What was sent to it has arrived: whom nobody waits for any more may still be on the way."""
    assert httpx.get(f"{sandbox.control_url}/_health").is_success


def made(sandbox: Sandbox) -> Counter[tuple[str, str, str]]:
    """Which requests were made; since the last time."""
    found = Counter((r.path, repr(sorted(r.query.items())), r.body) for r in sandbox.requests)
    sandbox.requests.clear()
    return found


@pytest.mark.parametrize("after", ["id", "last", "opaque"])
def test_a_run_asks_nothing_more_for_knowing_what_follows(make_short: MakePortal, after: str) -> None:
    company, sandbox = make_short(contacts=600, after=after, **SIZES)
    first = in_one_run(company)
    assert_equal(company, "contacts", "deals", "calls")
    asked = made(sandbox)
    assert max(asked.values()) == 1, "the same was asked twice"
    counted = [outcome.totals["requests"] for outcome in first.values() if isinstance(outcome, Outcome)]
    assert sum(counted) == asked.total() - 2, "what was asked ahead belongs to whoever took it; and the preflight"
    in_one_run(company)
    knowing = made(sandbox)
    in_one_run(company, told=False)
    assert knowing == made(sandbox)


def test_the_next_lists_begin_before_the_one_before_them_ends(make_short: MakePortal) -> None:
    company, sandbox = make_short(contacts=600, **SIZES)
    sandbox.latency = 0.01
    in_one_run(company)
    listed = [r.path for r in sandbox.requests if "archived" not in r.query]
    last = max(i for i, path in enumerate(listed) if path == CONTACTS)
    assert listed.index(DEALS) < last
    assert listed.index(CALLS) < last


@pytest.mark.parametrize("after", ["id", "opaque"])
def test_the_bin_is_asked_for_beside_the_list(make_short: MakePortal, after: str) -> None:
    company, sandbox = make_short(contacts=600, after=after)
    company.synced("full", "hubspot", "contacts")
    sandbox.requests.clear()
    sandbox.latency = 0.01
    gone = sandbox.world.hubspot.shelves["contacts"].ids[250]
    sandbox.world.hubspot.archive("contacts", gone)
    done = company.synced("full", "hubspot", "contacts")["contacts"]
    assert done.totals["deleted"] == 1
    assert_equal(company)
    listed = ["archived" in r.query for r in sandbox.requests if r.path == CONTACTS]
    assert listed.index(True) < len(listed) - 1


def test_who_comes_changes_and_goes_between_the_beginning_and_its_turn(make_short: MakePortal) -> None:
    company, sandbox = make_short(contacts=75, **SIZES)
    portal = sandbox.world.hubspot
    in_one_run(company)
    first, second, third = portal.shelves["calls"].ids[:3]

    def meanwhile(entity: str) -> None:
        if entity == "calls":
            assert any(r.path == CALLS for r in sandbox.requests), "it has not begun"
            portal.archive("calls", first)
            portal.update("calls", second, hs_call_title="Changed meanwhile")
            portal.create("calls", hs_call_title="Came meanwhile")

    sandbox.requests.clear()
    in_one_run(company, before=meanwhile)
    assert third in company.raw("calls", "hubspot")
    assert first not in company.raw("calls", "hubspot")
    company.synced("incremental", "hubspot", "calls")
    assert_equal(company, "calls")


def test_an_unfinished_sweep_goes_on_where_it_stopped(make_short: MakePortal) -> None:
    company, sandbox = make_short(contacts=75, env={"SYNC_BATCH_SIZE": "75"}, **SIZES)
    sandbox.faults.set("A3", path="after=", status=502)
    in_one_run(company, "calls")
    settled(sandbox)
    sandbox.faults.clear()
    sandbox.requests.clear()
    done = in_one_run(company, "contacts", "calls")["calls"]
    assert isinstance(done, Outcome) and "unfinished sweep" in done.note
    assert not any(r.path == CALLS and {"after", "archived"}.isdisjoint(r.query) for r in sandbox.requests)
    assert max(made(sandbox).values()) == 1
    assert_equal(company, "calls")


def test_an_outage_is_told_by_whoever_needs_the_answer(make_short: MakePortal) -> None:
    company, sandbox = make_short(contacts=75, **SIZES)
    sandbox.faults.set("A3", path=f"{DEALS}$", status=502)
    done = in_one_run(company)
    assert isinstance(done["deals"], SourceUnavailable)
    assert isinstance(done["contacts"], Outcome) and isinstance(done["calls"], Outcome)
    sandbox.faults.clear()
    in_one_run(company)
    assert_equal(company, "deals", "calls")


def test_a_scope_that_is_missing_is_asked_about_once(make_short: MakePortal) -> None:
    company, sandbox = make_short(contacts=75, **SIZES)
    sandbox.faults.set("A11", path=f"{DEALS}$", scope="crm.objects.deals.read")
    done = in_one_run(company)
    assert isinstance(done["deals"], Forbidden) and done["deals"].where["entity"] == "deals"
    assert sum(r.path == DEALS for r in sandbox.requests) == 1
    assert isinstance(done["calls"], Outcome)
