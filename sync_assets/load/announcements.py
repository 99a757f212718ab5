"""The connection on which a watcher waits for what is due: announced by NOTIFY, asked for each second all the same.

A transaction pooler delivers no announcements, and whoever waits must not hold more than one connection. Where nobody
waits any more, because Dagster's daemon was stopped and its code server was not, Postgres itself ends it.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from sync_assets.errors import DatabaseUnavailable
from sync_assets.load.database import CONNECT_SECONDS, KEEPALIVE, plain_url

CHANNEL = "sync_inbox"
NAME = "sync_assets webhooks"

UNUSED = "60s"
"""Who waits asks every second. A connection that has said nothing for so long belongs to nobody."""

# What is taken is by somebody else: whoever asks has nothing under way. Whether those still live a worker will see.
DUE = """
select distinct account from sync.webhook_events
 where account = any(%(accounts)s) and state in ('new', 'waiting', 'taken')
   and (state = 'taken' or next_try_at <= clock_timestamp())
"""


class Announcements:
    """`due` is a query that answers accounts; `%(accounts)s` are those that are meant, `more` its other parameters."""

    def __init__(
        self,
        url: str,
        accounts: Sequence[str],
        *,
        name: str = NAME,
        channel: str = CHANNEL,
        due: str = DUE,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self._url = plain_url(url)
        self._accounts = list(accounts)
        self._name, self._channel, self._due = name, channel, due
        self._given = {"accounts": self._accounts, **(more or {})}
        self._connection: Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def due(self) -> list[str]:
        """The accounts of which something is due. Raises DatabaseUnavailable."""
        kept = self._connection is not None
        try:
            with self._listening().cursor() as cursor:
                cursor.execute(self._due, self._given)
                return [account for (account,) in cursor.fetchall()]
        except psycopg2.Error as e:
            self.close()
            if kept:  # since it was used last it may have ended
                return self.due()
            raise DatabaseUnavailable("Postgres cannot be asked for what is due", sqlstate=e.pgcode) from None

    def wait(self, seconds: float) -> bool:
        """Until something is announced for one of the accounts, at most so long. Whether it was."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._connection is None:
                time.sleep(left)
                return False
            # Some came along with the answer to a query.
            told = {notify.payload for notify in self._connection.notifies}
            self._connection.notifies.clear()
            if not told.isdisjoint(self._accounts):
                return True
            try:
                select.select([self._connection], [], [], left)
                self._connection.poll()
            except (psycopg2.Error, OSError, ValueError):
                self.close()
        return False

    def _listening(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(
                self._url, application_name=self._name, connect_timeout=CONNECT_SECONDS, keepalives=1,
                **KEEPALIVE,
            )  # fmt: skip
            self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                limits = f"set statement_timeout = '30s'; set idle_session_timeout = '{UNUSED}'"
                cursor.execute(f"{limits}; listen {self._channel}")
        return self._connection
