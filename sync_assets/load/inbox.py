"""Events enter `sync.webhook_events` here: a second delivery of one only counts, and a bad one costs nobody but itself.

The non-obvious decision: a row is counted again only where it comes later than it was last seen. What the spool replays
after a crash, unsure whether it was stored, bears the time at which it came and so is counted once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
import psycopg2
from psycopg2.extras import execute_values

from sync_assets.errors import SyncError
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import BadValue, Database
from sync_assets.webhook import Event

LONGEST_NAME = 200
LONGEST_KEY = 500
"""Characters. A longer key is no record's."""

ACCEPT = "select sync.accept_events(array[%s]::sync.accepted_event[])"
"""All that a receiver may do in Postgres: see sql/014."""

ROW = "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"

COSTS_ITSELF = ("22", "23", "54", "P0")
"""Classes of SQLSTATE that say something of a row: its values, its constraints, its size, a trigger's refusal."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Accepted(msgspec.Struct, frozen=True):
    """An event that we answer for: a row of the inbox, ready for Postgres and for the spool."""

    account: str
    system: str
    endpoint: str
    event: str
    entity: str
    key: str
    identity: bytes
    unique: bool
    occurred: datetime | None
    received: datetime
    payload: bytes
    record: bytes
    problem: str

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return 300 + len(self.payload) + len(self.record)


def accepted(event: Event, *, account: str, system: str, endpoint: str, received: datetime) -> Accepted:
    """`event` as a row. What Postgres cannot hold as text becomes U+FFFD; the payload stays as it came."""
    name, entity, key = (_text(part) for part in (event.name, event.entity, event.key))
    problem = _text(event.problem)
    if not problem and len(key) > LONGEST_KEY:
        problem = f"its key has {len(key)} characters"
    at = event.at.isoformat() if event.at else ""
    said = (b"id", event.identity) if event.identity else (b"body", event.payload, event.record, at)
    return Accepted(
        account=account,
        system=system,
        endpoint=endpoint,
        event=name[:LONGEST_NAME],
        entity=entity[:LONGEST_NAME],
        key=key[:LONGEST_KEY],
        identity=_identity(endpoint, event.name, event.entity, event.key, str(event.unique), *said),
        unique=event.unique,
        occurred=event.at,
        received=received,
        payload=event.payload,
        record=event.record,
        problem=problem[:LONGEST_KEY],
    )


def store(database: Database, events: Sequence[Accepted], still: Callable[[], None] = lambda: None) -> None:
    """Commits `events`, in this order; `still` may raise right before the commit to undo it.

    Raises what `Database.transaction` does, but for what is wrong with one event: that one is dead and says why.
    """

    def together(cursor: Cursor) -> None:
        accept(cursor, events)
        still()

    def one_by_one(cursor: Cursor) -> None:
        for event in events:
            _accept_alone(cursor, event)
        still()

    try:
        database.transaction(together)
    except (BadValue, SyncError) as e:
        if not isinstance(e, BadValue) and type(e) is not SyncError:
            raise
        database.transaction(one_by_one)


def accept(cursor: Cursor, events: Sequence[Accepted]) -> None:
    """One statement, which also tells those who listen to `sync_inbox` the accounts that have something new."""
    first: dict[tuple[str, bytes], Accepted] = {}
    times: dict[tuple[str, bytes], list[datetime]] = {}
    for event in events:
        name = event.account, event.identity
        first.setdefault(name, event)
        times.setdefault(name, []).append(event.received)
    rows = [_row(event, max(times[name]), len(times[name])) for name, event in first.items()]
    execute_values(cursor, ACCEPT, rows, template=ROW, page_size=len(rows))


def _accept_alone(cursor: Cursor, event: Accepted) -> None:
    cursor.execute("savepoint event")
    try:
        accept(cursor, [event])
    except psycopg2.Error as e:
        state = e.pgcode or ""
        if not isinstance(e, psycopg2.DataError) and not state.startswith(COSTS_ITSELF):
            raise
        cursor.execute("rollback to savepoint event")
        refused = msgspec.structs.replace(event, key="", occurred=None, problem=f"Postgres refuses it ({state})")
        accept(cursor, [refused])
    cursor.execute("release savepoint event")


def _row(event: Accepted, last: datetime, deliveries: int) -> tuple[object, ...]:
    return (
        *(event.account, event.system, event.endpoint, event.event, event.entity, event.key),
        *(event.identity, event.unique, event.occurred, event.received, last, deliveries),
        *(event.payload or None, event.record or None, event.problem),
    )


def _text(value: str) -> str:
    return UNSTORABLE.sub("\ufffd", value)


def _identity(*parts: str | bytes) -> bytes:
    """A hash that no two lists of parts share: each part goes with its length."""
    found = sha256()
    for part in parts:
        told = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(told).to_bytes(8, "big") + told)
    return found.digest()
