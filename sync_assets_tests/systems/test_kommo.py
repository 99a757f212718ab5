"""Kommo: lists that move while they are read, deletions that events tell of, and a door not to be knocked at again.

The world is moved by the company's own methods; what its lists then show is the sandbox's business.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from sync_assets.errors import BadCredentials, Forbidden, SyncError
from sync_assets.sandbox.server import Sandbox
from sync_assets.systems.kommo import reads
from sync_assets_tests.company import Company

MOVING = ("leads", "contacts", "companies", "tasks")


def assert_in_step(company: Company) -> None:
    """After a full sync: a record keeps the links of its own last change, and no event touches its neighbours."""
    company.synced("full", "kommo")
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()


def graves(company: Company, entity: str) -> dict[int, tuple[str, datetime, str]]:
    rows = company.query(
        "select key::bigint, state, deleted_at, evidence from sync.tombstones where account = 'kommo' and entity = %s",
        [entity],
    )
    return {key: (state, at, evidence) for key, state, at, evidence in rows}


@pytest.mark.parametrize("entity", ["contacts", "companies", "tasks"])
def test_a_deletion_is_known_by_its_event_and_stamped_with_its_time(grown: Company, entity: str) -> None:
    kommo = grown.sandbox.world.kommo
    grown.sandbox.world.clock.advance(3600)
    gone = min(kommo.living[entity])
    kommo.delete(entity, gone)
    done = grown.synced("incremental", "kommo")
    assert done[entity].totals["deleted"] == 1
    told = max(e["created_at"] for e in grown.truth("events", "kommo").values() if e["entity_id"] == gone)
    assert graves(grown, entity)[gone] == (
        "gone", datetime.fromtimestamp(told, UTC), "asked for by id: 204",
    )  # fmt: skip
    assert_in_step(grown)


def test_a_lead_in_the_bin_comes_back_when_it_is_restored(grown: Company) -> None:
    kommo = grown.sandbox.world.kommo
    lead = min(kommo.living["leads"])
    kommo.delete("leads", lead)
    grown.synced("incremental", "kommo")
    assert graves(grown, "leads")[lead][0] == "binned"
    assert_in_step(grown)

    grown.sandbox.world.clock.advance(60)
    kommo.restore("leads", lead)
    grown.synced("incremental", "kommo")
    assert graves(grown, "leads") == {}
    assert_in_step(grown)


def test_a_deletion_older_than_what_is_held_buries_nobody(company: Company) -> None:
    kommo = company.sandbox.world.kommo
    contact = min(kommo.living["contacts"])
    kommo.delete("contacts", contact)
    company.sandbox.world.clock.advance(60)
    kommo.restore("contacts", contact)
    company.synced("full", "kommo")
    requests = len(company.sandbox.requests)
    done = company.synced("incremental", "kommo")
    assert done["contacts"].totals["deleted"] == 0
    asked = [r.path for r in company.sandbox.requests[requests:]]
    assert f"/api/v4/contacts/{contact}" not in asked
    assert_in_step(company)


def test_merged_contacts_leave_and_their_leads_follow(grown: Company) -> None:
    kommo = grown.sandbox.world.kommo
    first, second = sorted(kommo.living["contacts"])[:2]
    kommo.merge("contacts", first, second)
    grown.synced("incremental", "kommo")
    grown.synced("full", "kommo")
    assert second in graves(grown, "contacts")
    assert_in_step(grown)


@pytest.mark.parametrize(
    ("count", "bounds"),
    [(49, "inclusive"), (50, "inclusive"), (51, "inclusive"), (124, "inclusive"), (100, "exclusive")],
)
def test_more_leads_than_a_page_in_one_second_p6(
    make_company: Callable[..., Company],
    make_sandbox: Callable[..., Sandbox],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    bounds: str,
) -> None:
    monkeypatch.setattr(reads, "SIZE", 50)
    company = make_company(make_sandbox(switches={"kommo.leads": "140", "kommo.bounds": bounds}))
    company.synced("full", "kommo", "leads")
    kommo = company.sandbox.world.kommo
    company.sandbox.world.clock.advance(60)
    kommo.stamp_all("leads", sorted(kommo.living["leads"])[:count])
    done = company.synced("incremental", "kommo", "leads")["leads"]
    assert done.totals["updated"] == count
    held = company.raw("leads", "kommo")
    assert held == company.truth("leads", "kommo")


@pytest.mark.parametrize("bounds", ["inclusive", "exclusive"])
def test_leads_that_change_and_go_between_two_pages_p3_p4(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], bounds: str
) -> None:
    company = make_company(make_sandbox(switches={"kommo.leads": "900", "kommo.bounds": bounds}))
    before = company.truth("leads", "kommo").keys()
    company.sandbox.faults.set("P4", system="kommo", path=r"/leads$", edit=5)
    company.sandbox.faults.set("P3", system="kommo", path=r"/leads$", insert=2, delete=2)
    company.synced("full", "kommo", "leads")
    company.sandbox.faults.clear()
    missed = before & company.truth("leads", "kommo").keys() - company.raw("leads", "kommo").keys()
    assert not missed, "whoever was there all the time was seen"
    company.synced("full", "kommo", "leads")
    assert company.raw("leads", "kommo") == company.truth("leads", "kommo")


def test_the_block_page_stops_the_connection_at_once_a2(company: Company) -> None:
    company.sandbox.faults.set("A2", system="kommo", variant="blocked")
    done = company.sync("full", "kommo")
    refused = [e for e in done.values() if isinstance(e, SyncError)]
    assert refused and all(isinstance(e, BadCredentials) and "blocks this address" in str(e) for e in refused)
    assert len([r for r in company.sandbox.requests if r.system == "kommo"]) == 1, "nobody knocks again"


def test_a_429_that_is_no_json_is_waited_out_a1(company: Company) -> None:
    company.sandbox.faults.set("A2", system="kommo", variant="burst", times=2)
    company.synced("full", "kommo", ["users", "pipelines"])
    company.sandbox.faults.clear()
    company.synced("full", "kommo")
    assert_in_step(company)


def test_a_token_without_the_right_to_users_stops_only_them_a11(company: Company) -> None:
    company.sandbox.faults.set("A11", system="kommo", path="/users", status=403)
    done = company.sync("full", "kommo")
    assert isinstance(done["users"], Forbidden)
    assert not [name for name, o in done.items() if isinstance(o, SyncError) and name != "users"]


def test_no_request_beats_the_limit(make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(rates={"kommo": 7.0, "hubspot": 0.0})
    company = make_company(sandbox, KOMMO_RATE=None)
    company.synced("full", "kommo", ["pipelines", "leads", "contacts"])
    assert sandbox.violations == []
