"""R3 to R7: batches that half fail, answers that never come, workers that die, sources that are down or refuse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from sync_assets_tests.canary import Canary
from sync_assets_tests.send.shop import UPDATE, Open, Shop


def spoil(shop: Shop, fault: str, path: str = UPDATE, **options: Any) -> Any:
    return shop.company.sandbox.faults.set(fault, system="bitrix", path=path, **options)


@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "QUERY_LIMIT_EXCEEDED"])
def test_r3_of_a_batch_that_half_fails_only_the_failed_half_is_written_again(shop: Shop, code: str) -> None:
    for order in shop.ids[:6]:
        shop.here(order, "paid")
    struck = spoil(shop, "P11", share=0.5, code=code, times=1)
    assert shop.deliver().states == {"confirmed": 3, "failed": 3} and struck.strikes == 1
    since = shop.mark()
    failed = [order for order in shop.ids[:6] if shop.states(order) == ["failed"]]
    shop.due_now()
    assert shop.deliver().states == {"confirmed": 3}
    assert [order for order, _ in shop.updates(since)] == failed
    assert sorted(shop.effective) == [(order, "P") for order in shop.ids[:6]]
    shop.assert_at_rest()


def test_r3_a_look_that_half_fails_costs_those_that_were_not_seen_and_nobody_else(shop: Shop) -> None:
    for order in shop.ids[:4]:
        shop.here(order, "paid")
    spoil(shop, "P11", "sale.order.list", share=0.5, times=1)
    assert shop.deliver().states == {"failed": 2, "confirmed": 2}
    shop.due_now()
    shop.deliver()
    assert sorted(shop.effective) == [(order, "P") for order in shop.ids[:4]]


# R4: what left may have arrived.

LOST = {
    "connection reset, it arrived": ("A4", {}, 1),
    "no whole answer in time, it arrived": ("A5", {"bytes": 1, "interval": 0.2}, 1),
    "cut short, it arrived": ("A6", {"keep": 0.3}, 1),
    "bad gateway, it did not": ("A3", {"status": 502}, 2),
}


@pytest.mark.parametrize("lost", LOST)
def test_r4_what_may_have_arrived_is_looked_for_before_anything_is_sent_again(open_shop: Open, lost: str) -> None:
    fault, options, sent = LOST[lost]
    shop = open_shop(SYNC_REQUEST_SECONDS="0.6")
    order, other = shop.ids[:2]
    shop.here(order, "paid")
    spoil(shop, fault, times=1, **options)
    assert shop.deliver().states == {"failed": 1}
    assert "nobody knows yet whether it arrived" in str(shop.letters()[0][1])
    since = shop.mark()
    assert shop.deliver().closed, "the account is left alone for a moment"
    assert shop.mark() == since
    shop.due_now()
    shop.here(other, "paid")
    assert shop.deliver().states == {"confirmed": 2}
    assert [written for written, _ in shop.updates()].count(order) == sent
    assert sorted(shop.effective) == [(order, "P"), (other, "P")]
    assert shop.company.query("select attempts from sync.outbox where key = %s", (str(order),)) == [(1,)]
    shop.assert_at_rest()


def test_r4_what_arrived_and_was_changed_by_others_since_is_not_written_again(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    spoil(shop, "A4", times=1)
    shop.deliver()
    shop.there(order, "S")
    shop.due_now()
    assert shop.deliver().states == {"conflict": 1}
    assert shop.status(order) == ("in_delivery", "S") and shop.effective == [(order, "P")]
    shop.assert_at_rest()


# R5: the worker dies.


@pytest.mark.parametrize("point", ["after claimed", "before sent", "after sent", "before settled", "after settled"])
def test_r5_killed_anywhere_it_is_written_once(shop: Shop, point: str) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    done = subprocess.run(
        [sys.executable, "-m", "sync_assets_tests.send.delivering"],
        env={"PATH": os.defpath, **shop.company.env, "SYNC_ASSETS_CRASH_AT": point},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert shop.states() == ["confirmed" if point == "after settled" else "sending"]
    shop.sync(order)
    shop.deliver()
    assert shop.states() == ["confirmed"] and shop.status(order) == ("paid", "P")
    assert shop.effective == shop.updates() == [(order, "P")]
    shop.assert_at_rest()


def test_r5_a_letter_that_kills_its_worker_each_time_is_given_up(open_shop: Open) -> None:
    shop = open_shop(SYNC_WAY_BACK_ATTEMPTS="2")
    order, other = shop.ids[:2]
    shop.here(order, "paid")
    # As after a kill on another machine, whose lease has lapsed since.
    shop.company.query(
        "update sync.outbox set state = 'sending', attempts = 2, leased_by = 'process 1 on elsewhere,',"
        " lease_until = now()"
    )
    shop.here(other, "paid")
    shop.deliver()
    assert shop.letters(order) == [("dead", "its worker ended 2 times while it was sent")]
    assert shop.states(other) == ["confirmed"]


@pytest.mark.parametrize("point", ["after claimed", "after looked"])
def test_r5_a_worker_that_lost_its_lease_writes_nothing_any_more(shop: Shop, at_point: Any, point: str) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    late: list[Any] = []

    def another() -> None:
        shop.company.query("update sync.outbox set lease_until = now()")
        late.append(shop.deliver().states)

    at_point(point, another)
    assert not shop.deliver().states
    assert late == [{"confirmed": 1}] and shop.updates() == [(order, "P")]


# R6: many changes while the source is down.


def test_r6_a_hundred_changes_while_it_is_down_become_one_write_of_the_last(shop: Shop) -> None:
    order = shop.ids[0]
    down = spoil(shop, "A3", "sale.order", status=503)
    for n in range(100):
        shop.here(order, ("paid", "in_delivery")[n % 2])
        if n == 40:
            shop.deliver()
    assert down.strikes
    shop.company.sandbox.faults.clear()
    shop.due_now()
    assert shop.deliver().states == {"confirmed": 1}
    assert shop.updates() == [(order, "S")]
    assert shop.states() == [*["superseded"] * 99, "confirmed"]
    shop.assert_at_rest()


def test_r6_a_later_change_is_never_overtaken_by_an_earlier_one(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    spoil(shop, "P11", share=1.0, code="INTERNAL_SERVER_ERROR", times=1)
    shop.deliver()
    assert shop.states() in (["failed"], ["pending"])
    shop.here(order, "in_delivery")
    shop.company.sandbox.faults.clear()
    shop.due_now()
    shop.deliver()
    assert shop.states() == ["superseded", "confirmed"] and shop.effective == [(order, "S")]
    shop.assert_at_rest()


def test_r6_a_change_that_was_taken_back_in_time_writes_nothing(shop: Shop) -> None:
    order = shop.ids[0]
    for status in ("paid", "new"):
        shop.here(order, status)
    shop.deliver()
    assert shop.states() == ["superseded", "noop"] and shop.updates() == []


def test_r6_while_it_is_down_it_is_asked_less_and_less_and_no_try_counts(shop: Shop) -> None:
    shop.here(shop.ids[0], "paid")
    spoil(shop, "A3", "sale.order", status=503)
    for failures in range(1, 5):
        shop.company.query("update sync.delivery set closed_until = now()")
        shop.deliver()
        ((count, seconds),) = shop.company.query(
            "select failures, round(extract(epoch from closed_until - clock_timestamp())) from sync.delivery"
        )
        assert count == failures and 0 < seconds <= 5 * 4 ** (failures - 1)
        assert failures == 1 or seconds > 5 * 4 ** (failures - 2)
    assert shop.company.query("select state, attempts from sync.outbox") == [("failed", 0)]


# R7: what is refused.


def test_r7_what_is_refused_is_given_up_with_bitrixs_words_and_the_others_go_on(shop: Shop, canary: Canary) -> None:
    gone, refused, fine = shop.ids[:3]
    shop.here(gone, "paid")
    shop.here(refused, "in_delivery")
    shop.here(fine, "paid")
    shop.world.delete_order(gone)
    shop.world.tables["statuses"].drop("S")
    assert shop.deliver().states == {"dead": 2, "confirmed": 1}
    assert "order is not exists" in str(shop.letters(gone)[0][1])
    assert "no status S of type O" in str(shop.letters(refused)[0][1])
    assert shop.status(fine) == ("paid", "P")
    activities = shop.company.query("select details ->> 'key' from sync.activity_logs where activity = 'dead_lettered'")
    assert sorted(activities) == [(str(gone),), (str(refused),)]
    assert shop.company.query("select status_id from bitrix.orders where id = %s", (refused,)) == [("N",)]


def test_r7_without_the_right_to_write_it_says_which_right_and_can_be_sent_again(shop: Shop) -> None:
    order = shop.ids[0]
    shop.world.may_modify = False
    shop.here(order, "paid")
    shop.deliver()
    ((state, reason),) = shop.letters()
    assert state == "dead" and "200040300020" in str(reason)
    shop.world.may_modify = True
    shop.requeue()
    shop.deliver()
    assert shop.status(order) == ("paid", "P")


def test_r7_an_unknown_code_is_not_written_over(shop: Shop) -> None:
    order = shop.ids[0]
    shop.there(order, "KA")
    shop.sync()
    assert shop.status(order) == (None, "KA")
    shop.here(order, "paid")
    shop.deliver()
    ((state, reason),) = shop.letters()
    assert state == "dead" and "KA is not in sync.status_map" in str(reason)
    assert shop.code(order) == "KA" and shop.updates() == []
    shop.company.query("insert into sync.status_map values ('bitrix', 'O', 'KA', 'confirmed')")
    shop.requeue()
    shop.deliver()
    assert shop.status(order) == ("paid", "P")


def test_r7_a_refused_webhook_closes_the_way_and_gives_nothing_up(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    spoil(shop, "A11", "", status=401)
    done = shop.deliver()
    assert done.states == {"failed": 1} and "refuses the webhook" in done.closed
    shop.company.sandbox.faults.clear()
    shop.due_now()
    shop.deliver()
    assert shop.status(order) == ("paid", "P")


def test_r6_what_several_changes_rest_on_is_what_the_first_of_them_saw(shop: Shop) -> None:
    """The shop's change between them was hidden by the first, so nobody has decided about it."""
    order = shop.ids[0]
    shop.here(order, "paid")
    shop.there(order, "S")
    shop.sync(order)
    shop.here(order, "problem")
    shop.deliver()
    assert shop.states() == ["superseded", "conflict"] and shop.status(order) == ("in_delivery", "S")
    shop.assert_at_rest()
