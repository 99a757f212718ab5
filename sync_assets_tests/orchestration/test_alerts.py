"""Real runs that fail, and what people are told of them: one message for a cause, its end, and nothing of the rest."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from sync_assets.orchestration.alerts import Watch
from sync_assets.settings import sync_settings
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import KAITEN, WORKSECTION, only
from sync_assets_tests.notify.ear import SLACK_PATH, TOKEN, Ear
from sync_assets_tests.orchestration.conftest import Installation

Make = Callable[..., Installation]
DAGSTER = "https://dagster.example.com"


@pytest.fixture
def ear(canary: Canary) -> Iterator[Ear]:
    with Ear() as found:
        canary.watch(TOKEN, SLACK_PATH.rpartition("/")[2])
        yield found


@pytest.fixture
def alarmed(make_installation: Make, ear: Ear) -> Installation:
    """With a notifier, whose messages `ear` has."""
    return make_installation(**ear.env("slack"), SYNC_DAGSTER_URL=DAGSTER, **only(KAITEN, WORKSECTION))


def tick(installation: Installation, **later: float) -> str:
    """What the sensor does, `later` than now."""
    definitions = installation.definitions
    watch = Watch(
        list(installation.company.accounts.values()),
        [a for a in definitions.assets or () if isinstance(a, dg.AssetsDefinition)],
        [c for c in definitions.asset_checks or () if isinstance(c, dg.AssetChecksDefinition)],
        sync_settings(installation.company.env),
    )
    try:
        return watch.tick(installation.instance, datetime.now(UTC) + timedelta(**later))
    finally:
        watch.close()


def test_a_failing_entity_is_one_message_with_what_it_stopped_until_it_is_over(alarmed: Installation, ear: Ear) -> None:
    company = alarmed.company
    tick(alarmed)
    company.sandbox.faults.set("A3", system="kaiten", path=r"/spaces$", status=500)
    run = alarmed.run("kaiten_full_sync")
    tick(alarmed)
    (text,) = ear.texts()
    assert "kaiten/spaces: sync failed (SourceUnavailable)" in text and "500" in text
    assert "Also stopped: kaiten/boards, kaiten/cards, kaiten/columns, kaiten/lanes." in text
    assert "Next: " in text and f"<{DAGSTER}/runs/{run.result.run_id}|" in text

    assert not alarmed.run("kaiten_incremental_sync", assets=["kaiten/spaces"]).green
    tick(alarmed)
    tick(alarmed)
    assert len(ear.texts()) == 1, "the same cause in the next run is told nobody"
    company.sandbox.faults.clear()
    assert alarmed.run("kaiten_full_sync", assets=["kaiten/spaces"]).green
    tick(alarmed)
    tick(alarmed)
    assert len(ear.texts()) == 2 and "Over: kaiten/spaces" in ear.texts()[1] and "It took" in ear.texts()[1]


def test_a_refused_token_is_one_cause_for_all_entities(alarmed: Installation, ear: Ear) -> None:
    tick(alarmed)
    alarmed.company.sandbox.faults.set("A11", system="kaiten", status=401)
    alarmed.run("kaiten_full_sync")
    tick(alarmed)
    (text,) = ear.texts()
    assert "kaiten: sync failed (BadCredentials)" in text and "kaiten/cards" in text
    # One record that a webhook told of proves nothing; a sync does.
    alarmed.company.sandbox.faults.clear()
    space = str(min(alarmed.company.truth("spaces")))
    alarmed.company.synced("webhook", "kaiten", "spaces", ids=(space,))
    tick(alarmed)
    assert len(ear.texts()) == 1
    alarmed.company.synced("full", "kaiten", "spaces")
    tick(alarmed)
    assert "Over: kaiten: sync failed (BadCredentials)" in ear.texts()[1]


def test_a_red_check_is_the_cause_and_the_run_that_it_turned_red_is_none(alarmed: Installation, ear: Ear) -> None:
    company = alarmed.company
    tick(alarmed)
    card = sorted(company.truth("cards"))[7]
    company.sandbox.faults.set("V4", system="kaiten", path=r"/cards$", record=card, field="due_date", variant="dotted")
    assert not alarmed.run("kaiten_full_sync", assets=["kaiten/cards", "sync/report"]).green
    tick(alarmed)
    (text,) = ear.texts()
    assert "kaiten/cards: check columns_parse" in text and "run failed" not in text
    company.sandbox.faults.clear()
    assert alarmed.run("kaiten_full_sync", assets=["kaiten/cards", "sync/report"]).green
    tick(alarmed)
    assert len(ear.texts()) == 2 and "Over: kaiten/cards: check columns_parse" in ear.texts()[1]


def test_a_run_that_was_lost_is_told_and_is_over_when_its_job_succeeds(alarmed: Installation, ear: Ear) -> None:
    tick(alarmed)
    job = alarmed.definitions.resolve_job_def("kaiten_full_sync")
    run = alarmed.instance.create_run_for_job(job)
    alarmed.instance.report_run_failed(run, "Detected run worker status FAILED")
    tick(alarmed)
    (text,) = ear.texts()
    assert "kaiten_full_sync: run failed (RunLost)" in text and "Next: start it again" in text
    assert alarmed.run("kaiten_full_sync", assets=["kaiten/tags"]).green
    tick(alarmed)
    assert "Over: kaiten_full_sync" in ear.texts()[1]


def test_what_postgres_shows_is_told_though_no_run_says_so(make_installation: Make, ear: Ear) -> None:
    installation = make_installation(
        **ear.env("slack"),
        SYNC_WAY_BACK="on",
        KAITEN_WEBHOOK_SECRET="canary-path-0123456789-abcdef",
        KAITEN_FRESH_HOURS="15,users=30",
    )
    company = installation.company
    company.query(
        "insert into sync.webhook_events (account, system, event, entity, key, identity, is_unique, state, done_at,"
        " reason) values ('kaiten', 'kaiten', 'card:update', 'cards', '1', 'x', true, 'dead', now(), 'too often')"
    )
    company.query(
        "insert into sync.metadata (account, entity, system, last_full_at)"
        " select 'kaiten', unnest(array['tags', 'users']), 'kaiten', now() - interval '20 hours'"
    )
    company.query(
        "insert into sync.delivery (account, fuse_blown_at, fuse_reason) values ('bitrix', now(), '300 in an hour')"
    )
    tick(installation)
    texts = "\n".join(ear.texts())
    assert "check inbox_is_worked_off" in texts and "1 events were given up" in texts
    assert "kaiten: check fresh" in texts and "20.0 hours ago" in texts
    assert "(tags)" in texts, "users may be older"
    assert "Critical: bitrix/order_status_push: check the_way_is_open" in texts and "outbox release" in texts
    assert len(ear.texts()) == 3
    company.query("update sync.webhook_events set state = 'done'")
    company.query("update sync.metadata set last_full_at = now()")
    company.query("update sync.delivery set fuse_blown_at = null, fuse_reason = null")
    tick(installation)
    assert len(ear.texts()) == 6 and all("Over: " in text for text in ear.texts()[3:])


def test_a_bug_is_told_by_its_class_alone(alarmed: Installation, ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    tick(alarmed)

    def breaks(*_: object, **__: object) -> None:
        raise KeyError("Ms Miller, miller@example.com")

    monkeypatch.setattr("sync_assets.orchestration.io_manager.sync_entity", breaks)
    assert not alarmed.run("kaiten_full_sync", assets=["kaiten/tags"]).green
    tick(alarmed)
    (text,) = ear.texts()
    assert "kaiten/tags: sync failed (KeyError)" in text and "iller" not in text


def test_failures_of_before_anybody_looked_are_nobodys_alert(alarmed: Installation, ear: Ear) -> None:
    alarmed.company.sandbox.faults.set("A3", system="kaiten", path=r"/tags$", status=500)
    alarmed.run("kaiten_full_sync", assets=["kaiten/tags"])
    tick(alarmed, hours=3)
    assert ear.texts() == []


def test_a_daemon_that_was_away_for_days_finds_what_failed_meanwhile(alarmed: Installation, ear: Ear) -> None:
    tick(alarmed)
    alarmed.company.sandbox.faults.set("A3", system="kaiten", path=r"/tags$", status=500)
    alarmed.run("kaiten_full_sync", assets=["kaiten/tags"])
    tick(alarmed, days=3)
    (text,) = ear.texts()
    assert "kaiten/tags: sync failed" in text


def test_the_sensor_runs_where_somebody_can_be_told(make_installation: Make, ear: Ear) -> None:
    for env, status in (
        ({}, dg.DefaultSensorStatus.STOPPED), (ear.env("telegram"), dg.DefaultSensorStatus.RUNNING),
    ):  # fmt: skip
        installation = make_installation(**env)
        (sensor,) = (s for s in installation.definitions.sensors or () if s.name == "alerts")
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status == status
    context = dg.build_sensor_context(instance=installation.instance)
    assert "0 alerts are open" in (sensor.evaluate_tick(context).skip_message or "")
