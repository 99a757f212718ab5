"""Who may sync an entity as a whole: a row with a fence, not an advisory lock, so it works through every pooler.

A lease that nobody holds is taken in one message, which is a transaction by itself and how nearly every sync begins.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from sync_assets.errors import AlreadyRunning
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.holder import holder_is_dead, this_process
from sync_assets.load.lost import close_lost
from sync_assets.load.state import State

TAKE = """
with taken as (
  update sync.metadata set lease_holder = %(holder)s, lease_fence = lease_fence + 1,
         lease_until = clock_timestamp() + make_interval(secs => %(seconds)s)
   where account = %(account)s and entity = %(entity)s and lease_holder is null
  returning lease_fence, watermark, last_full_at, rows, rights, cursor
), logged as (
  insert into sync.logs (account, system, entity, kind, run_id)
  select %(account)s, %(system)s, %(entity)s, %(kind)s, %(run_id)s from taken returning id
)
select logged.id, nextval('sync.seen'), taken.*,
       exists (select from sync.logs where account = %(account)s and entity = %(entity)s and status = 'running')
  from taken, logged
"""

HELD = """
select lease_holder, lease_until > clock_timestamp() from sync.metadata
 where account = %(account)s and entity = %(entity)s for update
"""

FIRST = """
insert into sync.metadata (account, entity, system) values (%(account)s, %(entity)s, %(system)s) on conflict do nothing
"""

FREE = "update sync.metadata set lease_holder = null where account = %(account)s and entity = %(entity)s"


@dataclass(frozen=True)
class Asked:
    """A sync that wants the lease, and for how long."""

    account: str
    system: str
    entity: str
    kind: str
    run_id: str | None
    seconds: int

    @property
    def given(self) -> dict[str, Any]:
        return asdict(self) | {"holder": this_process(self.run_id)}


def taken(database: Database, asked: Asked) -> State:
    """Takes the lease and begins the sync's row of the ledger. Raises AlreadyRunning where another one holds it."""
    given = asked.given
    if not (row := database.query(TAKE, given)):
        return database.transaction(partial(_taken_over, asked=asked, given=given))
    *stood, others = row
    if others:
        close = partial(close_lost, account=asked.account, entity=asked.entity, leased=True, but=stood[0])
        database.transaction(close)
    return _state(*stood)


def _taken_over(cursor: Cursor, asked: Asked, given: dict[str, Any]) -> State:
    """Of an entity that is new, or whose lease somebody holds who may have died."""
    cursor.later(FIRST, given)
    cursor.execute(HELD, given)
    holder, held = cursor.fetchone() or (None, False)
    if held and not holder_is_dead(holder):
        raise AlreadyRunning(f"already running: {holder}", account=asked.account, entity=asked.entity)
    close_lost(cursor, asked.account, asked.entity, leased=True)
    cursor.later(FREE, given)
    cursor.execute(TAKE, given)
    *stood, _ = cursor.fetchone() or ()
    return _state(*stood)


def _state(log_id: int, seen: int, fence: int, *stood: Any) -> State:
    watermark, last_full_at, rows, rights, saved = stood
    state = State(log_id, fence, watermark, None, log_id, seen, None, last_full_at, rows, rights)
    state.go_on(saved)
    return state
