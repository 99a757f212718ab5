"""The shop behind the dialect: what each edit moves, what it leaves behind, how it lives and what it costs."""

from datetime import UTC, datetime

import httpx
import pytest

from sync_assets.sandbox.dialect import RefusedError, Request
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.world import World
from sync_assets_tests.sandbox.bitrix import Shop
from sync_assets_tests.sandbox.conftest import UNLIMITED

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def frozen(world: World) -> World:
    world.clock.freeze(NOON)
    return world


def test_a_shop_is_founded_when_somebody_looks_and_the_same_for_a_seed() -> None:
    worlds = [frozen(World(seed=5)), frozen(World(seed=5)), frozen(World(seed=6))]
    assert worlds[0].systems["bitrix"]._company is None  # type: ignore[attr-defined]
    for world in worlds:
        for _ in range(4):
            world.systems["bitrix"].live(world._dice("life"))
    told = [{e: w.truth_rows("bitrix", e) for e in w.systems["bitrix"].entities()} for w in worlds]
    assert told[0] == told[1] != told[2]
    with pytest.raises(RefusedError):
        worlds[0].truth("bitrix", "nonsense")


def test_saving_an_order_moves_its_date_and_version_whatever_was_edited(shop: Shop) -> None:
    company, seen = shop.company, []
    id = company.create_order()

    def moved() -> bool:
        order = company.get("orders", id)
        seen.append((order["version"], order["dateUpdate"]))
        company.clock.advance(1)
        return len(seen) == 1 or (seen[-1][0] == seen[-2][0] + 1 and seen[-1][1] > seen[-2][1])

    assert moved()
    company.set_status(id, "RD")
    assert moved() and company.get("orders", id)["dateStatus"] == seen[-1][1]
    company.pay_order(id)
    assert moved() and company.get("orders", id)["payed"] == "Y"
    company.ship_order(id, tracking="KZ1")
    shipment = company.tables["shipments"].children(id)[0]
    assert moved() and company.get("shipments", shipment)["statusId"] == "DF"
    company.update_order(id, comments="звонил дважды")
    assert moved()
    company.cancel_order(id, "Передумал")
    order = company.get("orders", id)
    assert moved() and (order["canceled"], order["statusId"], order["reasonCanceled"]) == ("Y", "RD", "Передумал")
    with pytest.raises(RefusedError):
        company.set_status(id, "DF")
    with pytest.raises(RefusedError):
        company.update_order(id, nonsense=1)


def test_items_that_left_an_order_are_gone_without_a_date(shop: Shop) -> None:
    company = shop.company
    id = company.create_order(items=[{"productId": 0, "name": "Сборка", "price": 100.5}, {"productId": 0, "price": 7}])
    before = company.tables["order_items"].children(id)
    company.replace_items(id, [{"productId": 0, "name": "Лента", "price": 50, "quantity": 3}])
    after = company.tables["order_items"].children(id)
    assert len(after) == 1 and min(after) > max(before), "an id is never given twice"
    assert {"entity": "order_items", "id": before[0]} in shop.truth("deleted")
    assert shop.rows("sale.basketitem.list", filter={"orderId": id})[0]["name"] == "Лента"
    shipping = company.get("shipments", company.tables["shipments"].children(id)[0])["priceDelivery"]
    assert company.get("orders", id)["price"] == 150 + shipping
    company.delete_order(id)
    assert shop.call("sale.order.get", id=id)["error"] == 200540400001
    assert not any(company.tables[name].children(id) for name in ("order_items", "payments", "shipments"))
    assert company.create_order() == id + 1


def test_what_moves_no_date_by_switch() -> None:
    for touches in ("yes", "no"):
        world = World(switches={"bitrix.payment_touches": touches, "bitrix.price_touches": touches})
        company = world.bitrix
        order, product = company.tables["orders"].ids[-1], company.tables["products"].ids[-1]
        before = company.get("orders", order)["dateUpdate"], company.get("products", product)["timestampX"]
        company.pay_order(order)
        company.set_price(product, 1234.5)
        after = company.get("orders", order)["dateUpdate"], company.get("products", product)["timestampX"]
        assert [new > old for new, old in zip(after, before, strict=True)] == [touches == "yes"] * 2
        assert company.get("orders", order)["payed"] == "Y" and company.price(product) == 1234.5


def test_every_step_of_life_changes_an_order_and_its_date() -> None:
    world = World(seed=3)
    for day in range(25):
        world.clock.advance(60)
        newest = max(order["dateUpdate"] for order in world.truth("bitrix", "orders"))
        world.systems["bitrix"].live(world._dice(f"day {day}"))
        assert max(order["dateUpdate"] for order in world.truth("bitrix", "orders")) > newest
    orders = {order["id"]: order for order in world.truth("bitrix", "orders")}
    for entity in ("order_items", "payments", "shipments", "order_properties"):
        assert {row["orderId"] for row in world.truth("bitrix", entity)} <= orders.keys()
    codes = {row["id"] for row in world.truth("bitrix", "order_statuses")}
    assert {order["statusId"] for order in orders.values()} <= codes
    assert {row["id"] for row in world.truth("bitrix", "delivery_statuses")} == {"DN", "DD", "DF"}
    assert {row["entity"] for row in world.truth("bitrix", "deleted")} >= {"products", "order_items"}


def test_fifty_three_orders_of_which_thirty_three_point_at_nobody() -> None:
    switches = {"bitrix.orders": "53", "bitrix.orphans": "33"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb, Shop(sb) as shop:
        orphans = {row["id"]: row for row in shop.truth("orphans")}
        assert len(orphans) == 33 and len(shop.truth("orders")) == 53
        users = {int(row["ID"]) for row in shop.all("user.get")}
        goods = {
            row["id"]
            for iblock in (23, 24)
            for row in shop.all("catalog.product.list", filter={"iblockId": iblock}, select=["*"])
        }
        for order in shop.all("sale.order.list"):
            items = shop.rows("sale.basketitem.list", filter={"orderId": order["id"]})
            missing = sorted({item["productId"] for item in items} - goods - {0})
            user = None if order["userId"] in users else order["userId"]
            told = {"id": order["id"], "userId": user, "productIds": missing}
            assert orphans.get(order["id"], {"id": order["id"], "userId": None, "productIds": []}) == told
        kinds = {(row["userId"] is None, not row["productIds"]) for row in orphans.values()}
        assert kinds == {(False, True), (True, False), (False, False)}
        lost = {id for row in orphans.values() for id in row["productIds"]}
        unlisted = {row["id"] for row in shop.truth("unlisted")}
        gone = {row["id"] for row in shop.truth("deleted") if row["entity"] == "products"}
        assert lost & unlisted and lost & gone and lost <= unlisted | gone
        for id in lost:
            answer = shop.call("catalog.product.get", id=id)
            assert ("result" in answer) is (id in unlisted) and ("error" in answer) is (id in gone)


def test_goods_and_people_can_be_edited(shop: Shop) -> None:
    company = shop.company
    id = company.create_product("Пион", 500, active="N")
    assert company.price(id) == 500 and shop.call("catalog.product.get", id=id)["result"]["product"]["active"] == "N"
    company.hide_product(id)
    assert id not in {row["id"] for row in shop.truth("products")}
    company.delete_product(id)
    assert {"entity": "products", "id": id} in shop.truth("deleted") and shop.truth("unlisted")
    user = company.create_user("Zoë", "Núñez")
    company.update_user(user, ACTIVE=False)
    assert shop.rows("user.get", ID=user)[0]["ACTIVE"] is False
    company.create_buyer("Ольга", "o@example.test", "+77010000001")
    company.change("status_langs", "N", name="Новый")
    assert shop.rows("sale.statuslang.list", filter={"statusId": "N"})[0]["name"] == "Новый"


def test_an_order_changes_over_http_as_far_as_the_vendor_lets_it(shop: Shop) -> None:
    id = shop.truth("orders")[0]["id"]
    before = shop.company.get("orders", id)
    given = {"statusId": "RD", "STATUS_ID": "F", "dateStatus": "2020-01-01", "userId": 1, "comments": "x"}
    saved = shop.call("sale.order.update", id=id, fields=given)["result"]["order"]
    assert (saved["statusId"], saved["comments"], saved["userId"]) == ("RD", "x", before["userId"])
    assert (
        saved["version"] == before["version"] + 1 and saved["dateStatus"] == saved["dateUpdate"] > before["dateUpdate"]
    )
    assert saved["clients"] == saved["requisiteLink"] == []
    assert shop.call("sale.order.update", id=id, fields={"STATUS_ID": "F"})["result"]["order"]["statusId"] == "RD"
    assert shop.call("sale.order.update", id=id, fields={"statusId": "??"})["error"] == 0
    assert shop.call("sale.order.delete", id=id)["result"] is True
    assert shop.call("sale.order.delete", id=id)["error"] == 200540400001
    shop.company.may_modify = False
    assert shop.call("sale.order.update", id=id + 1, fields={"comments": "y"})["error"] == 200040300020


def test_the_address_book_gives_the_whole_webhook(shop: Shop) -> None:
    book = shop.sandbox.address_book()["bitrix"]
    assert book == {"url": shop.sandbox.bitrix_url} and httpx.get(f"{book['url']}scope").status_code == 200
    assert httpx.get(f"{shop.sandbox.control_url}/_world/bitrix/statuses").json() == shop.truth("statuses")


def test_sizes_and_pages_of_the_largest() -> None:
    demo = World(size="demo")
    assert len(demo.truth("bitrix", "orders")) == 500 and len(demo.truth("bitrix", "order_items")) == 1500
    bench = World(size="bench")
    assert len(bench.truth_rows("bitrix", "orders")) == 10_000
    assert len(bench.truth_rows("bitrix", "order_items")) == 30_000
    system = bench.systems["bitrix"]
    for last in range(6000, 36_000, 1000):
        query = f"filter%5B%3Eid%5D={last}&start=-1"
        path = system.credentials()["path"] + "sale.basketitem.list"
        answer = system.answer(Request("GET", path, query, {}, {}))
        assert answer.rows is not None and len(answer.rows) == 50
