"""One account made ready: its settings, its two connections to Postgres and its door to the API.

A run uses at most these two: one writes, one meters the API's limits and renews the lease while the first one writes. A
small one makes do with the first.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from psycopg2 import sql

from sync_assets.account import Account
from sync_assets.entity import Bucket
from sync_assets.errors import MissingSetting, SyncError
from sync_assets.extract.ahead import Ahead
from sync_assets.extract.budget import Budget
from sync_assets.extract.http import Door
from sync_assets.extract.mask import Mask
from sync_assets.extract.oauth import OAuth
from sync_assets.extract.stopwatch import Stopwatch
from sync_assets.load.beside import Beside
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.migrations import require_migrated
from sync_assets.load.target import Target, targets
from sync_assets.load.trust import require_trust
from sync_assets.settings import SyncSettings

if TYPE_CHECKING:
    from sync_assets.load.tokens import StoredTokens


TURN = 0.001
"""Seconds that a thread computes while another one has an answer to take up. Python's own are five times as many, and
where each request follows from the answer before it, each would wait for them."""

KEYS_AT_ONCE = 10_000


def buckets(account: Account) -> list[Bucket]:
    """The system's limits, the first one as the account's setting has it. The setting lowers the others or lifts all
    of them (0), but never raises one: a vendor that lets more requests through takes no more searches for that."""
    rate = account.settings.rate
    first, *others = account.system.buckets
    if rate is None:
        return [first, *others]
    lowered = (replace(b, rate=rate, fixed=True) if rate < b.rate else b for b in others)
    return [replace(first, rate=rate, fixed=True), *lowered]


class Connected:
    """One account with its two connections (one writes, one meters) and its door."""

    def __init__(self, account: Account, settings: SyncSettings) -> None:
        if settings.database_url is None:
            raise MissingSetting(
                "DATABASE_URL is not set",
                next_step="set it, or use make up, which brings a Postgres of its own",
            )
        url = settings.database_url.get_secret_value()
        wait = settings.sync_database_wait_seconds
        self.account = account
        self.settings = settings
        self.storing = Stopwatch()
        self.database = Database(url, wait=wait, name=f"sync_assets {account.name}", storing=self.storing)
        self.meter = Beside(self.database, wait=wait, name=f"sync_assets {account.name} meter", storing=self.storing)
        self.budget = Budget(account.name, buckets(account), self.meter.query)
        api = account.system.api(account.settings)
        self.tokens = _stored_tokens(self.database, account.name, api.oauth) if api.oauth else None
        self.door = Door(
            api,
            self.budget,
            Mask(account.settings.secrets()),
            retries=settings.sync_retries,
            deadline=settings.sync_request_seconds,
            max_wait=settings.sync_max_wait_seconds,
            system=account.name,
            tokens=self.tokens,
            trust=lambda: require_trust(self.meter, account.name, account.settings.sent()),
        )
        self.ahead = Ahead(self.door)
        self._targets: dict[str, Target] = {}
        self.names: dict[str, tuple[float, tuple[str, ...]]] = {}  # of `named.names_of`: when they were told, and which
        self._rows: dict[str, int] = {}
        self._preflight: SyncError | Literal["passed"] | None = None
        self._rights: Future[str | None] | None = None

    def close(self) -> None:
        self.ahead.stop()
        self.door.close()
        self.ahead.close()
        self.database.close()
        self.meter.close()

    def preflight(self) -> None:
        """Fails in seconds with the name of what is wrong; asked once per run, answered to every entity."""
        if self._preflight is None:
            try:
                require_migrated(self.database, [self.account])
                self.door.api.opened(self.door.ask(*self.account.system.preflight))
                self._preflight = "passed"
            except SyncError as e:
                self._preflight = e
        if isinstance(self._preflight, SyncError):
            raise copy(self._preflight) from None  # a copy: each entity adds its own name

    def ask_for_rights(self) -> None:
        """Nobody waits for the answer before `rights` is needed."""
        if self._rights is None and (rights := self.account.system.rights):
            self._rights = self.ahead.later(partial(rights, self.ahead.stoppable), self.account.settings)

    @property
    def rights(self) -> str | None:
        """A fingerprint of what the token may do. Raises the SyncError that stands against asking for it."""
        self.ask_for_rights()
        try:
            return self._rights.result() if self._rights else None
        except SyncError as e:
            raise copy(e) from None

    def target(self, name: str) -> Target:
        """Those that its links lead to will be needed too, and are looked up along. Raises NotMigrated."""
        if name not in self._targets:
            names = {name, *(link.to for link in self.account.entity(name).links)} - self._targets.keys()
            keep = self.settings.sync_evidence == "keep"
            self._targets |= self.database.look(
                lambda cursor: targets(cursor, self.account, sorted(names), keeps_evidence=keep)
            )
        return self._targets[name]

    def rows_of(self, target: Target, did: Mapping[str, Any]) -> int:
        """How many rows a table has after what a sync of single records did: counted once, then reckoned."""
        name = target.entity.name
        if name in self._rows:
            self._rows[name] += did["created"] - did["deleted"] - did["merged"]
        else:
            (self._rows[name],) = self.database.query(sql.SQL("select count(*) from {}").format(target.table))
        return self._rows[name]

    def stored_keys(self, name: str, where: str) -> Sequence[Any]:
        """The keys of an entity's rows, sorted: numbers as numbers, text in byte order."""
        t = self.target(name)
        key = sql.Identifier(t.entity.keys[0])
        collate = sql.SQL("") if t.numeric_keys[0] else sql.SQL(' collate "C"')
        query = sql.SQL("select {key} from {table} where {where} order by {key}{collate}").format(
            key=key, table=t.table, where=sql.SQL(where), collate=collate
        )

        def work(cursor: Cursor) -> Sequence[Any]:
            cursor.later(sql.SQL("set local search_path = {}").format(sql.Identifier(t.schema)))
            cursor.later(sql.SQL("declare keys no scroll cursor for {}").format(query))
            # Read in portions, numbers into eight bytes each: the keys of a long table would fill the memory.
            keys: array[int] | list[Any] = array("q") if t.numeric_keys[0] else []
            while True:
                cursor.execute(f"fetch {KEYS_AT_ONCE} from keys")
                keys.extend(key for (key,) in cursor)
                if cursor.rowcount < KEYS_AT_ONCE:
                    return keys

        return self.database.transaction(work)


def _stored_tokens(database: Database, account: str, oauth: OAuth) -> StoredTokens:
    """Whoever has a token that lasts does not pay for loading cryptography."""
    from sync_assets.load.tokens import StoredTokens

    return StoredTokens(database, account, oauth)


@contextmanager
def connected(account: Account, settings: SyncSettings) -> Iterator[Connected]:
    connection = Connected(account, settings)
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN))
    try:
        yield connection
    finally:
        sys.setswitchinterval(before)
        connection.close()
