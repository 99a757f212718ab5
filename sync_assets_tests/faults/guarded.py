"""A database whose owner is no superuser, with the four roles and a login of each: what tests of their rights share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

from sync_assets.cli.roles import made_for_dagster
from sync_assets.load import roles
from sync_assets.load.database import Database
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company, environment
from sync_assets_tests.conftest import RESOLVED, UNLIMITED

LOGINS = {f"s8_{kind}_login": kind for kind in roles.KINDS}
ADMIN = "s8_admin"
PREFIX = "s8"


@dataclass
class Guarded:
    """`urls` by kind; `admin` made the tables before there were roles, and then the roles."""

    company: Company
    root: str
    admin: str
    urls: dict[str, str]

    def as_(self, kind: str, **env: str) -> Company:
        """The same company, its processes at work as this role."""
        return Company(self.company.sandbox, {**self.company.env, "DATABASE_URL": self.urls[kind], **env})

    def ask(self, who: str, query: str) -> list[Any]:
        """Committed. Raises psycopg2's errors."""
        with (
            closing(psycopg2.connect(self.urls.get(who, who))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    def wrong(self) -> list[str]:
        with closing(Database(self.admin, wait=5.0)) as database:
            return list(roles.wrong(database))


def at(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return f"postgresql://{user}:{password}@{parts.hostname}:{parts.port}{parts.path}"


@contextmanager
def guarded_database(cluster: EmbeddedPostgres, name: str, *, dagster: bool = False) -> Iterator[Guarded]:
    """`dagster`: with Dagster's own tables, which take two seconds. Afterwards neither database nor roles are left."""
    root = cluster.create_database(name)
    password = secrets.token_urlsafe(18)
    groups = [f"{PREFIX}_{kind}" for kind in roles.KINDS]
    _run(root, "create role {} login createrole password {}", ADMIN, password)
    _run(root, "alter database {} owner to {}", name, ADMIN, idents=2)
    admin = at(root, ADMIN, password)
    try:
        with Sandbox(rates=UNLIMITED, switches=RESOLVED) as sandbox:
            company = Company(sandbox, environment(sandbox, admin))
            company.migrate()
            with closing(Database(admin, wait=5.0)) as database:
                roles.create(database, PREFIX)
                if dagster:
                    made_for_dagster(database)
            for login, kind in LOGINS.items():
                _run(admin, "create role {0} login password {1}", login, password)
                _run(admin, "grant {} to {}", f"{PREFIX}_{kind}", login, idents=2)
            yield Guarded(company, root, admin, {kind: at(root, login, password) for login, kind in LOGINS.items()})
    finally:
        cluster.drop_database(name)
        other = root.rpartition("/")[0] + "/postgres"
        for role in [*LOGINS, *groups, ADMIN]:
            _run(other, "drop role if exists {}", role)


def _run(url: str, query: str, *words: str, idents: int = 1) -> None:
    parts = [sql.Identifier(w) if i < idents else sql.Literal(w) for i, w in enumerate(words)]
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(query).format(*parts))
