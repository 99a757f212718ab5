"""What one sync is asked to do, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sync_assets.extract.along import Along
from sync_assets.load.upsert import Counts

Kind = Literal["full", "incremental", "selective", "webhook", "reconcile"]


@dataclass(frozen=True)
class Request:
    """What one sync is asked to do. `incremental` is the safe default: it becomes a full sweep where it must."""

    kind: Kind = "incremental"
    since: datetime | None = None
    ids: tuple[str, ...] = ()
    pushed: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    """Of `ids` the records that came with webhooks, in order, for where the API shows none; null: it was deleted."""
    parents: tuple[str, ...] = ()  # all that belongs to these, by an entity's `of_parents`
    along: Along = field(default_factory=Along)  # what this sync and those after it share
    allow_deletions: int | None = None
    run_id: str | None = None

    @property
    def of_some(self) -> bool:
        """Whether it is about records that are named, or named by their parents."""
        return bool(self.ids or self.parents)


@dataclass
class Outcome:
    """What one sync did: the row of `sync.logs` and what a person wants to know beside it."""

    log_id: int
    totals: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    waiting: int = 0
    rows: int = 0
    gone: dict[str, str] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)

    @property
    def wrote(self) -> int:
        """Records that came, changed or went."""
        return sum(int(self.totals.get(name, 0)) for name in ("created", "updated", "deleted", "merged"))

    def remark(self, text: str) -> None:
        """Adds to the note, once."""
        if text and text not in self.note.split("; "):
            self.note = f"{self.note}; {text}".removeprefix("; ")


Progress = Callable[[str, Counts, int], None]
