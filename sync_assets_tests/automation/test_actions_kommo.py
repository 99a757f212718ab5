"""What actions do to Kommo: fields are set once and a read shows it, tasks and notes are made once (R4, R5)."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from sync_assets.systems.kommo.entities import RECENTLY
from sync_assets_tests.automation.acting import Acting, Open

WON, LOST = 142, 143


def test_what_is_set_is_in_kommo_and_in_the_mirror_after_one_delivery(acting: Acting) -> None:
    first, second, third, fourth, *_ = acting.leads
    user = next(u for u in acting.world.users if u != (acting.raw(fourth) or {})["responsible_user_id"])
    acting.act("set_status", first, status=WON)
    acting.act("set_field", second, field="price", value=4321)
    acting.act("add_tag", third, tag="vip {{after.id}}")
    acting.act("assign", fourth, user=user)
    assert acting.deliver().states == {"confirmed": 4}, acting.letters()
    held = [acting.world.living["leads"][lead] for lead in (first, second, third, fourth)]
    assert (held[0].fields["status_id"], held[1].fields["price"]) == (WON, 4321)
    assert f"vip {third}" in [acting.world.tags["leads"][tag]["name"] for tag in held[2].tags]
    assert held[3].fields["responsible_user_id"] == user
    acting.company.assert_world_equals_postgres("kommo", only=["leads"])
    acting.company.assert_ledger_adds_up()


def test_fifty_records_are_set_by_three_requests(open_acting: Open) -> None:
    acting = open_acting({"kommo.leads": "60"})
    action = acting.action("set_field", field="price", value=77)
    for lead in acting.leads[:50]:
        acting.company.query(
            "insert into sync.outbox (account, entity, key, operation, payload, idempotency_key)"
            """ values ('kommo', 'leads', %s, %s, '{"price": 77}', %s)""", (str(lead), action.do, str(lead)),
        )  # fmt: skip
    since = acting.mark()
    assert acting.deliver().states == {"confirmed": 50}
    assert acting.sent(since) == ["GET /api/v4/leads", "PATCH /api/v4/leads", "GET /api/v4/leads"]


def test_what_is_so_already_is_not_written(acting: Acting) -> None:
    lead = acting.leads[0]
    acting.world.tag("leads", lead, "vip")
    acting.act("add_tag", lead, tag="vip")
    since = acting.mark()
    assert acting.deliver().states == {"noop": 1}
    assert acting.sent(since, "PATCH") == []


def test_of_a_record_that_somebody_changed_since_the_change_stays(acting: Acting) -> None:
    lead, other = [id for id in acting.leads if (acting.raw(id) or {})["status_id"] not in (WON, LOST)][:2]
    before = (acting.raw(lead) or {})["price"]
    acting.act("set_field", lead, field="price", value=1)
    acting.act("set_status", other, status=WON)
    acting.world.update("leads", lead, price=99_999)
    acting.world.move(other, LOST)
    assert acting.deliver().states == {"conflict": 2}
    assert acting.world.living["leads"][lead].fields["price"] == 99_999
    conflicts = acting.company.query("select field, base, theirs, ours from sync.conflicts order by outbox_id")
    assert conflicts[0] == ("price", str(before), "99999", "1")
    assert conflicts[1][0] == "status_id" and conflicts[1][2:] == ("143", "142")


def test_a_custom_field_is_set_by_its_id(acting: Acting) -> None:
    lead = acting.leads[0]
    text = next(i for i, d in acting.world.definitions["leads"].items() if d["type"] == "text")
    acting.act("set_field", lead, field=text, value="{{after.name}}, again")
    assert acting.deliver().states == {"confirmed": 1}, acting.letters()
    name = acting.world.living["leads"][lead].fields["name"]
    assert [v["value"] for v in acting.world.living["leads"][lead].values[text]] == [f"{name}, again"]


def test_what_kommo_refuses_is_given_up_with_its_words_and_the_others_are_written(acting: Acting) -> None:
    wrong, right, gone = [id for id in acting.leads if (acting.raw(id) or {})["status_id"] != WON][:3]
    acting.act("set_status", wrong, status=999)
    acting.act("set_status", right, status=WON)
    acting.act("set_status", gone, status=WON)
    acting.world.delete("leads", gone)
    assert acting.deliver().states == {"dead": 2, "confirmed": 1}
    assert "The value you selected is not a valid choice" in str(acting.letters()[0][2])
    assert "not there" in str(acting.letters()[2][2])


def test_a_task_and_a_note_are_made_with_what_their_templates_say(acting: Acting) -> None:
    lead, contact = acting.company.query(
        "select lead_id, c.name from kommo.lead_contacts lc join kommo.contacts c on c.id = contact_id where is_main"
    )[0]
    responsible = (acting.raw(lead) or {})["responsible_user_id"]
    task = acting.act("create_task", lead, text="Call {{contact.name}}", due="1d", assign="after.responsible_user_id")
    note = acting.act("add_note", lead, text="Was {{after.price}}")
    # One letter of a record at a time, in the order in which they were wanted.
    assert acting.deliver().states == {"confirmed": 2}
    (made,) = acting.tasks(lead)
    assert made["text"] == f"Call {contact} [#{task}]" and made["responsible_user_id"] == responsible
    assert acting.notes(lead) == [f"Was {(acting.raw(lead) or {})['price']} [#{note}]"]
    ((response,),) = acting.company.query("select response from sync.outbox where id = %s", (task,))
    assert response["id"] == made["id"]


UNKNOWN: dict[str, tuple[str, dict[str, Any], bool]] = {
    "connection reset, it arrived": ("A4", {}, True),
    "no whole answer in time, it arrived": ("A5", {"bytes": 1, "interval": 0.2}, True),
    "bad gateway, it did not": ("A3", {"status": 502}, False),
}


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize("do", ["create_task", "add_note"])
def test_r4_what_is_made_is_looked_for_by_its_marker_before_it_is_made_again(
    open_acting: Open, do: str, unknown: str
) -> None:
    fault, options, arrived = UNKNOWN[unknown]
    acting = open_acting(SYNC_REQUEST_SECONDS="0.6")
    lead = acting.leads[0]
    path = "/api/v4/tasks" if do == "create_task" else "/api/v4/leads/notes"
    acting.act(do, lead, text="Only once")
    acting.company.sandbox.faults.set(fault, system="kommo", path=path, times=1, **options)
    assert acting.deliver().states == {"failed": 1}
    acting.company.sandbox.faults.clear()
    acting.due_now()
    since = acting.mark()
    # Not shown yet is not proof enough that it was never made.
    assert acting.deliver().states == ({"confirmed": 1} if arrived else {"failed": 1}), acting.letters()
    assert acting.sent(since, "POST") == []
    acting.due_now(RECENTLY)
    acting.deliver()
    made = acting.tasks(lead) if do == "create_task" else acting.notes(lead)
    assert len(made) == 1 and acting.states() == ["confirmed"]


def test_r4_a_task_that_is_shown_late_is_not_made_again(open_acting: Open) -> None:
    acting = open_acting()
    lead = acting.leads[0]
    acting.act("create_task", lead, text="Only once")
    faults = acting.company.sandbox.faults
    faults.set("A4", system="kommo", path="/api/v4/tasks", times=1)
    acting.deliver()
    faults.clear()
    faults.set("P8", system="kommo", path="/api/v4/tasks", lag=3600)
    acting.due_now()
    assert acting.deliver().states == {"failed": 1}
    assert "late" in str(acting.letters()[0][2])
    faults.clear()
    acting.due_now(RECENTLY / 2)
    assert acting.deliver().states == {"confirmed": 1}
    assert len(acting.tasks(lead)) == 1
    assert acting.company.query("select attempts from sync.outbox") == [(1,)], "waiting is no try"


@pytest.mark.parametrize("point", ["before sent", "after sent", "before settled"])
def test_r5_killed_between_sending_and_marking_a_task_is_made_once(acting: Acting, point: str) -> None:
    lead = acting.leads[0]
    acting.act("create_task", lead, text="Only once")
    done = acting.kill("delivering", point)
    assert done.returncode == -signal.SIGKILL, done.stderr
    acting.due_now()
    acting.deliver()
    assert acting.states() == ["failed" if point == "before sent" else "confirmed"]
    acting.due_now(RECENTLY)
    acting.deliver()
    assert len(acting.tasks(lead)) == 1 and acting.states() == ["confirmed"]


def test_a_task_for_a_user_who_is_not_there_is_given_up_with_kommos_words(acting: Acting) -> None:
    acting.act("create_task", acting.leads[0], text="Nobody", assign=1)
    assert acting.deliver().states == {"dead": 1}
    assert "responsible_user_id" in str(acting.letters()[0][2])


def test_what_was_turned_away_unread_is_no_unknown_result(open_acting: Open) -> None:
    acting = open_acting(SYNC_MAX_WAIT_SECONDS="0.1")
    lead = acting.leads[0]
    acting.act("create_task", lead, text="Only once")
    acting.company.sandbox.faults.set("A1", system="kommo", path="/api/v4/tasks", times=1, retry_after="60")
    assert acting.deliver().states == {"failed": 1}
    assert acting.company.query("select sent from sync.outbox") == [(None,)]
    acting.company.sandbox.faults.clear()
    acting.company.query("update sync.budgets set paused_until = '-infinity'")
    acting.due_now()
    assert acting.deliver().states == {"confirmed": 1} and len(acting.tasks(lead)) == 1
