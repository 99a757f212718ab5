"""What belongs to orders is asked for while they are read, and never before: it goes by their watermark."""

from collections.abc import Callable

import pytest

from sync_assets.sync import Outcome
from sync_assets.systems.bitrix import keyset
from sync_assets_tests.company import Company
from sync_assets_tests.systems.test_hubspot_beginnings import in_one_run

NAMES = ("prices", "orders", "order_items", "payments")


def asked(company: Company) -> list[str]:
    """The lists in the order in which they were asked for, each as often as a request asked for it."""
    lists = {"prices": "catalog.price.list", "orders": "sale.order.list", "order_items": "sale.basketitem.list"}
    found = [[name for name, method in lists.items() if method in repr(r.body)] for r in company.sandbox.requests]
    return [name for names in found for name in names]


def test_items_begin_while_orders_are_read_and_no_sooner(
    make_shop: Callable[..., Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "COMMANDS", 10)  # three requests for a fifth of the orders
    shop = make_shop({"SYNC_REQUEST_SECONDS": "60"}, orders="1040", orphans="0")

    def slow_orders(entity: str) -> None:
        shop.sandbox.latency = 0.4 if entity == "orders" else 0

    done = in_one_run(shop, *NAMES, before=slow_orders, account="bitrix")
    assert all(isinstance(outcome, Outcome) for outcome in done.values()), done
    order = asked(shop)
    last = len(order) - 1 - order[::-1].index("orders")
    assert order.index("orders") < order.index("order_items") < last
    for entity in NAMES:
        assert shop.raw(entity, "bitrix").keys() == shop.truth(entity, "bitrix").keys()


def test_a_shop_is_asked_nothing_more_for_knowing_what_follows(make_shop: Callable[..., Company]) -> None:
    shop = make_shop(orders="300", orphans="0")
    requests = []
    for told in (True, False, True):
        shop.sandbox.requests.clear()
        in_one_run(shop, *NAMES, told=told, account="bitrix")
        requests.append(sorted(repr((r.path, r.body)) for r in shop.sandbox.requests))
    assert len(requests[0]) == len(set(requests[0])), "the same was asked twice"
    assert requests[1] == requests[2]
