"""The receiver tells by itself that it refuses webhooks: while Postgres is away, nobody else can."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sync_assets.notify import alarm as alarms
from sync_assets.notify.alarm import Alarm
from sync_assets.notify.notifiers import notifiers
from sync_assets.settings import sync_settings
from sync_assets_tests.notify.ear import Answer, Ear

T0 = 1_770_000_000.0


@pytest.fixture
def make_alarm(ear: Ear, tmp_path: Path) -> Callable[..., Alarm]:
    def make(refusing: list[bool], *names: str) -> Alarm:
        return Alarm(notifiers(sync_settings(ear.env(*names))), lambda: refusing[0], tmp_path)

    return make


def test_a_receiver_that_refuses_says_so_once_and_says_when_that_is_over_w10(
    make_alarm: Callable[..., Alarm], ear: Ear
) -> None:
    refusing = [False]
    alarm = make_alarm(refusing, "slack")
    alarm.look(T0)
    assert ear.texts() == []
    for second in range(100):
        refusing[0] = second % 10 != 3  # one that is small enough fits in between
        alarm.look(T0 + 60 + second)
    (text,) = ear.texts()
    assert "Critical: webhooks are refused" in text and "SYNC_SPOOL_MEGABYTES" in text
    refusing[0] = False
    for second in range(0, 900, 30):
        alarm.look(T0 + 200 + second)
    assert len(ear.texts()) == 2 and "Over: webhooks are taken again" in ear.texts()[1]
    assert "It took 2 min" in ear.texts()[1]


def test_a_receiver_that_was_started_again_tells_nobody_twice(make_alarm: Callable[..., Alarm], ear: Ear) -> None:
    refusing = [True]
    make_alarm(refusing, "slack").look(T0)
    make_alarm(refusing, "slack").look(T0 + 5)
    assert len(ear.texts()) == 1
    refusing[0] = False
    third = make_alarm(refusing, "slack")
    third.look(T0 + 10)
    third.look(T0 + 10 + alarms.SETTLE)
    assert len(ear.texts()) == 2
    make_alarm(refusing, "slack").look(T0 + 10_000)
    assert len(ear.texts()) == 2


def test_whom_it_does_not_reach_it_tells_later_and_the_other_at_once(
    make_alarm: Callable[..., Alarm], ear: Ear
) -> None:
    ear.says("slack", Answer(500))
    alarm = make_alarm([True])
    for second in range(60):
        alarm.look(T0 + second)
    assert len(ear.texts("telegram")) == 1 and len(ear.requests) == 1 + 3
    ear.says("slack", Answer())
    for second in range(60, 180):
        alarm.look(T0 + second)
    assert len(ear.texts("slack")) == len(ear.texts("telegram")) == 1


def test_it_watches_while_the_receiver_runs(
    make_alarm: Callable[..., Alarm], ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "LOOK", 0.01)
    with make_alarm([True], "slack").watching():
        for _ in range(500):
            if ear.texts():
                break
            alarms.time.sleep(0.01)
    assert len(ear.texts()) == 1
