"""The sensors: a tick works off what is there and what comes, tells it as a batch run would, and never fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from sync_assets.check.inbox import inbox_is_worked_off
from sync_assets.definitions import build_definitions
from sync_assets.load.announcements import Announcements
from sync_assets.orchestration import sensors
from sync_assets.orchestration.checks import inbox_checks
from sync_assets.orchestration.resources import Sync
from sync_assets.sync import watch
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import wait_for
from sync_assets_tests.inbox.hints import hint, states

HOOKS = {
    "KAITEN_WEBHOOK_SECRET": "canary-of-a-path-that-nobody-guesses",
    "BITRIX_APPLICATION_TOKEN": "canary-of-bitrix-0123456789",
}


@pytest.fixture
def called(make_company: Callable[..., Company], grown: Company) -> Iterator[Company]:
    yield make_company(grown.sandbox, database_url=grown.database_url, **HOOKS)
    while sensors.watches:
        sensors.watches.popitem()[1].close()


@pytest.fixture
def tick(called: Company, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dg.SensorResult]:
    """tick(system, left_alone) -> what one tick of the system's sensor gives, with nobody at work after it."""
    definitions = build_definitions(called.env)

    def run(system: str = "kaiten", left_alone: float = 0.0) -> dg.SensorResult:
        monkeypatch.setattr(watch, "LEFT_ALONE", left_alone)
        sensor = definitions.resolve_sensor_def(f"{system}_webhooks")
        with dg.DagsterInstance.ephemeral() as instance:
            result = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(result, dg.SensorResult) and result.skip_reason and not result.run_requests
        return result

    return run


def said(result: dg.SensorResult) -> str:
    assert result.skip_reason and result.skip_reason.skip_message
    return result.skip_reason.skip_message


def test_only_systems_that_call_us_have_a_sensor_and_it_is_on(called: Company) -> None:
    found = {s.name: s for s in build_definitions(called.env).sensors or () if s.name.endswith("_webhooks")}
    assert found.keys() == {"kaiten_webhooks", "bitrix_webhooks"}
    for sensor in found.values():
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING and sensor.minimum_interval_seconds == 1
    without = {name: value for name, value in called.env.items() if name not in HOOKS}
    assert not [s for s in build_definitions(without).sensors or () if s.name.endswith("_webhooks")]


def test_a_tick_tells_what_it_did_with_the_metadata_of_a_batch_run(
    called: Company, tick: Callable[..., dg.SensorResult]
) -> None:
    kaiten = called.sandbox.world.kaiten
    card, board = min(kaiten.cards), min(kaiten.table("boards"))
    kaiten.update_card(card, title="new")
    hint(called, "kaiten", "cards", card, card)
    hint(called, "kaiten", "boards", board)
    called.query("insert into sync.webhook_events (account, system, event, identity, is_unique, state, done_at, reason)"
                 " values ('kaiten', 'kaiten', 'x', 'x', true, 'dead', now(), 'given up')")  # fmt: skip
    results = [tick(), tick()]
    assert [said(result) for result in results] == [
        "kaiten: 2 events over 1 records; cards 1 updated; 1 waiting; 1 dead",
        "kaiten: 1 events over 1 records; boards unchanged; columns unchanged; lanes unchanged; 1 dead",
    ]
    found = [e for result in results for e in result.asset_events if isinstance(e, dg.AssetMaterialization)]
    events = {e.asset_key.to_user_string(): e for e in found}
    assert events.keys() == {f"kaiten/{name}" for name in ("cards", "boards", "columns", "lanes")}
    told = {name: value.value for name, value in events["kaiten/cards"].metadata.items()}
    assert (told["fetched"], told["updated"], told["kind"]) == (1, 1, "webhook")
    assert told["dagster/row_count"] == called.count("cards") and told["dagster/table_name"] == "kaiten.cards"
    assert {"dagster/column_schema", "requests", "seconds", "records_per_second", "waiting_links"} <= told.keys()
    assert said(tick()) == "kaiten: 0 events over 0 records; 1 dead" and tick().asset_events == []


def test_an_announcement_of_its_own_account_ends_the_wait(called: Company) -> None:
    ears = Announcements(called.database_url, ["kaiten"])
    try:
        assert ears.due() == []
        called.query("select pg_notify('sync_inbox', 'hubspot')")
        assert not ears.wait(0.1)
        called.query("select pg_notify('sync_inbox', 'kaiten')")
        assert ears.wait(10.0)
        hint(called, "kaiten", "cards", 1)
        assert ears.due() == ["kaiten"]
    finally:
        ears.close()


def test_without_announcements_it_asks_by_itself(
    called: Company, tick: Callable[..., dg.SensorResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ASK_AGAIN", 0.05)
    monkeypatch.setattr(watch, "ROUND", 0.05)
    monkeypatch.setattr(Announcements, "wait", lambda _, seconds: time.sleep(seconds))
    tick(left_alone=30.0)
    hint(called, "kaiten", "cards", min(called.sandbox.world.kaiten.cards))
    wait_for(lambda: states(called) == {"done": 1})
    assert "1 events over 1 records" in said(tick())


def test_what_comes_between_two_ticks_is_worked_off_at_once_and_told_by_the_next(
    called: Company, tick: Callable[..., dg.SensorResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "ASK_AGAIN", 30.0)
    card = min(called.sandbox.world.kaiten.cards)
    tick(left_alone=30.0)
    for turn in range(2):
        called.sandbox.world.kaiten.update_card(card, title=f"turn {turn}")
        hint(called, "kaiten", "cards", card)
        called.query("select pg_notify('sync_inbox', 'kaiten')")
        wait_for(lambda: "new" not in states(called) and "taken" not in states(called))
    result = tick()
    assert said(result) == "kaiten: 2 events over 2 records; cards 2 updated"
    assert len(result.asset_events) == 1
    hint(called, "kaiten", "cards", card)
    called.query("select pg_notify('sync_inbox', 'kaiten')")
    time.sleep(0.2)
    assert states(called)["new"] == 1, "nobody was left at work"


def test_whoever_is_left_alone_stops_and_lets_go_of_its_connections(
    called: Company, tick: Callable[..., dg.SensorResult]
) -> None:
    tick(left_alone=0.3)
    held = (
        "select count(*) from pg_stat_activity"
        " where application_name like 'sync_assets%' and datname = current_database()"
    )
    wait_for(lambda: called.query(held) == [(0,)])
    hint(called, "kaiten", "cards", min(called.sandbox.world.kaiten.cards))
    assert states(called) == {"new": 1}
    assert "1 events over 1 records" in said(tick())


def test_whoever_is_left_alone_stops_though_there_is_always_more_to_do(
    called: Company, tick: Callable[..., dg.SensorResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    tick()
    monkeypatch.setattr(watch, "ASK_AGAIN", 0.0)
    with monkeypatch.context() as busy:
        busy.setattr(watch.Watch, "_work_off", lambda *_: not time.sleep(0.01))
        tick(left_alone=0.3)
        deputy = sensors.watches["kaiten"]._deputy
        assert deputy
        deputy.join(10.0)
        ended = not deputy.is_alive()
        sensors.watches["kaiten"]._relieve()
    assert ended


def test_a_bug_of_the_time_between_is_red_in_the_next_tick(
    called: Company, tick: Callable[..., dg.SensorResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    tick()
    with monkeypatch.context() as broken:
        broken.setattr(Announcements, "wait", lambda *_: 1 / 0)
        tick(left_alone=30.0)
        kept = sensors.watches["kaiten"]._deputy
        assert kept
        kept.join()
    with pytest.raises(ZeroDivisionError):
        tick()
    assert said(tick()) == "kaiten: 0 events over 0 records"


def test_a_worker_keeps_what_took_time_to_make_and_between_ticks_one_connection(
    called: Company, tick: Callable[..., dg.SensorResult]
) -> None:
    card = min(called.sandbox.world.kaiten.cards)
    hint(called, "kaiten", "cards", card)
    tick()
    called.sandbox.requests.clear()
    hint(called, "kaiten", "cards", card)
    tick()
    assert [r.path for r in called.sandbox.requests] == [f"/api/latest/cards/{card}"], "nothing is asked to begin with"
    tick()
    held = (
        "select application_name from pg_stat_activity"
        " where application_name like 'sync_assets%' and datname = current_database()"
    )
    wait_for(lambda: called.query(held) == [("sync_assets webhooks",)])  # Postgres takes a moment to see one off


def test_a_tick_that_is_over_for_dagster_alone_is_not_joined_by_the_next(
    called: Company, tick: Callable[..., dg.SensorResult]
) -> None:
    tick()
    hint(called, "kaiten", "cards", min(called.sandbox.world.kaiten.cards))
    with sensors.watches["kaiten"]._looking:
        assert said(tick()) == "kaiten: 0 events over 0 records; the look before this one is not over"
    assert states(called) == {"new": 1} and "1 events" in said(tick())


def test_a_database_that_is_away_is_words_and_no_failure(
    make_company: Callable[..., Company], grown: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEFT_ALONE", 0.0)
    monkeypatch.setattr("sync_assets.sync.worker.IMPATIENT", {"sync_database_wait_seconds": 0.1})
    env = {**grown.env, **HOOKS, "DATABASE_URL": "postgresql://nobody:canary-pw@127.0.0.1:1/none"}
    try:
        sensor = build_definitions(env).resolve_sensor_def("kaiten_webhooks")
        with dg.DagsterInstance.ephemeral() as instance:
            result: Any = sensor(dg.build_sensor_context(instance=instance))
        assert "Postgres cannot be" in said(result) and result.asset_events == []
    finally:
        sensors.watches.popitem()[1].close()


@pytest.mark.parametrize(
    ("change", "passed", "says"),
    [
        ("state = 'waiting'", True, "1 events wait, none for long"),
        ("received_at = now() - interval '3 hours'", False, "the oldest of 1 that wait came 3.0 hours ago"),
        ("state = 'dead', done_at = now(), reason = 'given up'", False, "1 events were given up"),
        ("state = 'done', done_at = now()", True, "0 events wait"),
    ],
)
def test_the_check_says_what_was_given_up_and_what_waits_for_long(
    called: Company, change: str, passed: bool, says: str
) -> None:
    hint(called, "kaiten", "cards", 1)
    called.query(f"update sync.webhook_events set {change}")
    with called.connected() as connection:
        found = inbox_is_worked_off(connection.database, "kaiten")
    assert (found.passed, found.severity) == (passed, "WARN")
    assert says in found.says and ("sync-assets inbox" in found.says or passed)


def test_the_check_is_a_warning_on_one_asset_of_each_account_that_is_called(
    called: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in called.env.items():
        monkeypatch.setenv(name, value)
    hint(called, "kaiten", "cards", 1)
    called.query("update sync.webhook_events set state = 'dead', done_at = now(), reason = 'given up'")
    found = [check for account in called.accounts.values() for check in inbox_checks(account)]
    assert [key.to_user_string() for check in found for key in check.check_keys] == [
        "kaiten/spaces:inbox_is_worked_off", "bitrix/users:inbox_is_worked_off",
    ]  # fmt: skip
    definitions = dg.Definitions(
        asset_checks=found,
        resources={"sync": Sync()},
        jobs=[dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("checks").execute_in_process(instance=instance)
        seen = {e.asset_key.to_user_string(): (e.passed, e.severity) for e in result.get_asset_check_evaluations()}
    assert seen == {
        "kaiten/spaces": (False, dg.AssetCheckSeverity.WARN), "bitrix/users": (True, dg.AssetCheckSeverity.WARN),
    }  # fmt: skip
