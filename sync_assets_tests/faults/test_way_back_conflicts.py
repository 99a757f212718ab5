"""R1 and R2: our own write comes back, and both sides change the same order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sync_assets.account import Account
from sync_assets.operation import Held, Letter, Verdict, Write
from sync_assets.systems.bitrix.writes import OUTBOUND
from sync_assets_tests.send.shop import Shop

# R1: our own write comes back.


def test_r1_an_echo_changes_nothing_whichever_way_it_comes(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    shop.deliver()
    before = shop.company.query("select synced_at, status_id from bitrix.orders where id = %s", (order,))
    shop.sync(order)  # a webhook
    shop.sync()  # the next poll
    assert shop.states() == ["confirmed"] and shop.updates() == [(order, "P")]
    assert shop.company.query("select synced_at, status_id from bitrix.orders where id = %s", (order,)) == before
    shop.assert_at_rest()


def test_r1_an_echo_that_comes_before_our_own_answer_was_stored(shop: Shop, at_point: Callable[..., None]) -> None:
    order = shop.ids[0]
    seen: list[Any] = []

    def echo() -> None:
        shop.sync(order)
        seen.append(shop.status(order))
        seen.extend(shop.company.query("select outbox_id, field, value from sync.own_writes"))

    shop.here(order, "paid")
    at_point("after sent", echo)
    assert shop.deliver().states == {"confirmed": 1}
    ((letter,),) = shop.company.query("select id from sync.outbox")
    assert seen == [("paid", "P"), (letter, "statusId", "P")], "whoever meets the change can tell that it is ours"
    assert shop.effective == [(order, "P")]
    shop.assert_at_rest()


def test_r1_an_echo_of_the_last_change_does_not_take_back_the_next_one(
    shop: Shop, at_point: Callable[..., None]
) -> None:
    order = shop.ids[0]

    def next_one() -> None:
        shop.here(order, "in_delivery")
        shop.sync(order)  # tells of "paid"

    shop.here(order, "paid")
    at_point("after sent", next_one)
    shop.deliver()
    assert shop.status(order) == ("in_delivery", "S")
    assert shop.states() == ["confirmed", "confirmed"] and shop.conflicts() == [], "ours is no foreign change"
    assert shop.effective == [(order, "P"), (order, "S")]
    shop.assert_at_rest()


EVERY_UPDATE = """
create or replace trigger order_changes_here after update on bitrix.orders for each row
  when (new.crm_status is not null) execute function bitrix.order_changes_here()
"""


def blindly(letter: Letter, held: Held | None, known: Sequence[tuple[Any, ...]]) -> Verdict:
    """Writes without a look at what is there."""
    codes = {canonical: code for code, canonical, _, outbound, _ in known if outbound}
    return Write({"statusId": codes[letter.payload["crm_status"]]})


@pytest.mark.parametrize(
    ("marked", "compared", "loops"),
    [(True, True, False), (True, False, False), (False, True, False), (False, False, True)],
    ids=["as it is", "only marked", "only compared", "neither"],
)
def test_r1_either_guard_alone_ends_the_loop_and_without_both_there_is_one(
    shop: Shop, marked: bool, compared: bool, loops: bool
) -> None:
    order = shop.ids[0]
    if not marked:
        shop.company.query(EVERY_UPDATE)
    if not compared:
        known = shop.company.accounts["bitrix"]
        outbound = replace(OUTBOUND, operations=(replace(OUTBOUND.operations[0], judge=blindly),))
        system = replace(known.system, outbound=outbound)
        shop.company.accounts["bitrix"] = Account(known.name, system, known.settings)
    shop.here(order, "paid")
    for _ in range(4):
        shop.company.sandbox.world.clock.advance(60)
        shop.deliver(seconds=0.0001)
        shop.sync(order)
        shop.sync()
    assert (len(shop.updates()) > 2) is loops, shop.updates()
    assert loops or len(shop.updates()) == 1


# R2: both sides changed.

CONFLICTS = [
    # set here, set there, who wins, our word and the shop's code at rest
    ("paid", "F", "theirs", "completed", "F"),  # final
    ("in_delivery", "P", "ours", "in_delivery", "S"),  # further on the way
    ("paid", "S", "theirs", "in_delivery", "S"),  # less far
    ("paid", "canceled", "theirs", "cancelled", "canceled"),  # a cancellation is never taken back
    ("cancelled", "P", "theirs", "paid", "P"),  # what leads off the way yields to progress
    ("cancelled", "F", "theirs", "completed", "F"),
    ("completed", "S", "ours", "completed", "F"),
]


@pytest.mark.parametrize(("here", "there", "winner", "word", "code"), CONFLICTS)
@pytest.mark.parametrize("known", ["unknown", "synced"])
def test_r2_of_two_changes_the_declared_one_stays(
    shop: Shop, here: str, there: str, winner: str, word: str, code: str, known: str
) -> None:
    order = shop.ids[0]
    shop.here(order, here)
    shop.there(order, there)
    if known == "synced":
        shop.sync(order)
        assert shop.status(order)[0] == here, "it is on its way, until delivery has decided"
    shop.deliver()
    assert shop.status(order) == (word, code)
    ((base, theirs, ours, decision),) = shop.conflicts()
    words = {"F": "completed", "P": "paid", "S": "in_delivery", "canceled": "cancelled"}
    assert (base, theirs, ours, decision) == ("new", words[there], here, winner)
    assert shop.states() == ["confirmed" if winner == "ours" else "conflict"]
    ((activity,),) = shop.company.query("select activity from sync.activity_logs")
    assert activity == ("status_pushed" if winner == "ours" else "conflict")
    shop.assert_at_rest()


def test_r2_two_changes_to_the_same_are_no_conflict(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    shop.there(order, "P")
    shop.deliver()
    assert shop.states() == ["noop"] and shop.conflicts() == [] and shop.updates() == []
    shop.assert_at_rest()


def test_r2_another_code_of_the_same_meaning_is_left_as_it_is(shop: Shop) -> None:
    shop.company.query("insert into sync.status_map values ('bitrix', 'O', 'PD', 'paid')")
    order = shop.ids[0]
    shop.here(order, "paid")
    shop.there(order, "PD")
    shop.deliver()
    assert shop.status(order) == ("paid", "PD") and shop.updates() == []


def test_r2_a_change_between_our_write_and_our_look_is_seen(shop: Shop, at_point: Callable[..., None]) -> None:
    order = shop.ids[0]
    shop.here(order, "paid")
    at_point("after sent", lambda: shop.there(order, "F"))
    shop.deliver()
    ((state, reason),) = shop.letters()
    assert state == "failed" and reason is not None and reason.startswith("not_applied")
    shop.due_now()
    shop.deliver()
    assert shop.status(order) == ("completed", "F") and shop.states() == ["conflict"]
    shop.assert_at_rest()


def test_r2_a_final_status_is_left_for_those_that_may_follow_it_only(shop: Shop) -> None:
    shop.company.query("insert into sync.status_map values ('bitrix', 'O', 'RF', 'refunded', true, true)")
    refunded, reopened = shop.ids[:2]
    for order in (refunded, reopened):
        shop.there(order, "F")
    shop.sync()
    shop.here(refunded, "refunded")
    shop.here(reopened, "in_delivery")
    shop.deliver()
    assert shop.status(refunded) == ("refunded", "RF")
    assert shop.status(reopened) == ("completed", "F")
    assert shop.conflicts() == [("completed", "completed", "in_delivery", "theirs")]


def test_r2_cancelling_is_a_flag_with_a_reason_and_leaves_the_status(shop: Shop) -> None:
    order = shop.ids[0]
    shop.here(order, "cancelled")
    shop.deliver()
    held = shop.world.get("orders", order)
    assert (held["canceled"], held["statusId"], held["reasonCanceled"]) == ("Y", "N", "cancelled in Postgres")
    assert shop.status(order)[0] == "cancelled"
    shop.assert_at_rest()
