"""Sequences: one run per enrolment, one row per step, whoever dies and whoever works at the same time."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest

from sync_assets_tests.automation.acting import LOG, NOTE, TASK, Acting, due, later, open_leads

WON, LOST = 142, 143


def test_it_runs_from_its_enrolment_to_its_end_and_says_so(acting: Acting) -> None:
    acting.sequence(steps=[NOTE, TASK])
    acting.work()
    lead = acting.leads[0]
    execution = acting.enrol(lead)
    assert acting.work().counts == {"done": 1}
    assert acting.runs() == [("active", 1, None)], "a step is over when its letter is"
    assert not acting.work(now=later(days=30)).counts
    acting.deliver()
    acting.work()
    assert acting.runs() == [("active", 2, None)]
    ((done_at,),) = acting.company.query("select done_at from sync.outbox")
    assert due(acting) == done_at + timedelta(days=2), "the delay counts from the delivery"
    assert not acting.work(now=later(days=1, hours=23)).counts
    assert acting.work(now=later(days=2)).counts == {"done": 1}
    acting.deliver()
    assert acting.work(now=later(days=2)).counts == {"completed": 1}
    assert len(acting.notes(lead)) == len(acting.tasks(lead)) == 1
    assert acting.steps() == [(1, "add_note", "done"), (2, "create_task", "done")]
    found = acting.company.query(
        "select activity, details, entity, key from sync.activity_logs where activity like 'sequence_%' order by id"
    )
    assert [activity for activity, *_ in found] == ["sequence_started", "sequence_completed"]
    for _, details, entity, key in found:
        assert (details["sequence_name"], details["lead_id"], details["execution_id"], details["steps_count"]) == (
            "After sale", str(lead), execution, 2,
        )  # fmt: skip
        assert (entity, key) == ("leads", str(lead))
    assert found[1][1]["status"] == "completed"
    acting.company.assert_ledger_adds_up()


def test_steps_that_send_nothing_follow_at_once(acting: Acting) -> None:
    acting.sequence(steps=[LOG, LOG, {**LOG, "only_if": {"field": "current.price", "op": "lt", "value": 0}}])
    acting.work()
    acting.enrol(acting.leads[0])
    acting.work()
    assert acting.runs() == [("completed", 3, None)]
    assert [state for _, _, state in acting.steps()] == ["done", "done", "skipped"]
    texts = acting.company.query("select details ->> 'text' from sync.activity_logs where activity = 'automation_log'")
    assert texts == [(f"After sale of {acting.leads[0]}",)] * 2


# Who is enrolled, and how often.


@pytest.mark.parametrize(
    ("re_enrol", "while_active", "afterwards"), [("never", 1, 1), ("after_finish", 1, 2), ("replace", 2, 3)]
)
def test_enrolled_again_it_begins_as_often_as_re_enrol_says(
    acting: Acting, re_enrol: str, while_active: int, afterwards: int
) -> None:
    acting.sequence(re_enrol=re_enrol, steps=[{**LOG, "delay": "1h"}])
    acting.work()
    lead = acting.leads[0]
    for _ in range(2):
        acting.enrol(lead)
    assert len(acting.runs()) == while_active
    assert [status for status, *_ in acting.runs()].count("active") == 1
    acting.work(now=later(hours=2))
    acting.enrol(lead)
    assert len(acting.runs()) == afterwards
    ended = [r for r in acting.runs() if r[0] == "exited"]
    assert all("begun anew" in str(reason) for *_, reason in ended) and len(ended) == (re_enrol == "replace")


def test_the_same_event_enrols_once(acting: Acting) -> None:
    acting.sequence(re_enrol="after_finish", steps=[LOG])
    acting.work()
    for _ in range(3):
        acting.enrol(acting.leads[0], event=7)
        acting.work()
    assert acting.runs() == [("completed", 1, None)]


def test_an_event_that_is_told_twice_does_not_replace_what_it_began(acting: Acting) -> None:
    acting.sequence(re_enrol="replace", steps=[{**LOG, "delay": "1h"}])
    acting.work()
    for _ in range(2):
        acting.enrol(acting.leads[0], event=7)
    assert acting.runs() == [("active", 1, None)]


def test_many_who_enrol_at_the_same_moment_begin_one_run(acting: Acting) -> None:
    acting.sequence(steps=[{**LOG, "delay": "1h"}])
    acting.work()
    gate = threading.Barrier(4)

    def one() -> None:
        gate.wait()
        acting.enrol(acting.leads[0])

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert acting.runs() == [("active", 1, None)] and acting.activities() == ["sequence_started"]


def test_a_stage_that_is_reached_begins_it_and_our_own_change_does_not(acting: Acting) -> None:
    acting.sequence(enrol={"on": {"event": "stage_changed", "to": WON}}, steps=[{**LOG, "delay": "1h"}])
    acting.work()
    reached, by_us, passing = open_leads(acting)[:3]
    acting.edit(reached, status_id=WON)
    acting.edit(passing, price=5)
    acting.act("set_status", by_us, status=WON)
    acting.deliver()
    acting.company.synced("reconcile", "kommo", "leads", ids=(str(by_us),))
    assert acting.work().counts == {"begun": 1}
    found = acting.company.query("select key, enrolled_by, depth, enrol_event_id is not null from sync.sequence_runs")
    assert found == [(str(reached), "after_sale itself", 0, True)]
    assert acting.company.query("select count(*) from sync.change_events where sequenced_at is null") == [(0,)]
    assert not acting.work().counts


# What ends it.


def test_a_change_that_meets_its_exit_condition_ends_it_at_once(acting: Acting) -> None:
    acting.sequence(exit=[{"field": "after.price", "op": "changed_to", "value": 7}], steps=[{**LOG, "delay": "1h"}])
    acting.work()
    lead, other = acting.leads[:2]
    acting.enrol(lead)
    acting.enrol(other)
    acting.edit(other, price=8)
    acting.edit(lead, price=7)
    acting.edit(lead, price=9)  # no longer so when it is looked at
    assert acting.work().counts == {"exited": 1}
    assert sorted(acting.runs()) == [("active", 1, None), ("exited", 1, "its exit condition holds")]
    assert acting.activities() == ["sequence_started", "sequence_started", "sequence_exited"]


def test_what_began_it_does_not_end_it_and_what_came_after_does(acting: Acting) -> None:
    """The change that a rule enrols for is met by sequences too, before or after the rule."""
    acting.sequence(exit=[{"field": "after.price", "op": "changed"}], steps=[{**LOG, "delay": "1h"}])
    acting.work()
    first, second = acting.leads[:2]
    for lead in (first, second):
        acting.edit(lead, price=1)
    acting.edit(second, price=2)
    began = dict(acting.company.query("select key, min(id) from sync.change_events group by key"))
    acting.enrol(first, event=began[str(first)])
    assert not acting.work().counts
    assert acting.runs() == [("active", 1, None)]
    acting.enrol(second, event=began[str(second)])
    assert acting.runs()[1] == ("exited", 1, "its exit condition holds"), "it was taken up before there was a run"


def test_its_exit_condition_is_held_against_the_record_before_every_step(acting: Acting) -> None:
    acting.sequence(exit=[{"field": "after.status_id", "op": "in", "value": [LOST]}], steps=[LOG, TASK])
    acting.work()
    lead = open_leads(acting)[0]
    acting.enrol(lead)
    acting.work()
    acting.edit(lead, status_id=LOST)
    # As if the change had been taken up before the run began.
    acting.company.query("update sync.change_events set sequenced_at = now()")
    assert acting.work(now=later(days=3)).counts == {"exited": 1}
    assert acting.states() == []


def test_a_lead_that_is_deleted_ends_it_whatever_its_file_says(acting: Acting) -> None:
    acting.sequence(steps=[LOG, TASK])
    acting.work()
    lead = acting.leads[0]
    acting.enrol(lead)
    acting.work()
    acting.world.delete("leads", lead)
    acting.company.synced("reconcile", "kommo", "leads", ids=(str(lead),))
    assert acting.work().counts == {"exited": 1}
    assert acting.runs() == [("exited", 2, "the record is gone")]
    assert acting.company.query("select kind from sync.change_events") == [("deleted",)]


def test_it_is_stopped_by_an_action_and_can_stop_another(acting: Acting) -> None:
    acting.sequence("first", steps=[{**LOG, "delay": "1h"}])
    acting.sequence("second", steps=[{"delay": "0m", "do": "stop_sequence", "key": "first"},
                                     {"delay": "0m", "do": "stop_sequence", "key": "second"}, LOG])  # fmt: skip
    acting.work()
    lead = acting.leads[0]
    acting.enrol(lead, "first")
    acting.act("start_sequence", lead, key="second")
    acting.work()
    assert acting.runs("first") == [("exited", 1, "stopped by sequence second")]
    assert acting.runs("second") == [("exited", 2, "stopped by sequence second")]


# Exactly once.


@pytest.mark.parametrize("point", ["after step", "after enrolled", "after changes"])
def test_killed_anywhere_a_step_is_done_once_and_a_run_begins_once(acting: Acting, point: str) -> None:
    acting.sequence(enrol={"on": {"event": "stage_changed", "to": WON}}, steps=[NOTE])
    acting.work()
    lead = open_leads(acting)[0]
    acting.edit(lead, status_id=WON)
    if point == "after step":
        acting.work(seconds=0.0)
    done = acting.kill("stepping", point)
    assert done.returncode == -signal.SIGKILL, done.stderr
    acting.work()
    acting.deliver()
    acting.work()
    assert acting.runs() == [("completed", 1, None)] and acting.steps() == [(1, "add_note", "done")]
    assert len(acting.notes(lead)) == 1
    assert acting.activities() == ["sequence_started", "sequence_completed"]


def test_two_workers_do_each_step_once(acting: Acting) -> None:
    acting.sequence(steps=[NOTE, NOTE])
    acting.work()
    for lead in acting.leads:
        acting.enrol(lead)
    for _ in range(3):
        workers = [threading.Thread(target=acting.work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        acting.deliver()
    assert {run[0] for run in acting.runs()} == {"completed"}
    assert {len(acting.notes(lead)) for lead in acting.leads} == {2}
    assert acting.company.query("select count(*) from sync.outbox") == [(2 * len(acting.leads),)]


def test_a_run_that_somebody_holds_holds_up_no_other(acting: Acting) -> None:
    acting.sequence(steps=[LOG])
    acting.work()
    held, free = acting.leads[:2]
    acting.enrol(held)
    acting.enrol(free)
    with closing(psycopg2.connect(acting.company.database_url)) as somebody, somebody.cursor() as cursor:
        cursor.execute("select from sync.sequence_runs where key = %s for update", (str(held),))
        assert acting.work().counts == {"done": 1, "completed": 1}
        # Not left to the end of the connection: Postgres takes a moment to notice that, and holds the row until then.
        somebody.rollback()
    assert acting.work().counts == {"done": 1, "completed": 1}


def test_a_second_row_of_a_step_is_refused_by_postgres_itself(acting: Acting) -> None:
    acting.sequence(steps=[LOG])
    acting.work()
    acting.enrol(acting.leads[0])
    acting.work()
    with pytest.raises(psycopg2.errors.UniqueViolation):
        acting.company.query("insert into sync.sequence_steps select * from sync.sequence_steps")
