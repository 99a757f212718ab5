"""What is told, before any notifier's own markup: short plain lines, of which as many are sent as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LONGEST_LINE = 500
"""Characters; escaped, a line may be six times as long and must still fit into any message."""


@dataclass(frozen=True)
class Message:
    """A title, lines below it, and at most one address that a person may open."""

    title: str
    lines: tuple[str, ...] = ()
    link: tuple[str, str] | None = None  # words, address


def short(text: str) -> str:
    """One line, without characters that no message should bear, and not longer than a line may be."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def fitting(lines: Sequence[str], limit: int, length: Callable[[str], int] = len) -> list[str]:
    """As many whole lines as fit into `limit` with the line breaks between them; the last one says if some are left."""
    if sum(length(line) + 1 for line in lines) - 1 <= limit:
        return list(lines)
    left, kept = limit - length(CUT), []
    for line in lines:
        left -= length(line) + 1
        if left < 0:
            break
        kept.append(line)
    return [*kept, CUT]


CUT = "… (more: sync-assets alerts)"
