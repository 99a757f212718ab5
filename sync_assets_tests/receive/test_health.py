"""GET /health: what Postgres, Dagster's daemon and the letters say, and that nobody is held up by the question."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from dagster import DagsterRun, DagsterRunStatus
from dagster._daemon.types import DaemonHeartbeat

from sync_assets.orchestration.storage import PostgresStorage, dagster_url
from sync_assets.receive import health
from sync_assets_tests.receive.conftest import Serving, rows
from sync_assets_tests.receive.test_outages import ask, until
from sync_assets_tests.receive.vendors import items

DEAD_LETTER = """
insert into sync.outbox (account, entity, key, operation, payload, state, reason, done_at, idempotency_key)
values ('bitrix', 'orders', '1', 'set_order_status', '{}', '%s', 'refused', now(), '%s')
"""


@pytest.fixture
def serving(serve: Callable[..., Serving], database_url: str, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """Its answers are never old."""
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    return serve(database_url)


def storage(url: str) -> Any:
    """Dagster's own, in its schema of this database."""
    ask(url, "create schema if not exists dagster")
    return PostgresStorage(dagster_url(url))


def code(serving: Serving) -> int:
    return serving.client.get("/health").status_code


def test_all_is_well(serving: Serving) -> None:
    said = serving.health()
    assert (code(serving), said["status"], said["connected"], said["problems"]) == (200, "ok", True, [])
    assert said["dead_letters"] == {"inbox": 0, "outbox": 0} and said["intake"] == "direct"
    assert said["daemons"] is None and said["jobs"] == {"runs": None, "queued": None, "syncs": 0}, "no Dagster is here"


def test_d11_a_daemon_without_a_sign_of_life_is_told(serving: Serving, database_url: str) -> None:
    runs = storage(database_url).run_storage
    now = time.time()
    for name, seconds in (("SENSOR", 1.0), ("SCHEDULER", 2.0), ("ASSET", 86_400.0)):
        runs.add_daemon_heartbeat(DaemonHeartbeat(now - seconds, name, "1", []))
    said = serving.health()
    assert said["status"] == "ok", "a daemon of another version may be silent for ever"
    assert said["daemons"]["SCHEDULER"] >= 2.0 and said["daemons"].keys() == {"SENSOR", "SCHEDULER", "ASSET"}
    runs.add_daemon_heartbeat(DaemonHeartbeat(now - 400.0, "SENSOR", "1", []))
    said = serving.health()
    (problem,) = said["problems"]
    assert (code(serving), said["status"], said["connected"]) == (503, "degraded", True)
    assert problem.startswith("no sign of life of SENSOR for 40") and problem.endswith("Next: start dagster-daemon")


def test_jobs_in_progress_are_counted(serving: Serving, database_url: str) -> None:
    runs = storage(database_url).run_storage
    for status in (DagsterRunStatus.STARTED, DagsterRunStatus.STARTED, DagsterRunStatus.SUCCESS):
        runs.add_run(DagsterRun("full_sync", status=status))
    ask(database_url, "update dagster.runs set status = 'QUEUED' where id = (select min(id) from dagster.runs)")
    ask(
        database_url,
        "insert into sync.logs (account, system, entity, kind) values ('kaiten', 'kaiten', 'cards', 'full')",
    )
    said = serving.health()
    assert (said["status"], said["jobs"]) == ("ok", {"runs": 1, "queued": 1, "syncs": 1})


def test_dead_letters_are_told_until_somebody_has_seen_to_them(serving: Serving, database_url: str) -> None:
    serving.post(b"raise")
    assert [state for *_, state in rows(database_url)] == ["dead"]
    for number, state in enumerate(("dead", "unknown", "dropped")):
        ask(database_url, DEAD_LETTER % (state, number))
    said = serving.health()
    assert (code(serving), said["status"], said["dead_letters"]) == (503, "degraded", {"inbox": 1, "outbox": 2})
    assert [problem.partition(".")[0] for problem in said["problems"]] == [
        "1 webhooks were given up",
        "2 changes were given up",
    ]
    ask(database_url, "delete from sync.webhook_events; update sync.outbox set state = 'dropped'")
    assert (code(serving), serving.health()["status"]) == (200, "ok")


def test_a_webhook_that_nobody_works_off_is_told(serving: Serving, database_url: str) -> None:
    serving.post(items(1))
    assert serving.health()["inbox_waiting"]["events"] == 1 and serving.health()["status"] == "ok"
    ask(database_url, "update sync.webhook_events set received_at = now() - interval '2 hours'")
    (problem,) = serving.health()["problems"]
    assert problem.startswith("a webhook has waited for 2.0 hours")


def test_a_postgres_that_does_not_answer_holds_up_neither_health_nor_webhooks(
    serving: Serving, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.2)
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("lock table sync.outbox")
        for number in range(2):
            said = serving.health()
            assert (said["status"], said["connected"]) == ("degraded", False)
            assert said["problems"][0].startswith("Postgres has not answered within 0.2 s")
            assert serving.post(items(number)).status_code == 200
        asking = "select count(*) from pg_stat_activity where application_name = 'sync_assets health'"
        cursor.execute(asking)
        assert cursor.fetchone() == (1,), "who asks again waits for the same answer"
        connection.rollback()
    until(lambda: serving.health()["status"] == "ok")


def test_a_role_that_may_not_ask_is_connected_and_says_so(serving: Serving, database_url: str) -> None:
    refuse = "begin raise exception 'no' using errcode = '42501'; end"
    ask(
        database_url,
        f"create or replace function sync.health() returns jsonb language plpgsql as $$ {refuse} $$",
    )
    said = serving.health()
    assert (said["status"], said["connected"]) == ("degraded", True)
    assert said["problems"][0].startswith("Postgres refuses: the role lacks a right")


def test_many_who_ask_at_once_are_one_question(serving: Serving, database_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 3600.0)
    assert serving.health()["dead_letters"]["outbox"] == 0
    ask(database_url, DEAD_LETTER % ("dead", 1))
    assert serving.health()["dead_letters"]["outbox"] == 0
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    assert serving.health()["dead_letters"]["outbox"] == 1
