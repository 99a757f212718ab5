"""What is kept: W1 one row per event however often it comes, W7 a bad event costs itself, and what a listener hears."""

import json
import select
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.load.database import Database
from sync_assets.load.inbox import accepted, store
from sync_assets.webhook import Event
from sync_assets_tests.receive.conftest import SIGNED, Serving, rows
from sync_assets_tests.receive.vendors import items, signed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def keep(url: str, *events: Event, account: str = "vendor", received: datetime = NOON) -> None:
    with closing(Database(url)) as database:
        store(database, [accepted(e, account=account, system="vendor", endpoint="", received=received) for e in events])


def test_w1_one_delivery_fifty_times_at_once_is_one_row(serving: Serving) -> None:
    body = items(1, 2)
    with ThreadPoolExecutor(50) as pool:
        answers = [f.result() for f in [pool.submit(serving.post_signed, body) for _ in range(50)]]
    assert {(a.status_code, a.text) for a in answers} == {(200, '{"status":"OK"}')}
    assert rows(serving.env["DATABASE_URL"]) == [("1", 50, "new"), ("2", 50, "new")]
    assert serving.health()["deliveries"] == {"vendor": {"accepted": 50, "events": 100}}


def test_w1_the_vendors_identity_decides_else_the_payload(database_url: str) -> None:
    said = Event("card:update", "cards", "1", identity="a", payload=b"x")
    keep(database_url, said, Event("card:update", "cards", "1", identity="a", payload=b"y"))
    keep(database_url, Event("card:update", "cards", "1", identity="b", payload=b"x"))
    keep(
        database_url, Event("card:update", "cards", "1", payload=b"x"), Event("card:update", "cards", "1", payload=b"y")
    )
    keep(database_url, said, account="vendor_emea")
    found = rows(database_url, "account, payload, deliveries")
    assert [(account, bytes(payload), count) for account, payload, count in found] == [
        ("vendor", b"x", 2),
        ("vendor", b"x", 1),
        ("vendor", b"x", 1),
        ("vendor", b"y", 1),
        ("vendor_emea", b"x", 1),
    ]


def test_w1_events_that_look_alike_are_one_only_while_the_first_waits(database_url: str) -> None:
    event = Event("tag:add", "cards", "1", payload=b"{}", unique=False)
    keep(database_url, event, received=NOON)
    keep(database_url, event, received=NOON + timedelta(seconds=1))
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("update sync.webhook_events set state = 'done', done_at = now()")
    keep(database_url, event, received=NOON + timedelta(seconds=2))
    assert rows(database_url) == [("1", 2, "done"), ("1", 1, "new")]


def test_w1_an_event_that_is_done_stays_so_when_it_comes_again(database_url: str) -> None:
    event = Event("card:update", "cards", "1", identity="a")
    keep(database_url, event, received=NOON)
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("update sync.webhook_events set state = 'done', done_at = now()")
    keep(database_url, event, received=NOON + timedelta(seconds=1))
    keep(database_url, event, received=NOON + timedelta(seconds=1))  # the spool was not sure of this one
    assert rows(database_url, "key, deliveries, state, received_at, last_at") == [
        ("1", 2, "done", NOON, NOON + timedelta(seconds=1))
    ]


def test_w7_one_bad_event_among_a_hundred_is_dead_and_the_others_go_on(serving: Serving) -> None:
    delivery = [{"id": n, "key": n, "name": "card:update"} for n in range(100)]
    del delivery[57]["key"]
    assert serving.post(json.dumps(delivery).encode()).status_code == 200
    found = rows(serving.env["DATABASE_URL"], "state, reason, payload, done_at is not null")
    assert [state for state, *_ in found] == ["new"] * 57 + ["dead"] + ["new"] * 42
    _, reason, payload, over = found[57]
    assert (reason, json.loads(bytes(payload)), over) == ("it names no record", delivery[57], True)


@pytest.mark.parametrize("body", [b"", b"\xff\x00{", b"raise", b"[1]"])
def test_w7_a_body_that_cannot_be_read_is_kept_with_the_reason(serving: Serving, body: bytes) -> None:
    assert serving.post(body).status_code == 200
    [(state, reason, payload)] = rows(serving.env["DATABASE_URL"], "state, reason, payload")
    assert (state == "dead" and "its body is no JSON" in reason) or "it cannot be read: " in reason
    assert bytes(payload or b"") == body


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (
            Event("n", "cards", "1", at=NOON.replace(tzinfo=timezone(timedelta(hours=23)))),
            "Postgres refuses it (22009)",
        ),
        (Event("n", "cards", "k" * 5000), "its key has 5000 characters"),
    ],
    ids=["time zone", "long key"],
)
def test_w7_what_postgres_refuses_costs_one_event(database_url: str, bad: Event, reason: str) -> None:
    good = [Event("n", "cards", str(n)) for n in range(3)]
    keep(database_url, good[0], bad, *good[1:])
    found = rows(database_url, "state, reason")
    assert sorted(found, key=str) == sorted([("new", None)] * 3 + [("dead", reason)], key=str)


def test_w7_a_row_that_the_database_forbids_costs_one_event(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("alter table sync.webhook_events add constraint no_13 check (key <> '13')")
    keep(database_url, *(Event("n", "cards", str(n)) for n in range(12, 15)))
    assert rows(database_url, "key, state, reason") == [
        ("12", "new", None),
        ("", "dead", "Postgres refuses it (23514)"),
        ("14", "new", None),
    ]


text = st.text(st.characters(exclude_categories=[]), max_size=30)
events = st.builds(
    Event, name=text, entity=text, key=text, identity=text, payload=st.binary(max_size=30), problem=text,
    unique=st.booleans(), record=st.binary(max_size=30),
    at=st.none() | st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events, max_size=10))
def test_w7_whatever_an_event_says_it_is_kept(database_url: str, said: list[Event]) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("truncate sync.webhook_events")
    if said:
        keep(database_url, *said)
    found = rows(database_url, "payload, record, deliveries")
    assert sum(count for *_, count in found) == len(said)
    assert {(bytes(p or b""), bytes(r or b"")) for p, r, _ in found} <= {(e.payload, e.record) for e in said}


def test_a_listener_hears_of_an_account_once_and_only_where_something_is_new(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as listener:
        listener.autocommit = True
        with listener.cursor() as cursor:
            cursor.execute("listen sync_inbox")

        def heard() -> list[str]:
            select.select([listener], [], [], 0.3)
            listener.poll()
            told = [n.payload for n in listener.notifies]
            listener.notifies.clear()
            return told

        keep(database_url, Event("n", "cards", "1"), Event("n", "cards", "2"))
        assert heard() == ["vendor"]
        keep(database_url, Event("n", "cards", "1"), received=NOON + timedelta(seconds=1))
        keep(database_url, Event("n", problem="no record"))
        assert heard() == []


def test_w3_the_clock_that_judges_a_timestamp_is_the_receivers(
    serve: Callable[..., Serving], database_url: str
) -> None:
    serving = serve(database_url, clock=lambda: NOON)
    answers: dict[int, Any] = {}
    for minutes in (-6, -4, 0, 4, 6):
        body = items(minutes + 10)
        stamp = (NOON + timedelta(minutes=minutes)).timestamp()
        answers[minutes] = serving.post(body, SIGNED, **signed(body, stamp)).status_code
    assert answers == {-6: 401, -4: 200, 0: 200, 4: 200, 6: 401}
    assert rows(database_url, "key") == [("6",), ("10",), ("14",)]
