"""The account of a sync of single records, which runs beside a sync of the whole entity and waits for nobody's lease.

Such syncs commute with all others: they touch neither cursor, sightings nor watermark, a row is written under the guard
of its sighting number, and a burial counts only against what was read before it. So a row of `sync.logs` is all that
they hold; its lock orders a commit with its repetition.
"""

from __future__ import annotations

from datetime import datetime

from psycopg2 import sql

from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.holder import this_process
from sync_assets.load.ledger import Ledger
from sync_assets.load.lost import close_lost
from sync_assets.load.state import State

OPEN = """
insert into sync.logs (account, system, entity, kind, run_id, holder, lease_until)
values (%s, %s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s)) returning id, nextval('sync.seen')
"""

STANDS = "select last_full_at, rows, rights from sync.metadata where account = %s and entity = %s"

RENEW = """
update sync.logs set lease_until = clock_timestamp() + make_interval(secs => %s) where id = %s and status = 'running'
"""

BESIDE = """
select exists (select from sync.logs where account = %s and entity = %s and status = 'running' and id <> %s)
"""


class Unleased(Ledger):
    leased = False
    lost = "this sync was given up for lost"

    def open(self) -> State:
        self.state = self._database.transaction(self._open)
        return self.state

    def renew(self, database: Database) -> None:
        database.query(RENEW, (self._lease, self.state.log_id))

    def begin(self, cursor: Cursor) -> sql.Composable:
        cursor.later("select from sync.logs where id = %s for update", (self.state.log_id,))
        return sql.SQL("(select commits = {} from sync.logs where id = {} and status = 'running')").format(
            sql.Literal(self._commits), sql.Literal(self.state.log_id)
        )

    def beside_another(self, cursor: Cursor) -> bool:
        cursor.execute(BESIDE, (self._account, self._entity, self.state.log_id))
        row = cursor.fetchone()
        return bool(row and row[0])

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
        """Of the entity it says nothing: neither how many rows it has nor how far it was read."""

    def _open(self, cursor: Cursor) -> State:
        close_lost(cursor, self._account, self._entity, leased=False)
        where = (self._account, self._entity)
        cursor.execute(STANDS, where)
        stands = cursor.fetchone()
        if stands is None:
            # What is learnt of the entity's fields has its place there.
            cursor.later(
                "insert into sync.metadata (account, entity, system) values (%s, %s, %s) on conflict do nothing",
                (*where, self._system),
            )
        cursor.execute(OPEN, (self._account, self._system, self._entity, self._kind, self._run_id,
                              this_process(self._run_id), self._lease))  # fmt: skip
        log_id, seen = cursor.fetchone() or (0, 0)
        last_full_at, rows, rights = stands or (None, None, None)
        return State(log_id, 0, None, None, log_id, seen, None, last_full_at, rows, rights)
