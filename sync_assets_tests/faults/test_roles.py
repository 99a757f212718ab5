"""S8: each role of Postgres may do what its process must, and nothing else, whatever it tries."""

from __future__ import annotations

import select
from contextlib import closing

import psycopg2
import pytest

from sync_assets.load import roles
from sync_assets.load.database import Database
from sync_assets.load.inbox import accepted, store
from sync_assets.webhook import Event
from sync_assets_tests.faults.guarded import ADMIN, LOGINS, PREFIX, Guarded

EVERYBODY = ("writer", "receiver", "reader")
NOT_YOURS = ("InsufficientPrivilege",)
NO_TABLE = ("ObjectNotInPrerequisiteState", "WrongObjectType")
"""What Postgres says first of a view that cannot be written to."""


def relations(guarded: Guarded) -> list[tuple[str, str, bool]]:
    return [tuple(row) for row in guarded.ask(guarded.admin, "select schema, relation, is_written from sync.relations")]


def outcome(guarded: Guarded, who: str, query: str) -> str:
    return answers(guarded, who, [query])[query]


def answers(guarded: Guarded, who: str, queries: list[str]) -> dict[str, str]:
    """By query "done", or the name of psycopg2's error. Nothing that was done is kept."""
    found = {}
    with closing(psycopg2.connect(guarded.urls[who])) as connection, connection.cursor() as cursor:
        for query in queries:
            try:
                cursor.execute(query)
                found[query] = "done"
            except psycopg2.Error as e:
                found[query] = type(e).__name__
            connection.rollback()
    return found


def refused(guarded: Guarded, who: str, queries: list[str]) -> None:
    assert {q: a for q, a in answers(guarded, who, queries).items() if a not in NOT_YOURS} == {}


def not_written(guarded: Guarded, who: str, relations: list[str]) -> None:
    queries = [
        q.format(of) for of in relations for q in ("insert into {} default values", "delete from {}", "truncate {}")
    ]
    found = answers(guarded, who, queries)
    assert {q: a for q, a in found.items() if a not in (*NOT_YOURS, *NO_TABLE)} == {}


STRUCTURE = [
    "create table kaiten.mine (id int)", "create table sync.mine (id int)", "create table public.mine (id int)",
    "create view kaiten.mine as select 1 as one", "create schema mine", "create sequence sync.mine",
    "create function kaiten.mine() returns int return 1", "create type sync.mine as (id int)",
    "alter table kaiten.cards add column mine int", "alter table kaiten.cards owner to {me}",
    "alter table kaiten.cards disable trigger all", "drop table kaiten.cards", "truncate kaiten.cards",
    "create index mine on kaiten.cards (title)", "alter function sync.to_text(text) rename to mine",
    "create trigger mine before insert on kaiten.cards for each row execute function sync.action_settled()",
    "create or replace view public.sync_logs as select 1 as id", "alter schema kaiten rename to mine",
    "drop schema sync cascade", "grant {owner} to {me}", "grant {writer} to {reader}",
    "create role mine", "alter role {me} superuser", "alter role {me} createrole", "alter role {admin} password 'x'",
    "set role {owner}", "set role {admin}", "set session authorization {admin}",
    "select * from pg_authid", "select * from pg_shadow", "select pg_read_file('postgresql.conf')",
    "copy (select 1) to program 'true'", "copy (select 1) to '/tmp/mine'", "select pg_reload_conf()",
    "select sync.grant_roles()", "select sync.hand_to_owner()", "create extension file_fdw",
    "insert into sync.migrations values ('', 'mine', '')", "delete from sync.roles",
    "update sync.plain_columns set relation = 'x'", "alter database {database} set work_mem = '1GB'",
    "create publication mine for all tables", "set session_replication_role = replica", "set log_statement = 'all'",
]  # fmt: skip


def spelled(queries: list[str], who: str) -> list[str]:
    names = {kind: f"{PREFIX}_{kind}" for kind in roles.KINDS}
    me = next(login for login, kind in LOGINS.items() if kind == who)
    return [q.format(me=me, admin=ADMIN, database="s8_rights", **names) for q in queries]


@pytest.mark.parametrize("who", EVERYBODY)
def test_s8_nobody_but_the_owner_touches_what_there_is_or_who_may(guarded: Guarded, who: str) -> None:
    refused(guarded, who, spelled(STRUCTURE, who))
    # Postgres only warns of a right that is not one's own to give.
    given = f"grant select on kaiten.cards to {PREFIX}_receiver, public"
    with closing(psycopg2.connect(guarded.urls[who])) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(given)
        except psycopg2.errors.InsufficientPrivilege:
            return
        cursor.execute(f"select has_table_privilege('{PREFIX}_receiver', 'kaiten.cards', 'select')")
        assert cursor.fetchone() == (False,)


@pytest.mark.parametrize("who", EVERYBODY)
def test_s8_no_role_becomes_another(guarded: Guarded, who: str) -> None:
    others = [kind for kind in roles.KINDS if kind != who]
    refused(guarded, who, [f"set role {PREFIX}_{kind}" for kind in others])
    refused(guarded, who, [f"set role {login}" for login, kind in LOGINS.items() if kind != who])
    assert outcome(guarded, who, f"set role {PREFIX}_{who}") == "done", "its own it is already"


def test_s8_the_receiver_reads_and_changes_no_table_at_all(guarded: Guarded) -> None:
    everything = [f'"{schema}"."{name}"' for schema, name, _ in relations(guarded) if name != "roles"]
    refused(guarded, "receiver", [f"select count(*) from {of}" for of in everything])
    not_written(guarded, "receiver", everything)
    refused(
        guarded, "receiver",
        ["update sync.webhook_events set state = 'new', done_at = null", "select payload from sync.webhook_events",
         "select sync.take('kaiten', 'api', 1, 1, 1, 1)", "select sync.pause('kaiten', 'api', 1e9, 'x')",
         "copy sync.webhook_events to stdout", "select bitrix.orders_in_step()"],
    )  # fmt: skip


def test_s8_the_receiver_puts_events_into_the_inbox_and_they_are_told(guarded: Guarded) -> None:
    guarded.ask("writer", "delete from sync.webhook_events")
    now = guarded.ask("receiver", "select clock_timestamp()")[0][0]
    events = [
        accepted(Event("card:update", "cards", str(key), identity=f"s8-{key}", payload=b"{}"), account="kaiten",
                 system="kaiten", endpoint="", received=now)
        for key in (1, 2, 1)
    ]  # fmt: skip
    with (
        closing(psycopg2.connect(guarded.urls["writer"])) as listening,
        closing(Database(guarded.urls["receiver"], wait=5.0)) as database,
    ):
        listening.autocommit = True
        listening.cursor().execute("listen sync_inbox")
        store(database, events)
        select.select([listening], [], [], 10)
        listening.poll()
        assert [n.payload for n in listening.notifies] == ["kaiten"]
    found = guarded.ask("writer", "select key, state, deliveries from sync.webhook_events order by id")
    assert found == [("1", "new", 2), ("2", "new", 1)]
    assert guarded.ask("receiver", "select sync.accept_events('{}')") == [("",)]
    ((counts,),) = guarded.ask("receiver", "select sync.health()")
    assert counts["inbox_waiting"]["events"] == 2, "GET /health shows counts"
    guarded.ask("writer", "delete from sync.webhook_events")


def test_s8_the_writer_writes_records_and_the_ledger_and_nothing_that_decides_about_it(guarded: Guarded) -> None:
    written = [f'"{schema}"."{name}"' for schema, name, is_written in relations(guarded) if is_written]
    others = [f'"{schema}"."{name}"' for schema, name, is_written in relations(guarded) if not is_written]
    may = [f"select * from {of} limit 0" for of in written + others] + [
        f"delete from {of} where false" for of in written
    ]
    # Syncs stage what they read.
    assert set(answers(guarded, "writer", [*may, "create temp table mine (id int)"]).values()) == {"done"}
    not_written(guarded, "writer", others)
    refused(guarded, "writer", [f"truncate {of}" for of in written])
    refused(guarded, "writer", ["update sync.status_map set canonical = 'paid'"])


def test_s8_the_reader_sees_what_is_not_personal_and_writes_nothing(guarded: Guarded) -> None:
    seen = {tuple(row) for row in guarded.ask(guarded.admin, "select * from sync.reader_columns")}
    columns = guarded.ask(
        guarded.admin,
        "select r.schema, r.relation, a.attname, a.atttypid::regtype::text from sync.relations r"
        " join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped",
    )
    asked = {(s, r, c): f'select "{c}" from "{s}"."{r}" limit 0' for s, r, c, _ in columns}
    found = answers(guarded, "reader", list(asked.values()))
    for schema, relation, column, kind in columns:
        may = found[asked[schema, relation, column]] == "done"
        assert may == ((schema, relation, column) in seen), (schema, relation, column)
        assert not may or kind not in ("json", "jsonb", "bytea"), (schema, relation, column)
    not_written(guarded, "reader", [f'"{schema}"."{name}"' for schema, name, _ in relations(guarded)])
    queries = ["select status, records_fetched from sync_logs", "select id, board_id, synced_at from kaiten.cards",
               "select card_id, name from kaiten.card_tags", "select * from kaiten.card_tree",
               "select id, lifecyclestage, synced_at from hubspot.contacts",
               "select from_type, to_type, label from hubspot.associations"]  # fmt: skip
    assert set(answers(guarded, "reader", queries).values()) == {"done"}
    assert guarded.ask("reader", "select count(*) from kaiten.card_tags")[0][0] > 0


PERSONAL = {
    "kaiten.users": ("full_name", "username", "email"), "kaiten.card_members": ("full_name",),
    "hubspot.contacts": ("email", "phone", "mobile_phone", "firstname", "lastname", "raw_json"),
    "hubspot.calls": ("from_number", "to_number", "title"), "hubspot.call_contacts": ("number",),
    "hubspot.owners": ("email", "first_name", "last_name"), "public.hubspot_contacts_raw": ("email", "raw_json"),
    "kommo.contacts": ("name", "first_name", "last_name"), "kommo.phones_and_emails": ("value",),
    "kommo.custom_field_values": ("value",), "kommo.users": ("name", "email"), "kommo.leads": ("name",),
    "bitrix.users": ("name", "last_name", "second_name", "email", "mobile", "work_phone"),
    "bitrix.orders": ("comments", "user_description"), "bitrix.order_properties": ("value",),
    "worksection.users": ("name", "email"), "worksection.tasks": ("name",), "public.activity_logs": ("details",),
    "sync.tombstones": ("raw_json",), "sync.rejected": ("payload",), "sync.webhook_events": ("payload", "record"),
    "sync.change_events": ("before", "after"), "sync.outbox": ("payload",), "sync.tokens": ("sealed",),
}  # fmt: skip


def test_s8_what_names_people_is_hidden_from_the_reader(guarded: Guarded) -> None:
    refused(guarded, "reader", [f"select {c} from {of}" for of, columns in PERSONAL.items() for c in columns])


def test_s8_a_stranger_of_the_cluster_sees_nothing(guarded: Guarded) -> None:
    """Supabase gives its web roles rights to whatever is made in public."""
    guarded.ask(guarded.root, "create role s8_stranger")
    try:
        guarded.ask(guarded.root, "grant select on public.sync_logs to public")
        guarded.ask(guarded.admin, "select sync.grant_roles()")
        for of in ("public.sync_logs", "public.hubspot_contacts_raw", "kaiten.cards", "sync.logs"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                guarded.ask(guarded.root, f"set role s8_stranger; select * from {of}")
    finally:
        guarded.ask(guarded.root, "drop role s8_stranger")
