"""What must not wait for a transaction does not, and connects by itself only where one is in its way."""

import threading
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from sync_assets.extract.stopwatch import Stopwatch
from sync_assets.load.beside import Beside
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets_tests.company import Company

WHO = "select current_setting('application_name'), pg_backend_pid()"


@pytest.fixture
def writer(company: Company) -> Iterator[Database]:
    database = Database(company.database_url, wait=5, name="writer")
    yield database
    database.close()


@pytest.fixture
def beside(writer: Database) -> Iterator[Beside]:
    database = Beside(writer, wait=5, name="beside", storing=Stopwatch())
    yield database
    database.close()


def who(database: Database) -> str:
    return str(database.query(WHO)[0])


def within(writer: Database, work: Callable[[], str]) -> str:
    """What `work` answers in another thread while a transaction of `writer` is open."""
    answers: list[str] = []
    done = threading.Thread(target=lambda: answers.append(work()))

    def open_meanwhile(cursor: Cursor) -> None:
        cursor.execute("select 1")
        done.start()
        done.join(20)

    writer.transaction(open_meanwhile)
    assert not done.is_alive() and answers, "it waited for the transaction"
    return answers[0]


def test_it_connects_only_where_a_transaction_is_in_its_way_and_then_for_good(
    company: Company, writer: Database, beside: Beside
) -> None:
    connected = "select count(*) from pg_stat_activity where application_name in ('writer', 'beside')"
    assert [who(beside), who(writer), who(beside)] == ["writer"] * 3
    assert beside.transaction(lambda cursor: cursor.execute("select 1")) is None
    assert company.query(connected) == [(1,)]
    assert within(writer, lambda: who(beside)) == "beside"
    assert [who(beside), who(writer)] == ["beside", "writer"]
    assert company.query(connected) == [(2,)]
    beside.close()
    assert who(beside) == "writer", "and after a rest it begins anew"


@pytest.mark.parametrize("kind", ["transaction", "look"])
def test_not_even_the_thread_whose_transaction_is_open_speaks_within_it(
    company: Company, writer: Database, beside: Beside, kind: str
) -> None:
    def work(cursor: Cursor) -> str:
        cursor.execute("select 1")
        found = who(beside)
        beside.query("insert into sync.metadata (account, entity, system) values ('kaiten', 'spaces', 'kaiten')")
        return found

    def undone(cursor: Cursor) -> str:
        assert work(cursor) == "beside"
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        getattr(writer, kind)(undone)
    assert company.query("select entity from sync.metadata") == [("spaces",)], "it was kept, whatever became of them"


def test_it_outlives_the_connection_that_it_was_lent(company: Company, writer: Database, beside: Beside) -> None:
    _, pid = beside.query(WHO)
    company.query("select pg_terminate_backend(%s, 5000)", (pid,))
    name, other = beside.query(WHO)
    assert name == "writer" and other != pid
    assert who(writer) == "writer"


def test_what_it_raises_leaves_the_other_connection_as_it_was(writer: Database, beside: Beside) -> None:
    def work(cursor: Cursor) -> None:
        cursor.execute("set local application_name = 'lost'")
        raise psycopg2.InterfaceError("ours")

    with pytest.raises(Exception, match="Postgres"):
        Beside(writer, wait=0, name="beside", storing=Stopwatch()).transaction(work)
    assert who(beside) == who(writer) == "writer"
