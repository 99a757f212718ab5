"""What a person sees of sequences, and may do: begin one with a record, or end a run. Each is put on record."""

from __future__ import annotations

from typing import Any

from psycopg2 import sql

from sync_assets.account import Account
from sync_assets.automation.sequence_runs import RUN, Run, finish, start
from sync_assets.errors import ActionRefused, FixData
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

COLUMNS = ("execution_id", "sequence", "account", "entity", "key", "status", "step", "next_at", "started_at", "reason")

LIST = """
select execution_id::text, sequence_key, account, entity, key, status, current_step,
       case when waits_for is not null then 'letter ' || waits_for else to_char(next_at, 'YYYY-MM-DD HH24:MI:SS') end,
       to_char(started_at, 'YYYY-MM-DD HH24:MI:SS'), reason
  from sync.sequence_runs
 where (%(sequence)s = '' or sequence_key = %(sequence)s) and (%(key)s = '' or key = %(key)s)
   and (%(status)s = '' or status = %(status)s)
 order by started_at desc, execution_id limit %(most)s
"""

COUNTS = """
select s.key, (array_agg(s.name order by s.is_current desc, s.first_seen_at desc))[1],
       max(s.version) filter (where s.is_current), count(*), r.active, r.completed, r.exited, r.failed
  from sync.sequences s
 cross join lateral (
   select count(*) filter (where status = 'active') as active, count(*) filter (where status = 'exited') as exited,
          count(*) filter (where status = 'completed') as completed, count(*) filter (where status = 'failed') as failed
     from sync.sequence_runs where sequence_key = s.key) r
 group by s.key, r.active, r.completed, r.exited, r.failed order by s.key
"""

SHOW = """
select to_jsonb(r) || jsonb_build_object('steps', (
         select coalesce(jsonb_agg(to_jsonb(s) - 'execution_id' || jsonb_build_object('letter', o.state)
                                   order by s.step), '[]')
           from sync.sequence_steps s left join sync.outbox o on o.id = s.outbox_id
          where s.execution_id = r.execution_id))
  from sync.sequence_runs r where execution_id::text = %s
"""

HOLD = f"""
select {RUN} from sync.sequence_runs where execution_id::text = %s and status = 'active' for update
"""  # noqa: S608  constants


def counted(database: Database) -> list[dict[str, Any]]:
    """Every sequence that ever was, with how many runs of it there are in each state."""
    names = ("sequence", "name", "version", "versions", "active", "completed", "exited", "failed")
    return [dict(zip(names, row, strict=True)) for row in database.rows(COUNTS)]


def listed(
    database: Database, *, sequence: str = "", key: str = "", status: str = "", most: int = 50
) -> list[dict[str, Any]]:
    """Runs, the newest first."""

    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(LIST, {"sequence": sequence, "key": key, "status": status, "most": most})
        return cursor.fetchall()

    return [dict(zip(COLUMNS, row, strict=True)) for row in database.transaction(work)]


def shown(database: Database, execution: str) -> dict[str, Any]:
    """Everything about one run, its steps included. Raises FixData where there is none."""
    row = database.query(SHOW, (execution,))
    if not row:
        raise _none(execution)
    run: dict[str, Any] = row[0]
    return run


def stopped(database: Database, execution: str, *, by: str) -> None:
    """Ends an active run. What it has put into the outbox already still leaves. Raises FixData where there is none."""

    def work(cursor: Cursor) -> None:
        cursor.execute(HOLD, (execution,))
        if (row := cursor.fetchone()) is None:
            raise _none(execution)
        finish(cursor, Run(*row), "exited", f"stopped by {by}")

    database.transaction(work)


def enrolled(database: Database, account: Account, sequence: str, key: str, *, entity: str, by: str) -> str | None:
    """Begins a sequence with a record; the execution's id, None where `re_enrol` says no.

    Raises ActionRefused where there is no such record, or no such sequence about it.
    """

    def work(cursor: Cursor) -> str | None:
        table = sql.Identifier(account.schema, entity)
        cursor.execute(sql.SQL("select raw_json from {} where id::text = %s").format(table), (key,))
        if (row := cursor.fetchone()) is None:
            raise ActionRefused(f"there is no {entity} {key[:40]} in {account.name}", next_step="sync it first")
        return start(
            cursor, sequence, account=account.name, system=account.system.name, entity=entity, key=key, record=row[0],
            by=by,
        )  # fmt: skip

    return database.transaction(work)


def _none(execution: str) -> FixData:
    return FixData(f"no active run {execution[:40]}", next_step="sync-assets sequences list names those that are there")
