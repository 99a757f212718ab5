"""The account of one sync of one entity: its lease, its row in `sync.logs`, its cursor and its sightings.

Everything a page changes is written in the page's own commit, numbered, so that a commit whose answer was lost is
recognised when it is done again. The lease is a fenced row, not an advisory lock: it works through every pooler.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sync_assets.account import Account
from sync_assets.entity import Entity
from sync_assets.errors import AlreadyRunning, FencedOff, SyncError
from sync_assets.extract.pages import Page, Position, sightings
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.effort import Effort
from sync_assets.load.holder import holder_is_dead, this_process
from sync_assets.load.lost import close_lost
from sync_assets.load.state import State
from sync_assets.load.target import key_array
from sync_assets.load.upsert import Counts

WAIT_FOR_LEASE = 3.0
"""Seconds in which a second sync hopes that the first ends."""

SWEEP_LIFE = 24 * 3600
"""An unfinished sweep older than this many seconds starts afresh: what it saw says too little about today."""


class Ledger:
    """Use: `open`, then `commit` per batch, then `close`. The lease is held from `open` to `close`."""

    leased = True

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
        self.state: State

    def open(self) -> State:
        """Raises AlreadyRunning where another sync holds the lease."""
        until = time.monotonic() + WAIT_FOR_LEASE
        while True:
            try:
                self.state = self._database.transaction(self._open)
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
        # Two statements at one go, the second with a look of its own: the first may have waited for the commit whose
        # answer was lost.
        mine = (self._account, self._entity, self.state.fence)
        cursor.execute(
            "update sync.metadata set lease_until = clock_timestamp() + make_interval(secs => %s)"
            " where account = %s and entity = %s and lease_fence = %s;"
            " select commits from sync.logs where id = %s and exists"
            " (select from sync.metadata where account = %s and entity = %s and lease_fence = %s)",
            (self._lease, *mine, self.state.log_id, *mine),
        )
        row = cursor.fetchone()
        if row is None:
            raise FencedOff(entity=self._entity)
        return bool(row[0] == self._commits)

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
            " deleted = deleted + %s, merged = merged + %s, commits = commits + 1 where id = %s",
            (counts.fetched, *vars(counts).values(), deleted, merged, self.state.log_id),
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
            cursor.execute(
                "update sync.logs set status = case when %s = 'success' and rejected > 0 then 'partial' else %s end,"
                " finished_at = clock_timestamp(), error = %s, note = %s,"
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
            totals = {d.name: value for d, value in zip(cursor.description, row, strict=True)}
            self._let_go(cursor, str(error) if error else None, watermark, rows, rights, whole=whole)
            return totals

        return self._database.transaction(work)

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

    def _open(self, cursor: Cursor) -> State:
        cursor.later(
            "insert into sync.metadata (account, entity, system) values (%s, %s, %s) on conflict do nothing",
            (self._account, self._entity, self._system),
        )
        cursor.execute(
            "select lease_holder, lease_until > clock_timestamp(), lease_fence, watermark, cursor, last_full_at, rows,"
            " rights"
            "  from sync.metadata where account = %s and entity = %s for update",
            (self._account, self._entity),
        )
        row = cursor.fetchone()
        assert row is not None  # noqa: S101  inserted above
        holder, held, fence, watermark, saved, last_full_at, rows, rights = row
        if held and not holder_is_dead(holder):
            raise AlreadyRunning(f"already running: {holder}", account=self._account, entity=self._entity)
        close_lost(cursor, self._account, self._entity, leased=True)
        cursor.execute(
            "insert into sync.logs (account, system, entity, kind, run_id) values (%s, %s, %s, %s, %s)"
            " returning id, nextval('sync.seen')",
            (self._account, self._system, self._entity, self._kind, self._run_id),
        )
        opened = cursor.fetchone()
        assert opened is not None  # noqa: S101  returning
        log_id, seen = opened
        cursor.later(
            "update sync.metadata set lease_holder = %s, lease_fence = %s,"
            " lease_until = clock_timestamp() + make_interval(secs => %s) where account = %s and entity = %s",
            (this_process(self._run_id), fence + 1, self._lease, self._account, self._entity),
        )
        state = State(log_id, fence + 1, watermark, None, log_id, seen, None, last_full_at, rows, rights)
        if saved and time.time() - saved["saved"] < SWEEP_LIFE:
            state.cursor, state.sweep = saved["position"], saved["sweep"]
            state.sweep_seen, state.began = saved["seen"], saved["began"]
        return state

    def watermark_of(self, entity: str) -> datetime | None:
        """How far another entity of the account was surely read."""
        query = "select max(watermark) from sync.metadata where account = %s and entity = %s"
        watermark: datetime | None = self._database.query(query, (self._account, entity))[0]
        return watermark

    def sweep(self) -> Position | None:
        """Declares this sync a complete sweep. Answers where an unfinished one is to be gone on from."""
        state = self.state

        def work(cursor: Cursor) -> None:
            if state.cursor is None:
                cursor.later(
                    "delete from sync.sightings where account = %s and entity = %s",
                    (self._account, self._entity),
                )
            cursor.later("update sync.logs set sweep = %s where id = %s", (state.sweep, state.log_id))

        self._database.transaction(work)
        return state.cursor

    def no_sweep(self) -> None:
        """Declares this sync a partial read: what an unfinished sweep left stays as it is."""
        self.state.began = None
