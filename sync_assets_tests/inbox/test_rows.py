"""The inbox as a person has it: lists, single events, another try; and what it forgets when its time is over."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sync_assets.cli import app
from sync_assets.errors import FixConfig
from sync_assets.load.retention import tidy
from sync_assets.sync import watch
from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, states, worked_off

Run = Callable[..., Result]


@pytest.fixture
def run(company: Company, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
    monkeypatch.setenv("DATABASE_URL", company.database_url)

    def invoke(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["inbox", *words])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


def dead(company: Company, *events: int) -> None:
    company.query(
        "update sync.webhook_events set state = 'dead', done_at = now(), reason = 'given up', attempts = 12"
        " where id = any(%s)", [list(events)],
    )  # fmt: skip


def test_an_empty_inbox_says_who_fills_it(run: Run) -> None:
    assert "sync-assets receive takes them in" in run().output


def test_the_list_counts_by_account_and_state_and_shows_the_latest(company: Company, run: Run) -> None:
    first, *_ = hint(company, "kaiten", "cards", 1, 2)
    (last,) = hint(company, "hubspot", "contacts", 3, event="contact.creation")
    dead(company, first)
    found = json.loads(run("--json").output)
    assert [(s["account"], s["state"], s["events"]) for s in found["states"]] == [
        ("hubspot", "new", 1), ("kaiten", "dead", 1), ("kaiten", "new", 1),
    ]  # fmt: skip
    assert [e["id"] for e in found["events"]] == [last, first + 1, first]
    assert found["events"][2]["reason"] == "given up"
    assert [(d["entity"], d["events"], d["delivered_percent"]) for d in found["delivery"]] == [
        ("contacts", 1, None), ("cards", 2, None),
    ]  # fmt: skip
    some = json.loads(run("--json", "--account", "kaiten", "--state", "dead", "--last", "5").output)
    assert [e["id"] for e in some["events"]] == [first] and {s["account"] for s in some["states"]} == {"kaiten"}
    assert "given up" in run().output


def test_one_event_is_shown_with_what_was_sent_as_long_as_it_is_kept(company: Company, run: Run) -> None:
    good, damaged = hint(company, "kaiten", "cards", 1, payload=b'{"old": {"id": 1}}') + hint(
        company, "kaiten", "", "", payload=b"\xff{"
    )
    assert json.loads(json.loads(run("show", str(good), "--json").output)["payload"]) == {"old": {"id": 1}}
    assert "{" in run("show", str(damaged)).output
    company.query("update sync.webhook_events set payload = null")
    assert "its time is over" in run("show", str(good)).output
    assert isinstance(run("show", "999", code=1).exception, FixConfig)


def test_what_was_given_up_is_tried_again_by_its_id_or_all_at_once(grown: Company, run: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("DATABASE_URL", grown.database_url)
    cards = sorted(grown.sandbox.world.kaiten.cards)[:3]
    events = hint(grown, "kaiten", "cards", *cards) + hint(grown, "hubspot", "contacts", 1)
    dead(grown, *events)
    assert "1 events are in line again" in run("replay", str(events[0])).output
    assert "2 events are in line again" in run("replay", "--dead", "--account", "kaiten").output
    assert worked_off(grown).events == 3 and states(grown) == {"done": 3, "dead": 1}
    assert grown.query("select distinct attempts from sync.webhook_events where state = 'done'") == [(1,)]
    assert "0 events are in line again" in run("replay", "--dead", "--account", "kaiten").output
    grown.query("update sync.webhook_events set state = 'taken', done_at = null, lease_until = now(), leased_by = 'x'")
    assert isinstance(run("replay", str(events[0]), code=1).exception, FixConfig)
    assert isinstance(run("drop", str(events[0]), code=1).exception, FixConfig)
    run("replay", code=2)
    run("replay", "1", "--dead", code=2)


def test_an_event_is_taken_away_for_good(company: Company, run: Run) -> None:
    gone, stays = hint(company, "kaiten", "cards", 1, 2)
    run("drop", str(gone))
    assert company.query("select id from sync.webhook_events") == [(stays,)]
    run("drop", str(gone), code=1)


@pytest.mark.parametrize(
    ("state", "days", "kept", "payload"),
    [
        ("done", 6.9, True, True),
        ("done", 7.1, True, False),
        ("ignored", 7.1, True, False),
        ("dead", 7.1, True, False),
        ("done", 30.1, False, False),
        ("ignored", 30.1, False, False),
        ("dead", 89.9, True, False),
        ("dead", 90.1, False, False),
        ("waiting", 400.0, True, True),
    ],
)
def test_s9_events_and_what_was_sent_are_forgotten_when_their_time_is_over(
    company: Company, state: str, days: float, kept: bool, payload: bool
) -> None:
    hint(company, "kaiten", "cards", 1, payload=b"Ann")
    company.query(
        "update sync.webhook_events set state = %s, received_at = now() - make_interval(secs => %s), reason = 'so',"
        " done_at = case when %s = 'waiting' then null else now() - make_interval(secs => %s) end",
        [state, days * 86_400, state, days * 86_400],
    )
    with company.connected() as connection:
        connection.database.transaction(lambda cursor: tidy(cursor, "kaiten", days=30, payload_days=7))
    assert company.query("select payload is not null from sync.webhook_events") == ([(payload,)] if kept else [])


def test_s9_a_watch_clears_the_inbox(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LEFT_ALONE", 0.0)
    hint(company, "kaiten", "cards", 1)
    old = "update sync.webhook_events set state = 'done', done_at = now() - interval '31 days'"
    company.query(old)
    ours = watch.Watch([company.accounts["kaiten"]], company.settings)
    try:
        ours.look()
        assert states(company) == {}
        hint(company, "kaiten", "cards", 1)
        company.query(old)
        ours.look()
        assert states(company) == {"done": 1}, "once an hour is enough"
    finally:
        ours.close()
