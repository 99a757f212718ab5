"""The portal's life: edits, merges, the bin, erasure, associations, the index that lags, sizes, and its oracle."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync_assets.sandbox.dialect import RefusedError, Request
from sync_assets.sandbox.hubspot.names import KINDS, stamp
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.world import World
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.hubspot import Portal, rule


def ids(world: World, entity: str) -> set[str]:
    return {row["id"] for row in world.truth("hubspot", entity)}


def test_edits_move_the_types_own_last_modified_and_nothing_else_does(portal: Portal) -> None:
    company, world = portal.company, portal.sandbox.world
    deal = company.create("deals", dealname="mine", amount=Decimal("0.1"), hs_is_closed=False)
    call = company.create("calls", {"hs_call_duration": 5000}, at=datetime(2025, 1, 1, tzinfo=UTC))
    row = next(row for row in world.truth("hubspot", "deals") if row["id"] == str(deal))
    assert (row["properties"]["amount"], row["properties"]["hs_is_closed"]) == ("0.1", "false")
    assert row["updatedAt"] == row["properties"]["hs_lastmodifieddate"]
    assert company.shelves["calls"].get(call).created == company.shelves["calls"].get(call).modified
    assert portal.get(f"/crm/v3/objects/calls/{call}")["createdAt"] == "2025-01-01T00:00:00Z"
    before = company.shelves["deals"].get(deal).modified
    company.update("deals", deal, touch=False, amount="9")
    company.associate("deals", deal, "calls", call)
    assert company.shelves["deals"].get(deal).modified == before
    company.update("deals", deal, amount=None, dealname="")
    properties = portal.get(f"/crm/v3/objects/deals/{deal}")["properties"]
    assert (properties["amount"], properties["dealname"]) == (None, "") and company.shelves["deals"].get(
        deal
    ).modified > before
    company.archive("deals", deal)
    binned = portal.get(f"/crm/v3/objects/deals/{deal}", archived="true")
    assert binned["archived"] is True and binned["archivedAt"] > binned["updatedAt"]
    with pytest.raises(RefusedError):
        company.update("deals", deal, amount="1")
    with pytest.raises(RefusedError):
        company.create("deals", nonsense="1")


def test_the_bin_lasts_ninety_days_and_restoring_brings_associations_back(portal: Portal) -> None:
    company, clock = portal.company, portal.sandbox.world.clock
    contact, deal = company.create("contacts", firstname="A"), company.create("deals", dealname="D")
    company.associate("contacts", contact, "deals", deal)
    for id in (contact, company.create("contacts", firstname="B")):
        company.archive("contacts", id)
    assert len(portal.all("/crm/v3/objects/contacts", archived="true")) == 2
    assert "associations" not in portal.get(f"/crm/v3/objects/deals/{deal}", associations="contacts")
    modified = company.shelves["contacts"].archived[contact].modified
    company.restore("contacts", contact)
    assert company.shelves["contacts"].get(contact).modified == modified
    back = portal.get(f"/crm/v3/objects/deals/{deal}", associations="contacts")
    assert back["associations"]["contacts"]["results"][0]["id"] == str(contact)
    assert str(contact) in {row["id"] for row in portal.all("/crm/v3/objects/contacts")}
    clock.advance(91 * 86_400)
    assert portal.all("/crm/v3/objects/contacts", archived="true") == []


def test_a_merge_makes_a_new_id_that_the_old_ones_lead_to_also_in_chains(portal: Portal) -> None:
    company, world = portal.company, portal.sandbox.world
    a, b, c = (company.create("contacts", firstname=name, phone=name) for name in "ABC")
    deal = company.create("deals", dealname="D")
    company.associate("contacts", b, "deals", deal, "Decision maker")
    first = company.merge("contacts", a, b)
    last = company.merge("contacts", c, first)
    assert {str(a), str(b), str(c), str(first)}.isdisjoint(ids(world, "contacts")) and str(last) in ids(
        world, "contacts"
    )
    for old in (a, b, c, first):
        assert portal.get(f"/crm/v3/objects/contacts/{old}")["id"] == str(last)
    batch = portal.post("/crm/v3/objects/contacts/batch/read", {"inputs": [{"id": str(b)}, {"id": str(last)}]})
    assert [row["id"] for row in batch["results"]] == [str(last)] and "errors" not in batch
    names = "hs_merged_object_ids,hs_calculated_merged_vids,firstname"
    survivor = portal.get(f"/crm/v3/objects/contacts/{last}", properties=names, associations="deals")
    assert survivor["properties"]["firstname"] == "C"
    assert survivor["properties"]["hs_merged_object_ids"].split(";") == [str(id) for id in (a, b, c, first)]
    vids = survivor["properties"]["hs_calculated_merged_vids"].split(";")
    assert [vid.partition(":")[0] for vid in vids] == [str(c), str(first)]
    assert {row["type"] for row in survivor["associations"]["deals"]["results"]} == {
        "contact_to_deal",
        "decision_maker",
    }
    assert {"object_type": "contacts", "id": str(a), "into": str(last)} in world.truth("hubspot", "merged")
    assert portal.all("/crm/v3/objects/contacts", archived="true") == []


def test_a_merge_may_keep_its_id_and_show_the_loser_as_archived() -> None:
    switches = {"hubspot.merge": "keep", "hubspot.merged_archived": "yes", "hubspot.merged_batch": "error"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb, Portal(sb) as portal:
        a, b = (portal.company.create("deals", dealname=name) for name in "AB")
        assert portal.company.merge("deals", a, b) == a
        assert portal.get(f"/crm/v3/objects/deals/{b}")["id"] == str(a)
        assert [row["id"] for row in portal.all("/crm/v3/objects/deals", archived="true")] == [str(b)]
        answer = portal.post("/crm/v3/objects/deals/batch/read", {"inputs": [{"id": str(b)}]})
        assert answer["errors"][0]["context"]["ids"] == [str(b)]
        with pytest.raises(RefusedError):
            portal.company.restore("deals", b)


def test_who_is_erased_is_nowhere_under_any_id(portal: Portal) -> None:
    company, world = portal.company, portal.sandbox.world
    a, b = (company.create("contacts", firstname=name) for name in "AB")
    merged = company.merge("contacts", a, b)
    company.associate("contacts", merged, "deals", company.shelves["deals"].ids[0])
    gone = portal.http.post("/crm/v3/objects/contacts/gdpr-delete", json={"objectId": str(merged)})
    assert gone.status_code == 204 and world.truth("hubspot", "erased") == [{"id": str(merged)}]
    for id in (a, b, merged):
        assert portal.http.get(f"/crm/v3/objects/contacts/{id}", params={"archived": "true"}).status_code == 404
    assert not [row for row in world.truth("hubspot", "associations") if str(merged) in (row["from_id"], row["to_id"])]


def test_only_search_lags_and_it_shows_the_past() -> None:
    with Sandbox(rates=UNLIMITED, switches={"hubspot.index_lag": "30"}) as sb, Portal(sb) as portal:
        company = portal.company
        sb.world.clock.advance(60)
        old = company.shelves["contacts"].ids[0]
        company.update("contacts", old, firstname="Renamed")
        new = company.create("contacts", firstname="Renamed")
        named = rule("firstname", "EQ", value="renamed")
        assert portal.search("contacts", named)["total"] == 0
        assert portal.get(f"/crm/v3/objects/contacts/{new}")["id"] == str(new)
        company.archive("contacts", old)
        sb.world.clock.advance(31)
        assert portal.found("contacts", named) == [str(new)]


def test_a_bulk_edit_shares_one_millisecond(portal: Portal) -> None:
    moment = portal.company.stamp_all("contacts")
    rows = portal.sandbox.world.truth("hubspot", "contacts")
    assert {row["updatedAt"] for row in rows} == {stamp(int(moment.timestamp() * 1000))}
    same = rule("lastmodifieddate", "EQ", value=int(moment.timestamp() * 1000))
    found = portal.found("contacts", same, sorts=["lastmodifieddate"])
    assert len(found) == len(set(found)) == 300 and found != sorted(found, key=int)
    by_id = portal.found("contacts", same, sorts=["hs_object_id"])
    assert by_id == sorted(by_id, key=int)


def test_a_long_life_changes_everything_and_stays_whole() -> None:
    with Sandbox(rates=UNLIMITED) as sb, Portal(sb) as portal:
        first = {kind: ids(sb.world, kind) for kind in KINDS}
        sb.world.advance(60)
        assert all(ids(sb.world, kind) != first[kind] for kind in ("contacts", "calls", "deals"))
        assert all(sb.world.truth("hubspot", entity) for entity in ("archived", "merged", "erased"))
        for kind in ("contacts", "deals", "calls"):
            rows = portal.all(f"/crm/v3/objects/{kind}", properties=portal.names(kind))
            assert rows == sb.world.truth("hubspot", kind)
        callers = sb.world.truth("hubspot", "callers")
        assert {row["call_id"] for row in callers} == ids(sb.world, "calls")
        assert {row["via"] for row in callers} >= {"association", "callee", "phone", "unknown"}
        living = ids(sb.world, "contacts")
        assert all(row["contact_id"] in living for row in callers if row["contact_id"])


def test_the_oracle_counts_associations_in_both_directions(portal: Portal) -> None:
    rows = portal.sandbox.world.truth("hubspot", "associations")
    there = {(r["from_type"], r["from_id"], r["to_type"], r["to_id"], r["label"]) for r in rows}
    assert there == {(to, other, kind, id, label) for kind, id, to, other, label in there} and len(rows) == len(there)
    inline = [
        ("calls", row["id"], "contacts", target["id"], None)
        for row in portal.all("/crm/v3/objects/calls", associations="contacts")
        for target in row.get("associations", {}).get("contacts", {}).get("results", ())
    ]
    assert {edge for edge in there if (edge[0], edge[2]) == ("calls", "contacts")} == set(inline)


@pytest.mark.parametrize(("properties", "least", "most"), [(40, 1_200, 2_000), (400, 12_000, 14_500)])
def test_a_portal_is_as_wide_as_asked(properties: int, least: int, most: int) -> None:
    switches = {
        "hubspot.properties": str(properties),
        "hubspot.contacts": "100",
        "hubspot.deals": "3",
        "hubspot.calls": "0",
    }
    world = World(switches=switches)
    rows = world.truth_rows("hubspot", "contacts")
    assert len(rows) == 100 and least < sum(map(len, rows)) / 100 < most
    contacts = world.truth("hubspot", "contacts")
    values = [value for row in contacts for value in row["properties"].values()]
    assert len(values) == properties * 100
    assert abs(sum(value is None for value in values) / len(values) - (0.85 if properties == 400 else 0.4)) < 0.05
    assert (len(world.truth("hubspot", "deals")), len(world.truth("hubspot", "calls"))) == (3, 0)


def test_ids_come_in_eras_and_the_same_seed_gives_the_same_portal() -> None:
    first, same = World(seed=4), World(seed=4)
    assert first.truth_rows("hubspot", "contacts") == same.truth_rows("hubspot", "contacts")
    lengths = {len(row["id"]) for row in first.truth("hubspot", "contacts")}
    assert {10, 12} < lengths and min(lengths) < 4
    for world in (first, same):
        world.clock.freeze(datetime(2026, 1, 2, tzinfo=UTC))
        world.advance(3)
    assert first.truth_rows("hubspot", "deals") == same.truth_rows("hubspot", "deals")


def test_times_have_three_digits_or_none() -> None:
    assert (stamp(0), stamp(1), stamp(1_000)) == (
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.001Z",
        "1970-01-01T00:00:01Z",
    )
    before = int(timedelta(days=-1).total_seconds() * 1000)
    assert stamp(before + 5) == "1969-12-31T00:00:00.005Z"


def test_a_page_that_was_served_once_is_serialised_already() -> None:
    world = World(switches={"hubspot.contacts": "2000", "hubspot.properties": "40"})
    system = world.systems["hubspot"]
    names = ",".join(
        row["name"] for row in world.truth("hubspot", "property_definitions") if row["object_type"] == "contacts"
    )
    world.truth_rows("hubspot", "contacts")
    headers: dict[str, Any] = {"host": "sandbox"}
    for after in world.hubspot.shelves["contacts"].ids[::100]:
        query = f"limit=100&properties={names}&after={after}"
        asked = Request("GET", "/crm/v3/objects/contacts", query, {"after": str(after)}, headers)
        first, again = system.answer(asked).rows or [], system.answer(asked).rows or []
        assert len(first) == 100 and all(a is b for a, b in zip(first, again, strict=True))
