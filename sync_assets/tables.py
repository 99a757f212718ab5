"""Tables for the terminal: what a run did, what its checks found, what would help, and the runs one under another."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sync_assets.report.figures import Figures
from sync_assets.report.report import Report
from sync_assets.report.runs import CheckRow

COLUMNS = (
    "entity", "kind", "status", "fetched", "created", "updated", "unchanged", "deleted", "rejected", "requests",
    "seconds", "records/s",
)  # fmt: skip

ADVICE_LINES = 5
"""More than these are for whoever asks for the report."""


def run_table(title: str, syncs: Sequence[Figures]) -> Table:
    """One row per sync of an entity, healing of parents included."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in COLUMNS[:3] else "right", no_wrap=True)
    rows = [_row(sync) for sync in syncs]
    for row in rows:
        style = {"failed": "red", "lost": "red", "partial": "yellow"}.get(row["status"], "")
        table.add_row(*(_cell(row[name]) for name in COLUMNS), style=style)
    if len(rows) > 1:
        totals = {n: sum(r[n] for r in rows) for n in COLUMNS[3:11]}
        totals["records/s"] = totals["fetched"] / totals["seconds"] if totals["seconds"] else 0.0
        table.add_section()
        table.add_row("all", "", "", *(_cell(totals[n]) for n in COLUMNS[3:]), style="bold")
    return table


def check_table(failed: Sequence[CheckRow], evaluated: int) -> Table | Text:
    """The checks that did not pass, or one line when all did."""
    if not failed:
        return Text(f"All {evaluated} checks passed.", style="green")
    table = Table(title=f"{len(failed)} of {evaluated} checks did not pass", title_justify="left", header_style="bold")
    for name in ("entity", "check", "severity", "what"):
        table.add_column(name, overflow="fold")
    for c in sorted(failed, key=lambda c: c.severity):
        table.add_row(c.asset, c.name, c.severity, c.says, style="red" if c.severity == "ERROR" else "yellow")
    return table


def advice(report: Report, *, most: int = ADVICE_LINES) -> list[Text]:
    """What would help, or why nothing would, a line each; [] where the figures carry nothing."""
    found = [
        Text.assemble((f"  {each.entity}", "bold"), f" {each.says}. ", (each.next_step, "italic"))
        for each in report.recommendations
    ]
    rest = [Text(f"  and {len(found) - most} more: sync-assets report --run {report.run_id[:8]}")]
    return [*found[:most], *(rest if len(found) > most else [])]


def problems(report: Report) -> list[Text]:
    """What went wrong, beside the checks, which have a table of their own."""
    of_checks = {(check.asset, f"{check.name}: {check.says}") for check in report.failed_checks}
    return [
        Text.assemble(
            (f"  {issue.entity}", "bold red" if issue.severity == "error" else "bold yellow"),
            f" {issue.says}. ", (issue.next_step, "italic"),
        )
        for issue in report.issues
        if (issue.entity, issue.says) not in of_checks
    ]  # fmt: skip


def runs_table(reports: Sequence[Report]) -> Table:
    """One row per run."""
    table = Table(header_style="bold")
    names = ("run", "job", "started", "state", "seconds", "fetched", "created", "updated", "deleted", "rejected",
             "errors", "advice")  # fmt: skip
    for name in names:
        table.add_column(name, justify="left" if name in names[:4] else "right", no_wrap=True)
    for report in reports:
        counts = [sum(getattr(sync, name) for sync in report.syncs) for name in names[5:10]]
        started = f"{report.started_at:%Y-%m-%d %H:%M:%S}" if report.started_at else ""
        cells = (report.duration, *counts, report.errors, len(report.recommendations))
        table.add_row(
            report.run_id[:8], report.job, started, said_of(report), *map(_cell, cells),
            style={False: "red", None: "yellow"}.get(report.success, ""),
        )  # fmt: skip
    return table


def said_of(report: Report) -> str:
    """How the run stands, in one or two words."""
    if report.state == "finished":
        return "success" if report.success else "failed"
    return {"running": "under way", "lost": "lost", "unreported": "not reported"}[report.state]


def console() -> Console:
    """Wide enough for a run's table where the output is no terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)


def _row(sync: Figures) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(sync, name) for name in COLUMNS[:-1]}
    return {**row, "records/s": sync.operations_per_second}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
