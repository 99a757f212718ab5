"""S8: the roles are made and stay right: declarations, migrations, a right that slipped in, and who is told what."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from sync_assets.errors import DatabaseRefused, NotMigrated
from sync_assets.load import roles
from sync_assets.load.database import Database
from sync_assets.load.migrations import FOLDER, migrate, require_migrated
from sync_assets_tests.faults.guarded import PREFIX, Guarded
from sync_assets_tests.faults.test_roles import outcome, refused


def test_s8_what_is_declared_is_there_and_every_right_is_as_it_should_be(guarded: Guarded) -> None:
    nowhere = guarded.ask(
        guarded.admin,
        "select * from sync.plain_columns p where not exists (select from sync.relations r join pg_attribute a"
        " on a.attrelid = r.oid where (r.system, r.relation, a.attname) = (p.system, p.relation, p.column_name))",
    )
    assert nowhere == []
    assert guarded.wrong() == []


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ("grant select on sync.webhook_events to s8_receiver", "s8_receiver may change or see sync.webhook_events"),
        ("grant select on kaiten.users to s8_reader", "s8_reader sees kaiten.users.email"),
        ("grant update on kaiten.users to s8_reader", "s8_reader may change kaiten.users"),
        ("revoke insert on kaiten.cards from s8_writer", "s8_writer may not write kaiten.cards"),
        ("grant create on schema kaiten to s8_writer", "s8_writer may create in the schema kaiten"),
        ("revoke all on kaiten.tags from s8_reader", "s8_reader sees no column of kaiten.tags"),
        ("grant s8_reader to s8_writer_login", "s8_writer_login is both reader and writer"),
        ("alter table kaiten.tags owner to s8_admin", "kaiten.tags belongs to s8_admin, not to s8_owner"),
        ("alter role s8_writer createrole", "s8_writer is a superuser, makes roles or passes row security by"),
    ],
)
def test_s8_a_right_too_much_or_too_few_is_found_and_mended(guarded: Guarded, slip: str, said: str) -> None:
    undo = {
        "grant s8_reader to s8_writer_login": "revoke s8_reader from s8_writer_login",
        "alter role s8_writer createrole": "alter role s8_writer nocreaterole",
    }.get(slip)
    guarded.ask(guarded.root, slip)
    try:
        assert said in guarded.wrong()
    finally:
        if undo:
            guarded.ask(guarded.root, undo)
        with closing(Database(guarded.admin if "owner to" not in slip else guarded.root, wait=5.0)) as database:
            roles.create(database, PREFIX)
    assert guarded.wrong() == []


def test_s8_a_migration_is_the_owner_s_and_its_tables_have_their_grants_at_once(
    guarded: Guarded, tmp_path: Path
) -> None:
    for path in FOLDER.glob("*.sql"):
        (tmp_path / path.name).symlink_to(path)
    local = tmp_path / "local"
    local.mkdir()
    (local / "900_kaiten_note.sql").write_text(
        "-- scope: account\ncreate table s8_notes (id int, note text, at timestamptz);\n"
        "alter table tags add column s8_note text;\n"
    )
    accounts = [guarded.company.accounts["kaiten"]]
    told = pytest.raises(DatabaseRefused, match=r"the role lacks a right .*SYNC_OWNER_DATABASE_URL")
    with closing(Database(guarded.urls["writer"], wait=5.0)) as database, told:
        migrate(database, accounts, tmp_path)
    with closing(Database(guarded.urls["owner"], wait=5.0)) as database:
        assert [m.file for m in migrate(database, accounts, tmp_path)] == ["local/900_kaiten_note.sql"]
    assert outcome(guarded, "writer", "insert into kaiten.s8_notes values (1, 'x', now())") == "done"
    assert outcome(guarded, "reader", "select id, at from kaiten.s8_notes") == "done"
    refused(guarded, "reader", ["select note from kaiten.s8_notes", "select s8_note from kaiten.tags"])
    assert guarded.wrong() == []
    guarded.ask(guarded.root, "drop table kaiten.s8_notes; alter table kaiten.tags drop column s8_note;"
                " delete from sync.migrations where file like 'local/%'")  # fmt: skip


def test_s8_who_may_not_migrate_is_told_who_may(guarded: Guarded) -> None:
    guarded.ask(guarded.root, "create table public.kept as select * from sync.migrations where file like '014%'")
    guarded.ask(guarded.root, "delete from sync.migrations where file like '014%'")
    try:
        for who, said in (
            ("writer", "as the owner of the tables: set SYNC_OWNER_DATABASE_URL"),
            ("owner", "migrate.$"),
        ):
            told = pytest.raises(NotMigrated, match=rf"not applied yet: 014_sync_roles.sql.*{said}")
            with closing(Database(guarded.urls[who], wait=5.0)) as database, told:
                require_migrated(database, [guarded.company.accounts["kaiten"]])
    finally:
        guarded.ask(guarded.root, "insert into sync.migrations select * from public.kept; drop table public.kept")
