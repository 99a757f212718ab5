"""What leaves together, in which order, and what becomes of it when it is not committed."""

from collections.abc import Callable, Iterator
from io import StringIO

import psycopg2
import pytest

from sync_assets.load.cursor import Cursor


@pytest.fixture
def cursor(make_database: Callable[..., str]) -> Iterator[Cursor]:
    connection = psycopg2.connect(make_database(empty=True))
    connection.autocommit = True
    with connection.cursor(cursor_factory=Cursor) as cursor:
        cursor.execute("create table held (n int)")
        yield cursor
    connection.close()


def numbers(cursor: Cursor) -> list[int]:
    cursor.execute("select n from held order by n")
    return [n for (n,) in cursor]


def test_they_leave_in_their_order_before_the_next_one(cursor: Cursor) -> None:
    cursor.begin()
    cursor.later("insert into held values (%s)", (1,))
    cursor.later("update held set n = n + %(more)s", {"more": 10})
    cursor.execute("insert into held values (2) returning n")
    assert cursor.fetchall() == [(2,)]
    assert cursor.query.split(b"\n;") == [
        b"BEGIN",
        b"insert into held values (1)",
        b"update held set n = n + 10",
        b"insert into held values (2) returning n",
    ]
    assert numbers(cursor) == [2, 11]
    cursor.commit()
    assert numbers(cursor) == [2, 11]


def test_the_last_ones_leave_with_the_commit(cursor: Cursor) -> None:
    cursor.begin()
    cursor.later("insert into held values (1)")
    cursor.commit()
    assert cursor.query == b"BEGIN\n;insert into held values (1)\n;COMMIT"
    assert numbers(cursor) == [1]


def test_a_transaction_without_a_statement_never_begins(cursor: Cursor) -> None:
    before = cursor.query
    cursor.begin()
    cursor.commit()
    assert cursor.query == before
    cursor.later("insert into held values (1)")
    assert numbers(cursor) == [1]


def test_they_leave_before_a_copy(cursor: Cursor) -> None:
    cursor.begin()
    cursor.later("insert into held values (1)")
    cursor.copy_expert("copy held from stdin", StringIO("2\n3\n"))
    cursor.commit()
    assert numbers(cursor) == [1, 2, 3]


def test_what_is_rolled_back_was_never_there_whether_it_had_left_or_not(cursor: Cursor) -> None:
    cursor.begin()
    cursor.execute("insert into held values (1)")
    cursor.later("insert into held values (2)")
    cursor.rollback()
    assert numbers(cursor) == []
    cursor.begin()
    cursor.later("insert into held values (3)")
    cursor.rollback()
    assert numbers(cursor) == []


def test_a_refusal_is_raised_with_the_statement_that_it_leaves_with(cursor: Cursor) -> None:
    cursor.begin()
    cursor.later("insert into held values (1 / 0)")
    with pytest.raises(psycopg2.errors.DivisionByZero):
        cursor.commit()
    cursor.rollback()
    assert numbers(cursor) == []


def test_a_name_with_a_percent_sign_or_a_comment_at_its_end_does_no_harm(cursor: Cursor) -> None:
    cursor.later("insert into held values (10 % 4) -- the rest")
    cursor.execute("insert into held values (%s) -- 100 %%", (5,))
    assert numbers(cursor) == [2, 5]
