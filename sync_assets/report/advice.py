"""What follows from the figures of a run, one rule each: it says something only where the figures carry it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync_assets.account import Account
from sync_assets.freshness import freshness, hours_since
from sync_assets.report.figures import Figures, Trend
from sync_assets.report.limits import MOST, NOTHING, SLOW, Recommendation, is_judged, limit_of
from sync_assets.settings import SyncSettings

LONG = 60.0
"""Seconds from which on it is worth a thought that a sync waits, or finds nothing new."""

SLOWER = 2.0
SLOWER_SECONDS = 10.0
SLOWER_RUNS = 3
"""So many times the median, and so much longer, of so many syncs: less than that is how things vary."""

QUIET_RUNS = 8
"""Two days of a schedule of six hours without a change."""


@dataclass(frozen=True)
class Around:
    """What the rules look at beside one sync."""

    accounts: Mapping[str, Account]
    settings: SyncSettings
    trends: Mapping[int, Trend]
    waiting: Mapping[str, int]
    """By entity: links whose parent has been waited for too long."""
    synced_at: Mapping[str, datetime | None]
    """By entity of the run's accounts: when it was last synced to its end; None: never."""
    beside: Mapping[int, Sequence[str]]
    """By sync: which runs asked the same account at the same time."""
    now: datetime


def recommendations(syncs: Sequence[Figures], around: Around) -> list[Recommendation]:
    """In the order of the entities; what concerns a whole account is at the end."""
    found: list[Recommendation] = []
    for sync in syncs:
        for rule in (_limit, _rejected, _fuse, _fell_back, _slower):
            found += rule(sync, around)
    found += _waiting(around)
    found += _stale(syncs, around)
    found += _quiet(syncs, around)
    return list(dict.fromkeys(found))


def _limit(sync: Figures, around: Around) -> Iterator[Recommendation]:
    """Slow: what holds it up. Quick, but long at the limit: that too, as most of a run may be such waiting."""
    if not is_judged(sync):
        return
    found = limit_of(sync, around.accounts.get(sync.account), around.settings, beside=around.beside.get(sync.id, ()))
    waited = max(sync.paced_seconds or 0.0, sync.paused_seconds or 0.0)
    if sync.operations_per_second < SLOW or (found.can_help and sync.seconds >= LONG and waited >= sync.seconds * MOST):
        yield found


def _rejected(sync: Figures, _: Around) -> Iterator[Recommendation]:
    if sync.rejected:
        yield Recommendation(
            sync.entity, "rejected", f"{sync.rejected:,} records were refused",
            f"see why: {_rows('sync.rejected', sync.account, 'entity', sync.name)} and not kept",
        )  # fmt: skip


def _fuse(sync: Figures, _: Around) -> Iterator[Recommendation]:
    if sync.error_type == "FuseBlown":
        says, _step, next_step = (sync.error or "").partition(" Next: ")
        yield Recommendation(sync.entity, "fuse", f"the fuse held: {says}", next_step.rstrip("."))


def _fell_back(sync: Figures, around: Around) -> Iterator[Recommendation]:
    """An incremental sync of an entity that can be read incrementally, which read everything all the same."""
    account = around.accounts.get(sync.account)
    entity = next((e for e in account.entities if e.name == sync.name), None) if account else None
    able = entity is not None and (entity.since or entity.changes)
    if not (able and sync.kind == "incremental" and sync.complete and sync.is_over and sync.previous_at):
        return
    # Where it was synced just before, the source simply cannot tell what changed since, and no schedule mends that.
    hours = (sync.started_at - sync.previous_at).total_seconds() / 3600
    if hours > _allowed(around, sync.entity):
        why = f": {sync.note}" if sync.note else ""
        yield Recommendation(
            sync.entity, "fell_back",
            f"all {sync.fetched:,} records were read, {hours:,.0f} hours after the sync before{why}",
            f"switch on the schedule {sync.account}_incremental_every_6_hours: sources tell of recent changes only",
        )  # fmt: skip


def _slower(sync: Figures, around: Around) -> Iterator[Recommendation]:
    trend = around.trends.get(sync.id)
    if trend is None or trend.runs < SLOWER_RUNS or not sync.is_over:
        return
    usual, times = trend.medians["seconds"], trend.ratios["seconds"] or 0.0
    if times < SLOWER or sync.seconds - usual < SLOWER_SECONDS:
        return
    says = f"it took {sync.seconds:,.0f} s, {times:.1f} times the median of the last {trend.runs}"
    read, asked = (trend.ratios[name] or 0.0 for name in ("fetched", "requests"))
    if max(read, asked) >= times / 2:
        next_step = "nothing to do, unless it stays so"
        says += f", for {sync.fetched:,} records in {sync.requests:,} requests"
        says += f" instead of {trend.medians['fetched']:,.0f} in {trend.medians['requests']:,.0f}"
    else:
        found = limit_of(sync, around.accounts.get(sync.account), around.settings)
        says += f" for no more records; {found.says}"
        next_step = "nothing to do, unless it stays so" if found.next_step == NOTHING else found.next_step
    yield Recommendation(sync.entity, "slower", says, next_step)


def _waiting(around: Around) -> Iterator[Recommendation]:
    for entity, count in around.waiting.items():
        account, _, name = entity.partition("/")
        yield Recommendation(
            entity, "waiting_links", f"{count:,} links have waited for their parent for longer than an hour",
            "sync what they lead to: "
            f"{_rows('sync.missing_parents', account, 'child_entity', name)} and state = 'waiting'",
        )  # fmt: skip


def _rows(table: str, account: str, column: str, entity: str) -> str:
    """A query for people; the names are of declarations."""
    return f"select * from {table} where account = '{account}' and {column} = '{entity}'"  # noqa: S608  shown, never run


def _stale(syncs: Sequence[Figures], around: Around) -> Iterator[Recommendation]:
    """Of the accounts of this run, what neither this run nor a recent one has synced; one line per account."""
    tried = {sync.entity for sync in syncs}
    stale: dict[str, dict[str, float | None]] = {}
    for entity, at in around.synced_at.items():
        hours = hours_since(at, around.now) if at else None
        if entity not in tried and (hours is None or hours > _allowed(around, entity)):
            account, _, name = entity.partition("/")
            stale.setdefault(account, {})[name] = hours
    for account, found in stale.items():
        never = [name for name, hours in found.items() if hours is None]
        late = [f"{name} ({hours:,.0f} hours ago)" for name, hours in found.items() if hours is not None]
        limits = {_allowed(around, f"{account}/{name}") for name, hours in found.items() if hours is not None}
        within = " or ".join(f"{limit:g}" for limit in sorted(limits))
        said = [
            f"never synced to the end: {', '.join(never)}" if never else "",
            f"not synced within {within} hours: {', '.join(late)}" if late else "",
        ]
        whose = f"{account}/{next(iter(found))}" if len(found) == 1 else account
        yield Recommendation(
            whose, "freshness", "; ".join(filter(None, said)),
            f"switch on the schedule {account}_incremental_every_6_hours, or look at why its runs fail",
        )  # fmt: skip


def _allowed(around: Around, entity: str) -> float:
    """Hours after which an entity is stale, as its account has it."""
    account, _, name = entity.partition("/")
    known = around.accounts.get(account)
    return freshness(known, around.settings, name).hours if known else around.settings.sync_fresh_hours


def _quiet(syncs: Sequence[Figures], around: Around) -> Iterator[Recommendation]:
    """An account of which many incremental syncs in a row, each of them long, found nothing at all."""
    for account in dict.fromkeys(sync.account for sync in syncs):
        own = [sync for sync in syncs if sync.account == account]
        trends = [around.trends.get(sync.id) for sync in own]
        seconds = sum(sync.seconds for sync in own)
        if (
            seconds >= LONG
            and all(sync.kind == "incremental" and sync.is_over and sync.wrote == 0 for sync in own)
            and all(trend is not None and trend.runs >= QUIET_RUNS and trend.wrote == 0 for trend in trends)
        ):
            fetched = sum(sync.fetched for sync in own)
            yield Recommendation(
                account, "nothing_changes",
                f"none of the last {QUIET_RUNS} incremental syncs found a change; each reads {fetched:,} records in"
                f" {seconds:,.0f} s",
                f"run {account}_incremental_sync less often than every six hours, and raise SYNC_FRESH_HOURS with it",
            )  # fmt: skip
