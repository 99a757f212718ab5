"""A rule runs once per change, in one commit with all that it leaves behind, and the log says what became of it."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg2
import pytest

from sync_assets import crash
from sync_assets_tests.automation.ruling import Ruled

LOG = 'do: log, text: "{{rule.key}} of {{key}}"'
TASK = 'do: create_task, text: "Call {{contact.name}}", due: 1d, assign: after.responsible_user_id'
WON = "when: {field: after.status_id, op: changed_to, value: 142}"


def test_a_lead_is_won_and_a_task_is_in_kommo(ruled: Ruled) -> None:
    ruled.rule("won", TASK, LOG, name="Won: call", more=WON)
    ruled.react()
    lead, other = ruled.leads[:2]
    before = ruled.world.living["leads"][lead].fields["status_id"]
    ruled.move(lead)
    ruled.move(other, status=143)
    done = ruled.react()
    assert (done.rules.changes, dict(done.rules.states), done.problems) == (2, {"matched": 1}, [])
    (said,) = ruled.activities()
    contact = ruled.company.raw("leads", "kommo")[lead]["_embedded"]["contacts"][0]["id"]
    assert (said["ruleName"], said["contactId"]) == ("Won: call", contact)
    assert (said["previousState"], said["currentState"]) == (before, 142)
    assert (said["actionsCount"], said["successfulActions"], said["status"]) == (2, 1, "matched")
    assert ruled.tasks(lead) == []
    assert ruled.deliver().states == {"confirmed": 1}
    name = ruled.company.raw("contacts", "kommo")[contact]["name"]
    assert [text.partition(" [#")[0] for text in ruled.tasks(lead)] == [f"Call {name}"]
    (said,) = ruled.activities()
    assert (said["successfulActions"], said["status"]) == (2, "done"), "completed as the letter was settled"
    assert ruled.runs() == [(str(lead), "done", None)] and ruled.tasks(other) == []
    ((entity, key, run),) = ruled.company.query(
        "select entity, key, rule_run_id is not null from public.activity_logs where activity = 'rule_executed'"
    )
    assert (entity, key, run) == ("leads", str(lead), True)
    assert ruled.react().rules.changes == 0 and len(ruled.activities()) == 1


def test_what_could_not_be_delivered_is_not_called_a_success(ruled: Ruled) -> None:
    ruled.rule("won", "do: set_status, status: 1, pipeline: 1", LOG, more=WON)
    ruled.react()
    (lead, *_) = ruled.leads
    ruled.move(lead)
    ruled.react()
    assert ruled.deliver().states == {"dead": 1}
    (said,) = ruled.activities()
    assert (said["successfulActions"], said["status"]) == (1, "partial")
    states = "select action, state, reason is not null from sync.rule_actions order by ordinal"
    assert ruled.company.query(states) == [("set_status", "failed", True), ("log", "done", False)]
    # Somebody mends the cause: the run is open again, and then it is done.
    ruled.company.query("update sync.outbox set state = 'pending', done_at = null, next_try_at = now()")
    assert ruled.states() == ["matched"]
    ruled.company.query("update sync.outbox set state = 'confirmed', done_at = now()")
    assert ruled.states() == ["done"] and ruled.activities()[0]["successfulActions"] == 2


def test_rules_go_by_priority_then_key_and_see_the_same_records(ruled: Ruled) -> None:
    for key, priority in (("c", 5), ("b", 100), ("a", 100)):
        ruled.rule(key, LOG, more=f"priority: {priority}\n{WON}")
    ruled.react()
    ruled.move(ruled.leads[0])
    ruled.react()
    texts = "select details ->> 'text' from sync.activity_logs where activity = 'automation_log' order by id"
    assert [text[0] for (text,) in ruled.company.query(texts)] == ["c", "a", "b"]


def test_on_error_stop_leaves_out_what_follows_and_continue_does_not(ruled: Ruled) -> None:
    impossible = "do: assign, user: after.custom_fields.0"
    ruled.rule("stops", LOG, impossible, LOG, more=f"on_error: stop\n{WON}")
    ruled.rule("goes_on", LOG, impossible, LOG, more=f"on_error: continue\n{WON}")
    ruled.react()
    ruled.move(ruled.leads[0])
    ruled.react()
    states = "select r.rule_key, array_agg(a.state order by a.ordinal) from sync.rule_actions a"
    states += " join sync.rule_runs r on r.id = a.rule_run_id group by 1"
    assert dict(ruled.company.query(states)) == {
        "stops": ["done", "failed", "failed"],
        "goes_on": ["done", "failed", "done"],
    }
    assert ruled.states("stops") == ruled.states("goes_on") == ["partial"] and ruled.logged() == 3


def test_on_error_stop_holds_after_the_letters_are_written_too(ruled: Ruled) -> None:
    """A record's letters leave one after the other, so what follows one that failed has not left yet."""
    note = 'do: add_note, text: "after it"'
    ruled.rule("stops", "do: set_status, status: 1, pipeline: 1", note, more=f"on_error: stop\n{WON}")
    ruled.react()
    (lead, *_) = ruled.leads
    ruled.move(lead)
    ruled.react()
    while ruled.deliver().states:
        pass
    assert [(operation, state) for operation, _, state in ruled.letters()] == [
        ("set_status", "dead"), ("add_note", "dropped"),
    ]  # fmt: skip
    assert ruled.states() == ["failed"] and ruled.activities()[0]["successfulActions"] == 0


def test_a_dry_run_says_what_it_would_do_and_does_nothing(ruled: Ruled) -> None:
    ruled.rule("won", TASK, LOG, more=f"dry_run: true\n{WON}")
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    assert ruled.runs() == [(str(lead), "skipped", "dry_run: would do create_task, log")]
    assert ruled.letters() == [] and ruled.activities() == [] and ruled.logged() == 0


def test_what_is_not_meant_does_not_run(ruled: Ruled) -> None:
    ruled.rule("off", LOG, more="enabled: false")
    ruled.rule("elsewhere", LOG, event="stage_changed, account: kommo_emea")
    ruled.rule("gone", LOG, event="deleted")
    ruled.rule("by_hand", LOG, event="manual")
    ruled.rule("by_whom", LOG, event="[responsible_changed, updated]")
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    assert [rule for (rule,) in ruled.company.query("select rule_key from sync.rule_runs")] == ["by_whom"]


@pytest.mark.parametrize("point", ["after change claimed", "after rule", "before rules commit"])
def test_d1_a_crash_at_any_point_leaves_all_or_nothing(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    ruled.rule("won", TASK, LOG, more=WON)
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)

    class Died(BaseException):
        pass

    def die(passed: str) -> None:
        if passed == point:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(crash, "point", die)
        with pytest.raises(Died):
            ruled.react()
    assert ruled.runs() == [] and ruled.letters() == [] and ruled.activities() == [] and ruled.logged() == 0
    assert ruled.react().rules.changes == 1
    assert len(ruled.runs()) == len(ruled.activities()) == len(ruled.letters()) == ruled.logged() == 1


def test_w13_two_workers_take_each_change_once_and_a_records_changes_in_order(ruled: Ruled) -> None:
    ruled.rule("moves", LOG)
    ruled.react()
    leads = ruled.leads[:5]
    for status in (142, 143, 142):
        ruled.move(*leads, status=status)
    workers = [threading.Thread(target=ruled.react) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(ruled.runs()) == 15 == ruled.logged()
    inverted = (
        "select count(*) from sync.change_events a join sync.change_events b using (account, entity, key)"
        " where a.revision < b.revision and a.rules_at > b.rules_at"
    )
    assert ruled.company.query(inverted) == [(0,)]


def test_w13_a_change_waits_for_the_one_before_it_of_its_record_and_for_no_other(ruled: Ruled) -> None:
    ruled.rule("moves", LOG)
    ruled.react()
    lead, other = ruled.leads[:2]
    ruled.move(lead)
    ruled.move(lead, other, status=143)
    with closing(psycopg2.connect(ruled.company.database_url)) as somebody, somebody.cursor() as cursor:
        cursor.execute("select 1 from sync.change_events where key = %s and revision = 1 for update", (str(lead),))
        assert ruled.take_up() == 1
        assert [key for key, _, _ in ruled.runs()] == [str(other)]
        # Not left to the end of the connection: Postgres takes a moment to notice that, and holds the row until then.
        somebody.rollback()
    assert ruled.take_up() == 2


def test_a_change_that_is_taken_up_twice_runs_each_rule_once(ruled: Ruled) -> None:
    """Postgres keeps to it, not only the note that a change was taken."""
    ruled.rule("won", TASK, LOG, more=WON)
    ruled.react()
    ruled.move(ruled.leads[0])
    ruled.react()
    ruled.company.query("update sync.change_events set rules_at = null")
    assert ruled.react().rules.states == {}
    assert len(ruled.runs()) == len(ruled.letters()) == ruled.logged() == 1


def test_a_rule_that_meets_a_bug_or_a_strange_value_stops_no_other(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sync_assets.automation import actions, rule_runs

    def broken(cursor: object, action: actions.Action, *rest: object, **more: object) -> int | None:
        if action.do == "add_tag":
            raise KeyError("nothing of a record")
        return actions.enqueue(cursor, action, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rule_runs, "enqueue", broken)
    ruled.rule("a_bug", "do: add_tag, tag: vip", more=WON)
    ruled.rule("b_well", LOG, more=WON)
    ruled.react()
    ruled.move(ruled.leads[0])
    ruled.react()
    assert ruled.states("a_bug") == ["failed"] and ruled.states("b_well") == ["done"]
    ((reason,),) = ruled.company.query("select reason from sync.rule_actions where state = 'failed'")
    assert reason.startswith("a bug (KeyError)") and "nothing of a record" not in reason


def test_a_version_is_kept_for_each_content_and_a_run_names_its_own(ruled: Ruled) -> None:
    path = ruled.rule("won", LOG, more=WON)
    ruled.react()
    lead, other = ruled.leads[:2]
    ruled.move(lead)
    ruled.react()
    path.write_text(path.read_text() + "# a comment is no other version\n")
    ruled.react()
    assert ruled.company.query("select count(*) from sync.rules") == [(1,)]
    ruled.rule("won", LOG, LOG, more=WON)
    ruled.move(other)
    ruled.react()
    versions = "select r.rule_version, jsonb_array_length(v.spec -> 'actions') from sync.rule_runs r"
    versions += " join sync.rules v on (v.key, v.version) = (r.rule_key, r.rule_version) order by r.id"
    (one, first), (two, second) = ruled.company.query(versions)
    assert one != two and (first, second) == (1, 2)


def test_a_file_that_cannot_be_understood_holds_changes_back_instead_of_letting_them_pass(ruled: Ruled) -> None:
    path = ruled.rule("won", LOG, more=WON)
    ruled.react()
    good = path.read_text()
    path.write_text(good.replace("changed_to", "changed_too"))
    ruled.move(ruled.leads[0])
    done = ruled.react()
    assert done.rules.changes == 0 and "did you mean changed_to" in done.problems[0]
    path.write_text(good)
    assert dict(ruled.react().rules.states) == {"done": 1}
