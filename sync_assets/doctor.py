"""Looks at everything that must be right before a sync, and says of each red line what to do."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Literal
from urllib.parse import urlsplit

from rich.table import Table

from sync_assets.account import Account, connected_accounts, former_names
from sync_assets.errors import SyncError
from sync_assets.exposure import exposed
from sync_assets.load import roles
from sync_assets.load.database import Database, plain_url
from sync_assets.load.migrations import pending
from sync_assets.notify.notifiers import notifiers
from sync_assets.settings import SyncSettings, environment, sync_settings
from sync_assets.status import status_rows
from sync_assets.sync import Connected, connected
from sync_assets.systems import SYSTEMS

SKEW_SECONDS = 60
"""A clock that is further off than this makes signatures fail and times confusing."""

OLDEST_POSTGRES = 150_000

NAMED = 5
"""Entities that one line names."""

SOON = timedelta(days=30)
"""A token that ends before this should be replaced while there is time."""


@dataclass(frozen=True)
class Line:
    what: str
    state: Literal["ok", "note", "bad"]
    says: str
    todo: str = ""


def diagnose() -> Iterator[Line]:
    """Every line as it is found, so that a slow one does not hold up the others."""
    yield from _versions()
    try:
        env = environment()
    except SyncError as e:
        yield _failed("settings", e)
        return
    for said in former_names(SYSTEMS, env):
        yield Line("settings", "bad", said, "correct it in the environment or in .env")
    try:
        settings = sync_settings(env)
        accounts, left_out = connected_accounts(SYSTEMS, env)
    except SyncError as e:
        yield _failed("settings", e)
        return
    for said in left_out:
        yield Line("settings", "note", said)
    yield Line("settings", "ok", f"{len(accounts)} accounts: {', '.join(a.name for a in accounts) or 'none'}")
    for found in exposed(settings, env):
        yield Line(found.what, found.state, found.says, found.todo)
    if settings.database_url is None:
        yield Line(
            "database", "bad", "DATABASE_URL is not set", "set it; make demo and make up bring a Postgres of their own"
        )
        return
    reached = False
    for line in _database(settings, accounts):
        reached |= line.what == "database" and line.state == "ok"
        yield line
    if reached:
        for account in accounts:
            yield from _account(account, settings)
        yield from _ages(accounts, settings)
    yield from _notifiers(settings)


def table(lines: list[Line]) -> Table:
    colours = {"ok": "green", "note": "yellow", "bad": "red"}
    found = Table(header_style="bold")
    for name in ("what", "", "finding", "what to do"):
        found.add_column(name, overflow="fold")
    for line in lines:
        found.add_row(line.what, line.state, line.says, line.todo, style=colours[line.state])
    return found


def _versions() -> Iterator[Line]:
    said = ", ".join(f"{name} {metadata.version(name)}" for name in ("dagster", "psycopg2-binary", "httpx", "msgspec"))
    fine = sys.version_info >= (3, 11)
    yield Line(
        "versions", "ok" if fine else "bad", f"Python {platform.python_version()}, {said}",
        "" if fine else "use Python 3.11 or newer",
    )  # fmt: skip


def _database(settings: SyncSettings, accounts: list[Account]) -> Iterator[Line]:
    assert settings.database_url is not None  # noqa: S101  the caller looked
    url = settings.database_url.get_secret_value()
    database = Database(url, wait=5.0, name="sync_assets doctor")
    try:
        number, version = database.query(
            "select current_setting('server_version_num')::int, current_setting('server_version')"
        )
        host = urlsplit(plain_url(url)).hostname
        if number < OLDEST_POSTGRES:
            yield Line("database", "bad", f"PostgreSQL {version} at {host}", "use PostgreSQL 15 or newer")
        else:
            yield Line("database", "ok", f"PostgreSQL {version} at {host}")
        yield _pooler(url, database)
        yield from _roles(database)
        try:
            missing = pending(database, accounts)
        except SyncError as e:
            yield _failed("tables", e)
            return
        if missing:
            names = ", ".join(m.file for m in missing)
            yield Line("tables", "bad", f"not applied yet: {names}", "run sync-assets migrate")
        else:
            yield Line("tables", "ok", "sql/ is applied")
    except SyncError as e:
        yield _failed("database", e)
    finally:
        database.close()


def _roles(database: Database) -> Iterator[Line]:
    """As whom we are connected, and whether the receiver, which strangers reach, is more than it must be."""
    (known,) = database.query(roles.KNOWN)
    if not known:
        return
    who = roles.who(database)
    if not who.made:
        yield Line(
            "role", "note", f"connected as {who.name}; every process may do everything",
            "for a role per process: sync-assets roles --create, docs/roles.md",
        )  # fmt: skip
    elif who.superuser:
        yield Line("role", "note", f"connected as {who.name}, a superuser", "give each process a login of its own")
    else:
        says, fine = f"connected as {who.name}: {who.kinds or 'none of our roles'}", who.kinds == "writer"
        todo = "" if fine else "syncs, workers and Dagster need a login that is a member of the writer alone"
        yield Line("role", "ok" if fine else "note", says, todo)
    for name, more in roles.receivers(database) if who.made else ():
        if more:
            yield Line(
                "receiver", "bad", f"it works as {name}, who may do more than put webhooks into the inbox",
                "give it a DATABASE_URL of a login that is a member of the receiver alone",
            )  # fmt: skip
        else:
            yield Line("receiver", "ok", f"it works as {name}, who may only put webhooks into the inbox")


def _pooler(url: str, database: Database) -> Line:
    """A transaction pooler gives each transaction another server connection, so what a session sets is lost."""
    parts = urlsplit(plain_url(url))
    pids = {database.query("select pg_backend_pid()")[0] for _ in range(5)}
    if len(pids) > 1 or parts.port == 6543:
        return Line(
            "pooler", "note", "a transaction pooler: works; without LISTEN, changes are noticed once a second",
            "for webhooks in a fraction of a second use the session pooler (port 5432 at Supabase)",
        )  # fmt: skip
    kind = "a session pooler" if "pooler" in (parts.hostname or "") else "a direct connection, or a session pooler"
    return Line("pooler", "ok", kind)


def _account(account: Account, settings: SyncSettings) -> Iterator[Line]:
    with connected(account, settings) as connection:
        try:
            connection.preflight()
        except SyncError as e:
            yield _failed(account.name, e)
            yield from _token(account, connection)
            return
        yield Line(account.name, "ok", f"{account.system.title} answers and accepts the token")
        yield from _token(account, connection)
        skew = connection.door.skew
        if skew is None:
            yield Line(account.name, "note", "the API does not tell its time")
        elif abs(skew) > SKEW_SECONDS:
            yield Line(
                account.name, "bad", f"this machine's clock is {skew:+.0f} s off", "switch on time synchronisation"
            )
        else:
            yield Line(account.name, "ok", f"clocks agree within {abs(skew):.0f} s")


def _ages(accounts: Sequence[Account], settings: SyncSettings) -> Iterator[Line]:
    """Which entities were last synced longer ago than the settings allow; nothing where none ever was."""
    assert settings.database_url is not None  # noqa: S101  the caller looked
    database = Database(settings.database_url.get_secret_value(), wait=5.0, name="sync_assets doctor")
    try:
        rows = [row for row in status_rows(database, accounts, settings) if row["age"]]
    except SyncError as e:
        yield _failed("freshness", e)
        return
    finally:
        database.close()
    for age in ("stale", "late"):
        if found := [f"{row['account']}/{row['entity']}" for row in rows if row["age"] == age]:
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            said = f"{len(found)} of {len(rows)} entities are {age}: {', '.join(found[:NAMED])}{more}"
            yield Line("freshness", "note", said, "sync-assets status; switch on the schedules, or allow more hours")
    if rows and all(row["age"] == "fresh" for row in rows):
        yield Line("freshness", "ok", f"all {len(rows)} entities are fresh")


def _token(account: Account, connection: Connected) -> Iterator[Line]:
    """Of which kind the token is and when it ends, where that is known."""
    what = f"{account.name} token"
    if connection.tokens is not None:
        try:
            state = connection.tokens.state()
        except SyncError as e:
            yield _failed(what, e)
            return
        if state is None:
            yield Line(what, "note", "OAuth, nothing stored yet: the first run uses the given refresh token up")
            return
        unused = f"; unused, the refresh token ends {_day(state.refresh_ends_at)}" if state.refresh_ends_at else ""
        yield Line(
            what, "ok",
            f"OAuth, renewed {state.generation} times; the access token ends {_minute(state.access_ends_at)}{unused}",
        )  # fmt: skip
    elif ends := account.settings.token_ends():
        left = ends - datetime.now(UTC)
        said = f"long-lived, {'ended' if left < timedelta(0) else 'ends'} {_day(ends)}"
        yield Line(what, "note" if left < SOON else "ok", said, "issue a new one and set it" if left < SOON else "")


def _notifiers(settings: SyncSettings) -> Iterator[Line]:
    """Whether whoever is to tell people can be reached; nothing is sent."""
    found = notifiers(settings)
    for notifier in found:
        try:
            yield Line(f"alerts: {notifier.name}", "ok", notifier.reach())
        except SyncError as e:
            yield _failed(f"alerts: {notifier.name}", e)
    if not found:
        yield Line(
            "alerts", "note", "nobody is told of what goes wrong",
            "set SYNC_ALERT_SLACK_URL, or SYNC_ALERT_TELEGRAM_TOKEN and SYNC_ALERT_TELEGRAM_CHAT",
        )  # fmt: skip


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _failed(what: str, error: SyncError) -> Line:
    where = ", ".join(f"{name} {value}" for name, value in error.where.items())
    return Line(what, "bad", f"{error.what}{f' ({where})' if where else ''}", error.next_step)
