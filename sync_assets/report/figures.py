"""The figures of a run's syncs, one row of the ledger each, and of the earlier ones that they are held against.

A sync is compared with syncs of the same kind only, and a complete read with complete reads: an incremental sync that
had to read everything is neither slow nor large. What an entity's first sync cost says nothing of its later ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from sync_assets.load.database import Database
from sync_assets.load.holder import holder_is_dead

COUNTS = ("fetched", "created", "updated", "unchanged", "stale", "repeated", "rejected", "deleted", "merged")

BEFORE = 10
"""Syncs that the trend is made of: two days of a schedule of six hours, with some to spare."""

RUN = """
select l.id, l.account, l.system, l.entity, l.kind, l.status, l.started_at, l.finished_at,
       extract(epoch from coalesce(l.finished_at, clock_timestamp()) - l.started_at)::float8,
       l.fetched, l.created, l.updated, l.unchanged, l.stale, l.repeated, l.rejected, l.deleted, l.merged,
       l.requests, l.throttled_seconds::float8, l.asking_seconds::float8, l.paced_seconds::float8,
       l.paused_seconds::float8, l.storing_seconds::float8, l.floor_seconds::float8, l.bucket, l.rate::float8,
       l.commits, l.sweep is not null, l.error, l.error_type, coalesce(l.note, ''),
       (select b.started_at from sync.logs b
         where b.account = l.account and b.entity = l.entity and b.id < l.id and b.holder is null
           and b.status in ('success', 'partial') order by b.id desc limit 1),
       coalesce(l.holder, m.lease_holder), coalesce(l.lease_until, m.lease_until) > clock_timestamp()
  from sync.logs l left join sync.metadata m using (account, entity) where l.run_id = %s order by l.id
"""

# Syncs of single records are many and stand in an index of their own, so that nobody reads past them.
EARLIER = """
select l.id, b.started_at, b.fetched, b.requests, extract(epoch from b.finished_at - b.started_at)::float8,
       b.created + b.updated + b.deleted + b.merged
  from sync.logs l
  join lateral (
    select * from sync.logs b
     where b.account = l.account and b.entity = l.entity and b.id < l.id and b.holder is null
       and b.kind = l.kind and (b.sweep is null) = (l.sweep is null) and b.status in ('success', 'partial')
       and exists (select from sync.logs f where f.account = b.account and f.entity = b.entity and f.id < b.id
                      and f.holder is null and f.status in ('success', 'partial'))
     order by b.id desc limit %s) b on true
 where l.run_id = %s
"""


@dataclass(frozen=True)
class Figures:
    """One sync of one entity. The seconds after `throttled_seconds` are None where nobody measured them."""

    id: int
    account: str
    system: str
    name: str
    kind: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float
    fetched: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    repeated: int = 0
    rejected: int = 0
    deleted: int = 0
    merged: int = 0
    requests: int = 0
    throttled_seconds: float = 0.0
    asking_seconds: float | None = None
    paced_seconds: float | None = None
    paused_seconds: float | None = None
    storing_seconds: float | None = None
    floor_seconds: float | None = None
    bucket: str | None = None
    rate: float | None = None
    commits: int = 0
    complete: bool = False
    error: str | None = None
    error_type: str | None = None
    note: str = ""
    previous_at: datetime | None = None
    """When the last sync before it began that came to its end."""

    @property
    def entity(self) -> str:
        return f"{self.account}/{self.name}"

    @property
    def operations_per_second(self) -> float:
        return self.fetched / self.seconds if self.seconds else 0.0

    @property
    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNTS}

    @property
    def wrote(self) -> int:
        return self.created + self.updated + self.deleted + self.merged

    @property
    def is_over(self) -> bool:
        return self.status in ("success", "partial")


@dataclass(frozen=True)
class Trend:
    """The medians of the last syncs of an entity and kind, `runs` of them, and the present sync's share of each."""

    runs: int
    medians: Mapping[str, float]
    ratios: Mapping[str, float | None]
    """How many times the median; None where that is 0."""
    wrote: int
    """Records that came, changed or went in all of them."""


def figures_of(database: Database, run_id: str) -> list[Figures]:
    """In the order in which they began. A sync whose process ended without a word is `lost`, whoever has noticed."""
    found = []
    for *row, holder, held in database.rows(RUN, (run_id,)):
        if row[5] == "running" and (not held or (holder and holder_is_dead(holder))):
            row[5] = "lost"
        found.append(Figures(*row))
    return found


def trends_of(database: Database, run_id: str, found: Sequence[Figures]) -> dict[int, Trend]:
    """By the id of the sync; those that have nothing to be compared with are not in it."""
    earlier: dict[int, list[tuple[Any, ...]]] = {}
    for log_id, *row in database.rows(EARLIER, (BEFORE, run_id)):
        earlier.setdefault(log_id, []).append(tuple(row))
    return {f.id: _trend(f, earlier[f.id]) for f in found if f.id in earlier}


def _trend(now: Figures, before: Sequence[tuple[Any, ...]]) -> Trend:
    series = {
        "seconds": [seconds for *_, seconds, _ in before],
        "operations_per_second": [fetched / seconds if seconds else 0.0 for _, fetched, _, seconds, _ in before],
        "fetched": [fetched for _, fetched, *_ in before],
        "requests": [requests for _, _, requests, *_ in before],
    }
    medians = {name: float(median(values)) for name, values in series.items()}
    ratios = {name: getattr(now, name) / value if value else None for name, value in medians.items()}
    return Trend(len(before), medians, ratios, sum(wrote for *_, wrote in before))
