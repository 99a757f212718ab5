"""Whether what is to go back to a source gets there: nothing waits long, nothing is given up, codes have words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from psycopg2 import sql

from sync_assets.account import Account
from sync_assets.check.finding import SAMPLE, Finding
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.operation import Outbound
from sync_assets.settings import SyncSettings

OLDEST_SECONDS = 900.0
"""Three schedules of five minutes: by then whatever waits is stuck."""

OPEN = """
select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8
  from sync.outbox where account = %s and state in ('pending', 'sending', 'failed')
"""
STUCK = """
select id, key, state, reason from sync.outbox
 where account = %s and state in ('dead', 'unknown') order by id limit %s
"""
COUNT_STUCK = "select count(*) from sync.outbox where account = %s and state in ('dead', 'unknown')"
CLOSED = """
select fuse_reason, case when closed_until > clock_timestamp() then closed_reason end, failures
  from sync.delivery where account = %s
"""
UNMAPPED = "select {status}, count(*) from {table} where {word} is null group by 1 order by 1"
NOT_LISTED = """
select code from sync.status_map
 where system = %s and scope = %s and outbound_default and code not in (select id from {codes}) order by 1
"""


@dataclass(frozen=True)
class WayBack:
    """What these checks look at: one account, and what goes back to it."""

    database: Database
    settings: SyncSettings
    account: Account

    @property
    def outbound(self) -> Outbound:
        assert self.account.system.outbound is not None  # noqa: S101  only such accounts have these checks
        return self.account.system.outbound

    @property
    def is_on(self) -> bool:
        return self.settings.sync_way_back == "on"


def nothing_old_waits(scope: WayBack) -> Finding:
    """What was changed here reaches its source within minutes."""
    waiting, seconds = scope.database.query(OPEN, (scope.account.name,))
    said = f"{waiting} changes wait, the oldest for {seconds / 60:.0f} minutes"
    if not scope.is_on:
        said += f"; SYNC_WAY_BACK is {scope.settings.sync_way_back}"
    late = scope.is_on and seconds > OLDEST_SECONDS
    return Finding("nothing_old_waits", not late, said, facts={"count": waiting, "oldest_seconds": round(seconds, 1)})


def nothing_was_given_up(scope: WayBack) -> Finding:
    """No change was given up, and of each that was sent it is known what became of it."""
    (count,) = scope.database.query(COUNT_STUCK, (scope.account.name,))
    rows = scope.database.rows(STUCK, (scope.account.name, SAMPLE))
    said = f"{count} changes need a person: sync-assets outbox list --state dead" if count else "none"
    sample = [{"id": id, "key": key, "state": state, "reason": reason} for id, key, state, reason in rows]
    return Finding("nothing_was_given_up", not count, said, facts={"count": count, "sample": sample})


def the_way_is_open(scope: WayBack) -> Finding:
    """Neither is the fuse blown, nor is the account left alone because it fails."""
    row = scope.database.query(CLOSED, (scope.account.name,))
    fuse, breaker, failures = row or (None, None, 0)
    name = scope.account.name
    if fuse:
        said = f"the fuse is blown: {fuse}. Next: sync-assets outbox release --account {name} --by NAME, or drop them"
        return Finding("the_way_is_open", False, said, facts={"count": failures})
    if breaker:
        # One failure passes by itself; several are an outage.
        said = f"failed {failures} times in a row: {breaker}"
        return Finding("the_way_is_open", False, said, "ERROR" if failures > 2 else "WARN", {"count": failures})
    return Finding("the_way_is_open", True, "open", facts={"count": 0})


def every_status_is_mapped(scope: WayBack) -> Finding:
    """Every code that a record bears has our word for it, and every code that may be written is one of the source's.

    A shop has codes of its own, which are left as they are: a warning. A code that it lacks would be written: an error.
    """

    def work(cursor: Cursor) -> tuple[dict[str, int], list[str]]:
        unknown: dict[str, int] = {}
        strange: list[str] = []
        for scope_name, (codes, entity, word, status) in scope.outbound.scopes.items():
            table = sql.Identifier(scope.account.schema, entity)
            names = {"table": table, "word": sql.Identifier(word), "status": sql.Identifier(status)}
            cursor.execute(sql.SQL(UNMAPPED).format(**names))
            unknown |= {str(code): int(count) for code, count in cursor.fetchall()}
            listed = sql.Identifier(scope.account.schema, codes)
            cursor.execute(sql.SQL("select exists (select from {})").format(listed))
            if (cursor.fetchone() or (False,))[0]:
                cursor.execute(sql.SQL(NOT_LISTED).format(codes=listed), (scope.account.system.name, scope_name))
                strange += [str(code) for (code,) in cursor.fetchall()]
        return unknown, strange

    unknown, strange = scope.database.transaction(work)
    said = [f"{sum(unknown.values())} records bear codes without a word: {', '.join(unknown)}"] if unknown else []
    said += [f"the source does not list {', '.join(strange)}, which may be written"] if strange else []
    said += ["correct sync.status_map"] if strange else ["give them one in sync.status_map"] if said else []
    facts: dict[str, Any] = {"count": sum(unknown.values()), "codes": unknown, "not_listed": strange}
    told = "; ".join(said) or "all are"
    severity: Literal["ERROR", "WARN"] = "ERROR" if scope.is_on and strange else "WARN"
    return Finding("every_status_is_mapped", not said, told, severity, facts)


def both_sides_agree(scope: WayBack) -> Finding:
    """Where nothing is on its way, a record says here what it says in its source."""

    def work(cursor: Cursor) -> dict[str, int]:
        found: dict[str, int] = {}
        for operation in scope.outbound.operations:
            if operation.apart:
                view = sql.Identifier(scope.account.schema, operation.apart)
                cursor.execute(sql.SQL("select count(*) from {}").format(view))
                (count,) = cursor.fetchone() or (0,)
                found |= {f"select {scope.account.schema}.{operation.in_step}()": count} if count else {}
        return found

    found = scope.database.transaction(work)
    said = [f"{count} records differ; to take what the source says: {remedy}" for remedy, count in found.items()]
    facts = {"count": sum(found.values())}
    return Finding("both_sides_agree", not said, "; ".join(said) or "they do", "WARN", facts)


CHECKS: Mapping[str, Callable[[WayBack], Finding]] = {
    check.__name__: check
    for check in (nothing_old_waits, nothing_was_given_up, the_way_is_open, every_status_is_mapped, both_sides_agree)
}
