"""Whatever happens in whatever order: both sides agree in the end, nothing is written twice, nobody ping-pongs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sync_assets import crash
from sync_assets.sandbox.bitrix.company import BitrixCompany
from sync_assets_tests.send.shop import UPDATE, Shop

ORDERS = 2
POINTS = ("after claimed", "after looked", "before sent", "after sent", "before settled", "after settled")
LOCKED = "before settled"
"""The order is locked at this point: whoever changes it here waits until the delivery has ended."""
FAULTS = {
    "reset": ("A4", UPDATE, {}),
    "cut": ("A6", UPDATE, {"keep": 0.3}),
    "bad gateway": ("A3", UPDATE, {"status": 502}),
    "look fails": ("A3", r"sale\.order\.list", {"status": 503}),
    "half of a batch": ("P11", UPDATE, {"share": 0.5}),
    "asked to wait": ("P11", UPDATE, {"share": 1.0, "code": "QUERY_LIMIT_EXCEEDED"}),
}

order = st.integers(0, ORDERS - 1)
steps = st.one_of(
    st.tuples(st.just("here"), order, st.sampled_from(["new", "paid", "in_delivery", "completed", "cancelled"])),
    st.tuples(st.just("there"), order, st.sampled_from(["N", "P", "PD", "S", "F", "canceled"])),
    st.tuples(st.just("webhook"), order, st.none()),
    st.tuples(st.just("poll"), st.none(), st.none()),
    st.tuples(st.just("deliver"), st.none(), st.none()),
    st.tuples(st.just("kill"), st.none(), st.sampled_from(POINTS)),
    st.tuples(st.just("fault"), st.none(), st.sampled_from(sorted(FAULTS))),
    # In the middle of a delivery: somebody changes the order, here or there, or its echo comes.
    st.tuples(st.just("there"), order, st.sampled_from(POINTS)),
    st.tuples(st.sampled_from(["here", "webhook"]), order, st.sampled_from([p for p in POINTS if p != LOCKED])),
)


class Killed(BaseException):
    """This delivery goes no further; what it has not committed is undone."""


@pytest.fixture
def crowded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with two codes for one word."""
    shop.company.query("insert into sync.status_map values ('bitrix', 'O', 'PD', 'paid')")
    monkeypatch.setattr(crash, "point", lambda name: None)
    return shop


def take(shop: Shop, orders: list[int], step: tuple[str, int | None, str | None]) -> None:
    what, which, value = step
    chosen = orders[which or 0]
    if value in POINTS:
        left = [value]

        def point(passed: str) -> None:
            if left == [passed]:
                left.clear()
                match what:
                    case "kill":
                        raise Killed
                    case "here":
                        shop.here(chosen, "in_delivery")
                    case "there":
                        shop.there(chosen, "S")
                    case _:
                        shop.sync(chosen)

        shop.due_now()
        crash.point = point
        try:
            shop.deliver()
        except Killed:
            pass
        finally:
            crash.point = lambda name: None
        return
    match what:
        case "here":
            shop.here(chosen, str(value))
        case "there":
            shop.there(chosen, str(value))
        case "webhook":
            shop.sync(chosen)
        case "poll":
            shop.sync()
        case "fault":
            fault, path, options = FAULTS[str(value)]
            shop.company.sandbox.faults.set(fault, system="bitrix", path=path, times=1, **options)
        case _:
            shop.deliver()


@settings(max_examples=10, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=3, max_size=10))
@example([("here", 0, "paid"), ("here", 0, "after sent"), ("webhook", 0, None), ("kill", None, "before settled")])
@example([("here", 0, "paid"), ("fault", None, "reset"), ("deliver", None, None), ("there", 0, "F")])
def test_both_sides_agree_in_the_end(crowded: Shop, taken: list[tuple[str, int | None, str | None]]) -> None:
    play(crowded, taken)


def play(shop: Shop, taken: list[tuple[str, int | None, str | None]]) -> None:
    orders = [shop.world.create_order(items=[]) for _ in range(ORDERS)]
    shop.sync()
    shop.effective.clear()
    (last,) = shop.company.query("select coalesce(max(id), 0) from sync.outbox")[0]
    for step in taken:
        take(shop, orders, step)

    shop.company.sandbox.faults.clear()
    for _ in range(10):
        shop.due_now()
        shop.deliver()
        shop.sync()
        if not shop.company.query("select from sync.outbox where done_at is null"):
            break
    shop.assert_at_rest()
    for order in orders:
        wishes = "select count(*) from sync.outbox where id > %s and key = %s and sent is not null"
        ((sent,),) = shop.company.query(wishes, (last, str(order)))
        assert [changed for changed, _ in shop.effective].count(order) <= sent
    assert not shop.company.query("select from sync.outbox where state in ('dead', 'unknown')")


def test_the_company_s_own_people_are_not_watched(crowded: Shop) -> None:
    """Else the property above would count their changes as ours."""
    order = crowded.ids[0]
    crowded.there(order, "P")
    assert crowded.effective == []
    BitrixCompany.update_order(crowded.world, order, statusId="S")
    assert crowded.effective == []
    crowded.sync()
    crowded.here(order, "completed")
    crowded.deliver()
    assert crowded.effective == [(order, "F")]
