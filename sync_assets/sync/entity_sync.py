"""The steps of one sync: plan, load page by page, derive what came inside, delete with proof, note waiting links."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from psycopg2 import sql

from sync_assets import crash
from sync_assets.entity import Entity, Inside, Params
from sync_assets.errors import FuseBlown, RecordRejected, SyncError
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page, Splitter
from sync_assets.load import drift, nested, parents
from sync_assets.load.batch import Misread, batch
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import BadValue
from sync_assets.load.ledger import Ledger
from sync_assets.load.look_up import look
from sync_assets.load.prepared import Mostly, Prepared, prepared
from sync_assets.load.slow_path import keep, reject, write_slowly
from sync_assets.load.standing import Standing, standing
from sync_assets.load.state import State
from sync_assets.load.upsert import Counts, seen_again, write
from sync_assets.sync.beginning import led
from sync_assets.sync.connection import Connected
from sync_assets.sync.departures import Departures
from sync_assets.sync.effort import Measured
from sync_assets.sync.named import names_of
from sync_assets.sync.pipeline import commit_behind, in_time
from sync_assets.sync.plan import decide, of_parents, surely_read
from sync_assets.sync.request import Outcome, Progress, Request
from sync_assets.sync.written import MOST, Written


class EntitySync:
    def __init__(
        self,
        connection: Connected,
        entity: Entity,
        request: Request,
        ledger: Ledger,
        progress: Progress | None,
        following: Sequence[Entity] = (),
    ) -> None:
        self.connection = connection
        self.entity = entity
        self.request = request
        self.ledger = ledger
        self.target = connection.target(entity.name)
        self.outcome = Outcome(ledger.state.log_id)
        self._progress = progress
        self._following = following
        self._door = connection.door
        self._measured = Measured(connection)
        self._mostly: Mostly = "unchanged"  # the rows of the last commit
        self._totals = Counts()
        self._complete = False
        self._began: datetime | None = None
        self._names: tuple[str, ...] | None = None
        self._claims: list[tuple[int, int]] = []
        self._withheld: list[str] = []
        self._followed: datetime | None = None
        self.written = Written(MOST if ledger.leased else None)
        self.standing = Standing()
        self._departures = Departures(self, lambda pages: self._commit(pages, self._prepared(pages)))

    @property
    def state(self) -> State:
        return self.ledger.state

    def run(self) -> None:
        if self.request.ids:
            self.ledger.no_sweep()
            self._departures.by_key(self.request.ids)
            self._departures.take_pushed()
        elif self.request.parents:
            self.ledger.no_sweep()
            self._load(self.fetch().pages(of_parents(self.entity, self.request.parents)))
            self._derive_all()
        else:
            if self.entity.follows:
                self._followed = self.ledger.watermark_of(self.entity.follows)
            plan = decide(
                self.entity,
                self.request,
                watermark=self.state.watermark,
                overlap=self.connection.settings.sync_overlap_seconds,
                ask=lambda path, params: self._ask(path, params).body,
                source_now=self._door.source_now,
            )
            self.outcome.remark(plan.note)
            self._complete = plan.complete
            resume = self.ledger.sweep() if self._complete else None
            if not self._complete:
                self.ledger.no_sweep()
            if resume:
                self.outcome.remark("went on with an unfinished sweep")
            pages = self.fetch().pages(plan.reads, since=plan.since, resume=resume)
            self._load(led(pages, self.connection, self.entity, self.request, self._following))
            for what in self._withheld:
                self.outcome.remark(f"not read, and nothing of it deleted: {what}")
            self._derive_all()
            if self._complete or self.entity.bin or self.entity.merged or self.entity.deletions:
                self._departures.find(complete=self._complete and not self._withheld)
        self._link()

    def close(self) -> Outcome:
        self.outcome.waiting = self.standing.waiting
        if not self.ledger.leased:
            self.outcome.totals = self.ledger.close("success", **self._effort())
            self.outcome.rows = self.connection.rows_of(self.target, self.outcome.totals)
            return self.outcome
        newest = self._followed if self.entity.follows else self.standing.newest
        began = self.state.swept_since or self._began
        self.outcome.rows = rows = self.standing.rows or 0
        self.outcome.totals = self.ledger.close(
            "success",
            whole=self._complete,
            rows=rows,
            watermark=surely_read(self.entity, self.request, newest=newest, began=began),
            rights=self.connection.rights,
            **self._effort(),
        )
        return self.outcome

    def fail(self, error: SyncError) -> None:
        # Is the ledger out of reach, the next sync finds the lapsed lease and calls this one lost.
        with suppress(SyncError):
            # A blown fuse ends its sweep: the next one looks afresh instead of trusting what this one saw.
            self.ledger.close("failed", error=error, whole=isinstance(error, FuseBlown), **self._effort())

    def _effort(self) -> dict[str, Any]:
        return {"effort": self._measured.effort(), "note": self.outcome.note or None, "claims": self._claims}

    def beside_another(self) -> bool:
        return self.connection.database.look(self.ledger.beside_another)

    def rows(self) -> int:
        return int(self.connection.database.query(sql.SQL("select count(*) from {}").format(self.target.table))[0])

    def fetch(self, *, by_key: bool = False) -> Fetch:
        """What carries this entity's reads out; `by_key` where a refusal may mean that one record is gone."""
        if self._names is None:
            self._names = names_of(
                self.connection,
                self.target,
                lambda path, params: self._ask(path, params).body,
                self.outcome.remark,
                lasting=not self.ledger.leased,
            )

        def ask(path: str, params: Params, stop: threading.Event, *, body: bytes | None = None) -> Answer:
            return self._ask(path, params, stop=stop, by_key=by_key, body=body)

        return Fetch(
            ask,
            Splitter(self._door.api.at, self.target.key_fields, self.target.canonical),
            self.connection.stored_keys,
            names=self._names,
            remark=self.outcome.remark,
            room=self.connection.ahead.room,
            withheld=self._withheld,
            claims=self._claims,
            along=self.request.along,
        )

    def _ask(
        self,
        path: str,
        params: Params,
        *,
        stop: threading.Event | None = None,
        by_key: bool = False,
        body: bytes | None = None,
    ) -> Answer:
        answer = self.connection.ahead.ask(self.entity.name, path, params, stop=stop, by_key=by_key, body=body)
        if self._began is None and (date := answer.date):
            self._began = date
        return answer

    # Loading

    def _load(self, pages: Iterator[Page]) -> None:
        settings = self.connection.settings
        pages = in_time(pages, minutes=settings.sync_max_minutes)
        commit_behind(pages, records=settings.sync_batch_size, prepare=self._prepared, commit=self._commit)

    def _prepared(self, pages: list[Page]) -> Prepared:
        return prepared(batch(pages, self.target.seed, self.entity.sparse), self._mostly)

    def _commit(self, pages: list[Page], ready: Prepared) -> None:
        crash.point("after read")
        if self._complete and self.state.began is None and self._began:
            self.state.began = self._began.isoformat()
        slow = ready.found.suspect
        while True:
            try:
                counts = self.connection.database.transaction(partial(self._write, pages, ready, slow))
                break
            except BadValue as e:
                if slow:
                    what = f"a page cannot be stored record by record either ({e.sqlstate})"
                    raise RecordRejected(what, page=pages[0].name) from None
                slow = True
            except Misread:
                ready = self._prepared([page.certain() for page in pages])
        crash.point("after commit")
        self._committed(counts)

    def _write(self, pages: list[Page], ready: Prepared, slow: bool, cursor: Cursor) -> Counts:
        found = ready.found
        new = ready.new if self._mostly == "new" and not slow else None
        met = look(cursor, self.target, self.ledger.begin(cursor), found.rows, ready.look_ups, new)
        if not self.ledger.begun(met.stands):
            return Counts()
        rows = met.changed
        found.must_be_sure(rows)
        self.written.add((row.key for row in rows) if self.ledger.leased else found.rows)
        self._mostly = "unchanged" if 2 * len(rows) <= len(found.rows) else "held" if rows[0].held else "new"
        log_id = self.state.log_id
        if pages[0].read.shape != self.entity.pushed_shape:  # what its sender leaves out teaches nothing of the API
            counted = ready.alike if len(rows) == len(found.rows) else None
            rows, notes = drift.watch(cursor, self.target, rows, met.fields, counted)
            for note in notes:
                self.outcome.remark(note)
        counts = (write_slowly if slow else write)(cursor, self.target, rows, log_id)
        if new and counts.created < len(new):
            self._mostly = "unchanged"
        for record in found.keyless:
            reject(cursor, self.target, record, log_id)
        for key, e in found.oversized.items():
            keep(cursor, self.target, e.head, log_id, key=key, reason=e.what, kept=False, size=e.size)
        counts.unchanged += len(found.rows) - len(rows)
        if self.ledger.beside_another(cursor):
            seen_again(cursor, self.target, (found.rows[key] for key in found.rows.keys() - {r.key for r in rows}))
        counts.repeated += found.repeated
        counts.rejected += len(found.keyless) + len(found.oversized)
        self.ledger.end_commit(
            cursor,
            counts,
            deleted=self._departures.from_sets(cursor, pages, counts.created),
            pages=pages,
            sighted=self._complete,
            position=pages[-1].after if self._complete else None,
        )
        crash.point("before commit")
        return counts

    def _derive_all(self) -> None:
        for read in self.entity.reads:
            if isinstance(read, Inside):
                self._derive(read)

    def _derive(self, read: Inside) -> None:
        parent = self.connection.target(read.parent)
        self.written.any_of_all()

        def work(cursor: Cursor) -> Counts:
            if not self.ledger.begin_commit(cursor):
                return Counts()
            derived = nested.derive(
                cursor, self.target, read, parent, self.connection.account.options, self.state.log_id
            )
            self.ledger.end_commit(cursor, derived.counts)
            if self._complete:
                inside = f"inside {read.parent} {read.paths[0]}"
                self.ledger.sight(cursor, {inside: (derived.counts.fetched, derived.keys)})
            return derived.counts

        try:
            self._committed(self.connection.database.transaction(work))
        except BadValue as e:
            raise RecordRejected(f"a record inside {read.parent} cannot be stored ({e.sqlstate})") from None

    def _committed(self, counts: Counts) -> None:
        self.ledger.committed()
        self._totals += counts
        if self._progress:
            self._progress(self.entity.name, self._totals, self._measured.requests)

    def _link(self) -> None:
        goals = [(link, self.connection.target(link.to)) for link in self.entity.links]

        def work(cursor: Cursor) -> Standing:
            parents.settle(cursor, self.target)
            for link, parent in goals:
                parents.note_missing(cursor, self.target, parent, link, self.state.log_id, self.written.keys)
                if self.ledger.leased:
                    parents.no_longer_asked_for(cursor, self.target, parent, link)
            return standing(cursor, self.target, counted=self.ledger.leased)

        self.standing = self.connection.database.look(work)
