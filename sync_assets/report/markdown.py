"""The report in Dagster's UI: a picture drawn by ourselves, and Markdown in which nothing but our own marks is markup.

matplotlib would take longer to load than many a run takes; a picture of bars is a few lines of SVG.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from html import escape

from sync_assets.report.figures import Figures, Trend
from sync_assets.report.report import Report

MOST_BARS = 15
MOST_LINES = 20
ROW, LEFT, WIDTH, RIGHT = 22, 190, 380, 150
OK, RED, GREY, MARK, TEXT = "#4c9f70", "#c8553d", "#9aa0a6", "#1f2937", "#374151"


def escaped(text: str) -> str:
    """Text as Markdown shows it and does not obey it, on one line, in a cell of a table too."""
    marked = re.sub(r"([\\`*_{}\[\]()<>#+!|~:&-])", r"\\\1", " ".join(text.split()))
    # Addresses become links after escapes are resolved: a space without width keeps them text.
    return re.sub(r"(?i)(www|@|https?\\:|ftp\\:|mailto\\:)", "\\g<1>\u200b", marked)


def picture(report: Report) -> str:
    """The longest syncs of the run as bars, a mark at the median of those before; "" where nothing was synced."""
    syncs = sorted(report.syncs, key=lambda sync: -sync.seconds)[:MOST_BARS]
    if not syncs:
        return ""
    trends = [report.trends.get(sync.id) for sync in syncs]
    longest = max(
        0.001, *(sync.seconds for sync in syncs), *(t.medians["seconds"] for t in trends if t is not None)
    )  # fmt: skip
    rows = [_bar(i, sync, trend, WIDTH / longest) for i, (sync, trend) in enumerate(zip(syncs, trends, strict=True))]
    height = ROW * (len(rows) + 1) + 8
    caption = "seconds of this run, longest first; the mark is the median of the syncs before"
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{LEFT + WIDTH + RIGHT}' height='{height}'"
        f" font-family='sans-serif' font-size='12' fill='{TEXT}'>"
        f"{''.join(rows)}<text x='{LEFT}' y='{height - 8}' font-size='11' fill='{GREY}'>{caption}</text></svg>"
    )
    return f"![{caption}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _bar(index: int, sync: Figures, trend: Trend | None, scale: float) -> str:
    y = index * ROW + 4
    long = max(1.0, sync.seconds * scale)
    mark = ""
    if trend is not None:
        at = LEFT + trend.medians["seconds"] * scale
        mark = f"<rect x='{at - 1:.1f}' y='{y - 2}' width='2' height='{ROW - 4}' fill='{MARK}'/>"
    colour = OK if sync.is_over else GREY if sync.status == "running" else RED
    said = f"{sync.seconds:,.1f} s, {sync.operations_per_second:,.0f}/s"
    return (
        f"<text x='{LEFT - 8}' y='{y + 12}' text-anchor='end'>{escape(sync.entity[:30])}</text>"
        f"<rect x='{LEFT}' y='{y}' width='{long:.1f}' height='{ROW - 8}' fill='{colour}'/>{mark}"
        f"<text x='{LEFT + WIDTH + 10}' y='{y + 12}'>{said}</text>"
    )


def entities(report: Report) -> str:
    """A table with a row per sync."""
    lines = [
        "| entity | kind | status | fetched | created | updated | unchanged | deleted | rejected | requests | seconds"
        " | usually |",
        f"|---|---|---|{'---:|' * 9}",
    ]
    for sync in report.syncs:
        trend = report.trends.get(sync.id)
        counts = (sync.fetched, sync.created, sync.updated, sync.unchanged, sync.deleted, sync.rejected, sync.requests)
        cells = [
            escaped(sync.entity), sync.kind, sync.status, *(f"{n:,}" for n in counts), f"{sync.seconds:,.1f}",
            f"{trend.medians['seconds']:,.1f}" if trend else "",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def what_to_do(report: Report) -> str:
    """Issues and recommendations, errors first; "" where there are none."""
    issues = [(i.severity, i.entity, i.says, i.next_step) for i in report.issues]
    issues.sort(key=lambda issue: issue[0] != "error")
    lines = [*issues, *(("", r.entity, r.says, r.next_step) for r in report.recommendations)]
    shown = [
        f"- {'**error** ' if severity == 'error' else ''}**{escaped(entity)}** {escaped(says)}. *{escaped(next_step)}*"
        for severity, entity, says, next_step in lines[:MOST_LINES]
    ]
    return "\n".join([*shown, *_rest(lines)])


def _rest(lines: Sequence[object]) -> list[str]:
    return [f"- and {len(lines) - MOST_LINES} more: sync-assets report"] if len(lines) > MOST_LINES else []
