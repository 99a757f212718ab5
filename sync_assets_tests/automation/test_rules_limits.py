"""How often a rule may run, and that none runs in circles: our own changes, their depth, and rules that would loop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sync_assets_tests.automation.ruling import Ruled
from sync_assets_tests.automation.telling import assert_chains

LOG = 'do: log, text: "seen"'


def test_a_cooldown_counts_per_record(ruled: Ruled) -> None:
    ruled.rule("often", LOG, more="limits: {cooldown: 24h}")
    ruled.react()
    lead, other = ruled.leads[:2]
    ruled.move(lead)
    ruled.move(lead, status=143)
    ruled.move(other)
    ruled.react()
    assert [(key, state) for key, state, _ in ruled.runs()] == [
        (str(lead), "done"), (str(lead), "skipped"), (str(other), "done"),
    ]  # fmt: skip
    assert ruled.runs()[1][2] == "cooldown: it ran for this record less than 1 day, 0:00:00 ago"
    ruled.company.query("update sync.rule_runs set started_at = started_at - interval '25 hours'")
    ruled.move(lead)
    ruled.react()
    assert ruled.states() == ["done", "skipped", "done", "done"], "what was skipped counts for nothing"


def test_a_rule_runs_so_often_a_day_also_with_several_workers(ruled: Ruled) -> None:
    ruled.rule("seldom", LOG, more="limits: {max_per_day: 2}")
    ruled.react()
    ruled.move(*ruled.leads[:5])
    workers = [threading.Thread(target=ruled.react) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(ruled.states()) == ["done", "done", "skipped", "skipped", "skipped"]
    ruled.company.query("update sync.rule_runs set started_at = started_at - interval '25 hours'")
    ruled.move(ruled.leads[0], status=143)
    ruled.react()
    assert ruled.states()[-1] == "done"


def test_once_per_entity_is_for_ever(ruled: Ruled) -> None:
    ruled.rule("once", LOG, more="limits: {once_per_entity: true}")
    ruled.react()
    lead = ruled.leads[0]
    for status in (142, 143):
        ruled.move(lead, status=status)
    ruled.react()
    ruled.rule("once", LOG, LOG, more="limits: {once_per_entity: true}")
    ruled.move(lead, status=142)
    ruled.react()
    assert ruled.states() == ["done", "skipped", "skipped"], "another version is the same rule"


def test_our_own_change_is_told_as_ours_and_starts_nothing(ruled: Ruled) -> None:
    """The rule moves the lead on; the lead's move comes back, by the read-back of the write, as our own."""
    pipeline = "do: set_status, status: 143"
    ruled.rule("moves_on", pipeline)
    ruled.rule("asked_to", LOG, more="run_on: {self_caused: true}")
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    assert ruled.deliver().states == {"confirmed": 1}
    assert dict(ruled.react().rules.states) == {"skipped": 1, "done": 1}
    own = "select origin, depth, cause from sync.change_events where key = %s order by revision"
    (letter,) = ruled.company.query("select id from sync.outbox")
    assert ruled.company.query(own, (str(lead),)) == [("external", 0, None), ("self", 1, *letter)]
    assert ruled.runs("moves_on")[-1] == (str(lead), "skipped", "self: we did this ourselves")
    # What the webhook then tells of is no change any more, and nobody goes on.
    ruled.look(lead)
    assert ruled.react().rules.changes == 0 and len(ruled.letters()) == 1
    assert_chains(ruled.company)


def test_the_webhook_that_is_there_before_our_read_back_is_ours_too(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sync_assets import crash

    ruled.rule("moves_on", "do: set_status, status: 143")
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    told: list[str] = []

    def look(point: str) -> None:
        if point == "after sent" and not told:
            told.append(point)
            ruled.look(lead)
            for status in (142, 143):
                ruled.move(lead, status=status)

    monkeypatch.setattr(crash, "point", look)
    assert ruled.deliver().states == {"confirmed": 1} and told
    origins = "select origin, depth from sync.change_events where key = %s order by revision"
    # What it told of once, it does not tell of again: the two after it are somebody's who moves the lead to and fro.
    assert ruled.company.query(origins, (str(lead),)) == [
        ("external", 0), ("self", 1), ("external", 0), ("external", 0),
    ]  # fmt: skip


def test_a_person_who_does_the_same_later_is_a_person(ruled: Ruled) -> None:
    ruled.rule(
        "moves_on", "do: set_status, status: 143", more="when: {field: after.status_id, op: changed_to, value: 142}"
    )
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    ruled.deliver()
    for status in (142, 143):
        ruled.move(lead, status=status)
    origins = "select origin from sync.change_events where key = %s order by revision"
    assert ruled.company.query(origins, (str(lead),)) == [("external",), ("self",), ("external",), ("external",)]


def test_what_we_wrote_while_nobody_listened_is_not_taken_for_a_later_change(ruled: Ruled) -> None:
    ruled.rule("moves_on", "do: set_status, status: 143")
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    ruled.company.query("delete from sync.listeners")
    assert ruled.deliver().states == {"confirmed": 1}
    ruled.move(lead)
    ruled.company.query("insert into sync.listeners (consumer, system, entity) values ('rules', 'kommo', 'leads')")
    ruled.move(lead, status=143)
    origins = "select origin from sync.change_events where key = %s order by revision"
    assert ruled.company.query(origins, (str(lead),)) == [("external",), ("external",)]


def test_a_person_who_changes_something_else_meanwhile_is_heard_but_the_depth_stays(ruled: Ruled) -> None:
    ruled.rule(
        "moves_on", "do: set_status, status: 143", more="when: {field: after.status_id, op: changed_to, value: 142}"
    )
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    ruled.world.update("leads", lead, price=4711)
    assert ruled.deliver().states == {"confirmed": 1}
    origins = "select origin, depth, cause is not null from sync.change_events where key = %s order by revision"
    assert ruled.company.query(origins, (str(lead),))[-1] == ("external", 1, True)


def test_a_task_that_we_made_is_known_by_its_marker(ruled: Ruled) -> None:
    ruled.rule("calls", 'do: create_task, text: "Call", due: 1d')
    ruled.rule("tasks", LOG, event="created, account: kommo")
    path = ruled.folder / "rules" / "tasks.yaml"
    path.write_text(path.read_text().replace("entity: lead", "entity: task"))
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    ruled.deliver()
    theirs = ruled.world.create("tasks", text="by hand", entity_type="leads", entity_id=lead)
    ruled.company.synced("incremental", "kommo", "tasks")
    origins = "select key = %s, origin, depth from sync.change_events where entity = 'tasks' order by 1"
    assert ruled.company.query(origins, (str(theirs),)) == [(False, "self", 1), (True, "external", 0)]
    ruled.react()
    assert sorted(ruled.states("tasks")) == ["done", "skipped"]


TOGGLES = {
    "there": ("do: set_status, status: 143", 142),
    "back": ("do: set_status, status: 142", 143),
}


@pytest.mark.parametrize(("self_caused", "most"), [(False, 1), (True, 3)])
def test_two_rules_that_undo_each_other_come_to_an_end(ruled: Ruled, self_caused: bool, most: int) -> None:
    """Without the guard this goes on for ever; where our own changes are wanted, the depth ends it."""
    for key, (action, status) in TOGGLES.items():
        when = f"when: {{field: after.status_id, op: changed_to, value: {status}}}"
        ruled.rule(key, action, more=f"{when}\nrun_on: {{self_caused: {str(self_caused).lower()}}}")
    ruled.react()
    ruled.move(ruled.leads[0])
    rounds = 0
    while ruled.react().rules.changes:
        ruled.deliver()
        rounds += 1
        assert rounds < 10, "it goes round in circles"
    assert len(ruled.letters()) == most
    assert ruled.states()[-1] == "skipped"


def test_a_note_that_moves_only_the_date_of_its_lead_starts_nothing(ruled: Ruled) -> None:
    """`updated` on what changes with every other change would answer each note with another one."""
    ruled.rule("notes", 'do: add_note, text: "something changed"', event="updated")
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    for _ in range(4):
        ruled.react()
        ruled.deliver()
        ruled.company.sandbox.world.clock.advance(60)
        ruled.world.update("leads", lead)
        ruled.look(lead)
    assert len(ruled.letters()) == 1


def test_killed_between_claim_and_commit_it_runs_once(ruled: Ruled) -> None:
    import os
    import subprocess
    import sys

    ruled.rule("won", 'do: create_task, text: "Call", due: 1d', LOG)
    ruled.react()
    ruled.move(ruled.leads[0])
    environment: dict[str, Any] = {"PATH": os.defpath, **ruled.company.env}
    killed = subprocess.run(
        [sys.executable, "-m", "sync_assets_tests.automation.reacting"],
        env={**environment, "SYNC_ASSETS_CRASH_AT": "before rules commit"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr
    assert ruled.runs() == [] and ruled.letters() == []
    ruled.react()
    assert len(ruled.runs()) == len(ruled.letters()) == ruled.logged() == 1
