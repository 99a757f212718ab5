"""The way back in Dagster: its asset and checks, its schedule, and the sensor that waits within its tick."""

import threading
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from sync_assets.definitions import build_definitions
from sync_assets.orchestration import push
from sync_assets_tests.orchestration.conftest import Installation
from sync_assets_tests.orchestration.test_definitions import BITRIX

ASSET = "bitrix/order_status_push"
ON = {"SYNC_WAY_BACK": "on", "SYNC_WAY_BACK_FUSE_PERCENT": "100"}


@pytest.fixture
def shop(make_installation: Callable[..., Installation], make_sandbox: Any) -> Installation:
    """Twelve orders, all of them new, in step; the way back is on."""
    installation = make_installation(make_sandbox(switches={"bitrix.orders": "12"}), **ON)
    world = installation.company.sandbox.world.bitrix
    for order in world.tables["orders"].ids:
        world.change("orders", order, statusId="N", canceled="N")
    installation.company.synced("full", "bitrix", ["order_statuses", "orders"])
    return installation


def orders(shop: Installation) -> list[int]:
    return list(shop.company.sandbox.world.bitrix.tables["orders"].ids)


def set_here(shop: Installation, order: int, status: str) -> None:
    shop.company.query("update bitrix.orders set crm_status = %s where id = %s", (status, order))


def code(shop: Installation, order: int) -> str:
    return str(shop.company.sandbox.world.bitrix.get("orders", order)["statusId"])


def test_the_way_back_runs_where_it_was_asked_for_and_nowhere_else() -> None:
    for mode, sensors, running in (("off", 0, False), ("dry", 1, False), ("on", 1, True)):
        definitions = build_definitions(BITRIX | {"SYNC_WAY_BACK": mode})
        of_all = ("automation", "alerts", "syncs_that_died")
        assert len([s for s in definitions.sensors or () if s.name not in of_all]) == sensors, mode
        (schedule,) = (s for s in definitions.schedules or () if s.name.endswith("_every_5_minutes"))
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.cron_schedule == "*/5 * * * *"
        assert (schedule.default_status == dg.DefaultScheduleStatus.RUNNING) is running, mode
        layer = definitions.resolve_job_def("bitrix_order_status_push").asset_layer
        selected = {k.to_user_string() for k in layer.selected_asset_keys}
        assert selected == {"bitrix/order_status_push", "sync/report"}
        full = definitions.resolve_job_def("full_sync").asset_layer
        assert dg.AssetKey(["bitrix", "order_status_push"]) not in full.selected_asset_keys, "a sync writes nothing"


def test_the_job_delivers_and_tells_what_it_did(shop: Installation) -> None:
    order = orders(shop)[0]
    set_here(shop, order, "paid")
    run = shop.run("bitrix_order_status_push")
    assert run.green, run.failures
    told = run.metadata(ASSET)
    assert (told["confirmed"], told["dead"], told["mode"]) == (1, 0, "on") and told["requests"] >= 3
    assert code(shop, order) == "P"
    assert [c.name for c in run.checks if c.asset == ASSET and not c.passed] == []


def test_its_checks_warn_of_a_code_without_a_word_and_are_red_where_a_change_was_given_up(shop: Installation) -> None:
    first, second, *_ = orders(shop)
    world = shop.company.sandbox.world.bitrix
    shop.company.sandbox.world.clock.advance(3600)
    world.set_status(first, "KA")
    shop.company.synced("incremental", "bitrix", "orders")
    set_here(shop, second, "refunded")  # no code is written for it
    run = shop.run("bitrix_order_status_push")
    assert not run.green
    assert run.red() == {f"{ASSET} every_status_is_mapped": "WARN", f"{ASSET} nothing_was_given_up": "ERROR"}
    said = {c.name: c.says for c in run.checks}
    assert "1 records bear codes without a word: KA" in said["every_status_is_mapped"]
    assert code(shop, second) == "N"


def test_a_map_that_names_a_code_which_the_shop_lacks_is_told(shop: Installation) -> None:
    shop.company.query("update sync.status_map set outbound_default = false where code = 'P'")
    shop.company.query("insert into sync.status_map values ('bitrix', 'O', 'ZZ', 'paid', true, true)")
    set_here(shop, orders(shop)[0], "paid")
    run = shop.run("bitrix_order_status_push")
    assert run.red()[f"{ASSET} every_status_is_mapped"] == "ERROR", "it would be written"
    assert "the source does not list ZZ" in {c.name: c.says for c in run.checks}["every_status_is_mapped"]
    assert shop.company.query("select state from sync.outbox") == [("dead",)]
    assert code(shop, orders(shop)[0]) == "N"


def test_a_status_that_was_set_while_triggers_were_off_is_found(shop: Installation) -> None:
    order, given_up, *_ = orders(shop)
    set_here(shop, given_up, "refunded")  # that is told by another check
    shop.company.query(
        f"set session_replication_role = replica; update bitrix.orders set crm_status = 'paid' where id = {order}"
    )
    run = shop.run("bitrix_order_status_push")
    assert run.red() == {f"{ASSET} both_sides_agree": "WARN", f"{ASSET} nothing_was_given_up": "ERROR"}
    assert "1 records differ" in {c.name: c.says for c in run.checks}["both_sides_agree"]
    shop.company.query("select bitrix.orders_in_step()")
    assert shop.company.query("select count(*) from bitrix.orders_out_of_step") == [(0,)]


def test_what_waits_for_too_long_is_red_and_so_is_a_way_that_is_closed(shop: Installation) -> None:
    set_here(shop, orders(shop)[0], "paid")
    shop.company.query("update sync.outbox set created_at = now() - interval '1 hour'")
    shop.company.sandbox.faults.set("A3", system="bitrix", path="sale.order", status=503)
    shop.company.query("insert into sync.delivery (account, failures) values ('bitrix', 5)")
    run = shop.run("bitrix_order_status_push")
    assert run.red() == {f"{ASSET} nothing_old_waits": "ERROR", f"{ASSET} the_way_is_open": "ERROR"}
    assert shop.company.query("select state, attempts from sync.outbox") == [("failed", 0)]


def test_a_change_within_a_tick_is_delivered_within_it(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the notice: the tick looks by itself only after a minute."""
    monkeypatch.setattr(push, "LOOK_SECONDS", 60.0)
    order, company = orders(shop)[0], shop.company
    changed = threading.Timer(0.3, lambda: set_here(shop, order, "paid"))
    changed.start()
    done = push.tick(company.accounts["bitrix"], company.settings, seconds=1.5)
    changed.join()
    assert done.states == {"confirmed": 1} and code(shop, order) == "P"


def test_a_tick_finds_what_no_notice_told_of(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(push.Announcements, "wait", lambda self, seconds: time.sleep(seconds))
    order, company = orders(shop)[0], shop.company
    changed = threading.Timer(0.2, lambda: set_here(shop, order, "paid"))
    changed.start()
    done = push.tick(company.accounts["bitrix"], company.settings, seconds=0.8)
    changed.join()
    assert done.states == {"confirmed": 1} and code(shop, order) == "P"


def test_the_sensor_materializes_what_it_did_and_nothing_else(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "TICK_SECONDS", 0.2)
    sensor: Any = next(s for s in shop.definitions.sensors or () if s.name.startswith("bitrix_order_status_push"))
    with dg.build_sensor_context(instance=shop.instance) as context:
        assert not sensor.evaluate_tick(context).asset_events
        set_here(shop, orders(shop)[0], "paid")
        (event,) = sensor.evaluate_tick(context).asset_events
    assert event.asset_key.to_user_string() == ASSET and event.metadata["confirmed"].value == 1


def test_off_nothing_leaves_and_the_checks_say_so(make_installation: Callable[..., Installation]) -> None:
    off = make_installation()
    off.company.synced("full", "bitrix", ["order_statuses", "orders"])
    set_here(off, orders(off)[0], "problem")
    asked = len(off.company.sandbox.requests)
    run = off.run("bitrix_order_status_push")
    assert run.green and run.metadata(ASSET)["mode"] == "off"
    assert "1 changes wait" in {c.name: c.says for c in run.checks}["nothing_old_waits"]
    assert run.red() == {f"{ASSET} every_status_is_mapped": "WARN"}, "the sandbox's shop has codes of its own"
    assert not [r for r in off.company.sandbox.requests[asked:] if "sale.order" in r.body]
    assert off.company.query("select state from sync.outbox") == [("pending",)]


def test_http_post_has_a_way_of_its_own_where_somebody_may_be_called() -> None:
    hosts = {"SYNC_HTTP_ALLOW": "hooks.example.com", "SYNC_WAY_BACK": "on"}
    definitions = build_definitions(BITRIX | hosts)
    assert "http_post_within_seconds" in {sensor.name for sensor in definitions.sensors or ()}
    assert definitions.resolve_job_def("http_post").asset_layer.selected_asset_keys
    for env in (BITRIX, hosts):
        keys = build_definitions(env).resolve_asset_graph().get_all_asset_keys()
        assert dg.AssetKey(["http", "post"]) not in keys
