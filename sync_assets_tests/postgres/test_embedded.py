"""One cluster on disk, everything that can happen to its server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from sync_assets.postgres import EmbeddedPostgres, EmbeddedPostgresError, server
from sync_assets_tests.postgres.temporary import temporary_postgres
from sync_assets_tests.processes.survivors import nobody_survives, survivors

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals and /proc are Linux'")


def ask(url: str, question: str) -> Any:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
        connection.commit()
        return row[0] if row else None


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """One for all: whatever a test did to the server, the next one starts it again."""
    with temporary_postgres() as postgres:
        postgres.stop()
        yield postgres.data_directory.parent


@pytest.fixture
def root(cluster: Path) -> Iterator[Path]:
    yield cluster
    if sys.platform == "linux":
        assert nobody_survives(cluster.name)


@contextmanager
def visitor(root: Path, then: str = "wait") -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "sync_assets_tests.postgres.visitor", str(root), then]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    assert process.stdout
    pid, data, url = process.stdout.readline().split()
    return int(pid), data, url


def test_it_starts_stops_and_starts_again_under_the_same_url(root: Path) -> None:
    postgres = EmbeddedPostgres(root)
    url = postgres.start()
    assert urlsplit(url).hostname == "127.0.0.1"
    assert urlsplit(url).path == "/sync_assets"
    ask(url, "create or replace view kept as select 42 as answer; select 1")
    first = postgres.pid
    assert postgres.start() == url
    assert postgres.pid == first
    assert postgres.restart() == url
    assert postgres.pid != first
    postgres.stop()
    postgres.stop()
    with pytest.raises(psycopg2.OperationalError):
        ask(url, "select 1")
    with EmbeddedPostgres(root) as again:
        assert again.data_directory == root / "data"
        assert ask(url, "select answer from kept") == 42


def test_what_it_is(root: Path) -> None:
    with EmbeddedPostgres(root, settings={"work_mem": "7MB"}) as postgres:
        url = postgres.start()
        assert str(ask(url, "show server_version")).startswith("18.")
        assert ask(url, "show listen_addresses") == "127.0.0.1"
        assert ask(url, "show unix_socket_directories") == ""
        assert ask(url, "show fsync") == "on"
        assert ask(url, "show work_mem") == "7MB"
        assert ask(url, "show server_encoding") == "UTF8"
        assert ask(url, "select datlocale from pg_database where datname = current_database()") == "C.UTF-8"
        with pytest.raises(psycopg2.OperationalError, match="password"):
            ask(url.replace(urlsplit(url).password or "", "guess"), "select 1")
        assert ask(url, "select rolpassword from pg_authid where rolname = current_user").startswith("SCRAM-SHA-256$1:")
        assert ask(url, "show scram_iterations") == "4096", "another login's password may be of somebody's choice"
        for secret in ("password", "postgres.log", "port", "start.lock"):
            assert (root / secret).stat().st_uid == os.geteuid()
        assert (root / "password").stat().st_mode & 0o777 == 0o600


def test_neither_the_environment_nor_an_initdb_cut_short_changes_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "LC_ALL": "xx",
        "LANG": "tr_TR.UTF-8",
        "PGPORT": "1",
        "PGHOST": "nowhere.invalid",
        "PGHOSTADDR": "192.0.2.1",
        "PGDATA": "/nowhere",
        "PGOPTIONS": "-c no.such=1 -c nonsense",
        "PGSSLMODE": "verify-full",
        "PGTZ": "Asia/Tokyo",
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)
    root = Path(tempfile.mkdtemp(prefix="sync_assets-"))
    (root / "data.new").mkdir()
    (root / "data.new" / "PG_VERSION").write_text("18\n")
    (root / "password.new").write_text("half")
    postgres = EmbeddedPostgres(root, durable=False)
    try:
        url = postgres.start()
        for name in ("PGHOSTADDR", "PGOPTIONS", "PGSSLMODE", "PGTZ"):
            monkeypatch.delenv(name)
        assert ask(url, "show timezone") == "UTC"
        assert ask(url, "show lc_messages") == "C"
        if sys.platform == "linux" and os.geteuid() == 0:
            assert b"nowhere" not in Path(f"/proc/{postgres.pid}/environ").read_bytes()
    finally:
        postgres.discard()
    assert not root.exists()


def test_databases_come_from_templates_and_go_with_their_connections(root: Path) -> None:
    with EmbeddedPostgres(root, durable=False) as postgres:
        ask(postgres.create_database("template one"), "create table t as select 1 as n; select 1")
        url = postgres.create_database("copy", template="template one")
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute("select n from t")
            postgres.drop_database("copy")
            postgres.drop_database("copy")
        with pytest.raises(psycopg2.OperationalError, match="does not exist"):
            ask(url, "select 1")


def test_the_second_joins_the_first_and_does_not_stop_it(root: Path) -> None:
    with visitor(root) as first:
        pid, data, url = said(first)
        second = EmbeddedPostgres(root)
        assert second.start() == url
        assert (second.pid, str(second.data_directory)) == (pid, data)
        second.stop()
        assert ask(url, "select 1") == 1
        with pytest.raises(EmbeddedPostgresError, match="did not start the server"):
            second.restart()
        first.communicate("leave\n")
        # The server went with the first; whoever needs it still gets it back in its place.
        assert second.start() == url
        second.stop()


def test_two_at_once_share_one_server() -> None:
    root = Path(tempfile.mkdtemp(prefix="sync_assets-"))
    with visitor(root) as one, visitor(root) as other:
        assert said(one) == said(other)
        for process in (one, other):
            process.communicate("leave\n")
            assert process.returncode == 0
    assert nobody_survives(root.name)
    postgres = EmbeddedPostgres(root)
    postgres.start()
    postgres.discard()
    assert not root.exists()


def test_a_killed_server_of_ours_starts_again(root: Path) -> None:
    with EmbeddedPostgres(root) as postgres:
        url = postgres.start()
        ask(url, "create or replace view kept as select 42 as answer; select 1")
        os.kill(postgres.pid, signal.SIGKILL)
        assert postgres.start() == url
        assert ask(url, "select answer from kept") == 42


def test_a_killed_server_starts_again_while_it_is_still_a_zombie(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DYING", 0.5)
    with visitor(root, "sleep") as first:
        pid, _, url = said(first)
        os.kill(pid, signal.SIGKILL)
        with EmbeddedPostgres(root) as postgres:
            assert postgres.start() == url
            assert postgres.pid != pid


@linux_only
def test_the_server_dies_with_its_parent(root: Path) -> None:
    with visitor(root, "sleep") as parent:
        pid, _, url = said(parent)
        assert pid in survivors(root.name)
        parent.kill()
        parent.wait()
        # At once again: this start meets a server on its way out.
        with EmbeddedPostgres(root) as postgres:
            assert postgres.start() == url
            assert postgres.pid != pid
        assert "shutting down" in (root / "postgres.log.before").read_text() or nobody_survives(root.name)


def test_a_process_id_that_someone_else_has_by_now_is_not_believed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DYING", 0.3)
    owner = (root / "data").stat()
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "100"], **who) as someone:  # type: ignore[call-overload]
        stale = root / "data" / "postmaster.pid"
        stale.write_text(f"{someone.pid}\n{root}/data\n1700000000\n5432\n\n127.0.0.1\n       0         0\nready\n")
        shutil.chown(stale, owner.st_uid, owner.st_gid)
        with EmbeddedPostgres(root) as postgres:
            assert postgres.pid != someone.pid
        assert someone.poll() is None
        someone.kill()


def test_a_server_that_does_not_answer_is_told_apart_and_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DYING", 0.2)
    with EmbeddedPostgres(root) as postgres:
        pidfile = root / "data" / "postmaster.pid"
        text = pidfile.read_text()
        pidfile.write_text("")
        with pytest.raises(EmbeddedPostgresError, match="already runs"):
            EmbeddedPostgres(root).start()
        pidfile.write_text(text)
        assert ask(postgres.start(), "select 1") == 1


def test_a_port_taken_by_someone_else_is_left_to_them(root: Path) -> None:
    with EmbeddedPostgres(root) as postgres:
        before = urlsplit(postgres.start()).port
        postgres.stop()
        with socket.create_server(("127.0.0.1", before or 0)):
            assert urlsplit(postgres.start()).port != before


def test_a_port_taken_at_the_last_moment_is_left_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = iter([port, port])
        monkeypatch.setattr(server, "_free", lambda wanted=0, real=server._free: next(free, None) or real())
        with EmbeddedPostgres(root) as postgres:
            assert urlsplit(postgres.start()).port != port


def test_a_setting_it_refuses_is_told_in_its_own_words(root: Path) -> None:
    began = time.monotonic()
    with pytest.raises(EmbeddedPostgresError, match=r'unrecognized configuration parameter "no_such"'):
        EmbeddedPostgres(root, settings={"no_such": "1"}).start()
    assert time.monotonic() - began < 3
