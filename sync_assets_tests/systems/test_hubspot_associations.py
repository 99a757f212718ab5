"""Which records belong together: in all six directions, with every type and label, right also when no record moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.errors import SourceUnavailable
from sync_assets.sandbox.server import Sandbox
from sync_assets.sync import Request, sync_entity
from sync_assets.systems.hubspot import associations
from sync_assets_tests.company import Company
from sync_assets_tests.mirror import WAYS, Mirror, Way

COLUMNS = ("from_type", "from_id", "to_type", "to_id", "category", "type_id", "label")
PAIRS = {("contacts", "deals"), ("contacts", "calls"), ("deals", "calls")}
ENTITIES = ("contacts", "deals", "calls", "contact_associations", "deal_associations", "call_associations")


def told(company: Company) -> set[tuple[Any, ...]]:
    rows = company.sandbox.world.truth("hubspot", "associations")
    known = ({**r, "from_id": int(r["from_id"]), "to_id": int(r["to_id"])} for r in rows)
    return {tuple(r[c] for c in COLUMNS) for r in known if "companies" not in (r["from_type"], r["to_type"])}


def assert_views_equal_the_world(company: Company) -> None:
    shown = company.query(f"select {', '.join(COLUMNS)} from hubspot.associations")
    assert len(shown) == len(set(shown))
    assert set(shown) == told(company)
    for one, other in PAIRS:
        pairs = company.query(f"select * from hubspot.{one[:-1]}_{other}")
        assert len(pairs) == len(set(pairs))
        assert set(pairs) == {(r[1], r[3]) for r in told(company) if (r[0], r[2]) == (one, other)}


def asked(company: Company, start: int = 0) -> Counter[str]:
    paths = (entry.path for entry in company.sandbox.requests[start:])
    return Counter("/".join(p.split("/")[4:6]) for p in paths if "/v4/associations/" in p)


def test_all_six_directions_are_as_in_the_portal(mirror: Mirror) -> None:
    directions = {(r[0], r[2]) for r in told(mirror.company)}
    assert directions == PAIRS | {(b, a) for a, b in PAIRS}
    assert {r[4] for r in told(mirror.company)} == {"HUBSPOT_DEFINED", "USER_DEFINED"}
    assert_views_equal_the_world(mirror.company)


@pytest.mark.parametrize("way", WAYS)
def test_what_changes_without_touching_a_record_is_there_after_the_next_sync(mirror: Mirror, way: Way) -> None:
    portal = mirror.portal
    (contact, other), (deal,), (call,) = mirror.some("contacts", 2, 200), mirror.some("deals"), mirror.some("calls")
    stamps = [mirror.company.raw(e, "hubspot") for e in ("contacts", "deals", "calls")]
    portal.associate("contacts", contact, "deals", deal, "Billing contact")
    portal.associate("deals", deal, "calls", call)
    portal.associate("calls", call, "contacts", other)
    for step in (
        lambda: None,
        lambda: portal.associate("deals", deal, "contacts", contact, "Decision maker"),
        lambda: portal.dissociate("contacts", contact, "deals", deal, "Billing contact"),
        lambda: portal.dissociate("deals", deal, "contacts", contact),
        lambda: portal.dissociate("calls", call, "contacts", other),
    ):
        step()
        mirror.synced(way, ENTITIES[3:])
        assert_views_equal_the_world(mirror.company)
    assert stamps == [mirror.company.raw(e, "hubspot") for e in ("contacts", "deals", "calls")]
    mirror.assert_in_step()


def test_the_archived_are_in_nobodys_associations_and_the_restored_are_again(mirror: Mirror) -> None:
    (contact,) = mirror.some()
    mirror.portal.associate("deals", *mirror.some("deals"), "contacts", contact, "Decision maker")
    mirror.synced()
    mirror.portal.archive("contacts", contact)
    mirror.synced()
    assert_views_equal_the_world(mirror.company)
    assert mirror.company.query("select * from hubspot.contact_deals where contact_id = %s", [contact]) == []
    mirror.portal.restore("contacts", contact)
    mirror.synced()
    assert mirror.company.query("select * from hubspot.contact_deals where contact_id = %s", [contact])
    assert_views_equal_the_world(mirror.company)


def test_l5_sets_that_come_in_pages_are_whole(make_mirror: Callable[..., Mirror]) -> None:
    mirror = make_mirror(association_page="2", inline_associations="1")
    (deal,) = mirror.some("deals")
    for contact in mirror.some("contacts", 7):
        mirror.portal.associate("deals", deal, "contacts", contact, "Decision maker")
    before = len(mirror.company.sandbox.requests)
    mirror.synced()
    assert asked(mirror.company, before)["deals/contacts"] >= 4
    assert_views_equal_the_world(mirror.company)
    mirror.assert_in_step()


def test_l5_sets_that_are_cut_say_so_and_are_whole(mirror: Mirror) -> None:
    (deal,) = mirror.some("deals")
    for contact in mirror.some("contacts", 5):
        mirror.portal.associate("deals", deal, "contacts", contact)
    fault = mirror.company.sandbox.faults.set("L5", system="hubspot", limit=1)
    mirror.synced()
    assert fault.strikes
    assert_views_equal_the_world(mirror.company)
    mirror.assert_in_step()


def test_l5_a_set_cut_without_a_word_is_whole_again_with_the_next_read(mirror: Mirror) -> None:
    """Nothing in such an answer could tell; what the other direction still shows, the views show too."""
    fault = mirror.company.sandbox.faults.set(
        "L5", system="hubspot", limit=1, variant="silent", path="associations/deals/contacts"
    )
    mirror.synced()
    assert fault.strikes
    pairs = {(r[1], r[3]) for r in told(mirror.company) if (r[0], r[2]) == ("contacts", "deals")}
    assert set(mirror.company.query("select * from hubspot.contact_deals")) == pairs
    mirror.company.sandbox.faults.clear()
    mirror.synced()
    mirror.assert_in_step()


def test_ids_told_as_text_are_the_same_ids(make_company: Callable[..., Company], make_sandbox: Any) -> None:
    company = make_company(make_sandbox(switches={"hubspot.to_object_id": "string"}))
    company.synced("full", "hubspot", ENTITIES)
    assert_views_equal_the_world(company)


def test_more_parents_than_one_request_takes(make_company: Callable[..., Company], make_sandbox: Any) -> None:
    sandbox: Sandbox = make_sandbox(switches={"hubspot.contacts": "2300", "hubspot.deals": "60"})
    company = make_company(sandbox)
    company.synced("full", "hubspot", ENTITIES)
    assert asked(company)["contacts/deals"] == asked(company)["contacts/calls"] == 3
    assert_views_equal_the_world(company)


@pytest.mark.parametrize("way", WAYS)
def test_a_read_that_fails_in_the_middle_goes_on_from_there(
    make_mirror: Callable[..., Mirror], monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setattr(associations, "AT_ONCE", 10)
    mirror = make_mirror(env={"SYNC_BATCH_SIZE": "5"})
    entity = mirror.company.entity("contact_associations", "hubspot")
    sandbox = mirror.company.sandbox
    (call,) = mirror.some("calls")
    for contact in mirror.some("contacts", 100, 0):
        mirror.portal.associate("calls", call, "contacts", contact)
    sandbox.latency = 0.02

    def fails(*_: object) -> None:
        sandbox.faults.set("A3", system="hubspot", path="/associations/contacts")

    with mirror.company.connected("hubspot") as connection, pytest.raises(SourceUnavailable):
        sync_entity(connection, entity, Request(way), fails)
    sandbox.latency = 0
    sandbox.faults.clear()
    assert mirror.tombstones("contact_associations") == {}
    before = len(sandbox.requests)
    done = mirror.synced(way, ENTITIES[3:])
    assert "went on with an unfinished sweep" in done["contact_associations"].note
    again = asked(mirror.company, before)
    assert again["contacts/deals"] < 30 and again["contacts/calls"] == 30
    assert_views_equal_the_world(mirror.company)
    mirror.assert_in_step()


def test_the_limits_of_the_vendor_are_kept(
    make_company: Callable[..., Company], make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the answers say of them: no request ever comes too soon."""
    monkeypatch.setattr(associations, "AT_ONCE", 20)
    sandbox: Sandbox = make_sandbox(rates={"kaiten": 0.0}, switches={"hubspot.interval_ms": "1000"})
    company = make_company(sandbox, HUBSPOT_RATE=None)
    company.synced("full", "hubspot", ENTITIES)
    assert sum(asked(company).values()) > 30
    company.synced("incremental", "hubspot", ENTITIES)
    assert sandbox.violations == []
    assert_views_equal_the_world(company)
