"""Connections of Dagster's storages, kept: of their own accord they make one for each question.

Promise: all storages of one process and URL share one engine, so an instance made anew for each tick connects no more
than one that lasts. A connection that has died is replaced before it is asked for anything, or where it stores soon
after it was used last, by whoever stores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event, exc

UNSURE_SECONDS = 1.0
"""A connection that has been idle for longer is asked whether it lives before it stores; before it reads, always."""

AT_REST = 2
"""Connections that a process keeps; those beyond are closed after use."""

_engines: dict[str, Engine] = {}
_making = threading.Lock()


class _Thread(threading.local):
    storing = False


_thread = _Thread()


def engine(url: str) -> Engine:
    """Statements commit by themselves."""
    with _making:
        if url not in _engines:
            made = create_engine(
                url,
                isolation_level="AUTOCOMMIT",
                pool_size=AT_REST,
                max_overflow=-1,
                pool_recycle=600,
                pool_use_lifo=True,
            )
            event.listen(made, "checkin", _remember)
            event.listen(made, "checkout", _look)
            _engines[url] = made
        return _engines[url]


@contextmanager
def storing() -> Iterator[None]:
    """Within it, this thread does again what was lost with a connection."""
    before = _thread.storing
    _thread.storing = True
    try:
        yield
    finally:
        _thread.storing = before


def _look(connection: Any, record: Any, _proxy: Any) -> None:
    """Raises DisconnectionError, on which the pool makes another connection."""
    since = record.info.get("idle since")
    if since is None or (_thread.storing and time.monotonic() - since <= UNSURE_SECONDS):
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except Exception:  # noqa: BLE001  whatever it is, this connection is of no use
        raise exc.DisconnectionError from None


def _remember(_connection: Any, record: Any) -> None:
    record.info["idle since"] = time.monotonic()
