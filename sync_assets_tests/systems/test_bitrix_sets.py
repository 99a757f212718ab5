"""Bitrix's order items, payments, shipments and properties: the whole set of each order that has changed.

An item that was taken out of its order is shown by no filter on dates, and a new one bears a new id.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sync_assets.errors import FuseBlown, RetryLater, SyncError
from sync_assets_tests.company import Company
from sync_assets_tests.systems.bitrix_requests import asked_for, batches, mark

ITEMS = "sale.basketitem.list"
ORDERS_AND_ITEMS = ["orders", "order_items"]
PARTS = ["order_items", "payments", "shipments", "order_properties"]


def product(n: int = 0) -> dict[str, Any]:
    return {"productId": 0, "name": f"Сборка {n}", "price": 100 + n}


@pytest.fixture
def shop(make_shop: Callable[..., Company]) -> Company:
    """Orders and items in step, and an hour later than their last change."""
    shop = make_shop()
    shop.synced("full", "bitrix", ORDERS_AND_ITEMS)
    shop.sandbox.world.clock.advance(3600)
    return shop


def assert_in_step(company: Company, only: Sequence[str] = ORDERS_AND_ITEMS) -> None:
    for entity in only:
        assert company.raw(entity, "bitrix") == company.truth(entity, "bitrix"), entity
    company.assert_ledger_adds_up()


def items_of(company: Company, order: int) -> list[int]:
    return list(company.sandbox.world.bitrix.tables["order_items"].children(order))


def graves(company: Company, entity: str = "order_items") -> dict[int, str]:
    rows = company.query(
        "select key::bigint, evidence from sync.tombstones where account = 'bitrix' and entity = %s", [entity]
    )
    return dict(rows)


def orders_with(company: Company, count: int) -> list[int]:
    return sorted(company.truth("orders", "bitrix"))[:count]


def test_an_item_that_left_its_order_is_buried_and_its_successor_comes(shop: Company) -> None:
    world = shop.sandbox.world.bitrix
    order, other = orders_with(shop, 2)
    old = items_of(shop, order)
    world.replace_items(order, [product(1), product(2)])
    since = mark(shop.sandbox)
    done = shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)["order_items"].totals
    assert (done["created"], done["deleted"]) == (2, len(old))
    assert graves(shop) == dict.fromkeys(old, "everything of its bitrix_order_id was read, without it")
    asked = asked_for(shop.sandbox, ITEMS, "filter[orderId]", since)
    assert order in asked and other not in asked
    assert_in_step(shop)


def test_only_changed_orders_are_asked_for_fifty_in_a_request(shop: Company) -> None:
    world = shop.sandbox.world.bitrix
    changed = orders_with(shop, 51)
    for order in changed:
        world.set_status(order, "CO")
    since = mark(shop.sandbox)
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    sets = [batch for batch in batches(shop.sandbox, since) if batch[0].startswith(ITEMS)]
    asked = asked_for(shop.sandbox, ITEMS, "filter[orderId]", since)
    # Whoever was the newest at the last sync may have been changed once more in the same second.
    assert set(changed) <= set(asked) and len(set(asked) - set(changed)) <= 1
    assert sorted(len(batch) for batch in sets) == [len(asked) - 50, 50], "both at once, in any order"
    assert_in_step(shop)


def test_nothing_is_asked_for_a_second_time_when_nothing_happens(shop: Company) -> None:
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    done = shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)["order_items"].totals
    assert done["created"] == done["updated"] == done["deleted"] == 0 and done["requests"] <= 1


@pytest.mark.parametrize("count", [49, 50, 51, 130])
def test_a_set_of_more_items_than_a_page_is_read_to_its_end(shop: Company, count: int) -> None:
    world = shop.sandbox.world.bitrix
    big, small = orders_with(shop, 2)
    world.replace_items(big, [product(n) for n in range(count)])
    world.replace_items(small, [product()])
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert_in_step(shop)
    # And the last one leaves again.
    with world.changing():
        world.tables["order_items"].drop(items_of(shop, big)[-1])
    world.update_order(big)
    assert shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)["order_items"].totals["deleted"] == 1
    assert_in_step(shop)


def test_an_order_may_lose_all_its_items(shop: Company) -> None:
    order = orders_with(shop, 1)[0]
    shop.sandbox.world.bitrix.replace_items(order, [])
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert_in_step(shop)


def test_payments_shipments_and_properties_follow_their_order_too(make_shop: Callable[..., Company]) -> None:
    shop = make_shop()
    world = shop.sandbox.world.bitrix
    every = ["orders", *PARTS]
    shop.synced("full", "bitrix", every)
    shop.sandbox.world.clock.advance(3600)
    first, second, third = orders_with(shop, 3)
    with world.changing():
        for part in ("payments", "shipments", "order_properties"):
            world.tables[part].drop(world.tables[part].children(first)[0])
    world.update_order(first)
    world.pay_order(second)
    world.ship_order(third, tracking="KZ1")
    done = shop.synced("incremental", "bitrix", every)
    assert [done[part].totals["deleted"] for part in PARTS] == [0, 1, 1, 1]
    assert_in_step(shop, every)


def test_what_is_saved_without_touching_its_order_comes_with_a_full_sync(make_shop: Callable[..., Company]) -> None:
    shop = make_shop(payment_touches="no")
    shop.synced("full", "bitrix", ["orders", "payments"])
    shop.sandbox.world.clock.advance(3600)
    unpaid = next(
        o for o in sorted(shop.truth("orders", "bitrix")) if shop.truth("orders", "bitrix")[o]["payed"] == "N"
    )
    shop.sandbox.world.bitrix.pay_order(unpaid)
    shop.synced("incremental", "bitrix", ["orders", "payments"])
    assert shop.raw("payments", "bitrix") != shop.truth("payments", "bitrix")
    shop.synced("full", "bitrix", ["orders", "payments"])
    assert_in_step(shop, ["orders", "payments"])


def test_a_deleted_order_leaves_with_all_that_belongs_to_it_and_proof(make_shop: Callable[..., Company]) -> None:
    shop = make_shop()
    every = ["orders", *PARTS]
    shop.synced("full", "bitrix", every)
    order = orders_with(shop, 7)[-1]
    items = items_of(shop, order)
    shop.sandbox.world.bitrix.delete_order(order)
    shop.synced("full", "bitrix", every)
    assert graves(shop, "orders") == {order: "asked for by id: error 200540400001, it does not exist"}
    assert graves(shop) == dict.fromkeys(items, "asked for by id: error 0, it does not exist")
    assert_in_step(shop, every)


def test_a_newer_sight_of_an_item_protects_it_from_an_older_set(shop: Company) -> None:
    order = orders_with(shop, 1)[0]
    item = items_of(shop, order)[0]
    shop.sandbox.world.bitrix.replace_items(order, [product()])
    shop.query("update bitrix.order_items set seen = 1000000 where id = %s", [item])
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert item in shop.raw("order_items", "bitrix") and item not in graves(shop)
    shop.query("update bitrix.order_items set seen = 1 where id = %s", [item])
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert item in graves(shop)
    assert_in_step(shop)


@pytest.mark.parametrize(("orders", "forget"), [(12, 1.0), (15, 0.6), (60, 1.0)])
def test_a14_sets_that_are_suddenly_empty_or_thin_blow_the_fuse(shop: Company, orders: int, forget: float) -> None:
    world = shop.sandbox.world.bitrix
    changed = orders_with(shop, orders)
    for order in changed:
        world.update_order(order)
    before = shop.raw("order_items", "bitrix")
    shop.sandbox.faults.set("A14", system="bitrix", path="sale.basketitem", forget=forget)
    done = shop.sync("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert isinstance(done["order_items"], FuseBlown), done["order_items"]
    assert shop.raw("order_items", "bitrix") == before and graves(shop) == {}
    shop.sandbox.faults.clear()
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert_in_step(shop)


def test_many_items_that_come_back_under_new_ids_blow_no_fuse(shop: Company) -> None:
    world = shop.sandbox.world.bitrix
    for order in orders_with(shop, 15):
        world.replace_items(order, [product(n) for n, _ in enumerate(items_of(shop, order))])
    assert shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)["order_items"].totals["deleted"] > 30
    assert_in_step(shop)


def test_emptied_orders_may_be_let_through_by_a_person(shop: Company) -> None:
    world = shop.sandbox.world.bitrix
    emptied = orders_with(shop, 12)
    gone = [item for order in emptied for item in items_of(shop, order)]
    for order in emptied:
        world.replace_items(order, [])
    assert isinstance(shop.sync("incremental", "bitrix", ORDERS_AND_ITEMS)["order_items"], FuseBlown)
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS, allow_deletions=len(gone))
    assert graves(shop).keys() == set(gone)
    assert_in_step(shop)


def test_v7_an_item_without_its_id_is_not_taken_for_one_that_left(shop: Company) -> None:
    order = orders_with(shop, 4)[3]
    items = items_of(shop, order)
    shop.sandbox.world.bitrix.update_order(order)
    struck = shop.sandbox.faults.set("V7", system="bitrix", path=ITEMS, record=items[0], variant="missing")
    done = shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)["order_items"]
    assert struck.strikes == 1 and (done.totals["rejected"], done.totals["deleted"]) == (1, 0)
    assert set(items) <= shop.raw("order_items", "bitrix").keys() and graves(shop) == {}
    shop.sandbox.faults.clear()
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert_in_step(shop)


def test_a11_under_other_rights_no_item_leaves_its_set(shop: Company) -> None:
    world = shop.sandbox.world.bitrix
    order = orders_with(shop, 1)[0]
    item = items_of(shop, order)[0]
    world.scopes.discard("crm")
    world.replace_items(order, [product()])
    done = shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)["order_items"]
    assert done.totals["deleted"] == 0 and "rights" in done.note
    assert item in shop.raw("order_items", "bitrix")
    world.scopes.add("crm")
    shop.synced("full", "bitrix", ORDERS_AND_ITEMS)
    assert_in_step(shop)


def test_an_order_whose_change_is_loaded_late_is_not_missed(shop: Company) -> None:
    world, clock = shop.sandbox.world.bitrix, shop.sandbox.world.clock
    early, late, last = orders_with(shop, 3)
    world.set_status(early, "CO")
    shop.synced("incremental", "bitrix", "orders")
    clock.advance(86_400)
    world.replace_items(late, [product()])
    clock.advance(86_400)
    shop.sandbox.faults.set("A3", system="bitrix", path=r"sale\.order\.list", status=503)
    done = shop.sync("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert isinstance(done["orders"], RetryLater) and "order_items" not in done
    # On their own the items are read in spite of it, as far as their orders are known.
    assert shop.synced("incremental", "bitrix", "order_items")["order_items"].totals["requests"] == 1
    shop.sandbox.faults.clear()
    clock.advance(86_400)
    world.set_status(last, "CO")
    shop.synced("incremental", "bitrix", "orders")
    shop.synced("incremental", "bitrix", "order_items")
    assert_in_step(shop)


def test_items_that_failed_are_read_with_the_next_sync_though_their_orders_went_on(shop: Company) -> None:
    world, clock = shop.sandbox.world.bitrix, shop.sandbox.world.clock
    first, second = orders_with(shop, 2)
    world.replace_items(first, [product()])
    shop.sandbox.faults.set("A3", system="bitrix", path=r"basketitem", status=503)
    done = shop.sync("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert isinstance(done["order_items"], SyncError) and not isinstance(done["orders"], SyncError)
    shop.sandbox.faults.clear()
    clock.advance(86_400)
    world.replace_items(second, [product()])
    shop.synced("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert_in_step(shop)


def test_another_orders_rows_in_a_set_are_a_broken_filter_p1(shop: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    world = shop.sandbox.world.bitrix
    order = orders_with(shop, 9)[8]
    world.update_order(order)
    kind = world.tables["order_items"].kind
    monkeypatch.delitem(kind.columns, "ORDER_ID")
    before = shop.raw("order_items", "bitrix")
    done = shop.sync("incremental", "bitrix", ORDERS_AND_ITEMS)
    assert isinstance(done["order_items"], SyncError) and "does not obey the filter orderId" in str(done["order_items"])
    assert shop.raw("order_items", "bitrix") == before and graves(shop) == {}
