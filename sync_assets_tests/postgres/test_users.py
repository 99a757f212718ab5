"""As root, as an ordinary user, in folders that others cannot enter."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from sync_assets.postgres import EmbeddedPostgres, EmbeddedPostgresError, binaries, errors, place
from sync_assets_tests.processes.survivors import nobody_survives

PROJECT = Path(__file__).parents[2]
NOBODY = pwd.getpwnam("nobody")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become someone else")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sync_assets-"))
    made.chmod(0o755)
    yield made
    if sys.platform == "linux":
        assert nobody_survives(made.name)
    shutil.rmtree(made, ignore_errors=True)


def user_of(postgres: EmbeddedPostgres) -> int:
    return postgres.data_directory.stat().st_uid


@as_root
def test_in_roots_project_the_server_runs_as_a_system_user(folder: Path) -> None:
    root = folder / "project" / ".sync_assets" / "postgres"
    postgres = EmbeddedPostgres(root, durable=False)
    postgres.start()
    assert pwd.getpwuid(user_of(postgres)).pw_name in ("postgres", "nobody")
    assert postgres.data_directory == root / "data"
    assert postgres.data_directory.stat().st_mode & 0o777 == 0o700
    assert (root / "password").stat().st_uid == 0
    postgres.stop()
    # Data that became unreachable are not replaced by new ones elsewhere.
    folder.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match="can no longer reach them") as raised:
        EmbeddedPostgres(root).start()
    assert "chmod o+x" in str(raised.value)
    postgres.discard()
    assert not root.exists()


@as_root
def test_in_somebodys_project_root_runs_it_for_them_and_they_go_on_alone(folder: Path) -> None:
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    root = folder / ".sync_assets" / "postgres"
    with EmbeddedPostgres(root, durable=False) as postgres:
        url = postgres.start()
        assert user_of(postgres) == NOBODY.pw_uid
    assert {path.stat().st_uid for path in folder.rglob("*")} == {NOBODY.pw_uid}
    assert run_as_nobody(root) == url
    with EmbeddedPostgres(root, durable=False) as postgres:
        assert postgres.start() == url


@as_root
def test_an_ordinary_user_in_a_private_folder(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
    assert run_as_nobody(home / "project" / "postgres").startswith("postgresql://sync_assets:")


@as_root
def test_in_roots_private_folder_the_data_lie_elsewhere_and_are_found_again(folder: Path) -> None:
    folder.chmod(0o700)
    root = folder / "postgres"
    with EmbeddedPostgres(root, durable=False) as postgres:
        url = postgres.start()
        assert postgres.data_directory.is_relative_to(binaries.SHELF)
        assert (postgres.data_directory.parent / "password").stat().st_uid == 0
        assert (postgres.data_directory.parent / "password").stat().st_mode & 0o777 == 0o600
    # Opened since: the data stay where they are.
    folder.chmod(0o755)
    again = EmbeddedPostgres(root, durable=False)
    assert again.start() == url
    elsewhere = again.data_directory.parent
    again.discard()
    assert not root.exists()
    assert not elsewhere.exists()


@as_root
def test_binaries_nobody_can_reach_are_copied_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = folder / "venv"
    private.mkdir(mode=0o700)
    for part in (binaries.PACKAGE, f"{binaries.PACKAGE}.libs"):
        if (binaries._wheel() / part).exists():
            (private / part).symlink_to(binaries._wheel() / part)
    monkeypatch.setattr(binaries, "_wheel", lambda: private)
    monkeypatch.setattr(binaries, "SHELF", folder / "shelf")
    torn = folder / "shelf" / ".copying-before"
    torn.mkdir(parents=True)
    before = os.umask(0o077)
    try:
        user = (NOBODY.pw_uid, NOBODY.pw_gid)
        copy = binaries.binaries_for(user)
        made = copy.stat().st_mtime_ns
        postgres = EmbeddedPostgres(folder / "postgres", durable=False)
        postgres.start()
    finally:
        os.umask(before)
    assert copy.is_relative_to(folder / "shelf")
    assert not torn.exists()
    assert copy.stat().st_mtime_ns == made
    assert list((folder / "shelf").glob(f"{binaries.PACKAGE}-*")) == [copy.parents[2]]
    postgres.discard()


@as_root
def test_a_shelf_that_someone_else_prepared_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    monkeypatch.setattr(binaries, "SHELF", folder)
    with pytest.raises(EmbeddedPostgresError, match="does not belong to root"):
        binaries.shelved("data")


@as_root
def test_an_owner_without_a_name_is_not_lent(folder: Path) -> None:
    os.chown(folder, 54321, 54321)
    assert pwd.getpwuid(place._lent_user(folder)[0]).pw_name in ("postgres", "nobody")


def test_its_error_belongs_to_the_operator() -> None:
    assert "DATABASE_URL" in str(EmbeddedPostgresError(errors.told("it broke:", ["because"])))


def run_as_nobody(root: Path) -> str:
    """Start, use and stop the server at `root` as the user nobody; its URL."""
    program = (
        "import sys; from pathlib import Path; import psycopg2; from sync_assets.postgres import EmbeddedPostgres\n"
        "with EmbeddedPostgres(Path(sys.argv[1]), durable=False) as postgres:\n"
        "    url = postgres.start(); psycopg2.connect(url).close(); print(url)"
    )
    packages = Path(psycopg2.__file__).parents[1]
    env = {"PYTHONPATH": f"{PROJECT}:{packages}", "PATH": os.environ["PATH"], "HOME": str(root.parent)}
    same = f"/usr/bin/python3.{sys.version_info.minor}"
    for python in (sys.executable, same):
        who = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": [], "cwd": "/", "env": env}
        try:
            subprocess.run([python, "-c", "import psycopg2, sync_assets"], check=True, capture_output=True, **who)  # type: ignore[call-overload]
        except (OSError, subprocess.CalledProcessError):
            continue
        done = subprocess.run(  # type: ignore[call-overload]
            [python, "-c", program, str(root)], capture_output=True, text=True, check=False, **who
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout).strip()
    pytest.skip("no Python that nobody may run")
