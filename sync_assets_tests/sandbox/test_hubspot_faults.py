"""Each fault of HubSpot's list does what faults.md calls it, and with the fault gone the portal is as it was."""

import json
import re
from typing import Any

import httpx
import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.hubspot import Portal, rule

LIST = "/crm/v3/objects/contacts"
SEARCH = "/crm/v3/objects/contacts/search"


@pytest.mark.parametrize(
    ("variant", "status", "policy"),
    [
        ("search", 429, None), ("secondly", 429, "SECONDLY"), ("burst", 429, "TEN_SECONDLY_ROLLING"),
        ("daily", 429, "DAILY"), ("locked", 423, None), ("migration", 477, None),
    ],
)  # fmt: skip
def test_a2_asks_to_wait_in_every_known_shape(portal: Portal, variant: str, status: int, policy: str | None) -> None:
    portal.sandbox.faults.set("A2", system="hubspot", times=1, variant=variant, retry_after=7200)
    answer = portal.http.get(LIST)
    assert (answer.status_code, answer.json().get("policyName")) == (status, policy)
    assert answer.headers.get("retry-after") == ("7200" if variant == "migration" else None)
    assert portal.http.get(LIST).status_code == 200


def test_a3_and_a4_and_a5_and_a6_come_with_the_frame(portal: Portal) -> None:
    faults = portal.sandbox.faults
    faults.set("A3", times=1, status=524)
    assert portal.http.get(LIST).status_code == 524
    faults.set("A4", times=1)
    with pytest.raises(httpx.TransportError):
        portal.http.get(LIST)
    faults.set("A5", times=1, bytes=100, interval=0.01)
    assert portal.http.get(LIST).status_code == 200
    faults.set("A6", times=1)
    with pytest.raises(httpx.TransportError):
        portal.http.get(LIST)


def test_a9_bombs_or_makes_one_record_a_giant(portal: Portal) -> None:
    faults = portal.sandbox.faults
    faults.set("A9", times=1, mb=8)
    assert len(portal.http.get(LIST).content) > 8_000_000
    victim = portal.company.shelves["contacts"].ids[3]
    faults.set("A9", variant="giant", mb=2, record=victim)
    rows = portal.get(LIST, limit=10)["results"]
    sizes = [len(row["properties"]["firstname"]) for row in rows]
    assert sizes[3] == 2 * 1_048_576 and max(sizes[:3] + sizes[4:]) < 100
    assert len(portal.http.get(f"{LIST}/{victim}").content) > 2_000_000


def test_a11_revokes_a_token_a_right_a_scope_or_sight(portal: Portal) -> None:
    faults, http = portal.sandbox.faults, portal.http
    faults.set("A11", times=1)
    assert http.get(LIST).status_code == 401
    faults.set("A11", times=1, status=403)
    refused = http.get("/crm/v3/owners")
    needed = refused.json()["errors"][0]["context"]["requiredGranularScopes"]
    assert (refused.status_code, needed) == (403, ["crm.objects.owners.read"])
    faults.set("A11", scope="crm.objects.contacts.read")
    assert http.get("/crm/v3/objects/calls").status_code == 403 and http.get("/crm/v3/objects/deals").status_code == 200
    faults.clear()
    faults.set("A11", path="contacts", narrow=0.4)
    seen = {row["id"] for row in portal.all(LIST)}
    everybody = {row["id"] for row in portal.sandbox.world.truth("hubspot", "contacts")}
    assert 140 < len(seen) < 220 and seen == {row["id"] for row in portal.all(LIST)} < everybody
    hidden = min(everybody - seen)
    assert http.get(f"{LIST}/{hidden}").status_code == 404
    assert portal.search("contacts", rule("hs_object_id", "EQ", value=hidden))["total"] == 0
    batch = http.post(f"{LIST}/batch/read", json={"inputs": [{"id": hidden}, {"id": min(seen)}]})
    assert batch.status_code == 207 and [row["id"] for row in batch.json()["results"]] == [min(seen)]


def test_a12_is_gone_or_too_long(portal: Portal) -> None:
    portal.sandbox.faults.set("A12", times=2, path="/owners", status=410)
    assert [portal.http.get("/crm/v3/owners").status_code for _ in range(3)] == [410, 410, 200]
    portal.sandbox.faults.set("A12", url_bytes=100)
    assert portal.http.get(LIST).status_code == 200
    assert portal.http.get(LIST, params={"properties": "email," * 20}).status_code == 414


def test_l4_merges_and_l5_cuts_lists_openly_or_in_silence(portal: Portal) -> None:
    company, faults = portal.company, portal.sandbox.faults
    faults.set("L4", system="hubspot", count=3)
    assert len(company.merged["contacts"]) == 6 and len(portal.all(LIST)) == 297
    contact = company.create("contacts", firstname="A")
    deals = [company.create("deals", dealname=str(n)) for n in range(5)]
    for deal in deals:
        company.associate("contacts", contact, "deals", deal)
    path = "/crm/v4/associations/contacts/deals/batch/read"
    faults.set("L5", limit=2)
    found = portal.get(f"{LIST}/{contact}", associations="deals")["associations"]["deals"]
    assert len(found["results"]) == 2 and found["paging"]["next"]["after"] == str(deals[2])
    link = portal.http.get(found["paging"]["next"]["link"]).json()
    assert [row["id"] for row in link["results"]] == [str(id) for id in deals[2:4]]
    row = portal.post(path, {"inputs": [{"id": contact}]})["results"][0]
    assert len(row["to"]) == 2 and "paging" in row
    faults.clear()
    faults.set("L5", limit=2, variant="silent")
    found = portal.get(f"{LIST}/{contact}", associations="deals")["associations"]["deals"]
    row = portal.post(path, {"inputs": [{"id": contact}]})["results"][0]
    assert len(found["results"]) == len(row["to"]) == 2 and "paging" not in found and "paging" not in row


def test_p1_and_p2_ring_and_repeat(portal: Portal) -> None:
    portal.sandbox.faults.set("P1", path=LIST)
    first = portal.get(LIST, limit=100)
    again = portal.get(LIST, limit=100, after=first["paging"]["next"]["after"])
    assert again["results"] == first["results"]
    portal.sandbox.faults.clear()
    portal.sandbox.faults.set("P2", path=LIST, rows=5)
    seen = [row["id"] for row in portal.all(LIST)]
    assert len(seen) > len(set(seen)) == 300


def test_p3_p4_and_p12_move_the_world_between_pages(portal: Portal) -> None:
    faults, company = portal.sandbox.faults, portal.company
    sort, everybody = {"sorts": ["lastmodifieddate"]}, rule("hs_object_id", "HAS_PROPERTY")
    faults.set("P4", path=SEARCH, edit=10)
    found = portal.found("contacts", everybody, **sort)
    assert len(set(found)) < 300, "rows that moved to the end made room for others to be skipped"
    assert company.revision == 20
    faults.clear()
    faults.set("P3", path=LIST, insert=2, delete=3)
    before = set(company.shelves["contacts"].ids)
    seen = {int(row["id"]) for row in portal.all(LIST)}
    assert before <= seen and len(seen) > 300 and len(company.shelves["contacts"].archived) >= 9
    faults.clear()
    faults.set("P12", path=LIST, insert=100)
    pages = portal.pages(LIST)
    assert [len(next(pages)) for _ in range(6)] == [100] * 6


def test_p5_p6_and_p10_spoil_the_search(portal: Portal) -> None:
    faults = portal.sandbox.faults
    faults.set("P6", system="hubspot", count=120)
    faults.set("P5", cap=50)
    newest = {"sorts": ["-lastmodifieddate"], "limit": 50}
    first = portal.search("contacts", **newest)
    assert first["total"] == 300 and len({row["updatedAt"] for row in first["results"]}) == 1
    assert first["paging"]["next"]["after"] == "50"
    assert portal.http.post(SEARCH, json={**newest, "after": 50}).status_code == 400
    faults.clear()
    faults.set("P10", by=3)
    assert portal.search("contacts")["total"] == 303 and len(portal.found("contacts")) == 300
    faults.clear()
    faults.set("P10", hide=3)
    assert portal.search("contacts")["total"] == 300 and len(portal.found("contacts")) == 297


def test_p7_shuffles_and_p8_shows_the_past(portal: Portal) -> None:
    faults, company = portal.sandbox.faults, portal.company
    sorts = ["lastmodifieddate"]
    honest = portal.found("contacts", sorts=sorts)
    faults.set("P7")
    mixed = portal.found("contacts", sorts=sorts)
    assert mixed != honest and set(mixed[:200]) == set(honest[:200]) and len(mixed) == 300
    faults.clear()
    faults.set("P7", variant="all", outside=2)
    recent = rule("hs_object_id", "GT", value=5_000_000)
    mixed = portal.found("contacts", recent, sorts=sorts)
    assert len(set(mixed)) == 285 + 2
    faults.clear()
    faults.set("P8", lag=60)
    portal.sandbox.world.clock.advance(120)
    fresh = company.create("contacts", firstname="Late")
    late = rule("firstname", "EQ", value="late")
    assert portal.found("contacts", late) == []
    portal.sandbox.world.clock.advance(61)
    assert portal.found("contacts", late) == [str(fresh)]


def test_p9_shows_another_time(portal: Portal) -> None:
    honest = portal.http.get(LIST).headers["date"]
    portal.sandbox.faults.set("P9", skew=-7200)
    assert portal.http.get(LIST).headers["date"] != honest


def test_s4_links_lead_elsewhere_and_s5_redirects(portal: Portal) -> None:
    portal.sandbox.faults.set("S4", url="http://trap.test")
    assert portal.get(LIST)["paging"]["next"]["link"].startswith(f"http://trap.test{LIST}?")
    portal.sandbox.faults.clear()
    portal.sandbox.faults.set("S5", url="http://trap.test", status=307)
    answer = portal.http.get(LIST)
    assert (answer.status_code, answer.headers["location"]) == (307, f"http://trap.test{LIST}")


@pytest.mark.parametrize(
    ("fault", "options", "expected"),
    [
        ("V1", {}, b"\\u0000"), ("V2", {}, b"\\ud800"), ("V3", {"field": "amount"}, b'"amount":1e400000'),
        ("V4", {"variant": "dotted"}, b'"createdate":"02.03.2025"'), ("V5", {}, b'"dealstage":"invented_stage"'),
        ("V6", {"variant": "wrong_type"}, b'"dealname":{"was":"text"}'), ("V7", {"variant": "null"}, b'"id":null'),
        ("V8", {}, b'{"dealname":"decoy",'), ("V8", {"field": "id", "value": "9"}, b'{"id":"9","id":"'),
    ],
)  # fmt: skip
def test_v_faults_damage_properties(portal: Portal, fault: str, options: dict[str, Any], expected: bytes) -> None:
    path = "/crm/v3/objects/deals"
    honest = portal.get(path)
    portal.sandbox.faults.set(fault, path=path, record=portal.company.shelves["deals"].ids[2], **options)
    body = portal.http.get(path).content
    assert body.count(expected) == 1
    if fault == "V8":
        assert json.loads(body) == honest, "the last of two equal keys is the true one"


def test_a13_drifts_inside_the_properties(portal: Portal) -> None:
    portal.sandbox.faults.set("A13", variant="missing_field", field="email")
    assert all("email" not in row["properties"] for row in portal.get(LIST)["results"])
    portal.sandbox.faults.clear()
    portal.sandbox.faults.set("A13", variant="changed_type")
    assert "value" in portal.get(LIST)["results"][0]["properties"]["firstname"]


def test_a14_and_l1_forget_before_paging(portal: Portal) -> None:
    portal.sandbox.faults.set("A14", path=f"{LIST}$|{LIST}\\?", forget=0.6)
    kept = portal.all(LIST)
    assert 80 < len(kept) < 160 and portal.http.get(f"{LIST}/51").status_code == 200
    portal.sandbox.faults.clear()
    portal.sandbox.faults.set("L1", path="/owners", share=1.0)
    assert portal.all("/crm/v3/owners") == []


def test_s3_and_s7_name_things_badly_in_truth_and_answers(portal: Portal) -> None:
    for fault in ("S3", "S7"):
        portal.sandbox.faults.set(fault, system="hubspot")
    rows = portal.all(LIST, properties=portal.names("contacts"))
    assert rows == portal.sandbox.world.truth("hubspot", "contacts")
    assert len([name for name in rows[0]["properties"] if re.match("x{64}", name)]) == 2


def test_lists_may_be_short_empty_or_ordered_as_text() -> None:
    for style in ("id", "last", "opaque"):
        switches = {"hubspot.short_pages": "yes", "hubspot.after": style}
        with Sandbox(rates=UNLIMITED, switches=switches) as sb, Portal(sb) as portal:
            pages = list(portal.pages(LIST))
        assert [row["id"] for page in pages for row in page] == [
            str(id) for id in sb.world.hubspot.shelves["contacts"].ids
        ]
        assert max(map(len, pages)) < 100
        assert [] in pages[:-1]
    with Sandbox(rates=UNLIMITED, switches={"hubspot.order": "lexicographic"}) as sb, Portal(sb) as portal:
        ids = [row["id"] for row in portal.all(LIST)]
        assert ids == sorted(ids) != sorted(ids, key=int) and len(set(ids)) == 300
