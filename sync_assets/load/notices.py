"""What Postgres tells to whoever listens: that something was committed which may be waited for.

Only a hint. A pooler that hands connections around lets no notice through, so whoever waits here looks by itself too,
every second.
"""

from __future__ import annotations

import select
import time

import psycopg2
from psycopg2 import sql

from sync_assets.errors import DatabaseUnavailable
from sync_assets.load.database import CONNECT_SECONDS, KEEPALIVE, plain_url


class Notices:
    """Listens to one channel for the payload `about`, on a connection of its own."""

    def __init__(self, url: str, channel: str, about: str) -> None:
        self._about = about
        try:
            self._connection = psycopg2.connect(
                plain_url(url),
                application_name=f"sync_assets listens to {channel}",
                connect_timeout=CONNECT_SECONDS,
                keepalives=1,
                **KEEPALIVE,
            )
            self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
        except psycopg2.Error:
            raise DatabaseUnavailable("Postgres cannot be reached") from None

    def close(self) -> None:
        self._connection.close()

    def wait(self, seconds: float) -> bool:
        """Whether a notice came within so many seconds. Raises DatabaseUnavailable where the connection is lost."""
        until = time.monotonic() + seconds
        try:
            while not self._heard():
                left = until - time.monotonic()
                if left <= 0 or not select.select([self._connection], [], [], left)[0]:
                    return self._heard()
            return True
        except psycopg2.Error:
            raise DatabaseUnavailable("Postgres cannot be reached") from None

    def _heard(self) -> bool:
        self._connection.poll()
        told = [notice.payload for notice in self._connection.notifies]
        self._connection.notifies.clear()
        return self._about in told
