"""Sequences and time: outages, windows and ways that are closed; versions that stay, and what is wrong with a step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync_assets.automation.sequences import definitions
from sync_assets_tests.automation.acting import LOG, NOTE, Acting, due, later, open_leads

# Time.


def test_after_an_outage_a_late_step_is_done_once_and_the_next_delay_counts_from_then(acting: Acting) -> None:
    acting.sequence(steps=[{**LOG, "delay": "1h"}, {**LOG, "delay": "1d"}, {**LOG, "delay": "1d"}])
    acting.work()
    acting.enrol(acting.leads[0])
    back = later(days=10)
    assert acting.work(now=back).counts == {"done": 1}
    assert due(acting) == back + timedelta(days=1)


def test_a_step_that_is_too_late_is_skipped_where_its_file_says_so(acting: Acting) -> None:
    acting.sequence(catch_up={"skip_after": "3d"}, steps=[{**LOG, "delay": "1h"}, {**LOG, "delay": "1d"}])
    acting.work()
    acting.enrol(acting.leads[0])
    assert acting.work(now=later(days=4)).counts == {"skipped": 1}
    assert acting.work(now=later(days=5, hours=1)).counts == {"done": 1, "completed": 1}
    assert [state for *_, state in acting.steps()] == ["skipped", "done"]
    assert acting.runs() == [("completed", 2, None)]


def test_outside_its_window_a_step_waits_for_the_next_opening_and_its_lateness_still_counts(acting: Acting) -> None:
    # Monday at noon of a week to come; the outage ends on Saturday.
    acting.sequence(window={"tz": "Europe/Moscow", "hours": "09:00-19:00", "days": "mon-fri"}, steps=[LOG],
                    catch_up={"skip_after": "4d"})  # fmt: skip
    acting.work()
    acting.enrol(acting.leads[0])
    monday = datetime(2030, 6, 3, 9, tzinfo=UTC)
    acting.company.query("update sync.sequence_runs set due_at = %s, next_at = %s", (monday, monday))
    assert acting.work(now=monday + timedelta(days=5)).counts == {"put off": 1}
    assert due(acting) == datetime(2030, 6, 10, 6, tzinfo=UTC)
    assert acting.work(now=due(acting)).counts == {"skipped": 1, "completed": 1}


def test_while_nothing_can_leave_a_sequence_stands_still(acting: Acting) -> None:
    acting.sequence(steps=[NOTE, NOTE, NOTE])
    acting.work()
    lead = acting.leads[0]
    acting.enrol(lead)
    acting.company.sandbox.faults.set("A3", system="kommo", path="/api/v4", status=503)
    for _ in range(3):
        acting.work(now=later(days=20))
        acting.deliver()
        acting.due_now()
    assert acting.steps() == [(1, "add_note", "done")], "nor does it let out all at once afterwards"
    acting.company.sandbox.faults.clear()


# Versions, and what is wrong.


def test_a_run_stays_with_the_version_that_it_began_with(acting: Acting) -> None:
    acting.sequence(steps=[{**LOG, "delay": "1h"}, {**LOG, "text": "old"}])
    acting.work()
    old, new = acting.leads[:2]
    acting.enrol(old)
    acting.sequence(steps=[{**LOG, "delay": "1h", "text": "new"}])
    acting.work()
    acting.enrol(new)
    acting.work(now=later(hours=2))
    said = acting.company.query(
        "select details ->> 'key', details ->> 'text' from sync.activity_logs where activity = 'automation_log'"
    )
    assert sorted(said) == sorted([(str(old), f"After sale of {old}"), (str(old), "old"), (str(new), "new")])
    assert [status for status, *_ in acting.runs()] == ["completed", "completed"]
    (acting.folder / "sequences" / "after_sale.yaml").unlink()
    acting.work()
    with pytest.raises(Exception, match="there is no sequence after_sale"):
        acting.enrol(acting.leads[2])


def test_a_file_that_is_broken_leaves_the_version_before_it_in_use(acting: Acting) -> None:
    acting.sequence(steps=[LOG])
    acting.work()
    (acting.folder / "sequences" / "after_sale.yaml").write_text("key: after_sale\nname: [")
    acting.work()
    assert acting.enrol(acting.leads[0]) is not None


@pytest.mark.parametrize(("on_error", "status"), [("stop", "failed"), ("continue", "completed")])
def test_a_step_that_cannot_be_done_ends_it_unless_it_is_to_go_on(acting: Acting, on_error: str, status: str) -> None:
    acting.sequence(on_error=on_error, steps=[{"delay": "0m", "do": "assign", "user": "current.loss_reason_id"}, LOG])
    acting.work()
    acting.enrol(open_leads(acting)[0])
    acting.work()
    ((found, _, reason),) = acting.runs()
    assert found == status and ("leads to no number" in str(reason)) is (status == "failed")


@pytest.mark.parametrize(("on_error", "status"), [("stop", "failed"), ("continue", "completed")])
def test_a_step_that_was_given_up_ends_it_unless_it_is_to_go_on(acting: Acting, on_error: str, status: str) -> None:
    acting.sequence(on_error=on_error, steps=[{"delay": "0m", "do": "set_status", "status": 999}, LOG])
    acting.work()
    acting.enrol(acting.leads[0])
    acting.work()
    assert acting.deliver().states == {"dead": 1}
    acting.work()
    ((found, _, reason),) = acting.runs()
    assert found == status and ("not a valid choice" in str(reason)) is (status == "failed")


def test_changes_of_what_nobody_is_in_are_told_to_nobody(acting: Acting) -> None:
    acting.sequence(steps=[{**LOG, "delay": "1h"}])
    acting.work()
    query = "select system, entity from sync.listeners where consumer = 'sequences'"
    assert acting.company.query(query) == [("kommo", "leads")]
    acting.enrol(acting.leads[0])
    (acting.folder / "sequences" / "after_sale.yaml").unlink()
    acting.work()
    assert acting.company.query(query) == [("kommo", "leads")], "somebody is still in it"
    acting.work(now=later(hours=2))
    acting.work()
    assert acting.company.query(query) == []


def test_a_context_has_no_more_than_the_list_says(acting: Acting) -> None:
    wrong: dict[str, Any] = {"steps": [{**LOG, "text": "{{settings.access_token}}"}]}
    acting.sequence(**wrong)
    found, (error,) = definitions(acting.folder)
    assert found == [] and "cannot be named here" in str(error) and error.where["line"] == 8


def test_the_example_is_one_that_runs(acting: Acting) -> None:
    (acting.folder / "sequences").mkdir()
    example = Path(__file__).parents[2] / "automation" / "sequences" / "after_sale.yaml.example"
    (acting.folder / "sequences" / "after_sale.yaml").write_text(example.read_text())
    ((definition,), wrong) = definitions(acting.folder)
    assert wrong == [] and len(definition.steps) == 3 and definition.window is not None
    acting.work()
    lead = open_leads(acting)[0]
    acting.enrol(lead)
    acting.work(now=due(acting))
    acting.deliver()
    assert acting.notes(lead)[0].startswith("After-sale care began for ")
