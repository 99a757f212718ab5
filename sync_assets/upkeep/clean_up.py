"""Takes away what has expired, of all accounts, connected or not: a dry run says what would go and changes nothing.

Each batch is a transaction of its own that waits for no lock, so a sync beside it does not notice, and whoever is
killed goes on with the next run. What modules forget by themselves too is declared there, and only carried out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from psycopg2 import sql

from sync_assets import crash
from sync_assets.automation import events, rule_runs
from sync_assets.load import retention
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.retention import Expiry
from sync_assets.send import outbox
from sync_assets.settings import SyncSettings
from sync_assets.upkeep import old_logs, old_spool

AT_ONCE = 1000
"""Rows of one transaction."""


@dataclass(frozen=True)
class Tidied:
    """What became of one kind of expiring thing; `gone` is what would go in a dry run. `oldest` counts its age."""

    table: str
    what: str
    days: float
    before: int
    gone: int
    after: int
    oldest: datetime | None = None
    note: str = ""


def expiries(settings: SyncSettings) -> list[tuple[Expiry, float]]:
    """What expires, and after how many days. What points at others goes before them."""
    return [
        (retention.PAYLOADS, settings.webhook_payload_days),
        (retention.EVENTS, settings.sync_webhook_days),
        (retention.REJECTED, settings.sync_evidence_days),
        (retention.CONTENTS, settings.sync_tombstone_days),
        (retention.TOMBSTONES, settings.sync_tombstone_days),
        (events.CHANGES, settings.sync_automation_days),
        (rule_runs.SKIPPED, settings.sync_automation_days),
        (outbox.CONFLICTS, settings.sync_outbox_days),
        (outbox.LETTERS, settings.sync_outbox_days),
        (retention.ACTIVITIES, settings.sync_activity_days),
        (retention.JOBS, settings.sync_job_days),
        (retention.RUNS, settings.sync_log_days),
    ]


def clean_up(database: Database, settings: SyncSettings, *, apply: bool, at_once: int = AT_ONCE) -> Iterator[Tidied]:
    """One after another, each as soon as it is done. Raises the SyncErrors of the database."""
    for expiry, days in expiries(settings):
        count, oldest = database.transaction(partial(retention.foreseen, expiry=expiry, days=days))
        gone = count
        if apply and count:
            step = partial(retention.forget, expiry=expiry, days=days, most=at_once)
            gone = in_batches(database, step, at_once)
        tidied = Tidied(expiry.table, expiry.what, days, 0, gone, 0, oldest)
        yield _counted(database, tidied, removed=gone if apply and not expiry.empties else 0)
    yield from (
        _counted(database, Tidied("sync.logs", f"of {kinds}", days, 0, gone, 0, oldest), removed=gone if apply else 0)
        for kinds, days, gone, oldest in old_logs.forget(database, settings, apply=apply, at_once=at_once)
    )
    before, gone, note = old_spool.forget(settings, apply=apply)
    yield Tidied("the spool", "webhooks", settings.sync_webhook_days, before, gone, before - gone * apply, note=note)


def in_batches(database: Database, step: Callable[[Cursor], int], at_once: int) -> int:
    total = 0
    while True:
        done = database.transaction(step)
        crash.point("in clean-up")
        total += done
        if done < at_once:
            return total


def _counted(database: Database, tidied: Tidied, *, removed: int) -> Tidied:
    (after,) = database.query(sql.SQL("select count(*) from {}").format(sql.SQL(tidied.table)))
    return replace(tidied, before=after + removed, after=after)
