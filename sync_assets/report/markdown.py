"""The report in Dagster's UI: a picture drawn by ourselves, and Markdown in which nothing but our own marks is markup.

matplotlib would take longer to load than many a run takes; a picture of bars is a few lines of SVG.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from sync_assets.report.figures import Figures, Trend
from sync_assets.report.report import Report
from sync_assets.shown import described

INLINE = 1000
"""Characters of Markdown from which on the UI hides it behind a button."""

MOST_BARS = 8
MOST_LINES = 20
ROW, LEFT, WIDTH = 20, 270, 290
COLOURS = {"success": "#4a7", "partial": "#4a7", "running": "#999"}
RED = "#c53"
CAPTION = "seconds; a mark: the median before"


def picture(report: Report) -> str:
    """The longest syncs of the run as bars, a mark at the median of those before; "" where nothing was synced.

    So many of them as the UI shows at once.
    """
    syncs = sorted(report.syncs, key=lambda sync: -sync.seconds)
    for most in range(min(MOST_BARS, len(syncs)), 0, -1):
        svg = _bars(syncs[:most], report.trends)
        found = f"![{CAPTION}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
        if len(found) < INLINE:
            return found
    return ""


def _bars(syncs: Sequence[Figures], trends: Mapping[int, Trend]) -> str:
    """SVG in few characters: one path for the bars of a colour, one for the marks."""
    medians = {i: trends[s.id].medians["seconds"] for i, s in enumerate(syncs) if s.id in trends}
    scale = WIDTH / max(0.001, *(sync.seconds for sync in syncs), *medians.values())
    paths: dict[str, str] = {}
    names = ""
    for i, sync in enumerate(syncs):
        colour = COLOURS.get(sync.status, RED)
        long = max(1, round(sync.seconds * scale))
        paths[colour] = paths.get(colour, "") + f"M{LEFT} {i * ROW + 4}h{long}v12h-{long}"
        names += f"<text y='{i * ROW + 14}'>{escape(sync.entity[:30])} {sync.seconds:,.1f} s</text>"
    marks = "".join(f"M{LEFT + round(median * scale)} {i * ROW + 1}v18" for i, median in medians.items())
    marks = marks and f"<path stroke='#36c' d='{marks}'/>"
    bars = "".join(f"<path fill='{colour}' d='{path}'/>" for colour, path in paths.items())
    size = f"width='{LEFT + WIDTH + 2}' height='{len(syncs) * ROW}'"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} font-family='sans-serif' font-size='12' fill='#777'>{bars}"
        f"{marks}{names}</svg>"
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
            described(sync.entity), sync.kind, sync.status, *(f"{n:,}" for n in counts), f"{sync.seconds:,.1f}",
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
        f"- {'**error** ' if severity == 'error' else ''}**{described(entity)}** {described(says)}."
        f" *{described(next_step)}*"
        for severity, entity, says, next_step in lines[:MOST_LINES]
    ]
    return "\n".join([*shown, *_rest(lines)])


def _rest(lines: Sequence[object]) -> list[str]:
    return [f"- and {len(lines) - MOST_LINES} more: sync-assets report"] if len(lines) > MOST_LINES else []
