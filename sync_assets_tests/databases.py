"""Databases for tests, used again where that is safe: emptying one costs a tenth of copying the template.

Promise: who gets a database cannot tell it from a fresh copy. One whose structure was changed, or that somebody is
still connected to, is dropped instead.
"""

from typing import Any

import psycopg2
from psycopg2 import sql

from sync_assets.postgres import EmbeddedPostgres
from sync_assets_tests.asking import asking, let_go

STRUCTURE = """
select (select array[count(*), max(oid::bigint), sum(relnatts), sum(hashtextextended(oid || relacl::text, 0))]
          from pg_class where relpersistence <> 't'),
       (select array[count(*), max(oid::bigint)] from pg_proc),
       (select array[count(*), max(oid::bigint)] from pg_constraint),
       (select array[count(*), max(oid::bigint)] from pg_attrdef),
       (select sum(hashtextextended(oid || tgenabled::text, 0)) from pg_trigger),
       (select count(*) from pg_namespace where nspname !~ '^pg_(toast_)?temp_'),
       (select count(*) from pg_db_role_setting),
       (select count(*) from sync.migrations),
       (select sum(hashtextextended(m::text, 0)) from sync.status_map m),
       (select sum(hashtextextended(p::text, 0)) from sync.plain_columns p)
"""
OTHERS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
FILLED = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname not in ('pg_catalog', 'information_schema')
   and pg_relation_size(c.oid) > 0
 order by 1, 2
"""
ALWAYS = {("sync", "migrations"), ("sync", "status_map"), ("sync", "plain_columns"), ("sync", "hash_seed")}
"""What a migrated database without records holds."""


class Databases:
    def __init__(self, cluster: EmbeddedPostgres, template: str) -> None:
        self._cluster, self._template = cluster, template
        self._free: list[str] = []
        self._structure: dict[str, object] = {}
        self._made = 0

    def take(self) -> str:
        """The URL of a migrated database without records."""
        if self._free:
            return self._free.pop()
        self._made += 1
        url = self._cluster.create_database(f"test_{self._made}", self._template)
        self._structure[url] = _structure(url)
        return url

    def give_back(self, url: str) -> None:
        if _emptied(url, self._structure[url]):
            self._free.append(url)
        else:
            let_go(url)
            self._cluster.drop_database(url.rpartition("/")[2])


def _structure(url: str) -> object:
    with asking(url) as cursor:
        cursor.execute(STRUCTURE)
        return cursor.fetchone()


def _emptied(url: str, structure: object) -> bool:
    try:
        with asking(url) as cursor:
            cursor.execute(OTHERS)
            if cursor.fetchone() != (0,):
                return False
            cursor.execute(STRUCTURE)
            if cursor.fetchone() != structure:
                return False
            if full := [sql.Identifier(*name) for name in filled(cursor) if name not in ALWAYS]:
                cursor.execute(sql.SQL("truncate {} restart identity").format(sql.SQL(", ").join(full)))
            return True
    except psycopg2.Error:
        return False


def filled(cursor: Any) -> list[tuple[str, str]]:
    """Schema and name of every table that has rows, or had some since it was last truncated.

    By the size of their files: to look into each of a hundred tables takes longer to plan than to do.
    """
    cursor.execute(FILLED)
    return list(cursor.fetchall())
