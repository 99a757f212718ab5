"""Bitrix's missing parents: orders name people and goods that no list shows, and none of them costs an order.

What the source has by its id is fetched in the same run; of all else it is known what the source said.
"""

from collections.abc import Callable
from typing import Any

import pytest

from sync_assets_tests.check.look import found_by_its_query, look
from sync_assets_tests.company import Company
from sync_assets_tests.systems.bitrix_requests import asked_for, batches, mark

GOODS = ("products", "order_items")


@pytest.fixture
def shop(make_shop: Callable[..., Company]) -> Company:
    return make_shop(orders="53", orphans="33")


def gaps(company: Company) -> set[tuple[Any, ...]]:
    return set(company.query("select order_id, entity, key::bigint, state from bitrix.order_gaps"))


def missing(company: Company) -> dict[str, tuple[str, str]]:
    rows = company.query("select entity, key, state, evidence from sync.missing_parents where account = 'bitrix'")
    return {f"{entity} {key}": (state, evidence) for entity, key, state, evidence in rows}


def expected(company: Company) -> tuple[set[tuple[Any, ...]], set[int]]:
    """What order_gaps must hold, and the goods that only a look by id finds, by the world's own books."""
    world = company.sandbox.world
    unlisted = {product["id"] for product in world.truth("bitrix", "unlisted")}
    holes: set[tuple[Any, ...]] = set()
    found: set[int] = set()
    for orphan in world.truth("bitrix", "orphans"):
        if orphan["userId"] is not None:
            holes.add((orphan["id"], "users", orphan["userId"], "unreachable"))
        found |= unlisted & set(orphan["productIds"])
        holes |= {(orphan["id"], "products", id, "gone") for id in set(orphan["productIds"]) - unlisted}
    return holes, found


def test_of_53_orders_with_33_orphans_all_are_stored_and_each_gap_is_accounted_for(shop: Company) -> None:
    done = shop.synced("full", "bitrix")
    assert shop.count("orders", "bitrix") == 53
    assert len(shop.sandbox.world.truth("bitrix", "orphans")) == 33
    holes, found = expected(shop)
    assert gaps(shop) == holes and found
    assert found <= shop.raw("products", "bitrix").keys(), "what the source has by its id is here in the same run"
    assert done["orders"].waiting == done["order_items"].waiting == 0
    for state, evidence in missing(shop).values():
        assert (
            evidence
            == {
                "gone": "asked for by id: error 0, it does not exist",
                "unreachable": "user.get does not show it; it never shows buyers, bots and e-mail users",
            }[state]
        )
    shop.assert_world_equals_postgres("bitrix")
    shop.assert_ledger_adds_up()


def test_the_check_says_which_parents_are_missing_and_how_that_is_known(shop: Company) -> None:
    done = shop.synced("full", "bitrix")
    holes, _ = expected(shop)
    for entity, parent, state, column in (
        ("orders", "users", "unreachable", "bitrix_user_id"),
        ("order_items", "products", "gone", "product_id"),
    ):
        finding = look(shop, "links_resolve", entity, "bitrix", [done[entity].log_id])
        keys = {key for _, to, key, _ in holes if to == parent}
        assert not finding.passed and finding.severity == "WARN"
        assert finding.facts[state] == finding.facts["count"] == len(keys) and finding.facts["waiting"] == 0
        assert len(found_by_its_query(shop, finding)) == len(keys)
        assert all(
            line.startswith(f"{column} -> {parent} ") and f": {state} (" in line for line in finding.facts["sample"]
        )
    assert look(shop, "links_resolve", "payments", "bitrix").passed


def test_missing_parents_are_asked_for_fifty_at_a_time_and_each_once(shop: Company) -> None:
    world = shop.sandbox.world.bitrix
    for n in range(103):
        buyer = world.create_buyer(f"Buyer {n}", f"more{n}@example.test", "+77010000000")
        world.create_order(buyer, [{"productId": 0, "name": "Сборка", "price": 10}])
    shop.synced("full", "bitrix", ["users", "orders"])
    looks = [batch for batch in batches(shop.sandbox) if batch[0].startswith("user.get")]
    wanted = {order["userId"] for order in shop.truth("orders", "bitrix").values()} - world.users.keys()
    assert len(wanted) > 103
    assert sorted(map(len, looks), reverse=True) == [50, 50, len(wanted) - 100]
    assert sorted(asked_for(shop.sandbox, "user.get", "ID")) == sorted(wanted)


def test_who_is_gone_is_not_asked_for_again_and_who_is_unreachable_later(shop: Company) -> None:
    shop.synced("full", "bitrix")
    before = missing(shop)
    for due in (False, True):
        if due:
            shop.query("update sync.missing_parents set next_try_at = now() where account = 'bitrix'")
        since = mark(shop.sandbox)
        shop.synced("incremental", "bitrix")
        buyers = {int(name.split()[1]) for name, (state, _) in before.items() if state == "unreachable"}
        assert set(asked_for(shop.sandbox, "user.get", "ID", since)) == (buyers if due else set())
        assert asked_for(shop.sandbox, "catalog.product.get", "id", since) == []
    assert missing(shop) == before


def test_goods_that_only_a_look_by_id_finds_survive_the_next_full_sync(shop: Company) -> None:
    shop.synced("full", "bitrix")
    _, found = expected(shop)
    again = shop.synced("full", "bitrix")["products"].totals
    assert (again["deleted"], again["created"]) == (0, 0)
    assert found <= shop.raw("products", "bitrix").keys()
    gone = min(found)
    shop.sandbox.world.bitrix.delete_product(gone)
    assert shop.synced("full", "bitrix")["products"].totals["deleted"] == 1
    # Its items have not changed and still name it: the look at the whole table tells that it was here once.
    assert look(shop, "links_resolve", "order_items", "bitrix").facts["gone"] == len(
        {key for _, to, key, _ in expected(shop)[0] if to == "products"}
    )
    state, evidence = missing(shop)[f"products {gone}"]
    assert state == "gone" and evidence.startswith("gone since ") and gaps(shop) == expected(shop)[0]
    shop.assert_world_equals_postgres("bitrix")
    shop.assert_ledger_adds_up()


def test_where_buyers_are_listed_nobody_is_missing(make_shop: Callable[..., Company]) -> None:
    shop = make_shop(orders="53", orphans="33", buyers="listed")
    shop.synced("full", "bitrix")
    holes, _ = expected(shop)
    assert {state for *_, state in holes} == {"gone"}
    assert gaps(shop) == holes
    assert look(shop, "links_resolve", "orders", "bitrix").passed
    shop.assert_world_equals_postgres("bitrix")


def test_a_buyer_who_becomes_visible_comes_and_the_gap_closes_by_itself(shop: Company) -> None:
    shop.synced("full", "bitrix")
    assert [hole for hole in gaps(shop) if hole[1] == "users"]
    shop.sandbox.world.switches["bitrix.buyers"] = "listed"
    shop.synced("incremental", "bitrix")
    assert not [hole for hole in gaps(shop) if hole[1] == "users"]
    assert look(shop, "links_resolve", "orders", "bitrix").passed
    shop.assert_world_equals_postgres("bitrix")
    shop.assert_ledger_adds_up()


def test_a_lookup_that_fails_leaves_its_links_waiting_and_no_order_out(shop: Company) -> None:
    shop.synced("full", "bitrix", ["users", "products"])
    shop.sandbox.faults.set("A3", system="bitrix", path=r"catalog\.product\.get", status=503)
    done = shop.synced("full", "bitrix", ["orders", "order_items"])
    assert shop.count("orders", "bitrix") == 53
    assert done["order_items"].waiting == len({key for _, to, key, _ in gaps(shop) if to == "products"}) > 0
    finding = look(shop, "links_resolve", "order_items", "bitrix")
    assert finding.severity == "WARN" and finding.facts["waiting"] == done["order_items"].waiting
    shop.sandbox.faults.clear()
    shop.query("update sync.missing_parents set next_try_at = now() where account = 'bitrix'")
    shop.synced("incremental", "bitrix")
    assert gaps(shop) == expected(shop)[0]
