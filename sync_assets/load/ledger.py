"""The account of one sync of one entity: its lease, its row in `sync.logs`, its cursor and its sightings.

Everything a page changes is written in the page's own commit, numbered, so that a commit whose answer was lost is
recognised when it is done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg2 import sql

from sync_assets.account import Account
from sync_assets.entity import Entity
from sync_assets.errors import AlreadyRunning, FencedOff, SyncError
from sync_assets.extract.pages import Page, Position, sightings
from sync_assets.load import lease
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.effort import Effort
from sync_assets.load.state import State
from sync_assets.load.target import key_array
from sync_assets.load.upsert import Counts

WAIT_FOR_LEASE = 3.0
"""Seconds in which a second sync hopes that the first ends."""


class Ledger:
    """Use: `open`, then `commit` per batch, then `close`. The lease is held from `open` to `close`."""

    leased = True
    lost = ""  # FencedOff's own words

    def __init__(
        self, database: Database, account: Account, entity: Entity, *, kind: str, run_id: str | None, lease_seconds: int
    ) -> None:
        self._database = database
        self._account = account.name
        self._system = account.system.name
        self._entity = entity.name
        self._kind = kind
        self._run_id = run_id
        self._lease = lease_seconds
        self._commits = 0
        self._sweep: int | None = None
        self.state: State

    def open(self) -> State:
        """Raises AlreadyRunning where another sync holds the lease."""
        until = time.monotonic() + WAIT_FOR_LEASE
        while True:
            try:
                self.state = lease.taken(self._database, self._asked)
                return self.state
            except AlreadyRunning:
                if time.monotonic() > until:
                    raise
                time.sleep(0.25)

    def renew(self, database: Database) -> None:
        """Keeps the lease while the source makes us wait; on a connection of the caller's choice."""
        database.query(
            "update sync.metadata set lease_until = clock_timestamp() + make_interval(secs => %s)"
            " where account = %s and entity = %s and lease_fence = %s",
            (self._lease, self._account, self._entity, self.state.fence),
        )

    def begin_commit(self, cursor: Cursor) -> bool:
        """Locks the lease row. False where this commit was made already and only its answer was lost.

        Raises FencedOff where another sync took over.
        """
        cursor.execute(sql.SQL("select {}").format(self.begin(cursor)))
        row = cursor.fetchone()
        return self.begun(row[0] if row else None)

    def begin(self, cursor: Cursor) -> sql.Composable:
        """For a commit that asks something at once: an expression to be asked beside it, which `begun` understands."""
        # A statement before that one, which has a look of its own: this one may wait for the commit whose answer was
        # lost.
        mine = (self._account, self._entity, self.state.fence)
        cursor.later(
            "update sync.metadata set lease_until = clock_timestamp() + make_interval(secs => %s)"
            " where account = %s and entity = %s and lease_fence = %s",
            (self._lease, *mine),
        )
        return sql.SQL(
            "(select commits = {} from sync.logs where id = {} and exists"
            " (select from sync.metadata where account = {} and entity = {} and lease_fence = {}))"
        ).format(*map(sql.Literal, (self._commits, self.state.log_id, *mine)))

    def begun(self, stands: bool | None) -> bool:
        """What `begin_commit` answers."""
        if stands is None:
            raise FencedOff(self.lost, entity=self._entity)
        return stands

    def beside_another(self, cursor: Cursor) -> bool:
        """Whether another sync of the entity, which writes as this one may, has begun and not ended."""
        return False

    def end_commit(
        self,
        cursor: Cursor,
        counts: Counts,
        *,
        deleted: int = 0,
        merged: int = 0,
        pages: list[Page] | None = None,
        position: Position | None = None,
        sighted: bool = False,
    ) -> None:
        counted = cursor.mogrify(
            "update sync.logs set fetched = fetched + %s, created = created + %s, updated = updated + %s,"
            " unchanged = unchanged + %s, stale = stale + %s, repeated = repeated + %s, rejected = rejected + %s,"
            " deleted = deleted + %s, merged = merged + %s, commits = commits + 1, sweep = %s where id = %s",
            (counts.fetched, *vars(counts).values(), deleted, merged, self._sweep, self.state.log_id),
        )
        seen = self._sighted(cursor, sightings(pages or ())) if sighted else []
        for statement in (counted, *seen, *self._saved(cursor, position)):
            cursor.later(statement)

    def sight(self, cursor: Cursor, pages: Mapping[str, tuple[int, list[str]]]) -> None:
        """Remembers what a sweep saw: for each page the number of its records and the keys among them."""
        for statement in self._sighted(cursor, pages):
            cursor.later(statement)

    def _sighted(self, cursor: Cursor, pages: Mapping[str, tuple[int, list[str]]]) -> list[bytes]:
        return [
            cursor.mogrify(
                "insert into sync.sightings (account, entity, sweep, page, records, keys)"
                " values (%s, %s, %s, %s, %s, %s::text[])"
                " on conflict (account, entity, sweep, page) do update"
                " set records = sightings.records + excluded.records, keys = sightings.keys || excluded.keys",
                (self._account, self._entity, self.state.sweep, page, records, key_array(keys)),
            )
            for page, (records, keys) in pages.items()
        ]

    def _saved(self, cursor: Cursor, position: Position | None) -> list[bytes]:
        if position is None:
            return []
        state = self.state
        saved = {"sweep": state.sweep, "seen": state.sweep_seen, "position": position, "began": state.began}
        return [
            cursor.mogrify(
                "update sync.metadata set cursor = %s where account = %s and entity = %s",
                (json.dumps(saved | {"saved": time.time()}), self._account, self._entity),
            )
        ]

    def committed(self) -> None:
        self._commits += 1

    def close(
        self,
        status: str,
        *,
        error: SyncError | None = None,
        watermark: datetime | None = None,
        whole: bool = False,
        effort: Effort | None = None,
        note: str | None = None,
        rows: int | None = None,
        rights: str | None = None,
        claims: Sequence[tuple[int, int]] = (),
    ) -> dict[str, Any]:
        """Ends the sync and lets the lease go. Answers the row of `sync.logs`.

        A success with rejected records is partial. `whole` says that a sweep is done with, its cursor and sightings
        too; a sweep that is cut short keeps both.
        """

        def work(cursor: Cursor) -> dict[str, Any]:
            self._let_go(cursor, str(error) if error else None, watermark, rows, rights, whole=whole)
            cursor.execute(
                "update sync.logs set status = case when %s = 'success' and rejected > 0 then 'partial' else %s end,"
                " finished_at = clock_timestamp(), error = %s, note = %s, sweep = %s,"
                " (requests, throttled_seconds, asking_seconds, paced_seconds, paused_seconds, storing_seconds,"
                " floor_seconds, bucket, rate) = %s, error_type = %s, rows = %s, claimed = %s, shown = %s where id = %s"
                " returning fetched, created, updated, unchanged, stale, repeated, rejected, deleted, merged, requests,"
                " throttled_seconds::float8,"
                " extract(epoch from finished_at - started_at)::float8 as seconds",
                (
                    status,
                    status,
                    str(error) if error else None,
                    note,
                    self._sweep,
                    (effort or Effort()).values,
                    type(error).__name__ if error else None,
                    rows,
                    sum(claimed for claimed, _ in claims) if claims else None,
                    sum(shown for _, shown in claims) if claims else None,
                    self.state.log_id,
                ),
            )
            row = cursor.fetchone()
            assert row is not None and cursor.description  # noqa: S101  the row was inserted by open
            return {d.name: value for d, value in zip(cursor.description, row, strict=True)}

        return self._database.look(work)

    def _let_go(
        self,
        cursor: Cursor,
        error: str | None,
        watermark: datetime | None,
        rows: int | None,
        rights: str | None,
        *,
        whole: bool,
    ) -> None:
        if whole:
            cursor.later("delete from sync.sightings where account = %s and entity = %s", (self._account, self._entity))
        cursor.later(
            "update sync.metadata set lease_holder = null, lease_until = null,"
            " watermark = coalesce(greatest(watermark, %(watermark)s), watermark),"
            " last_full_at = case when %(full)s then now() else last_full_at end,"
            " last_incremental_at = case when %(incremental)s then now() else last_incremental_at end,"
            " cursor = case when %(whole)s then null else cursor end, rows = coalesce(%(rows)s, rows),"
            " rights = case when %(full)s then %(rights)s else rights end,"
            " last_error = case when %(failed)s then %(error)s end,"
            " last_error_at = case when %(failed)s then now() end"
            " where account = %(account)s and entity = %(entity)s and lease_fence = %(fence)s",
            {
                "watermark": watermark,
                "full": whole and not error,
                "whole": whole,
                "rows": rows,
                "rights": rights,
                "failed": error is not None,
                "incremental": self._kind == "incremental" and not error,
                "error": error,
                "account": self._account,
                "entity": self._entity,
                "fence": self.state.fence,
            },
        )

    @property
    def _asked(self) -> lease.Asked:
        return lease.Asked(self._account, self._system, self._entity, self._kind, self._run_id, self._lease)

    def watermark_of(self, entity: str) -> datetime | None:
        """How far another entity of the account was surely read."""
        query = "select max(watermark) from sync.metadata where account = %s and entity = %s"
        watermark: datetime | None = self._database.query(query, (self._account, entity))[0]
        return watermark

    def sweep(self) -> Position | None:
        """Declares this sync a complete sweep. Answers where an unfinished one is to be gone on from."""
        self._sweep = self.state.sweep
        return self.state.cursor

    def no_sweep(self) -> None:
        """Declares this sync a partial read: what an unfinished sweep left stays as it is."""
        self.state.began = None
