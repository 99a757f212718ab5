"""Each fault of the list does to Kommo what faults.md calls it, and with the fault gone the account is as it was."""

import json
from typing import Any

import httpx
import pytest

from sync_assets_tests.sandbox.kommo import Account


def test_a2_is_429_until_too_many_and_then_the_door_is_locked_for_everybody(account: Account) -> None:
    faults, http = account.sandbox.faults, account.http
    faults.set("A2", system="kommo", times=2)
    assert [http.get("leads").status_code for _ in range(3)] == [429, 429, 200]
    faults.set("A2", system="kommo", times=1, variant="blocked")
    page = http.get("leads")
    assert page.status_code == 403 and page.text.startswith("<html>") and http.get("leads").is_success
    faults.clear()
    faults.set("A2", system="kommo", times=40)
    assert [http.get("leads").status_code for _ in range(40)][-1] == 403
    faults.clear()
    assert http.get("leads").status_code == 403, "the fault is over and the block is not"
    account.sandbox.world.clock.advance(601)
    assert http.get("leads").is_success


def test_a3_to_a7_come_with_the_frame(account: Account) -> None:
    faults, http = account.sandbox.faults, account.http
    for status in (502, 504):
        faults.set("A3", times=1, status=status)
        assert http.get("leads").status_code == status
    for fault in ("A4", "A6"):
        faults.set(fault, times=1)
        with pytest.raises(httpx.TransportError):
            http.get("leads")
    faults.set("A5", times=1, bytes=5000, interval=0.01)
    assert http.get("leads").is_success
    faults.set("A7", times=1, variant="login")
    assert http.get("leads").text.startswith("<!doctype html>")


@pytest.mark.parametrize("variant", ["list_missing", "null", "object", "error200", "numbers"])
def test_a8_spoils_the_list_inside_its_envelope(account: Account, variant: str) -> None:
    account.sandbox.faults.set("A8", times=1, variant=variant)
    body = account.get("leads")
    if variant == "error200":
        assert "_embedded" not in body
    elif variant == "list_missing":
        assert body["_embedded"] == {} and body["_page"] == 1
    else:
        assert not isinstance(body["_embedded"]["leads"], list)
    assert account.get("leads")["_embedded"]["leads"]


def test_a11_revokes_tokens_rights_scopes_or_sight(account: Account) -> None:
    faults, http = account.sandbox.faults, account.http
    faults.set("A11", times=1)
    assert http.get("leads").status_code == 401
    faults.set("A11", times=1, status=403)
    assert http.get("leads").json()["detail"] == "Client doesn't have the required scope"
    faults.set("A11", scope="users")
    assert http.get("users").status_code == 403 and http.get("leads").is_success
    faults.clear()
    faults.set("A11", path="leads", narrow=0.4)
    seen, everything = set(account.ids("leads")), {row["id"] for row in account.truth("leads")}
    assert 0 < len(seen) < len(everything)
    assert http.get(f"leads/{min(everything - seen)}").status_code == 204


def test_a12_a13_a14_and_l1_lose_endpoints_fields_and_records(account: Account) -> None:
    faults = account.sandbox.faults
    faults.set("A12", times=1, path="/events", status=410)
    assert account.http.get("events").status_code == 410
    faults.set("A13", times=1, variant="missing_field", field="price")
    assert all("price" not in row for row in account.get("leads")["_embedded"]["leads"])
    faults.set("A14", path="/leads", forget=0.6)
    assert 20 < len(account.ids("leads")) < 80
    faults.clear()
    faults.set("L1", path="/pipelines", share=1.0)
    assert account.get("leads/pipelines")["_embedded"]["pipelines"] == []


def test_p1_runs_in_a_ring_and_p2_repeats(account: Account) -> None:
    faults = account.sandbox.faults
    faults.set("P1", path="/leads", loop=2)
    pages = account.pages("leads", limit=10)
    first, second, third, fourth = (next(pages) for _ in range(4))
    assert first == third and second == fourth and first != second
    by_number = [account.get("leads", limit=10, page=page)["_embedded"]["leads"] for page in (1, 3, 5, 99)]
    assert by_number == [first] * 4, "whoever counts pages by himself runs in the ring too"
    faults.clear()
    for options in ({"rows": 5}, {"variant": "within", "rows": 2}):
        faults.set("P2", path="/leads", **options)
        seen = [row["id"] for page in account.pages("leads", limit=20) for row in page]
        assert len(seen) > len(set(seen)) == 120
        faults.clear()


def test_p3_p4_and_p12_shift_rows_between_pages(account: Account) -> None:
    faults, company = account.sandbox.faults, account.company
    before = set(company.living["leads"])
    faults.set("P3", path="/leads", insert=0, delete=2)
    seen = {row["id"] for page in account.pages("leads", limit=20) for row in page}
    assert before - seen, "what slid onto a page already read is never given"
    faults.clear()
    faults.set("P4", path="/contacts", edit=5)
    seen = {row["id"] for page in account.pages("contacts?order[updated_at]=asc", limit=20) for row in page}
    assert len(seen) < 144
    faults.clear()
    faults.set("P12", path="/tasks", insert=50)
    pages = account.pages("tasks", limit=50)
    assert [len(next(pages)) for _ in range(5)] == [50] * 5
    faults.clear()
    faults.set("P3", path="/events", insert=1)
    assert len([next(account.pages("events", limit=50))]) == 1


def test_p6_p7_and_p10_spoil_stamps_order_and_totals(account: Account) -> None:
    faults = account.sandbox.faults
    faults.set("P6", system="kommo", count=60)
    stamps = [row["updated_at"] for row in account.all("leads?order[updated_at]=asc")]
    assert stamps[-60:] == stamps[-1:] * 60
    honest = account.ids("leads")
    for variant, same in (("page", False), ("all", False)):
        faults.set("P7", path="/leads", variant=variant)
        mixed = account.ids("leads")
        assert (mixed == honest) is same and sorted(mixed) == honest
        faults.clear()
    faults.set("P10", by=3)
    assert account.get("users")["_total_items"] == 10


def test_p8_shows_the_past_and_s4_links_lead_elsewhere(account: Account) -> None:
    faults, company, clock = account.sandbox.faults, account.company, account.sandbox.world.clock
    old = min(company.living["leads"])
    name = account.get(f"leads/{old}")["name"]
    clock.advance(120)
    faults.set("P8", path="/leads", lag=60)
    fresh = company.create("leads", name="Late")
    company.update("leads", old, name="Changed")
    rows = {row["id"]: row["name"] for row in account.all("leads")}
    assert fresh not in rows and rows[old] == name
    clock.advance(61)
    rows = {row["id"]: row["name"] for row in account.all("leads")}
    assert rows[fresh] == "Late" and rows[old] == "Changed"
    faults.clear()
    faults.set("S4", url="http://trap.test")
    assert account.get("leads")["_links"]["next"]["href"].startswith("http://trap.test/api/v4/leads?")


@pytest.mark.parametrize(
    ("fault", "options", "expected"),
    [
        ("V1", {}, b'"name":"before\\u0000after"'), ("V2", {}, b"\\ud800"), ("V3", {}, b'"price":1e400000'),
        ("V3", {"variant": "int64"}, b'"price":9223372036854775808'), ("V4", {}, b'"updated_at":"02.03.2025"'),
        ("V5", {}, b'"status_id":99'), ("V6", {"variant": "wrong_type"}, b'"name":{"was":"text"}'),
        ("V7", {"variant": "null"}, b'"id":null'), ("V8", {}, b'{"name":"decoy",'),
    ],
)  # fmt: skip
def test_v_faults_damage_one_record(account: Account, fault: str, options: dict[str, Any], expected: bytes) -> None:
    honest = account.get("leads")
    account.sandbox.faults.set(fault, path="/leads", record=sorted(account.company.living["leads"])[2], **options)
    body = account.http.get("leads").content
    assert body.count(expected) == 1
    if fault == "V8":
        assert json.loads(body) == honest, "the last of two equal keys is the true one"


def test_l4_s3_and_s7_are_facts_of_the_world(account: Account) -> None:
    faults = account.sandbox.faults
    faults.set("L4", system="kommo", count=3)
    assert len(account.truth("merged")) == 3 and len(account.ids("contacts")) == 141
    for fault in ("L4", "P6"):
        faults.set(fault, entity="deals")
    assert len(account.truth("merged")) == 3
    for fault in ("S3", "S7"):
        faults.set(fault, system="kommo")
    names = {row["name"] for row in account.all("leads")}
    assert "<script>alert(1)</script>" in names and account.all("tasks") == account.truth("tasks")
    assert len([row for row in account.truth("custom_fields") if row["name"].startswith("x" * 64)]) == 2
