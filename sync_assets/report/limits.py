"""What held a sync up, and whether anything can be done about it.

Promise: no advice that cannot help. A limit that is the vendor's own is called so, no rate above the documented one is
recommended, and a batch size is spoken of only where commits, not requests, take the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sync_assets.account import Account
from sync_assets.report.figures import Figures
from sync_assets.settings import SyncSettings

ALERT = 5.0
"""Operations per second below which somebody should know."""

SLOW = 10.0
"""Below which it is said what holds the sync up."""

WORTH_SECONDS = 5.0
"""A sync that is over sooner keeps nobody waiting, whatever its speed."""

FEW = 20
"""With fewer records and fewer requests than this a speed says nothing: 3 records in 2 requests are no 3 per second but
two round trips, and asking more quickly would not have made them more."""

BATCHES = 10
"""Commits from which on their size may matter."""

MOST = 0.5
"""The share of its time from which on something is what a sync waited for."""

AT_THE_FLOOR = 0.7

NOTHING = "nothing to be done: this is the API's limit"

DEFAULT_BATCH: int = SyncSettings.model_fields["sync_batch_size"].default

Name = Literal[
    "rate", "one_record_per_request", "pause", "shared", "postgres", "latency", "machine", "unknown", "checks",
    "rejected", "waiting_links", "fuse", "freshness", "fell_back", "slower", "nothing_changes",
]  # fmt: skip


@dataclass(frozen=True)
class Recommendation:
    """`limit` is what it is about, the same word in every release; `next_step` is one thing that a person can do."""

    entity: str
    limit: Name
    says: str
    next_step: str

    @property
    def can_help(self) -> bool:
        return not self.next_step.startswith("nothing")


def is_judged(sync: Figures) -> bool:
    """Whether its speed means anything. Records that are asked for one by one are so on purpose."""
    return (
        sync.kind in ("full", "incremental")
        and sync.is_over
        and sync.seconds >= WORTH_SECONDS
        and max(sync.fetched, sync.requests) >= FEW
    )


def limit_of(
    sync: Figures, account: Account | None, settings: SyncSettings, *, beside: Sequence[str] = ()
) -> Recommendation:
    """What a sync waited for most. `beside`: the runs, and the word webhooks, that asked the same account meanwhile."""
    shares = (sync.asking_seconds, sync.paced_seconds, sync.paused_seconds, sync.storing_seconds, sync.floor_seconds)
    if None in shares:
        return _about(sync, "unknown", "what it waited for was not measured", "nothing to do: the next sync says it")
    asking, paced, paused, storing, floor = (share or 0.0 for share in shares)
    most = sync.seconds * MOST
    if paused >= most:
        return _pause(sync, account, paused)
    if sync.requests and floor >= (sync.seconds - paused) * AT_THE_FLOOR:
        return _rate(sync, account, floor)
    if paced >= most:
        return _shared(sync, paced, beside) if beside else _rate(sync, account, floor)
    if storing >= most and storing >= asking:
        return _postgres(sync, settings, storing)
    if asking >= most:
        return _latency(sync, asking)
    return _about(
        sync, "machine", f"neither the API nor Postgres took most of its {sync.seconds:.0f} s",
        "look at what else this machine is busy with",
    )  # fmt: skip


def documented(account: Account | None, bucket: str | None) -> float | None:
    """The vendor's requests per second, as far as they are documented for every account."""
    return next((b.rate for b in account.system.buckets if b.name == bucket), None) if account else None


def _rate(sync: Figures, account: Account | None, floor: float) -> Recommendation:
    per_request = sync.fetched / sync.requests
    single = sync.requests >= FEW and per_request < 2
    says = f"{sync.requests:,} requests at {sync.rate or 0:g}/s"
    if floor >= 1:
        says += f" take {floor:,.0f} s at least, of {sync.seconds:,.0f} s"
    if single:
        says += f"; a request shows {per_request:.1f} records"
    allowed = documented(account, sync.bucket)
    if account and allowed and sync.rate and account.settings.rate and sync.rate < allowed:
        name = f"{account.name.upper()}_RATE"
        quicker = floor * sync.rate / allowed
        return _about(
            sync, "rate", says,
            f"remove {name}={account.settings.rate:g}: the documented {allowed:g}/s make {quicker:,.0f} s of that",
        )  # fmt: skip
    return _about(sync, "one_record_per_request" if single else "rate", says, NOTHING)


def _pause(sync: Figures, account: Account | None, paused: float) -> Recommendation:
    says = f"the source asked it to wait for {paused:,.0f} of its {sync.seconds:,.0f} s"
    allowed = documented(account, sync.bucket)
    if account and allowed and account.settings.rate is not None and not 0 < account.settings.rate <= allowed:
        set_to = f"{account.name.upper()}_RATE={account.settings.rate:g}"
        return _about(sync, "pause", says, f"remove {set_to}: the documented limit is {allowed:g} requests/s")
    return _about(
        sync, "pause", says, "see whether other apps ask the same account, and run it when those are quiet"
    )  # fmt: skip


def _shared(sync: Figures, paced: float, beside: Sequence[str]) -> Recommendation:
    others = ", ".join(name[:8] for name in beside[:3])
    return _about(
        sync, "shared",
        f"for {paced:,.0f} of its {sync.seconds:,.0f} s it waited while others asked the same account: {others}",
        "start the account's jobs when no other one runs",
    )  # fmt: skip


def _postgres(sync: Figures, settings: SyncSettings, storing: float) -> Recommendation:
    commits = max(1, sync.commits)
    says = f"Postgres took {storing:,.0f} of its {sync.seconds:,.0f} s, {storing / commits:.2f} s a commit"
    if settings.sync_batch_size < DEFAULT_BATCH and sync.commits >= BATCHES:
        return _about(
            sync, "postgres", f"{says} of {sync.fetched / commits:,.0f} records",
            f"remove SYNC_BATCH_SIZE={settings.sync_batch_size}: {DEFAULT_BATCH:,} records a commit are the default",
        )  # fmt: skip
    return _about(
        sync, "postgres", says, "look for what else Postgres is busy with, and how far away it is (sync-assets doctor)"
    )  # fmt: skip


def _latency(sync: Figures, asking: float) -> Recommendation:
    each = asking / max(1, sync.requests)
    return _about(
        sync, "latency",
        f"the source took {asking:,.0f} of its {sync.seconds:,.0f} s to answer {sync.requests:,} requests, one each"
        f" {each:.1f} s",
        "nothing here makes the source quicker; run it at an hour when the source is less busy",
    )  # fmt: skip


def _about(sync: Figures, limit: Name, says: str, next_step: str) -> Recommendation:
    return Recommendation(sync.entity, limit, says, next_step)
