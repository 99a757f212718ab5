"""hubspot/call_contacts as an asset: its frames come through the IO manager, its rows go where they differ."""

from collections.abc import Callable

import pytest

from sync_assets_tests.company import HUBSPOT, only
from sync_assets_tests.orchestration.conftest import Installation

ASSET, CHECK = "hubspot/call_contacts", "hubspot/call_contacts one_row_for_each_of_calls"


@pytest.fixture
def installation(make_installation: Callable[..., Installation]) -> Installation:
    return make_installation(**only(HUBSPOT))


def contacts_of_calls(installation: Installation) -> dict[int, tuple[int | None, str]]:
    rows = installation.company.query("select call_id, contact_id, how from hubspot.call_contacts")
    return {call: (contact, how) for call, contact, how in rows}


def test_each_call_is_told_whose_it_is_and_a_second_run_writes_nothing(installation: Installation) -> None:
    company = installation.company
    run = installation.run("hubspot_full_sync")
    assert run.green, run.failures
    calls, found = company.count("calls", "hubspot"), contacts_of_calls(installation)
    told = run.metadata(ASSET)
    assert (told["dagster/row_count"], told["created"], told["updated"], told["deleted"]) == (calls, calls, 0, 0)
    assert told["how_association"] == sum(how == "association" for _, how in found.values()) > 0

    truth = {int(r["call_id"]): r for r in company.sandbox.world.truth("hubspot", "callers")}
    assert truth.keys() == found.keys()
    for call, (contact, how) in found.items():
        via = truth[call]["via"]
        assert (how if how != "unresolved" else "unknown") == (via if via != "shared" else "unknown")
        assert contact == (int(truth[call]["contact_id"]) if how != "unresolved" else None)

    written = company.query("select call_id, xmin::text, synced_at from hubspot.call_contacts order by 1")
    again = installation.run("hubspot_incremental_sync").metadata(ASSET)
    assert (again["unchanged"], again["created"], again["updated"], again["deleted"]) == (calls, 0, 0, 0)
    assert company.query("select call_id, xmin::text, synced_at from hubspot.call_contacts order by 1") == written


def test_it_follows_merges_new_calls_and_calls_that_go(installation: Installation) -> None:
    hubspot = installation.company.sandbox.world.hubspot
    assert installation.run("hubspot_full_sync").green
    before = contacts_of_calls(installation)
    call, (contact, _) = next((c, who) for c, who in before.items() if who[1] == "association")
    other = next(i for i in hubspot.shelf("contacts").living if i not in {who for who, _ in before.values()})
    survivor = hubspot.merge("contacts", other, int(contact or 0))
    gone = next(c for c in before if c != call)
    hubspot.archive("calls", gone)
    assert installation.run("hubspot_incremental_sync").green
    after = contacts_of_calls(installation)
    assert after[call] == (survivor, "association")
    assert gone not in after and len(after) == len(before) - 1


def test_the_check_is_red_where_a_call_has_no_row(installation: Installation) -> None:
    assert installation.run("hubspot_full_sync").green
    installation.company.query("delete from hubspot.call_contacts where call_id in (select min(id) from hubspot.calls)")
    run = installation.run("integrity_checks")
    assert not run.green and run.red()[CHECK] == "ERROR"


def test_it_waits_for_its_sources_and_stops_nobody(installation: Installation) -> None:
    installation.company.sandbox.faults.set("A3", system="hubspot", path="/crm/v4/associations/calls", status=500)
    run = installation.run("hubspot_full_sync")
    assert list(run.failures) == ["hubspot__call_associations"]
    assert ASSET not in run.synced and "hubspot/contacts" in run.synced
