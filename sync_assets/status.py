"""Where every entity stands: when it was last synced, how many rows it has, what went wrong last; and one job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from sync_assets.account import Account
from sync_assets.errors import FixConfig
from sync_assets.freshness import freshness_of
from sync_assets.load.database import Database
from sync_assets.settings import SyncSettings, sync_settings

STATUS = """
select m.system, m.account, m.entity, m.last_full_at, m.last_incremental_at, m.rows, m.watermark,
       case when m.lease_until > clock_timestamp() then m.lease_holder end as running, m.last_error, m.last_error_at,
       (select count(*) from sync.missing_parents p
         where (p.account, p.child_entity) = (m.account, m.entity) and p.state = 'waiting') as waiting_links
  from sync.metadata m order by m.account, m.entity
"""
FIELDS = (
    "system", "account", "entity", "last_full", "last_incremental", "rows", "watermark", "running", "last_error",
    "last_error_at", "waiting_links",
)  # fmt: skip

JOB_FIELDS = (
    "job_id", "job", "account", "status", "requested_by", "requested_at", "started_at", "ended_at", "result", "error",
    "active_job_id",
)  # fmt: skip


def status_rows(
    database: Database, accounts: Sequence[Account] = (), settings: SyncSettings | None = None
) -> list[dict[str, Any]]:
    """One dict per entity; times in ISO 8601, None where it never happened.

    `age` is fresh, late, stale or never for entities of `accounts`, None for those that no account has any more.
    """
    settings = settings or sync_settings({})
    allowed = {(a.name, name): f for a in accounts for name, f in freshness_of(a, settings).items()}
    rows = []
    for row in database.rows(STATUS):
        told = _told(FIELDS, row)
        last = max(filter(None, (row[3], row[4])), default=None)
        own = allowed.get((told["account"], told["entity"]))
        rows.append(told | {"age": own.age(last) if own else None})
    return rows


def job_row(database: Database, job_id: str) -> dict[str, Any]:
    """The row of `sync.jobs`; times in ISO 8601, `result` as a dict. Raises FixConfig where no job has this id."""
    row = database.query(f"select {', '.join(JOB_FIELDS)} from sync.jobs where job_id = %s", (job_id,))  # noqa: S608  our names
    if not row:
        raise FixConfig(
            f"no job has the id {job_id}",
            next_step="take the id that queueing printed, or look into the table sync.jobs",
        )
    return _told(JOB_FIELDS, row)


def job_table(row: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in row.items():
        if name == "result" and value is not None:
            value = ", ".join(f"{count:,} {part}" for part, count in sorted(value.items()))
        elif name.endswith("_at") and value is not None:
            value = f"{value[:19].replace('T', ' ')} UTC"
        if value is not None:
            table.add_row(name.replace("_", " "), value, style="red" if name == "error" else "")
    return table


def status_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(header_style="bold")
    for name in ("entity", "last full", "last incremental", "age", "rows", "waiting links", "last error"):
        table.add_column(name, justify="right" if name in ("rows", "waiting links") else "left", overflow="fold")
    for row in rows:
        said = row["last_error"] or (f"running: {row['running']}" if row["running"] else "")
        table.add_row(
            f"{row['account']}/{row['entity']}",
            _when(row["last_full"]),
            _when(row["last_incremental"]),
            row["age"] or "",
            f"{row['rows']:,}" if row["rows"] is not None else "",
            str(row["waiting_links"] or ""),
            said,
            style="red" if row["last_error"] or row["age"] == "stale" else "yellow" if row["age"] == "late" else "",
        )
    return table


def _when(value: str | None) -> str:
    return value[:16].replace("T", " ") if value else "never"


def _told(fields: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    named = zip(fields, row, strict=True)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in named}
