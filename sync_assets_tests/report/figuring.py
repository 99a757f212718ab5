"""Syncs as the ledger has them, with the few figures that a test is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sync_assets.account import Account, connected_accounts
from sync_assets.report.advice import Around
from sync_assets.report.figures import Figures, Trend
from sync_assets.settings import SyncSettings
from sync_assets.systems import SYSTEMS

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
MEASURED = dict.fromkeys(
    ("asking_seconds", "paced_seconds", "paused_seconds", "storing_seconds", "floor_seconds"), 0.0
)  # fmt: skip
KAITEN = {"KAITEN_API_URL": "https://company.kaiten.ru/api/latest", "KAITEN_API_TOKEN": "t" * 30}
WORKSECTION = {"WORKSECTION_DOMAIN": "company.worksection.com", "WORKSECTION_HASH": "h" * 30}


def account(name: str = "kaiten", **env: str) -> Account:
    return next(a for a in connected_accounts(SYSTEMS, {**KAITEN, **WORKSECTION, **env})[0] if a.name == name)


def sync(**figures: Any) -> Figures:
    """A full sync of Kaiten's cards, over after 60 s; nothing was waited for unless the test says so."""
    plain = Figures(1, "kaiten", "kaiten", "cards", "full", "success", NOW, NOW, 60.0)
    return replace(plain, **{**MEASURED, "fetched": 120, "unchanged": 120, "bucket": "api", **figures})


def trend(runs: int = 10, wrote: int = 0, **medians: float) -> Trend:
    """Without a word about it, each median is that of the sync of `sync()`."""
    usual = {"seconds": 60.0, "operations_per_second": 2.0, "fetched": 120.0, "requests": 10.0, **medians}
    return Trend(runs, usual, {}, wrote)


def compared(now: Figures, before: Trend) -> Trend:
    ratios = {name: getattr(now, name) / value if value else None for name, value in before.medians.items()}
    return replace(before, ratios=ratios)


def around(
    *accounts: Account,
    settings: Mapping[str, Any] | None = None,
    trends: Mapping[int, Trend] | None = None,
    **more: Any,
) -> Around:
    """Where nothing else is said, nothing waits and everything is fresh."""
    known = {a.name: a for a in accounts or (account(),)}
    given = {"waiting": {}, "synced_at": {}, "beside": {}, "now": NOW, **more}
    return Around(known, SyncSettings(**(settings or {})), trends or {}, **given)
