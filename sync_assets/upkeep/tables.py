"""What upkeep found and did, as rows that a terminal, Dagster's UI and programs show alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from sync_assets.shown import described
from sync_assets.upkeep.clean_up import Tidied
from sync_assets.upkeep.orphans import Report

Row = Mapping[str, Any]

FROM_DATA = ("sample", "evidence", "note")
"""Columns whose text a source may have written; all else is of declarations."""


def tidied_rows(tidied: Iterable[Tidied], *, apply: bool) -> list[dict[str, Any]]:
    return [
        {
            "what": f"{t.table} {t.what}",
            "after days": t.days,
            "before": t.before,
            "went" if apply else "would go": t.gone,
            "left": t.after,
            "oldest": _day(t.oldest),
            "note": t.note,
        }
        for t in tidied
    ]


def orphan_rows(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "link": f"{o.account}/{o.entity}.{o.link} -> {o.leads_to}",
            "state": o.state,
            "rows": o.rows,
            "parents": o.parents,
            "sample": ", ".join(o.sample),
            "since": _day(o.since),
            "evidence": o.evidence or "",
        }
        for o in report.orphans
    ]


def unknown_rows(report: Report) -> list[dict[str, Any]]:
    return [
        {"place": u.place, "account": u.account, "entity": u.entity, "rows": u.rows, "bytes": u.size or ""}
        for u in report.unknown
    ]


def markdown(rows: Sequence[Row], nothing: str) -> str:
    if not rows:
        return nothing
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_marked(*cell) for cell in row.items()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table(title: str, rows: Sequence[Row]) -> Table:
    found = Table(title=title, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        found.add_column(name, justify="right" if isinstance(value, int | float) else "left", overflow="fold")
    for row in rows:
        found.add_row(*(Text(_cell(value)) for value in row.values()))
    return found


def _marked(name: str, value: Any) -> str:
    text = _cell(value)
    return described(text) if name in FROM_DATA else text.replace("|", "\\|")


def _cell(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    return str(value).replace("\n", " ")


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""
