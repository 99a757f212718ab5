"""How old an entity may be, from the settings: one truth for Dagster's policies, the checks, status and doctor.

`SYNC_FRESH_HOURS` holds for all, `KAITEN_FRESH_HOURS` for an account: a number for all its entities, `name=number` for
single ones, with commas between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sync_assets.account import Account
from sync_assets.settings import SyncSettings, hours_by_name

LATE_SHARE = 0.6
"""Of the hours that are allowed; what is older is late: with two schedules of six hours in them, one was missed."""

Age = Literal["fresh", "late", "stale", "never"]


@dataclass(frozen=True)
class Freshness:
    """Hours since the last sync after which an entity is stale, and those after which it is late."""

    hours: float

    @property
    def late_hours(self) -> float:
        return self.hours * LATE_SHARE

    def age(self, last: datetime | None, now: datetime | None = None) -> Age:
        """`last`: the end of its last sync, with a zone; None: there was none."""
        if last is None:
            return "never"
        old = hours_since(last, now)
        return "fresh" if old <= self.late_hours else "late" if old <= self.hours else "stale"


def hours_since(moment: datetime, now: datetime | None = None) -> float:
    return ((now or datetime.now(UTC)) - moment).total_seconds() / 3600


def freshness(account: Account, settings: SyncSettings, name: str) -> Freshness:
    """Of an entity of the account, or of a derived table: as fresh as the freshest of its sources may be old."""
    given = hours_by_name(account.settings.fresh_hours)
    derived = {d.name: [source.entity for source in d.sources] for d in account.system.derived}
    default = given.get("", settings.sync_fresh_hours)
    return Freshness(min(given.get(n, default) for n in derived.get(name, [name])))


def freshness_of(account: Account, settings: SyncSettings) -> Mapping[str, Freshness]:
    """Of every entity of the account, by its name."""
    return {entity.name: freshness(account, settings, entity.name) for entity in account.entities}
