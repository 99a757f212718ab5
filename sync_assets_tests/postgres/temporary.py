"""A cluster for as long as some tests need it; afterwards nothing of it is left.

Decision: its data lie in memory where there is room. Copying a database there costs a tenth of what it costs on a disk,
and most tests have one copied.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg2
from psycopg2 import sql

from sync_assets.postgres import EmbeddedPostgres

MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own in it
ROOM = 2 * 1024**3

SMALL = {"max_wal_size": "192MB", "min_wal_size": "64MB"}
"""What is written ahead is kept in memory too, by four workers at a time."""


class Temporary(EmbeddedPostgres):
    """Makes and drops hundreds of databases, and connects once for it."""

    _kept: Any = None

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self._let_go()
        super().stop(mode)

    def _ask(self, question: str | sql.Composed, *values: str) -> int:
        try:
            if self._kept is None:
                self._kept = self._running.connect("postgres")
                self._kept.autocommit = True
            with self._kept.cursor() as cursor:
                cursor.execute(question, values or None)
                return int(cursor.rowcount)
        except psycopg2.Error:
            if self._kept is not None and not self._kept.closed:
                raise
            self._let_go()  # its server was stopped by a test
            return super()._ask(question, *values)

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


@contextmanager
def temporary_postgres(settings: Mapping[str, str] | None = None) -> Iterator[EmbeddedPostgres]:
    root = Path(tempfile.mkdtemp(prefix="sync_assets-", dir=memory()))
    postgres = Temporary(root, durable=False, settings=SMALL | dict(settings or {}))
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.discard()


def memory() -> Path | None:
    """None: where temporary files always go, as the environment may have it."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return None
    room = os.statvfs(MEMORY)
    return MEMORY if room.f_bavail * room.f_frsize >= ROOM else None
