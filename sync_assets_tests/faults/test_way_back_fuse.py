"""R8 and R9: rows that are committed out of order, and changes of so many records that nobody can have meant them."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import psycopg2
import pytest

from sync_assets.send import gate
from sync_assets.send.letters import Which, drop
from sync_assets_tests.send.shop import Open, Shop


def test_r8_a_letter_with_a_smaller_number_that_is_committed_later_is_sent_all_the_same(shop: Shop) -> None:
    early, late = shop.ids[:2]
    with closing(psycopg2.connect(shop.company.database_url)) as slow, slow.cursor() as cursor:
        cursor.execute("update bitrix.orders set crm_status = 'paid' where id = %s", (early,))
        shop.here(late, "paid")
        assert shop.deliver().states == {"confirmed": 1}
        slow.commit()
    assert shop.company.query("select key::bigint from sync.outbox order by id") == [(early,), (late,)]
    assert shop.deliver().states == {"confirmed": 1}
    assert shop.effective == [(late, "P"), (early, "P")]
    shop.assert_at_rest()


def test_r8_a_change_that_is_rolled_back_leaves_nothing(shop: Shop) -> None:
    with closing(psycopg2.connect(shop.company.database_url)) as undone, undone.cursor() as cursor:
        cursor.execute("update bitrix.orders set crm_status = 'paid'")
        undone.rollback()
    assert shop.letters() == []


def release(shop: Shop, by: str = "Anna") -> None:
    with shop.company.connected("bitrix") as connection:
        assert connection.database.transaction(partial(gate.release, account="bitrix", by=by))


@pytest.mark.parametrize(
    ("env", "says"),
    [
        (
            {"SYNC_WAY_BACK_FUSE_PERCENT": "30"},
            "12 of 12 records of orders were to change within an hour, more than 30 %",
        ),
        ({"SYNC_WAY_BACK_FUSE_RECORDS": "11"}, "12 records of orders were to change within an hour, more than 11"),
    ],
    ids=["share", "count"],
)
def test_r9_one_statement_over_all_orders_blows_the_fuse_until_somebody_releases_it(
    open_shop: Open, env: dict[str, str], says: str
) -> None:
    shop = open_shop(**env)
    shop.company.query("update bitrix.orders set crm_status = 'paid'")
    for _ in range(2):
        done = shop.deliver()
        assert not done.states and says in done.closed
    shop.due_now()
    assert shop.deliver().closed and shop.updates() == [] and set(shop.states()) == {"pending"}
    release(shop)
    assert shop.deliver().states == {"confirmed": 12}
    logged = shop.company.query("select details ->> 'by' from sync.activity_logs where activity = 'delivery_released'")
    assert logged == [("Anna",)]
    # What was released does not count again, and what comes next does.
    shop.here(shop.ids[0], "in_delivery")
    assert shop.deliver().states == {"confirmed": 1}
    shop.company.query("update bitrix.orders set crm_status = 'completed'")
    assert says in shop.deliver().closed


def test_r9_a_mistake_is_dropped_and_the_orders_show_again_what_the_shop_has(open_shop: Open) -> None:
    shop = open_shop(SYNC_WAY_BACK_FUSE_PERCENT="30")
    shop.company.query("update bitrix.orders set crm_status = 'paid'")
    shop.deliver()
    with shop.company.connected("bitrix") as connection:
        ids = drop(connection.database, Which(account="bitrix"), [connection.account], by="Anna")
    assert len(ids) == 12 and set(shop.states()) == {"dropped"}
    release(shop)
    assert {shop.status(order) for order in shop.ids} == {("new", "N")}
    assert not shop.deliver().states and shop.updates() == []
    shop.assert_at_rest()


def test_r9_what_was_sent_within_the_hour_counts_too(open_shop: Open) -> None:
    shop = open_shop(SYNC_WAY_BACK_FUSE_RECORDS="5")
    for order in shop.ids[:5]:
        shop.here(order, "paid")
        shop.deliver()
    assert len(shop.effective) == 5
    shop.here(shop.ids[5], "paid")
    assert "6 records" in shop.deliver().closed


def test_r9_many_changes_over_many_hours_are_no_runaway(open_shop: Open) -> None:
    """As when the shop was down for a day."""
    shop = open_shop(SYNC_WAY_BACK_FUSE_RECORDS="5")
    for n, order in enumerate(shop.ids):
        shop.here(order, "paid")
        shop.company.query(
            "update sync.outbox set created_at = now() - %s * interval '1 hour' where key = %s", (n, str(order))
        )
    assert shop.deliver().states == {"confirmed": 12}


def test_r9_one_order_that_changes_its_mind_often_is_one_record(open_shop: Open) -> None:
    shop = open_shop(SYNC_WAY_BACK_FUSE_RECORDS="5")
    for n in range(20):
        shop.here(shop.ids[0], ("paid", "in_delivery")[n % 2])
    assert shop.deliver().states == {"confirmed": 1}
