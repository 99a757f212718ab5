"""Jobs asked for by name: whoever asks, however close together, there is one; and nobody waits for the dead."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest

from sync_assets.load import jobs
from sync_assets.load.database import Database
from sync_assets.load.jobs import Asked

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST = Asked("kommo", "crm_sync_pipelines", "first", "ann")
SECOND = replace(FIRST, job_id="second", requested_by="bob")


@pytest.fixture
def make(database_url: str) -> Iterator[Callable[[], Database]]:
    """make() -> a connection of one more process."""
    made: list[Database] = []

    def one() -> Database:
        made.append(Database(database_url, wait=5.0))
        return made[-1]

    yield one
    for database in made:
        database.close()


@pytest.fixture
def database(make: Callable[[], Database]) -> Database:
    return make()


def nothing() -> None:
    pass


def started(database: Database, asked: Asked) -> str | None:
    return jobs.start(database, asked, requested_at=NOON, lease_seconds=60)


def table(database: Database) -> dict[str, str]:
    return dict(database.rows("select job_id, status from sync.jobs"))  # type: ignore[arg-type]


class Meanwhile(threading.Thread):
    """Something that another process does; `answer` waits for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work, self._answer = work, None
        self.start()

    def run(self) -> None:
        self._answer = self._work()

    @property
    def answer(self) -> Any:
        self.join(20)
        assert not self.is_alive()
        return self._answer


def blocked(database: Database) -> Callable[[], bool]:
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return lambda: database.query(query)[0] > 0


def wait_until(ready: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if ready():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen")


def test_who_asks_second_is_told_the_first_ones_id(database: Database) -> None:
    assert jobs.enqueue(database, FIRST, nothing) == "first"
    assert jobs.enqueue(database, SECOND, lambda: pytest.fail("queued twice")) == "first"
    assert jobs.enqueue(database, replace(SECOND, account="kommo_emea"), nothing) == "second", "one per account"
    assert jobs.enqueue(database, replace(SECOND, job="another", job_id="third"), nothing) == "third", "and per job"


@pytest.mark.parametrize("first_gets_there", [True, False], ids=["queued", "not queued"])
def test_two_at_the_same_instant_are_one(make: Callable[[], Database], first_gets_there: bool) -> None:
    database = make()
    others: list[Meanwhile] = []

    def submit() -> None:
        others.append(Meanwhile(lambda: jobs.enqueue(make(), SECOND, nothing)))
        wait_until(blocked(make()))
        if not first_gets_there:
            raise ConnectionError

    if first_gets_there:
        assert jobs.enqueue(database, FIRST, submit) == "first"
        assert others[0].answer == "first" and table(database) == {"first": "queued"}
    else:
        with pytest.raises(ConnectionError):
            jobs.enqueue(database, FIRST, submit)
        assert others[0].answer == "second" and table(database) == {"second": "queued"}


def test_a_run_that_starts_while_another_one_is_being_queued_is_superseded(make: Callable[[], Database]) -> None:
    database = make()
    others: list[Meanwhile] = []

    def submit() -> None:
        others.append(Meanwhile(lambda: started(make(), SECOND)))
        wait_until(blocked(make()))

    jobs.enqueue(database, FIRST, submit)
    assert others[0].answer == "first"
    assert table(database) == {"first": "queued", "second": "superseded"}
    assert database.query("select active_job_id from sync.jobs where job_id = 'second'") == ("first",)


def test_a_daemon_that_is_faster_than_the_commit_finds_the_row(make: Callable[[], Database]) -> None:
    database = make()
    others: list[Meanwhile] = []

    def submit() -> None:
        others.append(Meanwhile(lambda: started(make(), replace(FIRST, requested_by="Dagster"))))
        wait_until(blocked(make()))

    jobs.enqueue(database, FIRST, submit)
    assert others[0].answer is None
    assert database.rows("select status, requested_by from sync.jobs") == [("running", "ann")]


def test_a_commit_whose_answer_was_lost_is_recognised(database: Database) -> None:
    jobs.enqueue(database, FIRST, nothing)
    assert jobs.enqueue(database, FIRST, lambda: pytest.fail("queued twice")) == "first"


def test_postgres_itself_refuses_a_second_active_one(database: Database, database_url: str) -> None:
    started(database, FIRST)
    connection = psycopg2.connect(database_url)
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.UniqueViolation, match="one_active_job"):
        cursor.execute(
            "insert into sync.jobs (job_id, job, account, status, requested_by)"
            " values ('second', 'crm_sync_pipelines', 'kommo', 'queued', 'bob')"
        )
    connection.close()


def test_the_result_counts_the_rows_of_its_parts(database: Database) -> None:
    database.query(
        "insert into sync.metadata (account, entity, system, rows) values"
        " ('kommo', 'statuses', 'kommo', 18), ('kommo', 'pipelines', 'kommo', 3), ('kommo_emea', 'pipelines', 'k', 7)"
    )
    started(database, FIRST)
    assert jobs.end(database, "first", "succeeded", parts={"pipelines": "pipelines", "stages": "statuses"})
    (row,) = database.rows("select status, result, error, requested_by, requested_at from sync.jobs")
    assert row == ("succeeded", {"pipelines": 3, "stages": 18}, None, "ann", NOON)
    assert not jobs.end(database, "first", "failed", error="too late") and table(database) == {"first": "succeeded"}


def test_a_job_whose_process_is_dead_or_silent_is_alone(database: Database) -> None:
    started(database, FIRST)
    (mine,) = jobs.active(database)
    assert not mine.alone, "this process lives"
    assert replace(mine, holder="process 1 on elsewhere, since 12:00:00 UTC").alone is False, "nobody here can tell"
    database.query("update sync.jobs set lease_until = clock_timestamp() - interval '1 second'")
    (lapsed,) = jobs.active(database)
    assert lapsed.alone
    jobs.renew(database, "first", lease_seconds=60)
    assert not jobs.end(database, "first", "lost", error="silent", seen=lapsed), "it has been heard of since"
    (again,) = jobs.active(database)
    assert not again.alone and jobs.end(database, "first", "lost", error="silent", seen=again)
    assert jobs.active(database) == []


@pytest.mark.parametrize(("ended", "other"), [("succeeded", "first"), ("failed", None), ("lost", None)])
def test_what_was_active_at_the_launch_counts_if_it_came_to_something(
    database: Database, ended: Any, other: str | None
) -> None:
    jobs.enqueue(database, FIRST, nothing)
    launched = database.query("select clock_timestamp()")[0]
    started(database, FIRST)
    jobs.end(database, "first", ended, error=None if ended == "succeeded" else "why")
    assert jobs.start(database, SECOND, requested_at=launched, lease_seconds=60) == other
    assert table(database)["second"] == ("superseded" if other else "running")


def test_what_was_launched_or_queued_after_the_last_one_is_a_new_one(database: Database) -> None:
    jobs.enqueue(database, FIRST, nothing)
    started(database, FIRST)
    jobs.end(database, "first", "succeeded", parts={})
    jobs.enqueue(database, SECOND, nothing)
    first_began = database.query("select started_at from sync.jobs where job_id = 'first'")[0]
    assert jobs.start(database, SECOND, requested_at=first_began, lease_seconds=60) is None, "its row says it is due"
    jobs.end(database, "second", "failed", error="why")
    assert started(database, replace(SECOND, job_id="third")) is None


def test_who_was_taken_for_lost_says_how_it_ended_after_all(database: Database) -> None:
    started(database, FIRST)
    jobs.end(database, "first", "lost", error="silent")
    started(database, SECOND)
    jobs.renew(database, "first", lease_seconds=60)
    assert jobs.end(database, "first", "succeeded", parts={})
    assert table(database) == {"first": "succeeded", "second": "running"}
