"""The connections by which tests ask, one per database and thread, kept open.

Opening one, and getting to know a hundred tables anew, is most of what a small query costs. One that has died, because
a test stopped its server, is replaced unseen, and what a test has set in it is forgotten.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg2
import psycopg2.extras

NAME = "tests"
FRESH = b"reset role; reset all; "


class _Kept(threading.local):
    def __init__(self) -> None:
        self.by_url: dict[str, Any] = {}


_kept = _Kept()


@contextmanager
def asking(url: str) -> Iterator[Any]:
    """A cursor in a transaction of its own, which ends with the block."""
    connection = _living(_kept.by_url.pop(url, None)) or _connect(url)
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        _keep(url, connection)


def answer(url: str, query: Any, parameters: Any) -> list[Any]:
    """The rows, where there are any, of one statement in a transaction of its own."""
    known = _kept.by_url.pop(url, None)
    connection = known or _connect(url)
    try:
        with connection.cursor() as cursor:
            # One message, where all else that a transaction takes would be three more.
            cursor.execute(FRESH + cursor.mogrify(query, parameters or None))
            return list(cursor.fetchall()) if cursor.description else []
    except psycopg2.Error:
        if not (known and connection.closed):
            raise
    finally:
        _keep(url, connection)
    return answer(url, query, parameters)


def cut_others(url: str) -> int:
    """Ends everybody else's connections to a database; how many there were."""
    others = "pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    return len(answer(url, f"select pg_terminate_backend(pid, 5000) from {others}", ()))


def let_go(url: str) -> None:
    """Ends this thread's connection to a database."""
    if connection := _kept.by_url.pop(url, None):
        connection.close()


def _living(connection: Any) -> Any:
    """As good as new; None where it is not to be had."""
    try:
        if connection:
            with connection.cursor() as cursor:
                cursor.execute(FRESH)
    except psycopg2.Error:
        connection.close()
        return None
    return connection


def _keep(url: str, connection: Any) -> None:
    if connection.closed or url in _kept.by_url:
        connection.close()
    else:
        _kept.by_url[url] = connection


def _connect(url: str) -> Any:
    """A connection that reads JSON three times as fast as psycopg2's own."""
    connection = psycopg2.connect(url, options="-c timezone=UTC -c lock_timeout=60s", application_name=NAME)
    connection.autocommit = True
    psycopg2.extras.register_default_jsonb(connection, loads=msgspec.json.decode)
    psycopg2.extras.register_default_json(connection, loads=msgspec.json.decode)
    return connection
