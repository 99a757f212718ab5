"""What is wrong though no run says so: webhooks that wait or were given up, a closed way back, tables gone stale.

Each is the finding of a check that runs have too, made again now: the same words, and no second truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sync_assets.account import Account
from sync_assets.check.finding import Finding, Scope
from sync_assets.check.inbox import inbox_is_worked_off
from sync_assets.check.volume import fresh
from sync_assets.check.way_back import WayBack, nothing_old_waits, nothing_was_given_up, the_way_is_open
from sync_assets.freshness import freshness
from sync_assets.load.database import Database
from sync_assets.load.target import Target
from sync_assets.notify.cause import Cause, Severity
from sync_assets.notify.wording import named
from sync_assets.settings import SyncSettings

WAY_BACK = (nothing_old_waits, nothing_was_given_up, the_way_is_open)

NEXT_STEPS = {
    "inbox_is_worked_off": "sync-assets inbox says why; sync-assets inbox replay tries again",
    "fresh": "switch the schedules on in Dagster (Automation), see why runs fail, or raise SYNC_FRESH_HOURS",
    "nothing_old_waits": "see why in sync-assets outbox list",
    "nothing_was_given_up": "sync-assets outbox list --state dead says why; requeue them or drop them",
    "the_way_is_open": "sync-assets outbox list shows what waits",
}

AGES = {"hours", "full_days"}
"""What `fresh` measures; late is no alert yet, and what was never synced has failed, or is not wanted."""

LIVE = frozenset(NEXT_STEPS)
"""Checks whose state is looked up here; what a run found earlier is older news."""


def states(database: Database, account: Account, settings: SyncSettings, now: datetime) -> list[Cause]:
    """What is wrong with an account now. Raises the SyncErrors of the database."""
    return [
        *_stale(database, account, settings, now),
        *_inbox(database, account, now),
        *_outbox(database, account, settings, now),
    ]


def _stale(database: Database, account: Account, settings: SyncSettings, now: datetime) -> Iterator[Cause]:
    """One for the account: whatever stopped its runs stopped them for all entities."""

    def table(name: str) -> Target:
        return Target(account.name, account.schema, account.entity(name), ())  # of its columns nothing is asked

    late: dict[str, str] = {}
    for entity in account.entities:
        allowed = freshness(account, settings, entity.name)
        finding = fresh(Scope(database, settings, entity, table, freshness=allowed))
        facts = finding.facts
        if not finding.passed and any(facts[name] > facts[f"allowed_{name}"] for name in AGES & facts.keys()):
            late[entity.name] = finding.says
    if late:
        says = f"{next(iter(late.values()))} ({named(list(late))})"
        yield _cause(account.name, "", Finding(fresh.__name__, False, says, "WARN"), now, "warning")


def _inbox(database: Database, account: Account, now: datetime) -> Iterator[Cause]:
    if account.endpoints and (told := account.told_first):
        finding = inbox_is_worked_off(database, account.name)
        if not finding.passed:
            yield _cause(account.name, told, finding, now, "warning")


def _outbox(database: Database, account: Account, settings: SyncSettings, now: datetime) -> Iterator[Cause]:
    outbound = account.system.outbound
    if outbound is None or settings.sync_way_back == "off":
        return
    scope = WayBack(database, settings, account)
    for check in WAY_BACK:
        finding = check(scope)
        # A single failure is a WARN: it passes by itself.
        if not finding.passed and finding.severity == "ERROR":
            waits = check is the_way_is_open and "Next: " in finding.says
            yield _cause(account.name, outbound.name, finding, now, "critical" if waits else "error")


def _cause(account: str, entity: str, finding: Finding, now: datetime, severity: Severity) -> Cause:
    says, _, step = finding.says.partition(". Next: ")
    return Cause(account, entity, finding.name, "state", says, step or NEXT_STEPS[finding.name], now, severity)
