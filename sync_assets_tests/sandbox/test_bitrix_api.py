"""Bitrix's dialect as its clients meet it: lists, filters, single records, users, limits and refusals."""

import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sync_assets.sandbox.bitrix import php
from sync_assets.sandbox.bitrix.shapes import KINDS
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.bitrix import Shop
from sync_assets_tests.sandbox.conftest import UNLIMITED

PLAIN = [kind for kind in KINDS.values() if not kind.needs]


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: kind.name)
def test_paging_gives_each_row_once_and_equals_the_truth(shop: Shop, kind: Any) -> None:
    answer = shop.call(f"{kind.method}.list")
    assert list(answer["result"]) == [kind.many] and answer["total"] == len(shop.truth(kind.name))
    assert ("next" in answer) is (answer["total"] > 50)
    rows = shop.all(f"{kind.method}.list")
    assert rows == shop.truth(kind.name)
    assert list(rows[0]) == sorted(rows[0])
    assert answer["time"].keys() == {
        "start", "finish", "duration", "processing", "date_start", "date_finish", "operating_reset_at", "operating"
    }  # fmt: skip


def test_products_come_catalogue_by_catalogue_and_only_with_what_they_demand(shop: Shop) -> None:
    found = []
    for catalogue in shop.rows("catalog.catalog.list"):
        wanted = {"iblockId": catalogue["iblockId"]}
        found += shop.all("catalog.product.list", filter=wanted, select=["id", "iblockId", "*"])
        assert shop.call("catalog.product.list", filter=wanted, select=["id"])["error"] == 0
        assert shop.call("catalog.product.list", select=["id", "iblockId"])["error"] == 0
    assert sorted(found, key=lambda row: row["id"]) == shop.truth("products")
    assert {row["type"] for row in found} == {1, 4}
    assert shop.all("catalog.section.list", filter={"iblockId": 23}) == shop.truth("sections")
    assert shop.http.get("catalog.section.list").status_code == 400
    thin = shop.rows("catalog.product.list", filter={"iblockId": 23}, select=["id", "iblockId", "name"])[0]
    assert list(thin) == ["iblockId", "id", "name"]


def test_a_page_is_fifty_and_start_is_the_number_of_a_page(shop: Shop) -> None:
    ids = [row["id"] for row in shop.truth("order_items")]
    pages = [[row["id"] for row in shop.rows("sale.basketitem.list", start=start)] for start in (0, 50, 99, 150, 500)]
    assert pages == [ids[:50], ids[50:100], ids[50:100], ids[150:200], []]
    answer = shop.call("sale.basketitem.list", start=50)
    assert (answer["total"], answer["next"]) == (180, 100)
    assert "next" not in shop.call("sale.basketitem.list", start=150)


def test_counting_can_be_switched_off_and_the_key_leads_to_the_end(shop: Shop) -> None:
    answer = shop.call("sale.order.list", start=-1)
    assert answer["total"] == 0 and "next" not in answer and len(answer["result"]["orders"]) == 50
    assert shop.keyset("sale.order.list") == shop.truth("orders")
    half = [row for row in shop.truth("order_items") if row["orderId"] > 5030]
    assert shop.keyset("sale.basketitem.list", filter={">orderId": 5030}) == half


def test_filters_mean_what_their_prefix_says(shop: Shop) -> None:
    orders = shop.truth("orders")
    ids = [row["id"] for row in orders]

    def found(**filters: Any) -> set[int]:
        return {row["id"] for row in shop.all("sale.order.list", filter=filters)}

    assert found(**{">=id": ids[3], "<id": ids[6]}) == set(ids[3:6])
    assert found(**{"@id": ids[:2]}) == found(id=ids[:2]) == set(ids[:2])
    assert found(**{"!@id": ids[:2]}) == set(ids[2:]) and found(**{"!id": ids[0]}) == set(ids[1:])
    done = {row["id"] for row in orders if row["statusId"] == "F"}
    assert found(statusId="F") == found(**{"=statusId": "f"}) == found(**{"@statusId": ["F"]}) == done
    assert found(**{"!=statusId": "F"}) == set(ids) - done
    assert found(**{"%accountNumber": "503"}) == {id for id in ids if "503" in str(id)}
    assert found(**{"=%accountNumber": "%9"}) == {id for id in ids if id % 10 == 9}
    assert found(**{">=price": 5000.5}) == {row["id"] for row in orders if row["price"] >= 5000.5}
    middle = sorted(row["dateUpdate"] for row in orders)[30]
    late = {row["id"] for row in orders if row["dateUpdate"] >= middle}
    assert found(**{">=dateUpdate": middle}) == late and found(**{"<dateUpdate": middle}) == set(ids) - late
    day, rest = middle[:10].split("-"), middle[11:19]
    assert found(**{">=dateUpdate": f"{day[2]}.{day[1]}.{day[0]} {rest}"}) == late, "without a zone it is the portal's"
    assert found(**{"!@statusId": ["F", "N"], "canceled": "N"}) == {
        row["id"] for row in orders if row["statusId"] not in ("F", "N") and row["canceled"] == "N"
    }


@pytest.mark.parametrize(
    "dropped",
    [
        {"STATUS_ID": "F"}, {"ID": 5000}, {">=ID": 5050}, {">=dateUpdate": "soon"}, {">=dateUpdate": ""},
        {"nonsense": 1}, {">=dateUpdate": "2025-01-01T00:00:00 03:00"},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_filter_does_not_understand_vanishes_and_the_whole_table_comes(shop: Shop, dropped: Any) -> None:
    assert shop.call("sale.order.list", filter=dropped)["total"] == 60


def test_keys_are_converted_as_the_vendor_converts_them(shop: Shop) -> None:
    assert shop.call("sale.order.list", filter={"statusID": "F"})["total"] < 60, "one more capital does no harm"
    assert shop.call("sale.order.list", filter={"status_id": "F"})["total"] < 60, "nor does a name in lower case"
    assert shop.call("sale.order.list", filter={"updated1c": "Y"})["total"] == 0
    newest = shop.rows("sale.order.list", order={"id": "desc"}, select=["id", "dateUpdate", "nonsense"])
    assert [row["id"] for row in newest] == sorted((row["id"] for row in newest), reverse=True)
    assert list(newest[0]) == ["dateUpdate", "id"]
    upper = shop.rows("sale.order.list", order={"ID": "DESC"}, select=["ID"])
    assert upper == shop.truth("orders")[:50], "an unknown order and select are none"
    by_date = shop.all("sale.order.list", order={"dateUpdate": "asc", "id": "asc"})
    assert by_date == sorted(shop.truth("orders"), key=lambda row: (row["dateUpdate"], row["id"]))


def test_a_list_for_a_whole_number_may_be_read_as_one() -> None:
    with Sandbox(rates=UNLIMITED, switches={"bitrix.int_lists": "one"}) as sb, Shop(sb) as shop:
        assert shop.call("sale.order.list", filter={"@id": [5000, 5001]})["total"] == 0
        assert shop.call("sale.order.list", filter={"@statusId": ["F", "N"]})["total"] > 0


def test_methods_take_get_form_and_json_in_any_case(shop: Shop) -> None:
    wanted = {"filter": {">id": 5057}, "select": ["id"]}
    query = f"{quote('filter[>id]')}=5057&select[]=id"
    expected = [{"id": 5058}, {"id": 5059}]
    answers = [
        shop.http.get(f"sale.order.list?{query}"), shop.http.get(f"sale.order.list.json?{query}"),
        shop.http.get(f"SALE.Order.List?{query}"), shop.http.post("sale.order.list", json=wanted),
        shop.http.post("sale.order.list", data={"filter[>id]": "5057", "select[0]": "id"}),
        shop.http.post(f"sale.order.list?{query}"),
    ]  # fmt: skip
    assert [answer.json()["result"]["orders"] for answer in answers] == [expected] * 6
    assert shop.http.get("sale.order.list?filter[>=id]=5058").json()["total"] == 60, "an = ends the name"
    assert php.parse("a[b][]=1&a[b][]=2&a[c]=3&d=4&e[f=5") == {
        "a": {"b": {"0": "1", "1": "2"}, "c": "3"}, "d": "4", "e_f": "5"
    }  # fmt: skip


def test_an_order_alone_has_everything_and_items_with_ids_as_texts(shop: Shop) -> None:
    id = shop.truth("orders")[4]["id"]
    order = shop.call("sale.order.get", id=str(id))["result"]["order"]
    items = shop.all("sale.basketitem.list", filter={"orderId": id})
    assert [item["id"] for item in order["basketItems"]] == [str(item["id"]) for item in items]
    assert order["basketItems"][0] == items[0] | {"id": str(items[0]["id"]), "orderId": str(id)}
    assert {row["code"] for row in order["propertyValues"]} >= {"FIO", "EMAIL", "CITY"}
    assert order["shipments"][0]["statusId"] in ("DN", "DF") and order["payments"][0]["orderId"] == id
    total = sum(item["price"] * item["quantity"] for item in items) + order["shipments"][0]["priceDelivery"]
    assert order["price"] == order["payments"][0]["sum"] == pytest.approx(total)
    for method, missing in (
        ("sale.order.get", 200540400001),
        ("sale.payment.get", 0),
        ("sale.status.get", 201340400001),
    ):
        refused = shop.http.post(method, json={"id": 7})
        assert (refused.status_code, refused.json()["error"]) == (400, missing)
    assert shop.call("sale.order.get")["error"] == 100
    product = shop.call("catalog.product.get", id=shop.truth("products")[0]["id"])["result"]["product"]
    assert isinstance(product["purchasingPrice"], str) and "withoutOrder" not in product
    assert shop.call("sale.status.get", id="DF")["result"]["status"]["type"] == "D"


def test_users_speak_in_capitals_and_buyers_are_not_among_them(shop: Shop) -> None:
    rows = shop.all("user.get")
    truth = shop.truth("users")
    assert [{name: row[name] for name in truth[0]} for row in rows] == truth
    assert rows[0]["ACTIVE"] is True and isinstance(rows[0]["ID"], str) and rows[0]["TIMESTAMP_X"] == {}
    assert "canary-b24" in rows[0]["PASSWORD"] + rows[0]["CHECKWORD"] and "canary" not in str(truth)
    buyer = shop.truth("orders")[0]["userId"]
    assert buyer in {row["id"] for row in shop.truth("buyers")}
    assert shop.call("user.get", FILTER={"ID": buyer})["result"] == shop.call("user.get", ID=buyer)["result"] == []
    assert [row["ID"] for row in shop.rows("user.get", filter={"ID": [1, 3, buyer]})] == ["1", "3"]
    assert len(shop.rows("user.get", FILTER={"ACTIVE": "Y"})) == 5 and len(shop.rows("user.get", ADMIN_MODE=1)) == 6
    assert [row["ID"] for row in shop.rows("user.get", SORT="ID", ORDER="DESC")] == ["6", "5", "4", "3", "2", "1"]
    assert shop.rows("user.search", FIND=truth[2]["LAST_NAME"])
    assert shop.rows("user.search", FILTER={"WORK_POSITION": "пилот"}) == []
    assert shop.call("user.current")["result"]["ID"] == "1" and "EMAIL" in shop.call("user.fields")["result"]


@pytest.mark.parametrize(("dated", "told"), [("yes", True), ("no", False), ("drop", True)])
def test_an_older_module_drops_filters_by_date_and_may_even_claim_to_know_them(dated: str, told: bool) -> None:
    with Sandbox(rates=UNLIMITED, switches={"bitrix.dated": dated}) as sb, Shop(sb) as shop:
        assert ("dateUpdate" in shop.call("sale.order.getFields")["result"]["order"]) is told
        found = shop.rows("sale.order.list", filter={">=dateUpdate": "2035-01-01T00:00:00+03:00"})
        assert bool(found) == (dated != "yes") and all(row["dateUpdate"] for row in found)


def test_buyers_listed_and_rows_without_secrets_are_switches() -> None:
    switches = {"bitrix.buyers": "listed", "bitrix.user_secrets": "no", "bitrix.user_stamps": "site"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb, Shop(sb) as shop:
        rows = shop.all("user.get")
        assert len(rows) == 31 and {row["USER_TYPE"] for row in rows} == {"employee", "shop"}
        assert "PASSWORD" not in rows[0] and rows[0]["TIMESTAMP_X"] == "24.08.2023 13:19:39"
        assert all(row["userId"] is None for row in shop.truth("orphans"))


def test_a_portal_says_what_it_can_do(shop: Shop) -> None:
    assert shop.call("scope")["result"] == ["catalog", "crm", "sale", "user"]
    assert {"sale.order.list", "catalog.price.list"} <= set(shop.call("methods")["result"])
    assert shop.call("method.get", name="sale.order.list")["result"] == {"isExisting": True, "isAvailable": True}
    assert shop.call("server.time")["result"].endswith("+03:00") and shop.call("profile")["result"]["ADMIN"] is True


def test_refusals_are_the_vendors(shop: Shop) -> None:
    base = shop.sandbox.url("bitrix")
    wrong = httpx.get(f"{base}/rest/1/{'0' * 20}/sale.order.list")
    assert (wrong.status_code, wrong.json()["error"]) == (401, "INVALID_CREDENTIALS")
    assert httpx.get(f"{base}/rest/sale.order.list").json()["error"] == "NO_AUTH_FOUND"
    assert httpx.get(f"{base}/elsewhere").status_code == 404
    nowhere = shop.http.get("sale.nonsense.list")
    assert (nowhere.status_code, nowhere.json()["error"]) == (404, "ERROR_METHOD_NOT_FOUND")
    shop.company.scopes.discard("catalog")
    lacking = shop.http.get("catalog.price.list")
    assert (lacking.status_code, lacking.json()["error"]) == (403, "insufficient_scope")
    assert shop.call("method.get", name="catalog.price.list")["result"] == {"isExisting": True, "isAvailable": False}
    shop.company.may_read = False
    denied = shop.http.get("sale.order.list")
    assert (denied.status_code, denied.json()["error"]) == (400, 200040300010)
    switches = {"bitrix.credentials_status": "403", "bitrix.scope_status": "401"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb:
        assert httpx.get(f"{sb.url('bitrix')}/rest/2/x/sale.order.list").status_code == 403
    with Sandbox(rates=UNLIMITED, switches={"bitrix.https": "yes"}) as sb:
        assert httpx.get(f"{sb.bitrix_url}scope").json()["error"] == "INVALID_REQUEST"


def test_the_bucket_holds_fifty_and_leaks_two_a_second() -> None:
    with Sandbox() as sb, Shop(sb) as shop:
        began = time.monotonic()
        codes = [shop.http.get("server.time").status_code for _ in range(60)]
        # What leaked meanwhile was let in.
        leaked = int((time.monotonic() - began) * 2) + 1
        assert 50 <= codes.count(200) <= 50 + leaked and codes[:50] == [200] * 50
        refused = shop.http.get("server.time")
        while refused.status_code == 200:
            refused = shop.http.get("server.time")
        assert (refused.status_code, refused.json()["error"]) == (503, "QUERY_LIMIT_EXCEEDED")
        assert len(sb.violations) == codes.count(503) + 1
        time.sleep(0.6)
        assert shop.http.get("server.time").status_code == 200


def test_a_method_that_ran_too_long_is_blocked_until_its_minutes_are_over() -> None:
    switches = {"bitrix.operating_cost": "100", "bitrix.error_time": "yes"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb, Shop(sb) as shop:
        used = [shop.call("sale.order.list")["time"]["operating"] for _ in range(5)]
        assert used == [100, 200, 300, 400, 500]
        blocked = shop.http.get("sale.order.list")
        assert (blocked.status_code, blocked.json()["error"]) == (429, "OPERATION_TIME_LIMIT")
        assert shop.http.get("sale.payment.list").status_code == 200, "other methods go on"
        inside = shop.call("batch", cmd={"a": "sale.order.list", "b": "sale.status.list"})["result"]
        assert inside["result_error"]["a"]["error"] == "OPERATION_TIME_LIMIT" and "b" in inside["result"]
        wait = blocked.json()["time"]["operating_reset_at"] - sb.world.clock.peek().timestamp()
        assert 500 < wait <= 600
        sb.world.clock.advance(wait + 1)
        assert shop.http.get("sale.order.list").status_code == 200
