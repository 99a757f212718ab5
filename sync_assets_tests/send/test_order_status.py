"""An order's status follows the shop, and what is set here is written down in the same transaction and arrives."""

from __future__ import annotations

from typing import Any

import psycopg2
import pytest

from sync_assets.operation import Letter
from sync_assets.send import outbox
from sync_assets.send.deliver import deliver
from sync_assets.systems.bitrix.writes import update
from sync_assets_tests.company import Company
from sync_assets_tests.send.shop import Open, Shop


def test_a_status_set_here_is_in_the_shop_and_the_mirror_after_one_delivery(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    assert shop.states() == ["pending"]
    assert shop.deliver().states == {"confirmed": 1}
    assert shop.status(order) == ("paid", "P")
    assert shop.updates() == [(order, "P")]
    held = shop.company.query("select status_id, raw_json from bitrix.orders where id = %s", (order,))
    assert held == [("P", shop.world.get("orders", order))], "the mirror holds what the read-back showed"
    log = shop.company.query("select kind, status, updated, requests, note from sync.logs where kind = 'reverse'")
    assert log == [("reverse", "success", 1, 3, "1 confirmed")]
    ((details,),) = shop.company.query("select details from sync.activity_logs where activity = 'status_pushed'")
    assert (details["key"], details["wrote"]) == (str(order), {"statusId": "P"})
    shop.assert_at_rest()


def test_what_comes_from_the_shop_shows_here_and_goes_no_way_back(shop: Shop) -> None:
    paid, own, cancelled, *_ = shop.ids
    for order, code in ((paid, "P"), (own, "KA"), (cancelled, "canceled")):
        shop.there(order, code)
    shop.sync()
    assert [shop.status(order)[0] for order in (paid, own, cancelled)] == ["paid", None, "cancelled"]
    assert shop.company.query("select status_id from bitrix.orders where id = %s", (own,)) == [("KA",)], "kept as it is"
    shop.company.query("delete from bitrix.orders")
    shop.company.synced("full", "bitrix", "orders")
    assert [shop.status(order)[0] for order in (paid, own, cancelled)] == ["paid", None, "cancelled"]
    assert shop.letters() == []
    # Once the map knows the code, the rows that lacked a word have it.
    shop.company.query("insert into sync.status_map values ('bitrix', 'O', 'KA', 'in_work')")
    assert shop.company.query("select bitrix.orders_in_step()") == [(1,)]
    assert shop.status(own) == ("in_work", "KA") and shop.letters() == []


def test_every_change_of_a_transaction_is_written_down_with_what_it_rested_on(shop: Shop) -> None:
    first, second, *_ = shop.ids
    shop.company.query("update bitrix.orders set crm_status = 'paid' where id in (%s, %s)", (first, second))
    shop.company.query("update bitrix.orders set crm_status = 'paid', seen = seen where id = %s", (first,))  # no change
    shop.company.query("update bitrix.orders set crm_status = null where id = %s", (second,))  # not a status
    found = shop.company.query("select key::bigint, payload, base, operation, state from sync.outbox order by id")
    record = shop.world.get("orders", first)
    assert [key for key, *_ in found] == [first, second]
    assert found[0][1:] == (
        {"crm_status": "paid"},
        {name: record[name] for name in ("statusId", "canceled", "version", "dateUpdate")},
        "set_order_status",
        "pending",
    )  # fmt: skip


def test_a_word_that_is_none_is_refused_at_once(shop: Shop) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation):
        shop.here(shop.ids[0], "teleported")


def test_an_app_that_may_only_set_the_status_can(shop: Shop) -> None:
    shop.company.query(
        "create role app_of_this_test; grant usage on schema bitrix to app_of_this_test;"
        "grant select, update (crm_status) on bitrix.orders to app_of_this_test"
    )
    try:
        shop.company.query(
            "set role app_of_this_test; update bitrix.orders set crm_status = 'paid' where id = %s", (shop.ids[0],)
        )
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            shop.company.query("set role app_of_this_test; update sync.outbox set state = 'dead'")
    finally:
        shop.company.query("drop owned by app_of_this_test; drop role app_of_this_test")
    assert shop.deliver().states == {"confirmed": 1}


def test_a_second_account_has_a_way_back_of_its_own(make_sandbox: Any, make_company: Any) -> None:
    here, there = make_sandbox(), make_sandbox(seed=2)
    company: Company = make_company(here, BITRIX_EMEA_WEBHOOK_URL=there.bitrix_url, SYNC_WAY_BACK="on")
    company.migrate()
    company.worlds["bitrix_emea"] = there
    company.synced("full", "bitrix_emea", ["order_statuses", "orders"])
    order = there.world.bitrix.tables["orders"].ids[0]
    there.world.bitrix.change("orders", order, statusId="N", canceled="N")
    company.synced("full", "bitrix_emea", "orders")
    company.query("update bitrix_emea.orders set crm_status = 'paid' where id = %s", (order,))
    assert company.query("select account from sync.outbox") == [("bitrix_emea",)]
    with company.connected("bitrix") as connection:
        assert not deliver(connection).states
    with company.connected("bitrix_emea") as connection:
        assert deliver(connection).states == {"confirmed": 1}
    assert there.world.bitrix.get("orders", order)["statusId"] == "P"


def test_a_dry_run_says_what_it_would_write_once_and_writes_nothing(open_shop: Open) -> None:
    shop = open_shop(SYNC_WAY_BACK="dry")
    plain, ahead, behind = shop.ids[:3]
    for order in (plain, ahead, behind):
        shop.here(order, "paid" if order != ahead else "in_delivery")
    shop.there(ahead, "P")
    shop.there(behind, "F")
    assert shop.deliver().states == {"pending": 3}
    assert not shop.deliver().states
    assert [reason for _, reason in shop.letters()] == [
        "dry run: would write statusId P",
        "dry run: would write statusId S over paid, as in_delivery is further than paid",
        "dry run: would leave completed, as completed is final",
    ]
    assert shop.updates() == [] and shop.conflicts() == []
    on = Shop(open_company(shop.company, SYNC_WAY_BACK="on"))
    assert on.deliver().states == {"confirmed": 2, "conflict": 1}
    assert [on.code(order) for order in (plain, ahead, behind)] == ["P", "S", "F"]
    on.assert_at_rest()


def open_company(company: Company, **env: str) -> Company:
    """The same company with other settings."""
    return Company(company.sandbox, {**company.env, **env})


def test_off_nothing_leaves_and_what_was_wanted_is_kept(open_shop: Open) -> None:
    shop = open_shop(SYNC_WAY_BACK="off")
    shop.here(shop.ids[0], "paid")
    since = shop.mark()
    assert not shop.deliver().states and shop.mark() == since
    assert shop.states() == ["pending"]


def test_what_was_over_long_ago_is_forgotten_and_what_waits_is_not(shop: Shop) -> None:
    first, second = shop.ids[:2]
    shop.here(first, "paid")
    shop.deliver()
    shop.here(second, "paid")
    shop.company.query(
        "update sync.outbox set created_at = now() - interval '91 days',"
        " done_at = case when done_at is not null then now() - interval '91 days' end"
    )
    with shop.company.connected("bitrix") as connection:
        assert connection.database.transaction(lambda cursor: outbox.expire(cursor, "bitrix", 90)) == 1
    assert shop.states() == ["pending"]


def test_fifty_orders_take_three_requests(open_shop: Open) -> None:
    shop = open_shop(orders="60")
    for order in shop.ids[:50]:
        shop.here(order, "paid")
    since = shop.mark()
    assert shop.deliver().states == {"confirmed": 50}
    assert shop.mark() - since == 3


def test_a_field_that_is_not_spelled_as_bitrix_does_never_leaves() -> None:
    """Bitrix would drop STATUS_ID without a word, and say that all is well."""
    with pytest.raises(ValueError, match="camelCase"):
        update(None, [(Letter(1, "orders", "1", "set_order_status", {}), {"STATUS_ID": "P"})])  # type: ignore[arg-type]


DOCUMENTED = {
    "O": {"N": "new", "P": "paid", "S": "in_delivery", "D": "cancelled", "F": "completed"},
    "D": {"DN": "new", "DD": "cancelled", "DF": "in_delivery"},
}
"""Bitrix' own set of order (O) and delivery (D) statuses; a shop's other codes are its own."""


def test_the_map_of_statuses_is_shipped_with_bitrixs_own_set_and_writes_one_code_for_a_word(shop: Shop) -> None:
    company = shop.company
    for scope, codes in DOCUMENTED.items():
        mapped = "select code, canonical from sync.status_map where (system, scope) = ('bitrix', %s)"
        assert dict(company.query(mapped, (scope,))) == codes
    written = company.query("select code from sync.status_map where scope = 'O' and outbound_default order by 1")
    assert written == [("F",), ("N",), ("P",), ("S",)], "cancelling is a flag, and its code is never written"
    another = "insert into sync.status_map values ('bitrix', %s, 'PD', 'paid', true, true)"
    with pytest.raises(psycopg2.errors.UniqueViolation):
        company.query(another, ("O",))
    company.query(another, ("D",))
