"""One connection to Postgres that survives restarts: a transaction that is lost is done again from what is in memory.

A transaction's work must therefore be repeatable as a whole. Messages carry the SQLSTATE and never Postgres' own text,
which quotes values.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import connection as Connection
from psycopg2.sql import Composable

from sync_assets.errors import DatabaseRefused, DatabaseUnavailable, NotMigrated, SyncError
from sync_assets.extract.stopwatch import Stopwatch
from sync_assets.load.cursor import Cursor

T = TypeVar("T")
Query = str | Composable

IN_THE_WAY = {
    errorcodes.DEADLOCK_DETECTED,
    errorcodes.SERIALIZATION_FAILURE,
    errorcodes.LOCK_NOT_AVAILABLE,
    errorcodes.UNIQUE_VIOLATION,  # two processes that both create what is missing
}
REFUSED = {
    errorcodes.DISK_FULL: "the disk is full",
    errorcodes.READ_ONLY_SQL_TRANSACTION: "it is read-only",
    errorcodes.TOO_MANY_CONNECTIONS: "it has no connection left",
    errorcodes.OUT_OF_MEMORY: "it is out of memory",
    errorcodes.INSUFFICIENT_PRIVILEGE: "the role lacks a right",
    errorcodes.INVALID_PASSWORD: "the password is wrong",
    errorcodes.INVALID_CATALOG_NAME: "the database does not exist",
}
MEND = {
    errorcodes.INSUFFICIENT_PRIVILEGE: "see sync-assets roles --check; what makes or changes tables is for their owner,"
    " SYNC_OWNER_DATABASE_URL",
}
LOST = ("08", "57P")
TRIES_IN_THE_WAY = 3

SESSION = (
    "set timezone = 'UTC'; set client_min_messages = warning; "
    "set statement_timeout = '10min'; set idle_in_transaction_session_timeout = '10min'; set work_mem = '64MB'"
)

LOCK_SECONDS = 20.0
"""How long a statement waits for somebody's lock; less where the whole transaction may not take so long."""

SHORTEST_LOCK = 1.0

CONNECT_SECONDS = 10
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Both ends of a connection notice within a minute that the other one went silent: we, to try again, and Postgres,
which would else keep what the lost transaction has locked. Seconds, but the last."""


class BadValue(Exception):
    """A record of this batch cannot be stored; carries the SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class Database:
    """A libpq URL, connected at the first use. Safe to use from several threads: one transaction at a time.

    `storing` is told how long transactions are open; single statements are not.
    """

    def __init__(
        self, url: str, *, wait: float = 60.0, name: str = "sync_assets", storing: Stopwatch | None = None
    ) -> None:
        self.url = plain_url(url)
        self._wait = wait
        self._name = name
        self._storing = storing or Stopwatch()
        self._connection: Connection | None = None
        self._lock = threading.RLock()
        self._at_work = False

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def transaction(self, work: Callable[[Cursor], T]) -> T:
        """Runs `work` in one transaction and commits it.

        Raises BadValue for a value that cannot be stored, DatabaseUnavailable when Postgres stays away or other
        transactions stay in the way, DatabaseRefused and NotMigrated for what an operator must mend.
        """
        with self._lock, self._storing:
            return self._transaction(work)

    def _transaction(self, work: Callable[[Cursor], T], *, single: bool = False) -> T:
        """`single`: each statement stands alone, which takes no BEGIN and no COMMIT."""
        within, self._at_work = self._at_work, True
        try:
            return self._tried(work, single=single)
        finally:
            self._at_work = within

    def _tried(self, work: Callable[[Cursor], T], *, single: bool) -> T:
        deadline = time.monotonic() + self._wait
        in_the_way = 0
        while True:
            try:
                with self._connected().cursor(cursor_factory=Cursor) as cursor:
                    return work(cursor) if single else _committed(work, cursor)
            except psycopg2.Error as e:
                state = e.pgcode or ""
                lost = state.startswith(LOST) or (
                    not state and isinstance(e, psycopg2.OperationalError | psycopg2.InterfaceError)
                )
                if state == errorcodes.READ_ONLY_SQL_TRANSACTION:
                    self.close()  # a standby that we are left on, or a session that began read-only, never recovers
                waited = state == errorcodes.LOCK_NOT_AVAILABLE and time.monotonic() >= deadline
                if (state in IN_THE_WAY or _crowded(e)) and in_the_way < TRIES_IN_THE_WAY and not waited:
                    in_the_way += 1
                    time.sleep(0.05 * 2**in_the_way * (1 + random.random()))  # noqa: S311  jitter
                elif lost and time.monotonic() < deadline and not (_final(e) or _crowded(e)):
                    self.close()
                    time.sleep(0.1 + random.random() / 5)  # noqa: S311  jitter
                else:
                    raise _ours(e, lost=lost) from None

    def query(self, sql: Query, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> tuple[Any, ...]:
        """One statement in a transaction of its own; its first row."""
        with self._lock:
            return self._transaction(lambda cursor: _first(cursor, sql, parameters), single=True)

    def rows(self, sql: Query, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

        return self.look(work)

    def look(self, work: Callable[[Cursor], T]) -> T:
        """As `transaction`, for work that only reads: each of its statements stands alone, and sees what there is when
        it begins, as within a transaction of Postgres' default kind."""
        with self._lock, self._storing:
            return self._transaction(work, single=True)

    @contextmanager
    def at_rest(self, patience: float) -> Iterator[bool]:
        """Whether nothing is under way here, not even of the thread that asks; nor does anything begin meanwhile.

        What is under way may end within so many seconds.
        """
        if not self._lock.acquire(timeout=patience):
            yield False
            return
        try:
            yield not self._at_work
        finally:
            self._lock.release()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(
                self.url,
                application_name=self._name,
                connect_timeout=CONNECT_SECONDS,
                keepalives=1,
                **KEEPALIVE,
            )
            self._connection.set_client_encoding("UTF8")
            self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                theirs = (f"set tcp_{name.removeprefix('tcp_')} = {value}" for name, value in KEEPALIVE.items())
                locks = f"set lock_timeout = {int(min(LOCK_SECONDS, max(self._wait, SHORTEST_LOCK)) * 1000)}"
                cursor.execute("; ".join((SESSION, locks, *theirs)))
        return self._connection


def plain_url(url: str) -> str:
    """SQLAlchemy's spelling (`postgresql+psycopg2://`) is libpq's plus a driver."""
    scheme = urlsplit(url).scheme
    return url.replace(scheme, scheme.split("+")[0], 1)


def _committed(work: Callable[[Cursor], T], cursor: Cursor) -> T:
    cursor.begin()
    try:
        done = work(cursor)
        cursor.commit()
        return done
    except BaseException:
        try:
            cursor.rollback()
        except psycopg2.Error:
            cursor.connection.close()  # which rolls back, and nothing is done within what is left of it
        raise


def _first(cursor: Cursor, sql: Query, parameters: Sequence[Any] | Mapping[str, Any]) -> tuple[Any, ...]:
    cursor.execute(sql, parameters)
    row = cursor.fetchone() if cursor.description else None
    return row or ()


def _final(error: psycopg2.Error) -> bool:
    """A refusal to connect that waiting does not mend; libpq gives it no SQLSTATE, only words."""
    words = str(error)
    return error.pgcode is None and any(
        w in words
        for w in (
            "password authentication failed",
            "does not exist",
            "could not translate host name",
            "no pg_hba.conf entry",
        )
    )


def _crowded(error: psycopg2.Error) -> bool:
    """A refusal to connect for want of connections: it may pass in a moment, or not for long."""
    words = str(error)
    return error.pgcode is None and ("too many " in words or "connection slots are reserved" in words)


def _ours(error: psycopg2.Error, *, lost: bool) -> Exception:
    state = error.pgcode or ""
    if state[:2] in ("22", "54") or state == errorcodes.NOT_NULL_VIOLATION or isinstance(error, psycopg2.DataError):
        return BadValue(state or "22000")
    if state in REFUSED:
        return DatabaseRefused(f"Postgres refuses: {REFUSED[state]}", sqlstate=state, next_step=MEND.get(state))
    if state in (errorcodes.UNDEFINED_TABLE, errorcodes.INVALID_SCHEMA_NAME, errorcodes.UNDEFINED_FUNCTION):
        return NotMigrated("the database lacks a table of this version", sqlstate=state)
    if lost and _crowded(error):
        state = errorcodes.TOO_MANY_CONNECTIONS
        return DatabaseRefused(f"Postgres refuses: {REFUSED[state]}", sqlstate=state)
    if lost and _final(error):
        return DatabaseRefused(
            "Postgres refuses the connection: wrong password, database or host",
            next_step="correct DATABASE_URL",
        )
    if lost:
        return DatabaseUnavailable("Postgres cannot be reached")
    if state in IN_THE_WAY or state == errorcodes.QUERY_CANCELED:
        return DatabaseUnavailable("another transaction holds these rows", sqlstate=state)
    return SyncError(
        f"Postgres refuses a statement ({type(error).__name__})",
        sqlstate=state,
        next_step="open an issue with this message",
    )
