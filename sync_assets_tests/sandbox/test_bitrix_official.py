"""Somebody else's client against the sandbox, unmodified; and the vendor's own examples laid beside its answers."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.bitrix.shapes import KINDS, fields
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.bitrix import Shop

Example = Callable[[str], Any]


@pytest.fixture
def fast(sb: Sandbox) -> Callable[..., Any]:
    from fast_bitrix24 import BitrixAsync

    client = BitrixAsync(sb.bitrix_url, verbose=False)
    return lambda method, *given, **named: asyncio.run(getattr(client, method)(*given, **named))


def test_fast_bitrix24_reads_every_list(shop: Shop, fast: Callable[..., Any]) -> None:
    for kind in KINDS.values():
        if not kind.needs:
            found = fast("get_all", f"{kind.method}.list")
            assert sorted(found, key=lambda row: row[kind.key]) == shop.truth(kind.name), kind.name
    wanted = {"select": ["id", "iblockId", "name"], "filter": {"iblockId": 23}}
    goods = {row["id"] for row in shop.truth("products") if row["iblockId"] == 23}
    assert {row["id"] for row in fast("get_all", "catalog.product.list", wanted)} == goods and len(goods) > 50
    assert len(fast("get_all", "user.get")) == 6
    late = fast("get_all", "sale.order.list", {"filter": {">id": 5050}, "select": ["id"]})
    assert sorted(row["id"] for row in late) == list(range(5051, 5060))


def test_fast_bitrix24_reads_by_id_writes_and_sends_batches(shop: Shop, fast: Callable[..., Any]) -> None:
    ids = [row["id"] for row in shop.truth("orders")]
    orders = fast("get_by_ID", "sale.order.get", ids, ID_field_name="id")
    assert {int(id): row["order"]["accountNumber"] for id, row in orders.items()} == {id: str(id) for id in ids}
    saved = fast("call", "sale.order.update", {"id": ids[0], "fields": {"comments": "перезвонить"}})
    assert shop.truth("orders")[0]["comments"] == "перезвонить", saved
    commands = {"o": "sale.order.list?select[]=id", "i": "sale.order.get?id=$result[o][orders][3][id]"}
    said = fast("call_batch", {"halt": 0, "cmd": commands})
    assert said["i"]["order"]["id"] == ids[3]
    with pytest.raises(Exception, match="order is not exists"):
        fast("call_batch", {"halt": 0, "cmd": {"a": "sale.order.get?id=1"}})


@pytest.fixture
def example(shared: Path) -> Example:
    folder = shared / "bitrix"
    if not folder.is_dir():
        pytest.skip(f"the vendor's examples are not at {folder}")
    return lambda name: json.loads((folder / f"{name}.json").read_text())["examples"][0]


def alike(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Where the two differ in keys or types; nothing is said of what is null or empty in either."""
    if theirs in (None, "", [], {}) or ours in (None, "", [], {}):
        return []
    if isinstance(theirs, dict) and isinstance(ours, dict):
        lacking = [f"{path}.{name} is missing" for name in theirs.keys() - ours.keys()]
        both = sorted(theirs.keys() & ours.keys())
        return lacking + [found for name in both for found in alike(theirs[name], ours[name], f"{path}.{name}")]
    if isinstance(theirs, list) and isinstance(ours, list):
        return alike(theirs[0], ours[0], f"{path}[0]")
    numbers = (int, float)
    same = type(theirs) is type(ours) or (type(theirs) in numbers and type(ours) in numbers)
    return [] if same else [f"{path}: {type(theirs).__name__} and not {type(ours).__name__}"]


SALE = ("order", "payment", "shipment", "property-value", "status", "status-lang", "basket-item")
EXAMPLES = [*(f"sale__{n}__sale-{n}-list" for n in SALE)]
EXAMPLES += [f"catalog__{n}__catalog-{n}-list" for n in ("price", "catalog", "product")]
CUT = {"basketItems"}
"""Lists whose example shows a few of the fields."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_lists_have_the_keys_and_types_of_the_vendors_examples(shop: Shop, example: Example, name: str) -> None:
    theirs = example(name)
    (many,) = theirs["result"]
    kind = next(kind for kind in KINDS.values() if kind.many == many)
    given = {"filter": {"iblockId": 23}, "select": ["*"]} if kind.needs else {}
    ours = shop.call(f"{kind.method}.list", **given)
    assert theirs.keys() <= ours.keys() | {"next"}
    expected, rows = theirs["result"][many][0], ours["result"][many]
    assert not [difference for row in rows for difference in alike(expected, row)]
    if many not in CUT:
        assert list(rows[0]) == sorted(expected)


def test_person_types_and_sections_differ_only_by_the_root_that_the_examples_forgot(
    shop: Shop, example: Example
) -> None:
    ours = shop.rows("sale.persontype.list")[0]
    assert not alike(example("sale__person-type__sale-person-type-list")["personTypes"][0], ours)
    section = shop.rows("catalog.section.list", filter={"iblockId": 23})[2]
    assert not alike(example("catalog__section__catalog-section-list")["sections"][0], section)
    assert set(section) == set(example("catalog__section__catalog-section-get")["result"]["section"])


def test_single_records_are_like_the_vendors_examples(shop: Shop, example: Example) -> None:
    theirs = example("sale__order__sale-order-get")["result"]["order"]
    ours = shop.call("sale.order.get", id=5004)["result"]["order"]
    # What the example's items have beyond the list's is of no table of ours.
    beyond = {"barcodeMulti", "dateRefresh", "detailPageUrl", "discountCoupon", "discountName", "discountValue", "lid"}
    beyond |= {
        "fuserId",
        "notes",
        "priceTypeId",
        "productPriceId",
        "productProviderClass",
        "recommendation",
        "subscribe",
    }
    items = [{k: v for k, v in item.items() if k not in beyond} for item in theirs["basketItems"]]
    shipped = [{k: v for k, v in s.items() if k != "shipmentItems"} for s in theirs["shipments"]]
    assert not alike(theirs | {"basketItems": items, "shipments": shipped}, ours) and set(ours) == set(theirs)
    product = shop.call("catalog.product.get", id=shop.truth("products")[0]["id"])["result"]["product"]
    example_product = example("catalog__product__catalog-product-get")["result"]["product"]
    assert not alike(example_product, product) and set(product) == set(example_product)
    saved = shop.call("sale.order.update", id=5004, fields={"comments": "x"})["result"]["order"]
    assert set(saved) == set(example("sale__order__sale-order-update")["result"]["order"])
    items = shop.call("sale.basketitem.get", id=6001)["result"]["basketItem"]
    assert not alike(example("sale__basket-item__sale-basket-item-get")["result"]["basketItem"], items)


def test_fields_are_described_as_the_vendor_describes_them(example: Example) -> None:
    assert fields(KINDS["orders"]) == example("sale__order__sale-order-get-fields")["result"]["order"]


def test_users_are_like_the_vendors_examples(shop: Shop, example: Example) -> None:
    for row in example("user__user-get")["result"]:
        assert not alike(row, shop.rows("user.get")[0])
    assert not alike(example("user__user-current")["result"], shop.call("user.current")["result"])
    assert example("user__user-get").keys() == shop.call("user.get").keys()


def test_a_batch_is_like_the_vendors_example(shop: Shop, example: Example) -> None:
    theirs = example("batch")
    ours = shop.call("batch", cmd={"get_user": "user.current", "get_department": "sale.status.list"})
    assert list(ours) == list(theirs) and list(ours["result"]) == list(theirs["result"])
    assert ours["result"]["result_error"] == ours["result"]["result_next"] == []
    timed = theirs["result"]["result_time"]["get_user"]
    assert not alike(timed, ours["result"]["result_time"]["get_user"])
