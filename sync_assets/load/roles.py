"""Least-privilege roles of Postgres: the SQL that makes them, who is what, and what is wrong with their rights.

The grants themselves are one function in the database (`sync.grant_roles` in sql/014), so that a person, this module
and every migration give the same rights. The roles cannot log in: each process has a login of its own, a member of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg2 import sql

from sync_assets.errors import FixConfig, SyncError
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

KINDS = ("owner", "writer", "receiver", "reader")
PREFIX = "sync_assets"

SCRIPT = """\
-- Run by whoever owns the tables until now, as a superuser or with CREATEROLE. As often as you like.
do $$
declare
  kind text;
  wanted name;
begin
  foreach kind in array array['owner', 'writer', 'receiver', 'reader'] loop
    wanted := '{prefix}_' || kind;
    if not exists (select from pg_roles where rolname = wanted) then
      execute format('create role %I nologin', wanted);
    end if;
    insert into sync.roles values (kind, wanted)
    on conflict on constraint roles_pkey do update set role = excluded.role;
    execute format('grant connect on database %I to %I', current_database(), wanted);
  end loop;
  execute format('grant create on database %I to {prefix}_owner', current_database());
  execute format('grant temporary on database %I to {prefix}_writer', current_database());
end $$;
grant usage, create on schema public to {prefix}_owner;
grant usage on schema public to {prefix}_writer, {prefix}_reader;
-- Whoever makes a role may not act as it before this.
grant {prefix}_owner to current_user;
select sync.hand_to_owner();
select sync.grant_roles();
"""

KNOWN = "select to_regclass('sync.roles') is not null"

OWNER = """
select r.role from sync.roles r join pg_roles p on p.rolname = r.role
 where r.kind = 'owner' and pg_has_role(current_user, p.oid, 'member')
"""

WHO = """
select current_user, p.rolsuper,
       (select string_agg(r.kind, ', ' order by r.kind) from sync.roles r join pg_roles g on g.rolname = r.role
         where pg_has_role(p.oid, g.oid, 'usage')),
       exists (select from sync.roles)
  from pg_roles p where p.rolname = current_user
"""

# Any role sees the names of all sessions.
RECEIVERS = """
select distinct a.usename,
       p.rolsuper or exists (select from sync.roles r join pg_roles g on g.rolname = r.role
                              where r.kind <> 'receiver' and pg_has_role(p.oid, g.oid, 'usage'))
  from pg_stat_activity a join pg_roles p on p.rolname = a.usename
 where a.datname = current_database() and a.application_name = 'sync_assets receive'
"""

LOGINS = """
select r.kind, r.role, g.oid is not null,
       coalesce((select array_agg(m.rolname::text order by m.rolname) from pg_roles m
                  where m.rolcanlogin and not m.rolsuper and pg_has_role(m.oid, g.oid, 'usage')), '{}')
  from sync.roles r left join pg_roles g on g.rolname = r.role
 order by array_position(array['owner', 'writer', 'receiver', 'reader'], r.kind)
"""

# What is wrong, in the words of whoever reads it; each answers nothing where all is well.
WRONG = (
    """
    select format('%%s.%%s belongs to %%s, not to %%s', r.schema, r.relation, pg_get_userbyid(c.relowner), o.role)
      from sync.relations r join pg_class c on c.oid = r.oid join sync.roles o on o.kind = 'owner'
     where c.relowner <> (select oid from pg_roles where rolname = o.role) order by 1
    """,
    """
    select format('%%s may not write %%s.%%s', w.role, r.schema, r.relation)
      from sync.relations r join sync.roles w on w.kind = 'writer' join pg_roles p on p.rolname = w.role
     where r.is_written and not has_table_privilege(p.oid, r.oid, 'insert') order by 1
    """,
    """
    select format('%%s may change or see %%s.%%s', w.role, r.schema, r.relation)
      from sync.relations r join sync.roles w on w.kind = 'receiver' join pg_roles p on p.rolname = w.role
     where not (r.schema = 'sync' and r.relation = 'roles') and (has_any_column_privilege(p.oid, r.oid, 'select')
       or has_any_column_privilege(p.oid, r.oid, 'insert') or has_any_column_privilege(p.oid, r.oid, 'update')
       or has_table_privilege(p.oid, r.oid, 'delete, truncate')) order by 1
    """,
    """
    select format('%%s may change %%s.%%s', w.role, r.schema, r.relation)
      from sync.relations r join sync.roles w on w.kind = 'reader' join pg_roles p on p.rolname = w.role
     where has_any_column_privilege(p.oid, r.oid, 'insert') or has_any_column_privilege(p.oid, r.oid, 'update')
       or has_table_privilege(p.oid, r.oid, 'delete, truncate') order by 1
    """,
    """
    select format('%%s sees %%s.%%s.%%s', w.role, r.schema, r.relation, a.attname)
      from sync.relations r join sync.roles w on w.kind = 'reader' join pg_roles p on p.rolname = w.role
      join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
     where has_column_privilege(p.oid, r.oid, a.attnum, 'select')
       and not exists (select from sync.reader_columns c
                        where (c.schema, c.relation, c.column_name) = (r.schema, r.relation, a.attname)) order by 1
    """,
    """
    select format('%%s sees no column of %%s.%%s', w.role, schema, relation)
      from (select distinct schema, relation from sync.reader_columns) c
      join sync.roles w on w.kind = 'reader' join pg_roles p on p.rolname = w.role
     where not has_any_column_privilege(p.oid, format('%%I.%%I', schema, relation), 'select') order by 1
    """,
    """
    select format('%%s may create in the schema %%s', w.role, n.nspname)
      from pg_namespace n cross join sync.roles w join pg_roles p on p.rolname = w.role
     where w.kind <> 'owner' and has_schema_privilege(p.oid, n.oid, 'create')
       and (n.nspname = 'public' or n.nspname in (select schema from sync.schemas)) order by 1
    """,
    """
    select format('%%s is a superuser, makes roles or passes row security by', w.role)
      from sync.roles w join pg_roles p on p.rolname = w.role
     where p.rolsuper or p.rolcreaterole or p.rolcreatedb or p.rolbypassrls or p.rolreplication order by 1
    """,
    """
    select format('%%s is both %%s and %%s', m.rolname, a.kind, b.kind)
      from sync.roles a join pg_roles ar on ar.rolname = a.role join sync.roles b on b.kind > a.kind
      join pg_roles br on br.rolname = b.role join pg_roles m on m.rolcanlogin and not m.rolsuper
       and pg_has_role(m.oid, ar.oid, 'usage') and pg_has_role(m.oid, br.oid, 'usage') order by 1
    """,
)


@dataclass(frozen=True)
class Who:
    """As whom a connection works: the kinds of sync.roles that it is a member of; `made`: there are roles at all."""

    name: str
    superuser: bool
    kinds: str
    made: bool


def script(prefix: str = PREFIX) -> str:
    """The SQL that makes the roles and gives them their rights. Raises FixConfig for a prefix that is no name."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,39}", prefix) or prefix.startswith("pg_"):
        raise FixConfig(
            "the prefix is no plain name", next_step="use small letters, digits and _, at most 40, and not pg_"
        )
    return SCRIPT.replace("{prefix}", prefix)


def create(database: Database, prefix: str) -> int:
    """Answers about how many tables and views there are grants now. Raises NotMigrated, and DatabaseRefused where
    whoever is connected may not."""

    def work(cursor: Cursor) -> int:
        cursor.execute(script(prefix))
        cursor.execute("select count(*) from sync.relations")
        (found,) = cursor.fetchone() or (0,)
        return int(found)

    try:
        return database.transaction(work)
    except SyncError as e:
        if e.where.get("sqlstate") == "42501":
            e.next_step = "run it as whoever owns the tables and may make roles (SYNC_OWNER_DATABASE_URL, or --sql)"
        raise


def prefix_of(database: Database) -> str:
    """The prefix that was chosen before; the default where none was."""
    row = database.query("select role from sync.roles where kind = 'owner'")
    return str(row[0]).removesuffix("_owner") if row else PREFIX


def act_as_owner(cursor: Cursor) -> None:
    """Whatever this transaction makes belongs to the owner, whose member we are; without roles, to us."""
    cursor.execute(KNOWN)
    if cursor.fetchone() == (True,):
        cursor.execute(OWNER)
        if row := cursor.fetchone():
            cursor.execute(sql.SQL("set local role {}").format(sql.Identifier(row[0])))


def grant(cursor: Cursor) -> None:
    """Gives the roles their rights to whatever is there now; does nothing where there are none."""
    act_as_owner(cursor)
    cursor.execute("select to_regprocedure('sync.grant_roles()') is not null")
    if cursor.fetchone() == (True,):
        cursor.execute("select sync.grant_roles()")


def who(database: Database) -> Who:
    name, superuser, kinds, made = database.query(WHO)
    return Who(name, superuser, kinds or "", made)


def receivers(database: Database) -> list[tuple[str, bool]]:
    """The logins of the receivers that are connected, and whether each may do more than a receiver must."""
    return [(name, bool(more)) for name, more in database.rows(RECEIVERS)]


def logins(database: Database) -> list[tuple[str, str, bool, list[str]]]:
    """Kind, role, whether it exists, and its members that may log in."""
    return [(kind, role, exists, members) for kind, role, exists, members in database.rows(LOGINS)]


def wrong(database: Database) -> Iterator[str]:
    """What is not as sync.grant_roles would have it, and what makes a role more than it should be."""
    for query in WRONG:
        for (said,) in database.rows(query):
            yield said
