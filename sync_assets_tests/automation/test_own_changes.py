"""What is ours of a change that we see, and how deep it is: what somebody else changed with it stays theirs."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg2
import pytest

from sync_assets.load.announcements import Announcements
from sync_assets_tests.automation.ruling import Ruled

ORIGINS = "select origin, depth from sync.change_events where key = %s order by revision"
AFTER_SALE = """
key: after_sale
name: After sale
enrol: {on: {event: stage_changed, to: 142}}
steps:
  - {delay: 0m, do: set_status, status: 143}
"""


def text_fields(ruled: Ruled) -> list[int]:
    return [id for id, field in ruled.world.definitions["leads"].items() if field["type"] == "text"]


def their_field(ruled: Ruled, lead: int) -> None:
    number = next(i for i, d in ruled.world.definitions["leads"].items() if d["type"] == "numeric")
    ruled.world.update("leads", lead, values={number: [{"value": "4711"}]})


def their_tag(ruled: Ruled, lead: int) -> None:
    ruled.world.tag("leads", lead, "theirs")


def their_contact(ruled: Ruled, lead: int) -> None:
    held = ruled.world.links.of("leads", lead, "contacts")
    other = next(id for id in ruled.world.living["contacts"] if id not in held)
    ruled.world.link("leads", lead, "contacts", other)


def nobody(ruled: Ruled, lead: int) -> None:
    """Changes nothing."""


FIELD, TAG = "do: set_field, field: {field}, value: ours", "do: add_tag, tag: ours"


@pytest.mark.parametrize(
    ("action", "theirs", "origin"),
    [
        (FIELD, nobody, "self"),
        (FIELD, their_field, "external"),
        (TAG, nobody, "self"),
        (TAG, their_tag, "external"),
        (TAG, their_contact, "external"),
        (f"{FIELD}}}\n  - {{{TAG}", nobody, "self"),
    ],
)
def test_of_fields_and_tags_that_come_in_one_piece_only_ours_are_ours(
    ruled: Ruled, action: str, theirs: Any, origin: str
) -> None:
    ruled.rule("marks", action.replace("{field}", str(text_fields(ruled)[0])))
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    theirs(ruled, lead)
    assert set(ruled.deliver().states) == {"confirmed"}
    told = ruled.company.query(ORIGINS, (str(lead),))
    assert told[0] == ("external", 0) and set(told[1:]) == {(origin, 1)}, "whoever made it, it is one deeper"


def test_a_sequence_is_as_deep_as_a_rule(ruled: Ruled) -> None:
    """Both write what bears the depth of what they answer; the change that shows it is one deeper."""
    when = "when: {field: after.status_id, op: changed_to, value: 142}"
    ruled.rule("moves_on", "do: set_status, status: 143", "do: start_sequence, key: begun_by_rule", more=when)
    (ruled.folder / "sequences").mkdir()
    (ruled.folder / "sequences" / "after_sale.yaml").write_text(AFTER_SALE)
    by_rule = AFTER_SALE.replace("key: after_sale", "key: begun_by_rule").replace(
        "{on: {event: stage_changed, to: 142}}", "{on: rule}"
    )
    (ruled.folder / "sequences" / "begun_by_rule.yaml").write_text(by_rule)
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    assert ruled.company.query("select cause, depth from sync.outbox order by cause") == [
        ("rule moves_on", 0),
        ("sequence after_sale", 0),
        ("sequence begun_by_rule", 0),
    ]
    while ruled.deliver().states:
        pass
    assert ruled.company.query(ORIGINS, (str(lead),)) == [("external", 0), ("self", 1)]


def test_what_happened_before_a_rule_was_first_read_is_not_told(ruled: Ruled) -> None:
    before, after = ruled.leads[:2]
    ruled.rule("won", 'do: log, text: "seen"')
    ruled.move(before)
    assert ruled.react().rules.changes == 0, "the first look is what begins to listen"
    ruled.move(after)
    assert ruled.react().rules.changes == 1
    assert [key for key, *_ in ruled.runs()] == [str(after)]


def test_a_connection_on_which_nobody_waits_any_more_is_ended_and_made_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Dagster's daemon is stopped and the code server, which has it, is not."""
    monkeypatch.setattr("sync_assets.load.announcements.UNUSED", "100ms")
    ears = Announcements(database_url, ["kaiten"], name="left alone")
    held = "select count(*) from pg_stat_activity where application_name = 'left alone'"
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:

            def count() -> int:
                cursor.execute(held)
                return int((cursor.fetchone() or (0,))[0])

            assert ears.due() == [] and count() == 1
            deadline = time.monotonic() + 30
            while count():
                assert time.monotonic() < deadline, "it stays"
                time.sleep(0.02)
            monkeypatch.setattr("sync_assets.load.announcements.UNUSED", "60s")
            assert ears.due() == [] and count() == 1, "the first who asks again notices nothing"
            told = threading.Timer(0.1, lambda: cursor.execute("select pg_notify('sync_inbox', 'kaiten')"))
            told.start()
            assert ears.wait(30.0)
            told.join()
    finally:
        ears.close()
        connection.close()
