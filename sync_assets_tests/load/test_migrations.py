"""D8: a migration runs once, whole or not at all, whoever runs it; what was applied cannot be edited."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync_assets.errors import MigrationMismatch, NotMigrated, SyncError
from sync_assets.load.database import Database
from sync_assets.load.migrations import FOLDER, migrate, pending, require_migrated
from sync_assets_tests.company import Company

MIGRATOR = """
import sys
from pathlib import Path
from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate
print("ready", flush=True)
sys.stdin.readline()
database = Database(sys.argv[1])
print(len(migrate(database, [], Path(sys.argv[2]))))
database.close()
"""


@pytest.fixture
def database(make_database: Callable[..., str]) -> Iterator[Database]:
    found = Database(make_database(empty=True))
    yield found
    found.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's files for the database, to which a test adds its own."""
    (tmp_path / "001_sync.sql").write_text((FOLDER / "001_sync.sql").read_text())
    return tmp_path


def write(folder: Path, name: str, text: str, scope: str = "database") -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"-- scope: {scope}\n{textwrap.dedent(text)}")


def run(url: str, folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", MIGRATOR, url, str(folder)], stdin=-1, stdout=-1, stderr=-1, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_fresh_database_gets_every_file_once(database: Database, company: Company) -> None:
    accounts = list(company.accounts.values())
    with pytest.raises(NotMigrated):
        require_migrated(database, accounts)
    applied = [(m.file, m.account) for m in migrate(database, accounts)]
    assert applied[0] == ("001_sync.sql", "")
    assert [name for name, _ in applied] == sorted(name for name, _ in applied)
    assert {account for name, account in applied if name < "100"} == {""}
    assert {(name[4:-4], account) for name, account in applied if name > "100"} >= {(a.name, a.name) for a in accounts}
    assert migrate(database, accounts) == []
    require_migrated(database, accounts)
    assert database.query("select count(*) from sync.migrations") == (len(applied),)


def test_a_second_account_gets_its_own_schema(database: Database, make_company: Callable[..., Company]) -> None:
    company = make_company(KAITEN_EMEA_API_URL="https://emea.kaiten.ru", KAITEN_EMEA_API_TOKEN="canary-emea-token")
    accounts = list(company.accounts.values())
    migrate(database, accounts[:1])
    assert {m.account for m in migrate(database, accounts)} == {a.schema for a in accounts[1:]}
    assert database.query(
        "select to_regclass('kaiten_emea.cards') is not null, to_regclass('kaiten.cards') is not null"
    )


def test_d8_two_migrators_at_once_apply_each_file_once(database: Database, folder: Path) -> None:
    write(folder, "002_slow.sql", "create table once (n int); insert into once values (1); select pg_sleep(0.3);")
    both = [run(database.url, folder) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=30) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert database.query("select count(*) from once") == (1,)
    assert database.query("select count(*) from sync.migrations") == (2,)


def test_d8_a_migrator_that_is_killed_leaves_nothing_of_its_file(database: Database, folder: Path) -> None:
    write(folder, "002_half.sql", "create table half (n int); select pg_sleep(60);")
    process = run(database.url, folder)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    asleep = "from pg_stat_activity where query like '%%pg_sleep(60)%%' and pid <> pg_backend_pid()"
    while not database.query(f"select count(*) {asleep}")[0]:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    database.query(f"select pg_terminate_backend(pid, 5000) {asleep}")
    assert database.query("select to_regclass('half')") == (None,)
    assert [m.file for m in pending(database, [], folder)] == ["002_half.sql"]
    write(folder, "002_half.sql", "create table half (n int);")
    assert [m.file for m in migrate(database, [], folder)] == ["002_half.sql"]


def test_d8_a_file_that_fails_half_way_leaves_nothing_and_is_named(database: Database, folder: Path) -> None:
    write(folder, "002_wrong.sql", "create table half (n int);\nselect nonsense;")
    write(folder, "003_after.sql", "create table after (n int);")
    with pytest.raises(SyncError, match="002_wrong"):
        migrate(database, [], folder)
    assert database.query("select to_regclass('half'), to_regclass('after')") == (None, None)
    assert database.rows("select file from sync.migrations") == [("001_sync.sql",)]


def test_a_column_that_stored_records_do_not_fit_says_so(grown: Company, tmp_path: Path) -> None:
    for path in FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    bare = "alter table cards add column n bigint generated always as ((raw_json ->> 'title')::bigint) stored;"
    write(tmp_path, "local/010_kaiten_bare.sql", bare, "account")
    database = Database(grown.database_url)
    try:
        with pytest.raises(SyncError, match=r"does not fit \(22P02\).*010_kaiten_bare.*sync.to_"):
            migrate(database, list(grown.accounts.values()), tmp_path)
    finally:
        database.close()
    grown.synced(only="tags")


def test_d8_an_edited_file_is_refused_before_anything_is_applied(database: Database, folder: Path) -> None:
    write(folder, "002_mine.sql", "create table mine (n int);")
    migrate(database, [], folder)
    write(folder, "002_mine.sql", "create table mine (n bigint);")
    write(folder, "003_new.sql", "create table new (n int);")
    with pytest.raises(MigrationMismatch, match=r"002_mine.sql was edited"):
        migrate(database, [], folder)
    assert database.query("select to_regclass('new')") == (None,)


def test_d8_old_code_refuses_a_newer_database(database: Database, folder: Path) -> None:
    write(folder, "002_newer.sql", "create table newer (n int);")
    migrate(database, [], folder)
    (folder / "002_newer.sql").unlink()
    with pytest.raises(MigrationMismatch, match=r"002_newer.sql.*it is newer"):
        migrate(database, [], folder)


def test_d8_old_code_syncs_nothing_into_a_newer_database(grown: Company) -> None:
    grown.query("insert into sync.migrations (account, file, checksum) values ('', '999_newer.sql', '')")
    grown.sandbox.world.advance(5)
    before = grown.query("select count(*), max(id) from sync.logs")
    for account in grown.accounts:
        with grown.connected(account) as connection, pytest.raises(MigrationMismatch, match=r"999_newer.sql.*newer"):
            connection.preflight()
    outcomes = grown.sync("incremental").values()
    assert outcomes and all(isinstance(outcome, MigrationMismatch) for outcome in outcomes)
    assert grown.query("select count(*), max(id) from sync.logs") == before


def test_an_account_that_is_no_longer_connected_is_no_newer_database(database: Database, company: Company) -> None:
    accounts = list(company.accounts.values())
    migrate(database, accounts)
    assert migrate(database, accounts[:1]) == []


@pytest.mark.parametrize("first", ["", "create table x (n int);", "-- scope: everything", "\ufeff-- scope: database"])
def test_a_file_that_does_not_say_its_scope_is_refused(database: Database, folder: Path, first: str) -> None:
    (folder / "002_x.sql").write_text(f"{first}\nselect 1;")
    with pytest.raises(MigrationMismatch, match=r"first line of 002_x.sql"):
        migrate(database, [], folder)


@pytest.mark.parametrize("name", ["local/size.sql", "local/010_.sql"])
def test_an_account_file_whose_name_names_no_system_is_refused(database: Database, folder: Path, name: str) -> None:
    write(folder, name, "select 1;", "account")
    with pytest.raises(MigrationMismatch, match=r"does not say"):
        migrate(database, [], folder)


def test_a_column_of_the_users_own_is_filled_for_every_row_at_once(grown: Company, tmp_path: Path) -> None:
    for path in FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    column = "fifo bigint generated always as (sync.to_whole(raw_json ->> 'version')) stored"
    write(tmp_path, "local/010_kaiten_version.sql", f"alter table cards add column {column};", "account")
    database = Database(grown.database_url)
    try:
        accounts = list(grown.accounts.values())
        assert [m.file for m in migrate(database, accounts, tmp_path)] == ["local/010_kaiten_version.sql"]
        assert database.query("select count(*) from kaiten.cards where fifo is distinct from version") == (0,)
        assert database.query("select count(fifo) > 0 from kaiten.cards") == (True,)
        require_migrated(database, accounts)
    finally:
        database.close()
    grown.sandbox.world.advance(3)
    grown.synced()
    grown.assert_world_equals_postgres()
    assert grown.query("select count(*) from kaiten.cards where fifo is distinct from version") == [(0,)]
