"""W10: Postgres away, slow, full or without its tables: what was answered with 200 comes in, once, in order."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest

from sync_assets.errors import NotMigrated
from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate
from sync_assets.postgres import EmbeddedPostgres
from sync_assets_tests.receive.conftest import Serving, rows, until
from sync_assets_tests.receive.vendors import items


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("own"), durable=False)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.discard()


@pytest.fixture
def own_database(own_cluster: EmbeddedPostgres) -> Iterator[str]:
    """In a cluster that the test may stop."""
    own_cluster.start()
    own_cluster.drop_database("w10")
    url = own_cluster.create_database("w10")
    tables(url)
    yield url
    own_cluster.start()


def tables(url: str) -> None:
    with closing(Database(url)) as database:
        migrate(database, [])


def ask(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def is_replayed(serving: Serving) -> bool:
    said = serving.health()
    return bool(said["intake"] == "direct" and said["spool"]["events"] == said["spool"]["bytes"] == 0)


def keys(url: str) -> list[int]:
    return [int(key) for (key,) in rows(url, "key")]


def test_w10_a_thousand_events_come_while_postgres_is_stopped(
    serve: Callable[..., Serving], own_cluster: EmbeddedPostgres, own_database: str
) -> None:
    serving = serve(own_database)
    assert serving.post(items(0)).status_code == 200
    own_cluster.stop()
    for start in range(1, 1000, 10):
        assert serving.post(items(*range(start, start + 10))).status_code == 200
    assert serving.post(items(500)).status_code == 200, "once more"
    said = serving.health()
    assert (said["status"], said["connected"], said["intake"]) == ("degraded", False, "spooling")
    assert said["spool"]["events"] == 1001
    assert [serving.client.get(path).status_code for path in ("/health", "/health/live")] == [503, 200], (
        "a balancer that took it out would lose what the spool keeps"
    )
    own_cluster.start()
    until(lambda: is_replayed(serving))
    assert serving.post(items(1001)).status_code == 200
    assert rows(own_database) == [(str(n), 2 if n == 500 else 1, "new") for n in range(1002)]
    until(lambda: serving.health()["status"] == "ok")
    assert serving.health()["connected"] is True


def test_w10_events_that_come_while_the_spool_is_replayed_come_after_it(
    serve: Callable[..., Serving], own_cluster: EmbeddedPostgres, own_database: str
) -> None:
    serving = serve(own_database)
    own_cluster.stop()
    serving.post(items(*range(3000)))
    starter = threading.Thread(target=own_cluster.start)
    starter.start()
    last = 3000
    while not is_replayed(serving) or last < 3050:
        assert last < 10_000, "a steady stream keeps it from its end"
        assert serving.post(items(last)).status_code == 200
        last += 1
    starter.join()
    until(lambda: is_replayed(serving))
    assert keys(own_database) == list(range(last))


def test_w10_a_full_spool_refuses_and_alarms(
    serve: Callable[..., Serving],
    own_cluster: EmbeddedPostgres,
    own_database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    serving = serve(own_database, SYNC_SPOOL_MEGABYTES="0.02")
    own_cluster.stop()
    codes = [serving.post(items(n)).status_code for n in range(120)]
    taken = [n for n, code in enumerate(codes) if code == 200]
    assert 5 < len(taken) < 120 and set(codes) == {200, 503}
    assert taken == list(range(len(taken))), "once it is full it is full"
    live = serving.client.get("/health/live")
    assert (live.status_code, live.json()) == (503, {"status": "refusing"})
    health = serving.client.get("/health")
    assert (health.status_code, health.json()["intake"]) == (503, "refusing")
    assert health.json()["deliveries"]["vendor/open"]["no room"] == codes.count(503)
    assert serving.spool.stat().st_size < 100_000
    alarms = [r.getMessage() for r in caplog.records if "the spool is full" in r.getMessage()]
    assert len(alarms) == 1 and "Next: bring Postgres back, or raise SYNC_SPOOL_MEGABYTES" in alarms[0]
    own_cluster.start()
    until(lambda: serving.health()["spool"]["events"] == 0)
    assert serving.post(items(120)).status_code == 200
    assert keys(own_database) == [*taken, 120]
    until(lambda: serving.health()["status"] == "ok")


def test_w10_a_disk_that_fails_refuses_and_the_receiver_lives_on(
    serve: Callable[..., Serving],
    own_cluster: EmbeddedPostgres,
    own_database: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    serving = serve(own_database)
    own_cluster.stop()

    def fsync(_: int) -> None:
        raise OSError(28, "no space")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fsync)
        assert serving.post(items(1)).status_code == 503
    assert "the spool cannot be written (OSError). Next: free or mend the disk" in caplog.text
    assert serving.post(items(2)).status_code == 200
    own_cluster.start()
    until(lambda: is_replayed(serving))
    assert keys(own_database) == [2]


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_w10_a_postgres_that_is_slow_keeps_no_vendor_waiting(
    serve: Callable[..., Serving], database_url: str, ends: str
) -> None:
    # Each event is worked off the moment it is there: a second row of it would be a second look.
    ask(
        database_url,
        "create function sync.work() returns trigger language plpgsql as $$ begin new.state = 'done';"
        " new.done_at = now(); return new; end $$; create trigger work before insert on sync.webhook_events"
        " for each row execute function sync.work()",
    )
    serving = serve(database_url, SYNC_RECEIVER_COMMIT_SECONDS="0.2")
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("lock table sync.webhook_events in share mode")
        for number in range(5):
            body = json.dumps([{"key": number, "name": "tag:add", "unique": False}]).encode()
            assert serving.post(body).status_code == 200
        assert serving.health()["spool"]["events"] == 5
        getattr(connection, ends)()
    until(lambda: is_replayed(serving))
    assert rows(database_url) == [(str(n), 1, "done") for n in range(5)]


def test_w10_a_commit_that_was_given_up_and_came_through_is_counted_once(
    serve: Callable[..., Serving], database_url: str
) -> None:
    ask(
        database_url,
        "create function sync.wait() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return null;"
        " end $$; create constraint trigger wait after insert on sync.webhook_events deferrable initially deferred"
        " for each row execute function sync.wait()",
    )
    serving = serve(database_url, SYNC_RECEIVER_COMMIT_SECONDS="0.1")
    assert serving.post(items(1)).status_code == 200
    until(lambda: is_replayed(serving))
    assert rows(database_url) == [("1", 1, "new")]


def test_w10_a_postgres_that_refuses_is_as_good_as_away(
    serve: Callable[..., Serving], database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask(
        database_url,
        "create function sync.refuse() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode"
        " = '53100'; end $$; create trigger refuse before insert on sync.webhook_events execute function sync.refuse()",
    )
    serving = serve(database_url)
    assert serving.post(items(1)).status_code == 200
    assert "Postgres refuses: the disk is full (sqlstate 53100). Next: free disk space" in caplog.text
    ask(database_url, "drop trigger refuse on sync.webhook_events")
    until(lambda: is_replayed(serving))
    assert keys(database_url) == [1]


def test_w10_a_start_without_postgres_or_its_tables(
    serve: Callable[..., Serving],
    own_cluster: EmbeddedPostgres,
    make_database: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(NotMigrated, match=r"Next: run sync-assets migrate"):
        serve(make_database(empty=True))
    own_cluster.start()
    own_cluster.drop_database("late")
    url = own_cluster.create_database("late")
    own_cluster.stop()
    serving = serve(url)
    assert "Postgres cannot be reached" in caplog.text
    assert serving.post(items(1)).status_code == 200
    own_cluster.start()
    until(lambda: "the database lacks a table" in caplog.text)
    tables(url)
    until(lambda: is_replayed(serving))
    assert keys(url) == [1]


def test_w10_the_spool_has_all_of_an_event(
    serve: Callable[..., Serving], own_cluster: EmbeddedPostgres, own_database: str
) -> None:
    columns = "account, endpoint, event, entity, key, identity::text, is_unique, payload::text, state, reason"
    body = json.dumps([{"id": "e", "key": 1, "name": "n"}, {"name": "bad"}, {"key": 2, "name": "n", "unique": False}])
    serving = serve(own_database)
    serving.post(body.encode())
    direct = rows(own_database, columns)
    ask(own_database, "truncate sync.webhook_events")
    own_cluster.stop()
    before = time.time()
    serving.post(body.encode())
    came = time.time()
    own_cluster.start()
    until(lambda: is_replayed(serving))
    assert rows(own_database, columns) == direct
    for (received,) in rows(own_database, "extract(epoch from received_at)"):
        assert before <= received <= came, "the time at which it came, not that of the replay"
