"""Reports what leads nowhere and what nobody knows any more. It deletes nothing: what is missing may still come.

Of links the rows are looked at themselves, so the report is true before anybody has noted the parent as missing; why it
is missing, and since when, is what `sync.missing_parents` says. A parent that nobody points at is no orphan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from psycopg2 import sql

from sync_assets.account import Account
from sync_assets.load import parents
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.target import targets

SAMPLE = 5

LEADS_NOWHERE = """
select coalesce(m.state, 'waiting'), sum(o.children)::bigint, count(*),
       (array_agg(o.parent order by m.waiting_since, o.parent))[1:{most}], min(m.waiting_since),
       mode() within group (order by m.evidence)
  from ({orphans}) o
  left join sync.missing_parents m
    on (m.account, m.entity, m.key, m.child_entity, m.child_columns)
     = ({account}, {parent}, o.parent, {child}, {columns})
 group by 1 order by 1
"""

# Of each table of ours the accounts and entities that it has rows of.
HELD = "select account, {entity}, count(*) from {table} group by 1, 2"

TABLES = """
select n.nspname, c.relname, pg_total_relation_size(c.oid)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and n.nspname in (select distinct account from sync.migrations where account <> '')
   and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'payload_hash')
 order by 1, 2
"""

OURS = """
select c.relname, exists (select from pg_attribute e where e.attrelid = c.oid and e.attname = 'entity')
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'account'
 where c.relnamespace = 'sync'::regnamespace and c.relkind = 'r'
   and c.relname not in ('migrations', 'listeners', 'erasures', 'forgotten_logs', 'alerts')
 order by 1
"""
"""All but what is about no account's data, or is meant to outlast it."""


@dataclass(frozen=True)
class Orphans:
    """Rows of one entity whose link leads to parents that are not here, all in one state."""

    account: str
    entity: str
    link: str
    leads_to: str
    state: str
    rows: int
    parents: int
    sample: Sequence[str]
    since: datetime | None
    evidence: str | None


@dataclass(frozen=True)
class Unknown:
    """Rows of an account that is not connected, or of an entity that its system does not have."""

    place: str
    account: str
    entity: str
    rows: int
    size: int = 0


@dataclass
class Report:
    orphans: list[Orphans] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        states = {s: sum(o.rows for o in self.orphans if o.state == s) for s in ("waiting", "unreachable", "gone")}
        return {
            "rows": sum(o.rows for o in self.orphans),
            **states,
            "parents": sum(o.parents for o in self.orphans),
            "unknown_rows": sum(u.rows for u in self.unknown),
            "unknown_tables": sum(1 for u in self.unknown if u.size),
        }


def report(database: Database, accounts: Sequence[Account], also: Collection[str] = ()) -> Report:
    """`also`: accounts without entities that are none of the sources'. Raises the SyncErrors of the database."""
    found = Report()
    for account in accounts:
        # A transaction each: whoever writes meanwhile is not kept waiting, nor is a long snapshot held.
        found.orphans += database.transaction(partial(_of_account, account=account))
    known: dict[str, set[str] | None] = dict.fromkeys(also)
    for account in accounts:
        names = {e.name for e in account.entities} | {d.name for d in account.system.derived}
        known[account.name] = names | ({account.system.outbound.name} if account.system.outbound else set())
    found.unknown = database.transaction(partial(_unknown, known=known))
    return found


def _of_account(cursor: Cursor, account: Account) -> list[Orphans]:
    found = []
    stored = targets(cursor, account, [entity.name for entity in account.entities])
    for child in stored.values():
        for link in child.entity.links:
            parent = stored[link.to]
            columns = ", ".join(link.names)
            statement = sql.SQL(LEADS_NOWHERE).format(
                most=sql.Literal(SAMPLE),
                orphans=parents.orphans(child, parent, link, sql.SQL("true")),
                account=sql.Literal(account.name),
                parent=sql.Literal(link.to),
                child=sql.Literal(child.entity.name),
                columns=sql.Literal(columns),
            )
            cursor.execute(statement)
            found += [Orphans(account.name, child.entity.name, columns, link.to, *row) for row in cursor.fetchall()]
    return found


def _unknown(cursor: Cursor, known: Mapping[str, set[str] | None]) -> list[Unknown]:
    """`known`: the entities of each account, None where any may be."""
    found = []
    cursor.execute(TABLES)
    for schema, table, size in cursor.fetchall():
        if schema not in known or table not in (known[schema] or ()):
            cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table)))
            (rows,) = cursor.fetchone() or (0,)
            found.append(Unknown(f"{schema}.{table}", schema, table, rows, size))
    cursor.execute(OURS)
    for table, has_entity in cursor.fetchall():
        entity = sql.SQL("entity" if has_entity else "''")
        cursor.execute(sql.SQL(HELD).format(entity=entity, table=sql.Identifier("sync", table)))
        for account, name, rows in cursor.fetchall():
            names = known.get(account, set())
            if account not in known or (name and names is not None and name not in names):
                found.append(Unknown(f"sync.{table}", account or "", name or "", rows))
    return found
