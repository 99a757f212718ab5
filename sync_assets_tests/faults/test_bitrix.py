"""Bitrix under the faults of its API: what passes is waited out, what does not costs its entity alone.

One table for all that strikes a batch as a whole; then the faults of its single commands.
"""

from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.errors import CallVendor, Forbidden, FuseBlown, RetryLater, SyncError, Throttled
from sync_assets.systems.bitrix import keyset
from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company
from sync_assets_tests.faults.bitrix import ORDERS, assert_heals, named, spoil
from sync_assets_tests.systems.bitrix_requests import batches, mark

PASSES: list[tuple[str, dict[str, Any]]] = [
    ("A1", {"times": 1, "retry_after": "absent"}),
    ("A1", {"times": 1, "retry_after": 2}),
    ("A3", {"times": 2, "status": 502}),
    ("A4", {"times": 1, "after": 300}),
    ("A6", {"times": 1, "keep": 0.6}),
    ("A6", {"times": 1, "keep": 0.6, "with": "chunked"}),
    ("A7", {"times": 1, "variant": "html"}),
    ("A7", {"times": 1, "variant": "204"}),
    ("A7", {"times": 1, "variant": "bom"}),
    ("P2", {"rows": 3}),
    ("P2", {"rows": 40}),
    ("P2", {"rows": 2, "variant": "within"}),
    ("P4", {"edit": 5}),
    ("P4", {"edit": 5, "which": "ahead"}),
    ("P9", {"skew": 600}),
    ("P9", {"skew": -600}),
]
STAYS: list[tuple[str, dict[str, Any], type[SyncError]]] = [
    ("A1", {"retry_after": 99_999}, Throttled),
    ("A3", {"status": 503}, RetryLater),
    ("A6", {"cut": "[]"}, CallVendor),
    ("A6", {"cut": "{}"}, CallVendor),
    ("A7", {"variant": "login"}, RetryLater),
    ("A8", {"variant": "list_missing"}, CallVendor),
    ("A8", {"variant": "null"}, CallVendor),
    ("A8", {"variant": "object"}, CallVendor),
    ("A8", {"variant": "numbers"}, CallVendor),
    ("A8", {"variant": "error200"}, CallVendor),
    ("A11", {"status": 403}, Forbidden),
    ("A12", {"status": 404}, CallVendor),
    ("P1", {"loop": 1}, CallVendor),
    ("P1", {"loop": 2}, CallVendor),
    ("P7", {"variant": "page"}, RetryLater),
    ("P11", {"share": 1.0}, RetryLater),
    ("P11", {"share": 1.0, "code": "ERROR_METHOD_NOT_FOUND"}, CallVendor),
    ("P11", {"share": 1.0, "code": "ACCESS_DENIED"}, Forbidden),
    ("P11", {"share": 1.0, "code": "insufficient_scope"}, Forbidden),
    ("P11", {"share": 1.0, "code": "ERROR_CORE"}, CallVendor),
]
BOTH = [("full", *case) for case in STAYS]
BOTH += [("incremental", *case) for case in STAYS if case[0] in ("A3", "P1", "P7") or case[1].get("variant") == "null"]


@pytest.mark.parametrize(("fault", "options"), PASSES, ids=map(named, PASSES))
def test_what_passes_is_waited_out(company: Company, fault: str, options: dict[str, Any]) -> None:
    struck = spoil(company, fault, **options)
    done = company.synced("full", "bitrix", "orders")["orders"].totals
    assert struck.strikes or fault == "P9"
    if fault == "A1":
        assert done["throttled_seconds"] >= (1.9 if options["retry_after"] == 2 else 0.9)
    if options.get("variant") == "within":
        assert done["repeated"] == 2
    assert company.raw("orders", "bitrix").keys() == company.truth("orders", "bitrix").keys()
    assert_heals(company, ["orders"])


@pytest.mark.parametrize(("kind", "fault", "options", "error"), BOTH, ids=[f"{c[0]}_{named(c[1:])}" for c in BOTH])
def test_what_stays_costs_its_entity_and_what_hangs_on_it_alone(
    make_shop: Callable[..., Company], kind: str, fault: str, options: dict[str, Any], error: type[SyncError]
) -> None:
    shop = make_shop({"SYNC_RETRIES": "2"})
    every = ["catalogs", "orders", "payments"]
    if kind == "incremental":
        shop.synced("full", "bitrix", every)
        shop.sandbox.world.clock.advance(3600)
        shop.sandbox.faults.set("P6", system="bitrix")
    before, watermark = shop.raw("orders", "bitrix"), "select watermark from sync.metadata where entity = 'orders'"
    read = shop.query(watermark)
    struck = spoil(shop, fault, **options)
    done = shop.sync(kind, "bitrix", every)
    assert struck.strikes
    assert {name for name, o in done.items() if isinstance(o, SyncError)} == {"orders"}
    assert isinstance(done["orders"], error) and done["orders"].next_step, done["orders"]
    assert "payments" not in done
    # Nothing was deleted or lost, and the next sync looks again from where the last one that ended well did.
    assert before.keys() <= shop.raw("orders", "bitrix").keys()
    assert kind == "full" or shop.query(watermark) == read
    assert_heals(shop, ["orders", "payments"])


# Commands of a batch that fail by themselves.


@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "QUERY_LIMIT_EXCEEDED"])
@pytest.mark.parametrize("entity", ["orders", "sections", "products"])
def test_p11_pages_that_came_are_used_and_the_one_that_failed_is_asked_for_alone(
    make_shop: Callable[..., Company], monkeypatch: pytest.MonkeyPatch, entity: str, code: str
) -> None:
    monkeypatch.setattr(keyset, "COMMANDS", 5)
    shop = make_shop(orders="260")
    shop.synced("full", "bitrix", ["catalogs"])
    spoil(shop, "P11", f"{entity[:-1]}.list", share=0.5, code=code, times=1)
    since = mark(shop.sandbox)
    done = shop.synced("full", "bitrix", entity)[entity].totals
    assert (done["repeated"], done["rejected"]) == (0, 0)
    if entity == "orders":
        sizes = [len(batch) for batch in batches(shop.sandbox, since)][:3]
        # Of five the second failed: one page came, the next is asked for alone, and then all the rest.
        assert sizes == [5, 1, 5]
        assert done["fetched"] == 260
        assert shop.raw("orders", "bitrix") == shop.truth("orders", "bitrix")


@pytest.mark.parametrize("entity", ["order_items", "payments"])
def test_p11_sets_that_fail_for_good_end_the_entity_with_the_orders_name(company: Company, entity: str) -> None:
    company.synced("full", "bitrix", ["orders", entity])
    company.sandbox.world.clock.advance(3600)
    world = company.sandbox.world.bitrix
    changed = sorted(world.tables["orders"].ids)[:6]
    for order in changed:
        world.set_status(order, "CO")
    method = "basketitem" if entity == "order_items" else "payment"
    struck = spoil(company, "P11", method, share=1.0)
    done = company.sync("incremental", "bitrix", ["orders", entity])
    assert isinstance(done[entity], RetryLater)
    assert f"of order {changed[0]}" in str(done[entity])
    assert struck.strikes == 2, "all at once, and then the first of them alone"
    assert_heals(company, ["orders", entity])


def test_p11_parents_whose_look_failed_are_asked_for_alone(company: Company) -> None:
    spoil(company, "L1", ORDERS, share=0.5)
    company.synced("full", "bitrix", "orders")
    struck = spoil(company, "P11", r"sale\.order\.get", share=0.5, times=1)
    company.synced("full", "bitrix", "payments")
    assert struck.strikes == 1
    looks = [batch for batch in batches(company.sandbox) if batch[0].startswith("sale.order.get")]
    assert [len(batch) for batch in looks[1:]] == [1] * (len(looks[0]) // 2)
    assert company.raw("orders", "bitrix") == company.truth("orders", "bitrix")
    assert company.query("select count(*) from sync.missing_parents where entity = 'orders'") == [(0,)]


# Forgetting, drifting.


@pytest.mark.parametrize("forget", [0.6, 1.0])
@pytest.mark.parametrize("entity", ["orders", "order_items", "users"])
def test_a14_a_list_that_forgets_most_of_its_rows_deletes_none(company: Company, entity: str, forget: float) -> None:
    company.synced("full", "bitrix", entity)
    before = company.raw(entity, "bitrix")
    method = {"orders": "order.list", "order_items": "basketitem.list", "users": "user.get"}[entity]
    spoil(company, "A14", method, forget=forget)
    done = company.sync("full", "bitrix", entity)
    assert company.raw(entity, "bitrix") == before
    # Six people are too few for the fuse's share; each of them was looked for, and none is said to be gone.
    assert isinstance(done[entity], FuseBlown) or (entity == "users" and forget < 1)
    assert_heals(company, [entity])


def test_a13_a_date_that_no_order_bears_any_more_is_told(company: Company) -> None:
    company.synced("full", "bitrix", "orders")
    spoil(company, "A13", variant="missing_field", field="dateStatus")
    company.synced("full", "bitrix", "orders")
    finding = look(company, "fields_present", "orders", "bitrix")
    assert finding.passed or "dateStatus" in finding.says
