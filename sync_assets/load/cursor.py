"""A cursor whose statements leave together where nobody waits for the answer to the first of them.

A round trip costs the network's way to a database in the cloud, and beside it a wait for a processor and for the
interpreter: they were most of what a sync of a small table took. BEGIN and COMMIT ride along like any other statement.
"""

from __future__ import annotations

from typing import Any

import psycopg2.extensions
from psycopg2.sql import Composable


class Cursor(psycopg2.extensions.cursor):
    """For a connection in autocommit mode: the transaction is this cursor's own, if there is one."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._held: list[bytes] = []

    def later(self, query: str | bytes | Composable, parameters: Any = None) -> None:
        """Leaves before the next statement, at the latest with the commit, and raises there what it would raise."""
        self._held.append(self.mogrify(query, parameters))

    def execute(self, query: str | bytes | Composable, vars: Any = None) -> None:
        if self._held:
            query, vars = self._behind_held(query, vars), None
        super().execute(query, vars)

    def copy_expert(self, sql: str | bytes | Composable, file: Any, size: int = 8192) -> None:
        super().copy_expert(self._behind_held(sql) if self._held else sql, file, size)

    def begin(self) -> None:
        self.later("BEGIN")

    def commit(self) -> None:
        """Does nothing where nothing was asked since `begin`."""
        if self._held != [b"BEGIN"]:
            self.execute("COMMIT")

    def rollback(self) -> None:
        self._held = []
        if self.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            self.execute("ROLLBACK")

    def _behind_held(self, query: str | bytes | Composable, parameters: Any = None) -> bytes:
        held, self._held = self._held, []
        return b"\n;".join((*held, self.mogrify(query, parameters)))
