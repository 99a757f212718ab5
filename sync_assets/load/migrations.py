"""Applies `sql/`: database files once, account files once per account, each in a transaction of its own; then grants.

A file claims its name before its statements run, so two migrators cannot both run it, and it is immutable from then
on: an edited file, or a database that knows files this code does not, is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from psycopg2 import sql

from sync_assets.account import Account
from sync_assets.errors import MigrationMismatch, NotMigrated, SyncError
from sync_assets.load import roles
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import BadValue, Database

FOLDER = Path(__file__).resolve().parents[2] / "sql"

CLAIMS = """
create schema if not exists sync;
create table if not exists sync.migrations (
  account    text not null,
  file       text not null,
  checksum   text not null,
  applied_at timestamptz not null default now(),
  primary key (account, file)
);
"""

FORMER = {"221_bitrix_way_back.sql": "9fc3dd521791b6cc7031deae57e128dc622ea7805c0d9c71917786cb0cd864e4"}
"""Checksums under which a file was applied before it could be by anybody but a superuser; it made the same then."""

LOCK = 7_236_501_984_112
"""One number for all migrators of a database; held for a transaction, so it works through every pooler."""


AS_OWNER = "run sync-assets migrate as the owner of the tables: set SYNC_OWNER_DATABASE_URL where you run it"


@dataclass(frozen=True)
class Migration:
    file: str  # "100_kaiten.sql", "local/010_kaiten_size.sql"
    account: str  # "" for the database
    text: str

    @property
    def checksum(self) -> str:
        return _checksum(self.text)


@lru_cache(256)
def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, order=True)
class _File:
    """A file as it was when it was changed last: every run of every account asks whether all of them are applied."""

    name: str  # within the folder
    path: str
    changed_ns: int
    size: int


def migrations(accounts: Sequence[Account], folder: Path = FOLDER) -> list[Migration]:
    """What a database with these accounts needs, in order; the user's own files (`local/`) come last."""
    ours = [file for file in _files(folder) if file.name[0].isdigit()]
    own = _files(folder / "local", "local/")
    return list(_wanted((*ours, *own), tuple((account.system.name, account.schema) for account in accounts)))


def _files(folder: Path, within: str = "") -> list[_File]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [(within + entry.name, entry.path, entry.stat()) for entry in entries if entry.name.endswith(".sql")]
    return sorted(_File(name, path, stat.st_mtime_ns, stat.st_size) for name, path, stat in found)


@lru_cache(64)
def _wanted(files: tuple[_File, ...], accounts: tuple[tuple[str, str], ...]) -> tuple[Migration, ...]:
    """`accounts`: the system and the schema of each."""
    found: list[Migration] = []
    for file in files:
        text = Path(file.path).read_text(encoding="utf-8")
        scope = text.partition("\n")[0].removeprefix("-- scope:").strip()
        folder, _, stem = file.name.removesuffix(".sql").rpartition("/")
        if scope == "database":
            found.append(Migration(file.name, "", text))
        elif scope == "account":
            system = stem.partition("_")[2].split("_")[0]
            if not system:
                raise MigrationMismatch(
                    f"{file.name} does not say whose tables it is about",
                    next_step=f"call it sql/{folder or '.'}/NNN_<system>_<what>.sql",
                )
            found += [Migration(file.name, schema, text) for name, schema in accounts if name == system]
        else:
            raise MigrationMismatch(
                f"the first line of {file.name} must be '-- scope: database' or '-- scope: account'",
                next_step=f"correct the first line of sql/{file.name}",
            )
    return tuple(found)


def migrate(database: Database, accounts: Sequence[Account], folder: Path = FOLDER) -> list[Migration]:
    """Applies what is missing and answers it. Raises MigrationMismatch before anything is applied."""
    wanted = migrations(accounts, folder)
    database.transaction(_prepare)
    missing = pending(database, accounts, folder)
    for migration in wanted:
        if migration not in missing:
            continue
        try:
            database.transaction(partial(_apply, migration=migration))
        except BadValue as e:
            raise SyncError(
                f"a record that is stored does not fit ({e.sqlstate})",
                file=f"sql/{migration.file}",
                next_step="derive columns with the sync.to_* casts, which answer NULL",
            ) from None
        except SyncError as e:
            raise e.at(file=f"sql/{migration.file}") from None
    database.transaction(_grant)
    return missing


def pending(database: Database, accounts: Sequence[Account], folder: Path = FOLDER) -> list[Migration]:
    """What `migrate` would apply. Raises MigrationMismatch for edited files and for a newer database."""
    wanted = migrations(accounts, folder)
    applied = {
        (account, file): checksum
        for account, file, checksum in database.rows("select account, file, checksum from sync.migrations")
    }
    names = {m.file for m in wanted} | {p.name for p in folder.glob("*.sql")}
    unknown = sorted(file for _, file in applied if file not in names and not file.startswith("local/"))
    if unknown:
        raise MigrationMismatch(
            f"the database knows {unknown[0]}, which this code does not: it is newer",
            next_step="run the version that applied it, or a newer one",
        )
    for m in wanted:
        if applied.get((m.account, m.file), m.checksum) not in (m.checksum, FORMER.get(m.file)):
            raise MigrationMismatch(
                f"sql/{m.file} was edited after it had been applied to {m.account or 'the database'}",
                next_step="undo the edit and put the change into a new file",
            )
    return [m for m in wanted if (m.account, m.file) not in applied]


def require_migrated(database: Database, accounts: Sequence[Account]) -> None:
    """Raises NotMigrated where a file is missing."""
    if missing := pending(database, accounts):
        names = ", ".join(f"{m.file}{f' for {m.account}' if m.account else ''}" for m in missing)
        (may,) = database.query("select has_schema_privilege('sync', 'create')")
        raise NotMigrated(f"not applied yet: {names}", next_step=None if may else AS_OWNER)


def _prepare(cursor: Cursor) -> None:
    cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    cursor.execute("select to_regclass('sync.migrations') is null")
    if cursor.fetchone() == (True,):
        cursor.execute(CLAIMS)


def _grant(cursor: Cursor) -> None:
    cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    roles.grant(cursor)


def _apply(cursor: Cursor, migration: Migration) -> None:
    cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
    roles.act_as_owner(cursor)
    cursor.execute(
        "insert into sync.migrations (account, file, checksum) values (%s, %s, %s) on conflict do nothing",
        (migration.account, migration.file, migration.checksum),
    )
    if cursor.rowcount == 0:
        return
    if migration.account:
        schema = sql.Identifier(migration.account)
        cursor.execute(sql.SQL("create schema if not exists {}").format(schema))
        cursor.execute(sql.SQL("set local search_path = {}").format(schema))
    cursor.execute(migration.text)
