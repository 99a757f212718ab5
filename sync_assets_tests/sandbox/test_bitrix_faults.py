"""Each fault of Bitrix's list does what faults.md calls it, and with the fault gone the shop is as it was."""

import json
from typing import Any

import httpx
import pytest

from sync_assets_tests.sandbox.bitrix import Shop, listed

ORDERS, ITEMS = "sale.order.list", "sale.basketitem.list"


@pytest.mark.parametrize(
    ("variant", "status", "code"),
    [
        ("query", 503, "QUERY_LIMIT_EXCEEDED"), ("operation", 429, "OPERATION_TIME_LIMIT"),
        ("overload", 503, "OVERLOAD_LIMIT"), ("query200", 200, "QUERY_LIMIT_EXCEEDED"),
        ("operation200", 200, "OPERATION_TIME_LIMIT"),
    ],
)  # fmt: skip
def test_a2_asks_to_wait_in_every_known_shape(shop: Shop, variant: str, status: int, code: str) -> None:
    shop.sandbox.faults.set("A2", system="bitrix", times=1, variant=variant)
    answer = shop.http.get(ORDERS)
    assert (answer.status_code, answer.json()["error"], "result" in answer.json()) == (status, code, False)
    assert "retry-after" not in answer.headers and shop.http.get(ORDERS).status_code == 200


def test_a3_and_a4_and_a5_and_a6_come_with_the_frame(shop: Shop) -> None:
    faults = shop.sandbox.faults
    faults.set("A3", times=1, status=502)
    assert shop.http.get(ORDERS).status_code == 502
    faults.set("A4", times=1)
    with pytest.raises(httpx.TransportError):
        shop.http.get(ORDERS)
    faults.set("A5", times=1, bytes=8000, interval=0.01)
    assert shop.http.get(ORDERS).status_code == 200
    faults.set("A6", times=1)
    with pytest.raises(httpx.TransportError):
        shop.http.get(ORDERS)
    faults.set("A7", times=1)
    assert shop.http.get(ORDERS).text.startswith("<html>")


@pytest.mark.parametrize(
    ("variant", "result"),
    [("null", {"orders": None}), ("object", {"orders": {"message": "see attachment"}}), ("list_missing", {})],
)
def test_a8_breaks_the_list_and_keeps_the_envelope(shop: Shop, variant: str, result: Any) -> None:
    shop.sandbox.faults.set("A8", times=2, variant=variant)
    answer = shop.call(ORDERS)
    assert answer["result"] == result and (answer["total"], answer["next"]) == (60, 50) and "time" in answer
    assert not isinstance(shop.call("user.get").get("result"), list)
    shop.sandbox.faults.set("A8", times=1, variant="error200")
    assert shop.call(ORDERS)["error"] == "internal"


def test_a11_revokes_the_secret_a_scope_or_sight(shop: Shop) -> None:
    faults = shop.sandbox.faults
    faults.set("A11", times=1)
    assert shop.http.get(ORDERS).status_code == 401
    faults.set("A11", times=1, status=403)
    assert shop.http.get(ORDERS).json()["error"] == "insufficient_scope"
    faults.set("A11", scope="sale")
    assert shop.http.get(ORDERS).status_code == 403 and shop.http.get("user.get").status_code == 200
    faults.clear()
    faults.set("A11", narrow=0.5)
    seen = {row["id"] for row in shop.all(ORDERS)}
    everything = {row["id"] for row in shop.truth("orders")}
    assert 15 < len(seen) < 45 and seen < everything and shop.call(ORDERS)["total"] == len(seen)
    assert shop.call("sale.order.get", id=min(everything - seen))["error"] == 200540400001
    assert "order" in shop.call("sale.order.get", id=min(seen))["result"]


def test_a12_is_gone_and_a13_drifts(shop: Shop) -> None:
    shop.sandbox.faults.set("A12", times=1, path=ORDERS)
    assert shop.http.get(ORDERS).json()["error"] == "ERROR_METHOD_NOT_FOUND"
    shop.sandbox.faults.set("A13", times=1, variant="missing_field", field="dateUpdate")
    assert not any("dateUpdate" in row for row in shop.rows(ORDERS))
    shop.sandbox.faults.set("A13", times=1, variant="new_field")
    assert all(row["brand_new_field"] == {"since": "v2"} for row in shop.rows("catalog.price.list"))


def test_a14_and_l1_forget_before_paging(shop: Shop) -> None:
    shop.sandbox.faults.set("A14", path=ITEMS, forget=0.6)
    assert 40 < len(shop.keyset(ITEMS)) < 110
    shop.sandbox.faults.clear()
    shop.sandbox.faults.set("L1", path="user.get", share=1.0)
    assert shop.all("user.get") == []


def test_p1_runs_in_a_ring_by_page_and_by_key(shop: Shop) -> None:
    shop.sandbox.faults.set("P1", path=ITEMS)
    first = shop.rows(ITEMS)
    assert shop.rows(ITEMS, start=50) == first and shop.call(ITEMS, start=50)["next"] == 100
    assert shop.rows(ITEMS, filter={">id": first[-1]["id"]}, start=-1) == first


def test_p2_repeats_rows_of_the_page_before(shop: Shop) -> None:
    shop.sandbox.faults.set("P2", path=ITEMS, rows=5)
    seen = [row["id"] for row in shop.all(ITEMS)]
    assert len(seen) > len(set(seen)) > 170
    last = shop.rows(ITEMS, start=-1)[-1]["id"]
    page = shop.rows(ITEMS, filter={">id": last}, start=-1)
    assert [row["id"] <= last for row in page] == [True] * 5 + [False] * 45


def test_p3_skips_by_offset_and_not_by_key(shop: Shop) -> None:
    faults, before = shop.sandbox.faults, [row["id"] for row in shop.truth("orders")]
    faults.set("P3", path=ORDERS, insert=0, delete=3)
    seen = {row["id"] for row in shop.all(ORDERS)}
    left = {row["id"] for row in shop.truth("orders")}
    assert left - seen, "three rows moved up into a page that was already read"
    assert {row["id"] for row in shop.keyset(ORDERS)} >= left - set(before[:9])
    faults.clear()
    faults.set("P3", path=ITEMS, insert=1, delete=1)
    shop.rows(ITEMS)
    assert len(shop.truth("deleted")) > 9 and len(shop.truth("orders")) < 60


def test_p4_and_p12_and_p6_move_dates(shop: Shop) -> None:
    faults = shop.sandbox.faults
    faults.set("P4", path=ORDERS, edit=10)
    newest = max(row["dateUpdate"] for row in shop.truth("orders"))
    seen = [row["id"] for row in shop.all(ORDERS, order={"dateUpdate": "asc"}, filter={"canceled": "N"})]
    assert len(set(seen)) < len([row for row in shop.truth("orders") if row["canceled"] == "N"])
    assert sum(row["dateUpdate"] > newest for row in shop.truth("orders")) >= 10
    faults.clear()
    faults.set("P12", path=ORDERS, insert=60)
    assert [len(shop.rows(ORDERS, start=start)) for start in (0, 50, 100, 150)] == [50] * 4
    faults.clear()
    faults.set("P6", system="bitrix", count=20)
    assert len({row["dateUpdate"] for row in shop.truth("orders")[:20]}) == 1


def test_p7_shuffles_and_p10_miscounts(shop: Shop) -> None:
    honest = shop.rows(ORDERS)
    shop.sandbox.faults.set("P7", times=1)
    mixed = shop.rows(ORDERS)
    assert mixed != honest and sorted(row["id"] for row in mixed) == [row["id"] for row in honest]
    shop.sandbox.faults.set("P10", by=3)
    assert shop.call(ORDERS)["total"] == 63 and len(shop.all(ORDERS)) == 60
    shop.sandbox.faults.clear()
    shop.sandbox.faults.set("P10", hide=3)
    assert shop.call(ORDERS)["total"] == 60 and len(shop.all(ORDERS)) == 57


def test_p9_s5_and_world_faults_are_in_truth_and_answers(shop: Shop) -> None:
    faults = shop.sandbox.faults
    faults.set("S5", times=1, url="http://trap.test", status=302)
    assert shop.http.get(ORDERS).headers["location"].startswith("http://trap.test/rest/1/")
    for fault in ("L3", "S3", "S7"):
        faults.set(fault, system="bitrix")
    sections = shop.all("catalog.section.list", filter={"iblockId": 23})
    assert sections == shop.truth("sections")
    assert {row["id"]: row["iblockSectionId"] for row in sections[:3]} == {30: 31, 31: 30, 32: 32}
    assert any("script" in row["userDescription"] for row in shop.all(ORDERS))
    honest = shop.http.get(ORDERS).headers["date"]
    faults.set("P9", skew=-7200)
    assert shop.http.get(ORDERS).headers["date"] != honest


@pytest.mark.parametrize(
    ("fault", "options", "expected"),
    [
        ("V1", {}, b"\\u0000"), ("V2", {}, b"\\ud800"), ("V3", {}, b'"price":1e400000'),
        ("V4", {}, b'"dateUpdate":"02.03.2025"'), ("V5", {}, b'"statusId":"invented_stage"'),
        ("V6", {"variant": "wrong_type"}, b'"comments":{"was":"text"}'), ("V7", {"variant": "null"}, b'"id":null'),
        ("V8", {"field": "statusId"}, b'{"statusId":"decoy",'), ("A9", {"variant": "giant", "mb": 1}, b"x" * 1_048_576),
    ],
)  # fmt: skip
def test_v_faults_damage_one_row(shop: Shop, fault: str, options: dict[str, Any], expected: bytes) -> None:
    honest = shop.rows(ORDERS)
    shop.sandbox.faults.set(fault, path=ORDERS, record=5002, **options)
    body = shop.http.get(ORDERS).content
    assert body.count(expected) == 1
    if fault == "V8":
        assert listed(json.loads(body)["result"]) == honest, "the last of two equal keys is the true one"


def test_v7_reaches_users_whose_key_is_in_capitals(shop: Shop) -> None:
    shop.sandbox.faults.set("V7", path="user.get", variant="missing", record=3)
    assert ["ID" in row for row in shop.rows("user.get")] == [True, True, False, True, True, True]
