"""Where every entity stands: when it was last synced, how many rows it has, what went wrong last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.table import Table

from sync_assets.load.database import Database

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


def status_rows(database: Database) -> list[dict[str, Any]]:
    """One dict per entity; times in ISO 8601, None where it never happened."""
    rows = [dict(zip(FIELDS, row, strict=True)) for row in database.rows(STATUS)]
    for row in rows:
        row.update({name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)})
    return rows


def status_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(header_style="bold")
    for name in ("entity", "last full", "last incremental", "rows", "waiting links", "last error"):
        table.add_column(name, justify="right" if name in ("rows", "waiting links") else "left", overflow="fold")
    for row in rows:
        said = row["last_error"] or (f"running: {row['running']}" if row["running"] else "")
        table.add_row(
            f"{row['account']}/{row['entity']}",
            _when(row["last_full"]),
            _when(row["last_incremental"]),
            f"{row['rows']:,}" if row["rows"] is not None else "",
            str(row["waiting_links"] or ""),
            said,
            style="red" if row["last_error"] else "",
        )
    return table


def _when(value: str | None) -> str:
    return value[:16].replace("T", " ") if value else "never"
