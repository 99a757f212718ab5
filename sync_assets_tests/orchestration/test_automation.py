"""Rules in Dagster: a sensor that takes up a change within its tick, and a job that does the same when it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sync_assets.automation import reactions
from sync_assets.orchestration import automation
from sync_assets_tests.inbox.hints import hint, worked_off
from sync_assets_tests.orchestration.conftest import Installation

WON = """
key: won
name: Won
on: {source: kommo, entity: lead, event: stage_changed}
actions:
  - {do: log, text: "seen"}
"""


@pytest.fixture
def office(make_installation: Callable[..., Installation], tmp_path: Path) -> Iterator[Installation]:
    """Kommo's leads are mirrored, and there is one rule."""
    folder = tmp_path / "automation"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "won.yaml").write_text(WON)
    installation = make_installation(SYNC_AUTOMATION_FOLDER=str(folder))
    installation.company.synced("full", "kommo", ["pipelines", "statuses", "leads"])
    yield installation
    for kept in automation.kept:
        kept.close()
    automation.kept.clear()


def move(office: Installation) -> None:
    kommo = office.company.sandbox.world.kommo
    lead = next(k for k, thing in kommo.living["leads"].items() if thing.fields["status_id"] not in (142, 143))
    kommo.move(lead, 142)
    hint(office.company, "kommo", "leads", lead)
    worked_off(office.company, "kommo")


def runs(office: Installation) -> int:
    ((count,),) = office.company.query("select count(*) from sync.rule_runs where state = 'done'")
    return int(count)


def watching(office: Installation) -> reactions.Reactions:
    return reactions.Reactions(list(office.company.accounts.values()), office.company.settings)


def test_a_change_within_a_tick_is_taken_up_within_it(office: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the notice: the tick looks by itself only after a minute."""
    monkeypatch.setattr(reactions, "ASK_AGAIN", 60.0)
    watch = watching(office)
    watch.watch(0.0)
    changed = threading.Timer(0.3, lambda: move(office))
    changed.start()
    done = watch.watch(2.0)
    changed.join()
    watch.close()
    assert (done.rules.changes, done.problems, runs(office)) == (1, [], 1)


def test_a_tick_finds_what_no_notice_told_of(office: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "ASK_AGAIN", 0.05)
    monkeypatch.setattr(reactions.Announcements, "wait", lambda self, seconds: time.sleep(seconds))
    watch = watching(office)
    watch.watch(0.0)
    changed = threading.Timer(0.2, lambda: move(office))
    changed.start()
    done = watch.watch(1.5)
    changed.join()
    watch.close()
    assert done.rules.changes == 1 and runs(office) == 1


def test_the_sensor_materializes_what_it_did_and_nothing_else(
    office: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automation, "TICK_SECONDS", 0.2)
    for name, value in office.company.env.items():
        monkeypatch.setenv(name, value)
    sensor: Any = next(s for s in office.definitions.sensors or () if s.name == "automation")
    assert sensor.minimum_interval_seconds == 1
    with dg.build_sensor_context(instance=office.instance) as context:
        quiet = sensor.evaluate_tick(context)
        assert not quiet.asset_events and quiet.skip_message.startswith("rules: nothing changed")
        move(office)
        (event,) = sensor.evaluate_tick(context).asset_events
    assert event.asset_key.to_user_string() == "sync/automation"
    assert (event.metadata["changes"].value, event.metadata["rules_done"].value) == (1, 1)


def test_the_job_does_what_is_due_and_is_red_where_a_file_cannot_be_understood(office: Installation) -> None:
    assert office.run("automation_due").green
    move(office)
    run = office.run("automation_due")
    assert run.green and run.metadata("sync/automation")["rules_done"] == 1
    assert office.company.query("select run_id is not null from sync.rule_runs") == [(True,)]
    path = Path(office.company.env["SYNC_AUTOMATION_FOLDER"]) / "rules" / "won.yaml"
    path.write_text(WON.replace("do: log", "do: lag"))
    red = office.run("automation_due")
    (said,) = red.failures.values()
    assert not red.green and "did you mean log" in said and f"file {path}, line 6" in said


def test_without_a_folder_it_looks_rarely_and_asks_for_no_change(
    office: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watching(office)
    watch.watch(0.0)
    assert office.company.query("select count(*) from sync.listeners") == [(1,)]
    (Path(office.company.env["SYNC_AUTOMATION_FOLDER"]) / "rules" / "won.yaml").unlink()
    monkeypatch.setattr(
        reactions.Announcements, "wait", lambda self, seconds: pytest.fail("there is nothing to wait for")
    )
    watch.watch(60.0)
    watch.close()
    assert office.company.query("select count(*) from sync.listeners") == [(0,)]
    sensor: Any = next(s for s in office.definitions.sensors or () if s.name == "automation")
    assert sensor.minimum_interval_seconds == automation.RARELY
