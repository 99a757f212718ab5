"""Bitrix's lists by their ids: chains of commands that begin where the one before ended, however long the table is.

`COMMANDS` is lowered where a test needs several requests: fifty commands hold 2,500 rows.
"""

from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.errors import FixConfig, RetryLater, SyncError, WrongShape
from sync_assets.sandbox.bitrix.company import GOODS
from sync_assets.sandbox.bitrix.shapes import KINDS
from sync_assets.systems.bitrix import keyset
from sync_assets.systems.bitrix.commands import query
from sync_assets_tests.company import Company
from sync_assets_tests.systems.bitrix_requests import batches, commands, mark

LATER = 3600


def fill(company: Company, count: int, *, catalog: int = GOODS) -> None:
    """So many prices, all of one product, with ids that are not even; as many sections of a catalog."""
    world = company.sandbox.world.bitrix
    prices, sections = world.tables["prices"], world.tables["sections"]
    with world.changing():
        for table in (prices, sections):
            for id in list(table.ids):
                table.drop(id)
        for n in range(count):
            prices.add(id=1000 + 3 * n, productId=1300, price=n, catalogGroupId=1, currency="KZT")
            sections.add(id=1000 + 7 * n, iblockId=catalog, name=f"Section {n}")


def assert_same(company: Company, *entities: str) -> None:
    for entity in entities:
        assert company.raw(entity, "bitrix") == company.truth(entity, "bitrix"), entity
    company.assert_ledger_adds_up()


@pytest.mark.parametrize("count", [0, 49, 50, 100])
@pytest.mark.parametrize(
    "switches", [{"unresolved": "empty"}, {"unresolved": "reached", "uncounted": "no"}], ids=["empty", "reached"]
)
def test_a_table_of_any_length_is_read_once_and_whole(
    make_shop: Callable[..., Company], switches: dict[str, str], count: int
) -> None:
    shop = make_shop(**switches)
    fill(shop, count)
    for growth in (0, 1):
        fill(shop, count + growth)
        done = shop.synced("full", "bitrix", ["catalogs", "sections", "prices"])
        for entity in ("sections", "prices"):
            totals = done[entity].totals
            assert (totals["fetched"], totals["repeated"]) == (count + growth, 0)
        assert_same(shop, "sections", "prices")


@pytest.mark.parametrize(("count", "requests"), [(2499, 1), (2500, 1), (2501, 2)])
@pytest.mark.parametrize("unresolved", ["empty", "reached"])
def test_fifty_pages_are_one_request_and_a_full_last_one_needs_no_further(
    make_shop: Callable[..., Company], unresolved: str, count: int, requests: int
) -> None:
    shop = make_shop(unresolved=unresolved)
    fill(shop, count)
    for _ in ("first", "again"):
        done = shop.synced("full", "bitrix", "prices")["prices"].totals
        assert (done["fetched"], done["requests"]) == (count, requests)
    assert_same(shop, "prices")


def test_a_portal_that_does_all_otherwise_is_mirrored_all_the_same(make_shop: Callable[..., Company]) -> None:
    odd = {"start": "exact", "int_lists": "one", "uncounted": "no", "unresolved": "reached", "inactive": "hidden"}
    shop = make_shop(**odd, user_stamps="site", scope_status="401", price_touches="yes", zone="Asia/Almaty")
    shop.synced("full", "bitrix")
    shop.assert_world_equals_postgres("bitrix")
    shop.sandbox.world.advance(3)
    shop.synced("full", "bitrix")
    shop.assert_world_equals_postgres("bitrix")
    shop.assert_ledger_adds_up()


@pytest.mark.parametrize("start", ["page", "exact"])
@pytest.mark.parametrize("count", [49, 50, 51, 100, 101])
def test_people_are_read_page_by_page(make_shop: Callable[..., Company], start: str, count: int) -> None:
    shop = make_shop(start=start)
    world = shop.sandbox.world.bitrix
    for n in range(count - len(world.users)):
        world.create_user(f"Name {n}")
    done = shop.synced("full", "bitrix", "users")["users"].totals
    assert (done["created"], done["repeated"], done["requests"]) == (count, 0, -(-count // 50))
    assert_same(shop, "users")


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize(("insert", "delete"), [(2, 0), (0, 3), (3, 3)])
def test_p3_rows_that_come_and_go_while_a_list_is_read_hide_no_other(
    make_shop: Callable[..., Company], monkeypatch: pytest.MonkeyPatch, at_once: int, insert: int, delete: int
) -> None:
    monkeypatch.setattr(keyset, "COMMANDS", at_once)
    shop = make_shop(orders="120")
    struck = shop.sandbox.faults.set("P3", system="bitrix", path="batch", insert=insert, delete=delete)
    before = shop.truth("orders", "bitrix").keys()
    shop.synced("full", "bitrix", "orders")
    shop.sandbox.faults.clear()
    assert struck.strikes > 1
    stayed = before & shop.truth("orders", "bitrix").keys()
    assert stayed <= shop.raw("orders", "bitrix").keys()
    shop.synced("full", "bitrix", "orders")
    assert_same(shop, "orders")


@pytest.mark.parametrize(
    ("count", "last", "variant"),
    [(50, 49, "missing"), (51, 50, "null"), (60, 49, "null"), (100, 99, "missing"), (120, 99, "missing")],
)
def test_v7_a_row_without_its_id_at_the_end_of_a_page_costs_itself_alone(
    make_shop: Callable[..., Company], monkeypatch: pytest.MonkeyPatch, count: int, variant: str, last: int
) -> None:
    monkeypatch.setattr(keyset, "COMMANDS", 1)
    shop = make_shop()
    fill(shop, count)
    bad = sorted(shop.truth("prices", "bitrix"))[last]
    struck = shop.sandbox.faults.set("V7", system="bitrix", path="catalog.price", record=bad, variant=variant)
    done = shop.synced("full", "bitrix", "prices")["prices"].totals
    assert struck.strikes and done["rejected"] and done["created"] == count - 1
    assert shop.raw("prices", "bitrix").keys() == shop.truth("prices", "bitrix").keys() - {bad}
    shop.sandbox.faults.clear()
    shop.synced("full", "bitrix", "prices")
    assert_same(shop, "prices")


def test_v7_a_chain_that_would_begin_behind_a_row_without_its_id_begins_anew(make_shop: Callable[..., Company]) -> None:
    shop = make_shop()
    fill(shop, 120)
    prices = shop.sandbox.world.bitrix.tables["prices"]
    bad = prices.ids[49]
    whole = prices.rows[bad]
    with shop.sandbox.world.bitrix.changing():
        prices.rows[bad] = whole.replace(b'"id":%d' % bad, b'"id":null')
    done = shop.synced("full", "bitrix", "prices")["prices"].totals
    assert done["rejected"] and shop.raw("prices", "bitrix").keys() == set(prices.ids) - {bad}
    with shop.sandbox.world.bitrix.changing():
        prices.rows[bad] = whole
    shop.synced("full", "bitrix", "prices")
    assert_same(shop, "prices")


@pytest.mark.parametrize("entity", ["prices", "sections"])
def test_a13_a_list_whose_rows_have_no_id_any_more_ends_with_an_error(
    make_shop: Callable[..., Company], entity: str
) -> None:
    shop = make_shop()
    fill(shop, 120)
    shop.synced("full", "bitrix", ["catalogs", entity])
    before = shop.raw(entity, "bitrix")
    shop.sandbox.faults.set("A13", system="bitrix", path="batch", variant="renamed", field="id")
    done = shop.sync("full", "bitrix", entity)
    assert isinstance(done[entity], WrongShape), done
    assert shop.raw(entity, "bitrix") == before


@pytest.mark.parametrize("entity", ["orders", "sections", "products"])
def test_a3_a_read_that_stopped_in_the_middle_goes_on_where_it_stopped(
    make_shop: Callable[..., Company], monkeypatch: pytest.MonkeyPatch, entity: str
) -> None:
    monkeypatch.setattr(keyset, "COMMANDS", 1)
    shop = make_shop({"SYNC_RETRIES": "1", "SYNC_BATCH_SIZE": "1"}, orders="120")
    fill(shop, 120)
    shop.synced("full", "bitrix", "catalogs")
    world = shop.sandbox.world.bitrix
    listed = [id for id in world.tables[entity].ids if entity != "products" or world.lists(id)]
    rows = [id for id in listed if entity != "products" or world.get("products", id)["iblockId"] == GOODS]
    shop.sandbox.faults.set("A3", system="bitrix", path=f"%3Eid%5D={rows[49]}&", status=503)
    done = shop.sync("full", "bitrix", entity)
    assert isinstance(done[entity], RetryLater) and shop.raw(entity, "bitrix").keys() == set(rows[:50])
    shop.sandbox.faults.clear()
    since = mark(shop.sandbox)
    again = shop.synced("full", "bitrix", entity)[entity]
    assert "went on" in again.note
    first = batches(shop.sandbox, since)[0][0]
    assert f"filter[>id]={rows[49]}&" in first
    assert again.totals["fetched"] == len(listed) - 50
    assert shop.raw(entity, "bitrix").keys() == set(listed)
    shop.assert_ledger_adds_up()


# What Bitrix would drop without a word.


@pytest.mark.parametrize(
    "given",
    [
        {"filter": {">=DATE_UPDATE": "x"}},
        {"filter": {"orderid ": 1}},
        {"filter": {"OrderId": 1}},
        {"filter": {"!=orderId": 1}},
        {"filter": {"": 1}},
        {"filter": {"[orderId": 1}},
        {"order": "dateUPDATE"},
        {"order": "ID"},
        {"select": ["id", "STATUS_ID"]},
        {"select": ["iblock-id"]},
    ],
    ids=str,
)
def test_a_name_that_is_no_camel_case_never_leaves(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="would drop it"):
        query(**given)


def test_every_name_that_the_shop_has_may_leave() -> None:
    for kind in KINDS.values():
        for name in kind.empty:
            assert f"filter[>={name}]" in query({f">={name}": 1}, order=name, select=[name])


@pytest.mark.parametrize("entity", ["orders", "products"])
def test_a_portal_whose_filters_know_no_dates_says_so_in_an_incremental_sync(
    make_shop: Callable[..., Company], entity: str
) -> None:
    shop = make_shop(dated="no")
    shop.synced("full", "bitrix", ["catalogs", entity])
    before = shop.raw(entity, "bitrix")
    shop.sandbox.world.clock.advance(LATER)
    done = shop.sync("incremental", "bitrix", entity)
    error = done[entity]
    assert isinstance(error, WrongShape), error
    assert "it would drop that filter" in str(error) and "sync this entity in full" in str(error)
    assert shop.raw(entity, "bitrix") == before
    shop.synced("full", "bitrix", entity)


@pytest.mark.parametrize("entity", ["orders", "products"])
def test_a_filter_that_is_dropped_in_spite_of_what_getfields_says_is_noticed(
    make_shop: Callable[..., Company], entity: str
) -> None:
    shop = make_shop(dated="drop")
    shop.synced("full", "bitrix", ["catalogs", entity])
    shop.sandbox.world.clock.advance(LATER)
    done = shop.sync("incremental", "bitrix", entity)
    assert isinstance(done[entity], WrongShape) and "does not obey the filter" in str(done[entity])
    watermark = "select watermark from sync.metadata where account = 'bitrix' and entity = %s"
    before = shop.query(watermark, [entity])
    assert isinstance(shop.sync("incremental", "bitrix", entity)[entity], SyncError)
    assert shop.query(watermark, [entity]) == before


@pytest.mark.parametrize("few", [1, 4])
def test_p6_all_orders_of_one_second_come_whatever_the_first_batch_holds(
    make_shop: Callable[..., Company], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(keyset, "FEW", few)
    shop = make_shop(orders="101")
    shop.synced("full", "bitrix", "orders")
    shop.sandbox.world.clock.advance(LATER)
    shop.sandbox.faults.set("P6", system="bitrix")
    since = mark(shop.sandbox)
    done = shop.synced("incremental", "bitrix", "orders")["orders"].totals
    assert done["updated"] == 101
    assert len(commands(shop.sandbox, "sale.order.getFields", since)) == 1
    assert_same(shop, "orders")
    done = shop.synced("incremental", "bitrix", "orders")["orders"].totals
    assert (done["fetched"], done["unchanged"]) == (101, 101), "the second of the watermark is read again"


def test_only_what_changed_is_asked_for(make_shop: Callable[..., Company]) -> None:
    shop = make_shop()
    world = shop.sandbox.world.bitrix
    shop.synced("full", "bitrix", ["catalogs", "products", "orders"])
    shop.sandbox.world.clock.advance(LATER)
    product = sorted(world.tables["products"].ids)[20]
    world.update_product(product, name="Renamed")
    world.set_status(sorted(world.tables["orders"].ids)[3], "CO")
    done = shop.synced("incremental", "bitrix", ["products", "orders"])
    assert [done[e].totals["updated"] for e in ("products", "orders")] == [1, 1]
    assert all(done[e].totals["fetched"] <= 2 for e in ("products", "orders"))
    assert_same(shop, "orders")


def test_an_address_that_is_refused_for_not_being_https_is_a_setting_to_mend(make_shop: Callable[..., Company]) -> None:
    done = make_shop(https="yes").sync("full", "bitrix", "prices")
    assert isinstance(done["prices"], FixConfig) and "https://" in str(done["prices"])
