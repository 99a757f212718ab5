"""Volume and age: a table that shrank by half overnight, or that nobody has synced for too long, is worth a look."""

from __future__ import annotations

from typing import Literal

from psycopg2 import sql

from sync_assets.check.finding import Finding, Scope
from sync_assets.freshness import Freshness, hours_since

FEW = 20
"""Tables smaller than this change by half without meaning anything."""

BEFORE = """
select rows from sync.logs
 where account = %(account)s and entity = %(entity)s and rows is not null and id <> all(%(syncs)s)
 order by id desc limit 1
"""


def volume(scope: Scope) -> Finding:
    """The number of records is plausible against the last sync."""
    runs = scope.ask(BEFORE, scope.where)
    now = scope.ask(sql.SQL("select count(*) from {}").format(scope.own.table))[0][0]
    before = runs[0][0] if runs else now
    facts = {"rows": now, "rows_before": before}
    if before and now == 0:
        return Finding("volume", False, f"the table is empty; it held {before} records", facts=facts)
    if max(now, before) >= FEW and not before / 2 <= now <= max(before * 2, FEW) and before:
        return Finding("volume", False, f"{now} records, {before} at the last sync", "WARN", facts)
    return Finding("volume", True, f"{now} records, {before} at the last sync", facts=facts)


CLAIMED = """
select claimed, shown from sync.logs
 where account = %(account)s and entity = %(entity)s and claimed is not null
   and (%(syncs)s::bigint[] = '{}' or id = any(%(syncs)s)) order by id desc limit 1
"""


def totals_match(scope: Scope) -> Finding:
    """The source showed as many records as it says there are."""
    found = scope.ask(CLAIMED, scope.where)
    if not found:
        return Finding("totals_match", True, "the source told no total")
    claimed, shown = found[0]
    return Finding(
        "totals_match",
        claimed <= shown,
        f"the source counts {claimed} records and showed {shown}"
        + ("" if claimed <= shown else "; the whole list was read, so nothing is missing here"),
        facts={"count": max(0, claimed - shown), "claimed": claimed, "shown": shown},
    )


def fresh(scope: Scope) -> Finding:
    """The entity was synced not long ago, and read whole not long ago."""
    allowed = scope.freshness or Freshness(scope.settings.sync_fresh_hours)
    found = scope.ask(
        "select greatest(last_full_at, last_incremental_at), last_full_at from sync.metadata"
        " where account = %(account)s and entity = %(entity)s",
        scope.where,
    )
    last, full = found[0] if found else (None, None)
    if last is None:
        return Finding("fresh", False, "this entity was never synced to its end", "WARN")
    hours = hours_since(last)
    facts = {"hours": round(hours, 2), "late_hours": round(allowed.late_hours, 2), "allowed_hours": allowed.hours}
    age = allowed.age(last)
    limits = f"late after {allowed.late_hours:g}, stale after {allowed.hours:g}"
    says = [f"{age}: last synced {hours:.1f} hours ago; {limits}"]
    unread = False
    if full is not None:
        days, limit = hours_since(full) / 24, scope.settings.sync_full_days
        unread = days > limit
        facts |= {"full_days": round(days, 2), "allowed_full_days": limit}
        says += [f"last read whole {days:.1f} days ago; {limit:g} are allowed"] if unread else []
    severity: Literal["ERROR", "WARN"] = "ERROR" if age == "stale" else "WARN"
    return Finding("fresh", age == "fresh" and not unread, "; ".join(says), severity, facts)
