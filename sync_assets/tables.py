"""Tables for the terminal: what a run did, what its checks found, where every entity stands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sync_assets.load.database import Database

COLUMNS = (
    "entity", "kind", "status", "fetched", "created", "updated", "unchanged", "deleted", "rejected", "requests",
    "seconds", "records/s",
)  # fmt: skip

RUN = """
select account || '/' || entity as entity, kind, status, fetched, created, updated, unchanged, deleted, rejected,
       requests, extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at)::float8 as seconds, error
  from sync.logs where run_id = %s order by id
"""


@dataclass(frozen=True)
class CheckRow:
    asset: str
    name: str
    passed: bool
    severity: str
    says: str


def run_rows(database: Database, run_id: str) -> list[dict[str, Any]]:
    """One row per entity that the run synced, healing of parents included."""
    names = ("entity", "kind", "status", *COLUMNS[3:10], "seconds", "error")
    rows = [dict(zip(names, row, strict=True)) for row in database.rows(RUN, (run_id,))]
    for row in rows:
        row["records/s"] = row["fetched"] / row["seconds"] if row["seconds"] else 0.0
    return rows


def run_table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:3] else "right", no_wrap=True)
    for row in rows:
        style = {"failed": "red", "lost": "red", "partial": "yellow"}.get(row["status"], "")
        table.add_row(*(_cell(row[name]) for name in COLUMNS), style=style)
    if len(rows) > 1:
        totals = {n: sum(r[n] for r in rows) for n in COLUMNS[3:11]}
        totals["records/s"] = totals["fetched"] / totals["seconds"] if totals["seconds"] else 0.0
        table.add_section()
        table.add_row("all", "", "", *(_cell(totals[n]) for n in COLUMNS[3:]), style="bold")
    return table


def check_table(checks: Sequence[CheckRow]) -> Table | Text:
    """The checks that did not pass, or one line when all did."""
    failed = [c for c in checks if not c.passed]
    if not failed:
        return Text(f"All {len(checks)} checks passed.", style="green")
    table = Table(
        title=f"{len(failed)} of {len(checks)} checks did not pass", title_justify="left", header_style="bold"
    )
    for name in ("entity", "check", "severity", "what"):
        table.add_column(name, overflow="fold")
    for c in sorted(failed, key=lambda c: c.severity):
        table.add_row(c.asset, c.name, c.severity, c.says, style="red" if c.severity == "ERROR" else "yellow")
    return table


def console() -> Console:
    """Wide enough for a run's table where the output is no terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
