"""Bitrix's limits: a leaky bucket for the account, run time for each method alone, and blocks that nobody waits out."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from sync_assets.errors import BadCredentials, SyncError, Throttled
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company
from sync_assets_tests.systems.bitrix_requests import batches, commands, mark

SMALL = ["order_statuses", "delivery_statuses", "status_langs", "catalogs"]


def failed(done: dict[str, Any]) -> dict[str, SyncError]:
    return {name: o for name, o in done.items() if isinstance(o, SyncError)}


def pauses(company: Company) -> set[str]:
    rows = company.query("select bucket from sync.budgets where account = 'bitrix' and paused_until > now()")
    return {bucket for (bucket,) in rows}


def test_two_that_ask_as_fast_as_they_may_never_overfill_the_bucket_together(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = make_sandbox(rates={"bitrix": 10.0})
    company = make_company(sandbox, BITRIX_RATE="10")

    def busy() -> None:
        with company.connected("bitrix") as connection:
            for _ in range(40):
                connection.door.ask("profile", {})

    threads = [Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sandbox.requests) == 80 and sandbox.violations == []
    last, first = sandbox.requests[-1].monotonic, sandbox.requests[0].monotonic
    assert last - first >= (80 - 50) / 10, "what the bucket does not hold at once leaves at its rate"


def test_the_documented_limit_is_the_default(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = make_sandbox(rates={"bitrix": 2.0}, switches={"bitrix.burst": "2"})
    company = make_company(sandbox, BITRIX_RATE=None)
    # Our own burst is used up: from now on it is the rate that counts.
    company.query("insert into sync.budgets (account, bucket, next_free) values ('bitrix', 'api', now())")
    company.synced("full", "bitrix", SMALL)
    assert sandbox.violations == []


@pytest.mark.parametrize("variant", ["query", "query200"])
def test_a2_too_many_requests_are_waited_out_for_a_second_by_the_whole_account(company: Company, variant: str) -> None:
    company.sandbox.faults.set("A2", system="bitrix", path="batch", variant=variant, times=1)
    done = company.synced("full", "bitrix", ["catalogs", "prices"])["prices"].totals
    assert done["requests"] == 2 and done["throttled_seconds"] >= 0.9
    assert company.query("select paused_for from sync.budgets where account = 'bitrix' and bucket = 'api'") == [
        ("more requests than Bitrix's bucket holds",)
    ]
    assert company.raw("prices", "bitrix") == company.truth("prices", "bitrix")


def test_a2_too_many_requests_inside_a_batch_cost_only_the_commands_that_were_refused(company: Company) -> None:
    company.synced("full", "bitrix", ["orders", "order_items"])
    company.sandbox.world.clock.advance(3600)
    world = company.sandbox.world.bitrix
    changed = sorted(world.tables["orders"].ids)[:4]
    for order in changed:
        world.set_status(order, "CO")
    since = mark(company.sandbox)
    company.sandbox.faults.set(
        "P11", system="bitrix", path="basketitem", share=0.5, code="QUERY_LIMIT_EXCEEDED", times=1
    )
    done = company.synced("incremental", "bitrix", ["orders", "order_items"])
    sets = [batch for batch in batches(company.sandbox, since) if batch[0].startswith("sale.basketitem.list")]
    assert len(sets[0]) >= 4 and all(len(batch) == 1 for batch in sets[1:]) and len(sets) - 1 == len(sets[0]) // 2
    assert done["order_items"].totals["rejected"] == 0
    assert company.raw("order_items", "bitrix") == company.truth("order_items", "bitrix")


@pytest.mark.parametrize("error_time", ["yes", "no"])
@pytest.mark.parametrize("variant", ["operation", "operation200"])
def test_a2_a_method_that_has_used_up_its_time_stops_its_entity_and_no_other(
    make_shop: Callable[..., Company], variant: str, error_time: str
) -> None:
    shop = make_shop(error_time=error_time)
    shop.sandbox.faults.set("A2", system="bitrix", path="catalog.price.list", variant=variant, retry_after=300)
    done = shop.sync("full", "bitrix", [*SMALL, "prices", "orders", "payments"])
    assert failed(done).keys() == {"prices"} and isinstance(done["prices"], Throttled)
    assert "catalog.price.list has used up its run time" in str(done["prices"])
    assert pauses(shop) == {"catalog.price.list"}
    [(seconds,)] = shop.query(
        "select extract(epoch from paused_until - now())::float8 from sync.budgets where bucket = 'catalog.price.list'"
    )
    assert 280 < seconds <= 301 if error_time == "yes" else 50 < seconds <= 60
    # Until then nobody asks, whatever process it is; the others still do.
    since = mark(shop.sandbox)
    again = shop.sync("full", "bitrix", ["prices", "orders"])
    assert failed(again).keys() == {"prices"} and commands(shop.sandbox, "catalog.price.list", since) == []
    assert "has used up its run time" in str(again["prices"])
    shop.sandbox.faults.clear()
    shop.query("update sync.budgets set paused_until = now()")
    shop.synced("full", "bitrix", "prices")
    assert shop.raw("prices", "bitrix") == shop.truth("prices", "bitrix")


def test_a2_a_short_wait_for_run_time_is_waited_out_while_another_entity_goes_on(
    make_shop: Callable[..., Company],
) -> None:
    shop = make_shop(error_time="yes")
    shop.synced("full", "bitrix", "catalogs")
    shop.sandbox.faults.set(
        "A2", system="bitrix", path="catalog.price.list", variant="operation", retry_after=3, times=1
    )
    waiting = Thread(target=lambda: shop.synced("full", "bitrix", "prices"))
    waiting.start()
    while not pauses(shop):
        assert waiting.is_alive()
    shop.synced("full", "bitrix", ["payments", "shipments"])
    assert waiting.is_alive() and shop.count("prices", "bitrix") == 0, "the others did not wait"
    waiting.join()
    assert shop.raw("prices", "bitrix") == shop.truth("prices", "bitrix")


@pytest.mark.parametrize("error_time", ["yes", "no"])
def test_a2_run_time_that_ends_within_a_batch_keeps_what_came_before(
    make_shop: Callable[..., Company], error_time: str
) -> None:
    shop = make_shop(orders="120", operating_limit="100", operating_cost="60", error_time=error_time)
    done = shop.sync("full", "bitrix", ["orders", "catalogs"])
    # Run time is left for two commands of the batch.
    assert isinstance(failed(done)["orders"], Throttled) and not isinstance(done["catalogs"], SyncError)
    assert pauses(shop) == {"sale.order.list"} and shop.count("orders", "bitrix") == 100
    shop.sandbox.world.clock.advance(660)
    shop.query("update sync.budgets set paused_until = now()")
    again = shop.synced("full", "bitrix", "orders")["orders"]
    assert "went on" in again.note and again.totals["fetched"] == 20
    assert shop.raw("orders", "bitrix") == shop.truth("orders", "bitrix")


@pytest.mark.parametrize("path", ["profile", "batch"])
def test_a2_a_block_by_hand_stops_the_run_and_nobody_knocks_again(company: Company, path: str) -> None:
    company.sandbox.faults.set("A2", system="bitrix", path=path, variant="overload")
    done = company.sync("full", "bitrix", [*SMALL, "prices", "orders"])
    refused = failed(done)
    assert refused.keys() == ({*SMALL, "prices", "orders"} if path == "profile" else {"prices", "orders"})
    assert all(isinstance(e, BadCredentials) and "OVERLOAD_LIMIT" in str(e) for e in refused.values())
    assert len([r for r in company.sandbox.requests if r.path.endswith(path)]) == 1


def test_a2_a_block_by_hand_inside_a_batch_stops_the_run_too(company: Company) -> None:
    company.sandbox.faults.set("P11", system="bitrix", share=1.0, code="OVERLOAD_LIMIT")
    refused = failed(company.sync("full", "bitrix", ["prices", "orders"]))
    assert refused.keys() == {"prices", "orders"} and all(isinstance(e, BadCredentials) for e in refused.values())
    assert len(batches(company.sandbox)) == 1
