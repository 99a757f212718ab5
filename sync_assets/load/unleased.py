"""The account of a sync of single records, which runs beside a sync of the whole entity and waits for nobody's lease.

Such syncs commute with all others: they touch neither cursor, sightings nor watermark, a row is written under the guard
of its sighting number, and a burial counts only against what was read before it. So a row of `sync.logs` is all that
they hold; its lock orders a commit with its repetition.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from psycopg2 import sql

from sync_assets.load import lease
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.ledger import Ledger
from sync_assets.load.lost import close_lost
from sync_assets.load.state import State

OPEN = """
with logged as (
  insert into sync.logs (account, system, entity, kind, run_id, holder, lease_until)
  values (%(account)s, %(system)s, %(entity)s, %(kind)s, %(run_id)s, %(holder)s,
          clock_timestamp() + make_interval(secs => %(seconds)s))
  returning id
)
select logged.id, nextval('sync.seen'), m.last_full_at, m.rows, m.rights, m.account is not null,
       exists (select from sync.logs where account = %(account)s and entity = %(entity)s and status = 'running'
                  and holder is not null)
  from logged left join sync.metadata m on m.account = %(account)s and m.entity = %(entity)s
"""

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
        given = self._asked.given
        log_id, seen, *stands, known, others = self._database.query(OPEN, given)
        if others or not known:
            self._database.transaction(partial(self._settle_in, log_id, given))
        self.state = State(log_id, 0, None, None, log_id, seen, None, *stands)
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

    def _settle_in(self, log_id: int, given: dict[str, Any], cursor: Cursor) -> None:
        cursor.later(lease.FIRST, given)  # what is learnt of the entity's fields has its place there
        close_lost(cursor, self._account, self._entity, leased=False, but=log_id)
