"""A11, S4, S5, V8, V9: what a HubSpot token may not see is not taken for gone; nobody else says where we ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.errors import CallVendor, Forbidden, FuseBlown, SyncError, WrongShape
from sync_assets.sync import pipeline
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import assert_recovered, failed
from sync_assets_tests.faults.trap import trap
from sync_assets_tests.mirror import WAYS, Mirror, Way

DEALS, OWNERS = "crm.objects.deals.read", "crm.objects.owners.read"


def refused(done: dict[str, Any]) -> set[str]:
    return {name for name, outcome in done.items() if isinstance(outcome, SyncError)}


@pytest.mark.parametrize("how", ["revoked", "fault"])
@pytest.mark.parametrize("way", WAYS)
def test_a11_a_scope_that_is_taken_away_is_named_and_nothing_is_deleted(mirror: Mirror, way: Way, how: str) -> None:
    held = {e: mirror.held(e) for e in ("contacts", "deals", "calls")}
    links = {e: mirror.company.raw(e, "hubspot") for e in ("contact_associations", "call_associations")}
    if how == "revoked":
        mirror.portal.revoke(DEALS)
    else:
        mirror.company.sandbox.faults.set("A11", system="hubspot", scope=DEALS)
    mirror.portal.update("contacts", *mirror.some(), city="Томск")
    done = mirror.company.sync(way, "hubspot")
    assert DEALS in str(failed(done, "deals", Forbidden))
    assert "deal_associations" not in done, "it waits for the deals"
    assert refused(done) == {"deals", "pipelines"}
    for name in refused(done):
        assert DEALS in str(failed(done, name, Forbidden))
    # What is only in part of deals is read but for that part, which stays as it is.
    for name in ("property_definitions", *links):
        note = done[name].note  # type: ignore[union-attr]
        assert "not read, and nothing of it deleted" in note and DEALS in note
    assert {e: mirror.company.raw(e, "hubspot") for e in links} == links
    assert done["contacts"].totals["updated"] == 1  # type: ignore[union-attr]
    assert {e: mirror.held(e) for e in held} == held
    assert mirror.company.query("select * from sync.tombstones") == []
    mirror.portal.grant(DEALS)
    assert_recovered(mirror.company, "hubspot")


def test_a11_without_the_owners_scope_the_owners_fail_alone(make_company: Callable[..., Company], sandbox: Any) -> None:
    """From the very first sync on: whoever never gave that scope has everything else."""
    sandbox.world.hubspot.revoke(OWNERS)
    company = make_company(sandbox)
    done = company.sync("full", "hubspot")
    assert OWNERS in str(failed(done, "owners", Forbidden)) and refused(done) == {"owners"}
    for entity in ("contacts", "deals", "calls"):
        assert company.raw(entity, "hubspot").keys() == company.truth(entity, "hubspot").keys()
    states = company.query("select distinct state, evidence from sync.missing_parents where entity = 'owners'")
    assert states and all(state == "unreachable" and OWNERS in evidence for state, evidence in states)
    sandbox.world.hubspot.grant(OWNERS)
    assert_recovered(company, "hubspot")


@pytest.mark.parametrize("way", WAYS)
def test_a11_while_definitions_are_forbidden_the_names_of_last_time_serve(mirror: Mirror, way: Way) -> None:
    mirror.company.sandbox.faults.set("A11", system="hubspot", status=403, path="/crm/v3/properties")
    (id,) = mirror.some()
    mirror.portal.update("contacts", id, city="Томск", notes="kept")
    done = mirror.company.sync(way, "hubspot")
    assert refused(done) == {"property_definitions"}
    assert "definitions of properties cannot be read" in done["contacts"].note  # type: ignore[union-attr]
    assert done["contacts"].totals["updated"] == 1  # type: ignore[union-attr]
    assert mirror.company.raw("contacts", "hubspot")[id]["properties"]["notes"] == "kept"
    mirror.assert_in_step()
    assert_recovered(mirror.company, "hubspot")


def test_a11_where_definitions_were_never_read_the_columns_are_filled_all_the_same(company: Company) -> None:
    company.sandbox.faults.set("A11", system="hubspot", status=403, path="/crm/v3/properties")
    assert refused(company.sync("full", "hubspot")) == {"property_definitions"}
    world = company.truth("contacts", "hubspot")
    for id, row in ((r["id"], r) for r in company.rows("contacts", "hubspot")):
        values = world[id]["properties"]
        assert (row["email"], row["phone"]) == (values["email"] or None, values["phone"] or None)
    assert "city" not in {n for r in company.raw("contacts", "hubspot").values() for n in r["properties"]}
    assert_recovered(company, "hubspot")


def test_a11_under_other_rights_than_last_time_nobody_unseen_is_deleted(mirror: Mirror) -> None:
    (deal,), portal = mirror.some("deals"), mirror.portal
    portal.archive("deals", deal)
    with portal.changing():
        del portal.shelf("deals").archived[deal]
    portal.revoke("crm.objects.companies.read")
    done = mirror.all_synced("full")
    assert "rights are not those of the last full sync" in done["deals"].note
    assert deal in mirror.held("deals") and mirror.tombstones("deals") == {}
    done = mirror.all_synced("full")
    assert "rights" not in done["deals"].note
    assert mirror.tombstones("deals") == {deal: ("gone", None)}
    mirror.assert_in_step()


def test_a11_a_token_that_cannot_be_asked_about_its_rights_works(mirror: Mirror) -> None:
    fault = mirror.company.sandbox.faults.set("A12", system="hubspot", path="access-token-info")
    (id,) = mirror.some()
    mirror.portal.gdpr_delete(id)
    mirror.all_synced("full")
    assert fault.strikes and mirror.tombstones() == {id: ("erased", None)}
    mirror.assert_in_step()


def test_a11_rows_that_a_narrower_token_does_not_see_blow_the_fuse(mirror: Mirror) -> None:
    held = {e: mirror.held(e) for e in ("contacts", "deals", "calls")}
    mirror.company.sandbox.faults.set("A11", system="hubspot", narrow=0.5, path="/crm/v3/objects")
    done = mirror.company.sync("full", "hubspot")
    for entity in held:
        assert "would be deleted" in str(failed(done, entity, FuseBlown))
    assert {e: mirror.held(e) for e in held} == held
    assert_recovered(mirror.company, "hubspot")


@pytest.mark.parametrize("way", WAYS)
def test_s4_links_in_answers_are_never_followed(make_company: Callable[..., Company], sandbox: Any, way: Way) -> None:
    with trap(lambda s: None) as elsewhere:
        fault = sandbox.faults.set("S4", system="hubspot", url=f"http://127.0.0.1:{elsewhere.port}")
        company = make_company(sandbox)
        company.synced("full", "hubspot")
        company.synced(way, "hubspot")
    assert fault.strikes
    assert elsewhere.knocks == []
    company.assert_world_equals_postgres("hubspot")
    company.assert_ledger_adds_up()


@pytest.mark.parametrize("path", ["/crm/v3/objects/contacts", "/search", "/associations/", "access-token-info"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_s5_a_redirect_does_not_get_the_key(mirror: Mirror, path: str, status: int) -> None:
    asked = ("contacts", "contact_associations")
    mirror.portal.update("contacts", *mirror.some(), city="Томск")
    with trap(lambda s: None) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.port}"
        fault = mirror.company.sandbox.faults.set("S5", system="hubspot", path=path, url=url, status=status)
        done = mirror.company.sync("incremental", "hubspot", only=asked)
    assert fault.strikes
    assert elsewhere.knocks == []
    errors = [e for e in done.values() if isinstance(e, SyncError)]
    assert all(isinstance(e, WrongShape | CallVendor) and "redirect" in str(e) for e in errors)
    assert errors or path == "access-token-info", "rights that cannot be asked for stop nobody"
    assert_recovered(mirror.company, "hubspot", only=asked)


@pytest.mark.parametrize("options", [{}, {"field": "id", "value": "9"}], ids=["property", "id"])
def test_v8_of_equal_names_in_one_object_the_last_counts(mirror: Mirror, options: dict[str, Any]) -> None:
    (id,) = mirror.some()
    fault = mirror.company.sandbox.faults.set("V8", system="hubspot", path="/objects/contacts", record=id, **options)
    for way in WAYS:
        mirror.portal.update("contacts", id, city=f"Томск, {way}")
        mirror.all_synced(way)
        assert fault.strikes
        mirror.assert_in_step()
    assert_recovered(mirror.company, "hubspot")


def test_v9_more_values_than_a_statement_has_parameters(
    make_company: Callable[..., Company], make_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one commit: 1,000 contacts of 400 properties."""
    monkeypatch.setattr(pipeline, "MOST_BYTES", 1 << 40)
    sandbox = make_sandbox(
        switches={"hubspot.properties": "400", "hubspot.contacts": "1000", "hubspot.deals": "0", "hubspot.calls": "0"}
    )
    company = make_company(sandbox, SYNC_BATCH_SIZE="100000")
    done = company.synced("full", "hubspot", ("contacts",))
    assert done["contacts"].totals["created"] == 1000 > 65_535 // 400
    assert company.query("select commits from sync.logs where entity = 'contacts'") == [(1,)]
    sandbox.world.hubspot.stamp_all("contacts")
    assert company.synced("full", "hubspot", ("contacts",))["contacts"].totals["updated"] == 1000
    world, held = company.truth("contacts", "hubspot"), company.raw("contacts", "hubspot")
    assert {id: r["properties"] for id, r in held.items()} == {
        id: {n: v for n, v in r["properties"].items() if v is not None} for id, r in world.items()
    }
