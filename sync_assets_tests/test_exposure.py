"""What lies open is told by doctor, and never with the secret itself; and git takes no secret."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sync_assets import cli
from sync_assets.exposure import exposed
from sync_assets.settings import SyncSettings, sync_settings
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company

PROJECT = Path(__file__).resolve().parents[1]
GOOD = "canary-0123456789-abcdef"
Found = dict[str, tuple[str, str]]


def found(tmp_path: Path, processes: Path | None = None, **env: str) -> Found:
    """What is exposed: what it is -> its state, and what is said with what to do."""
    lines = exposed(sync_settings(env), env, processes or tmp_path / "none")
    return {line.what: (line.state, f"{line.says}. {line.todo}") for line in lines}


@pytest.fixture(autouse=True)
def _no_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ("postgres:postgres", "everybody knows"),
        ("postgres.ref:your-super-secret-and-long-postgres-password", "everybody knows"),
        ("Operator:oPERATOR", "everybody knows"),
        ("u:c%61nary", "fewer than 12"),
        ("u:books", "everybody knows"),
    ],
)
def test_s10_a_password_that_can_be_guessed_is_red(tmp_path: Path, login: str, says: str) -> None:
    told = found(tmp_path, DATABASE_URL=f"postgresql://{login}@db.example.com/books?sslmode=require")
    assert set(told) == {"database password"}
    state, said = told["database password"]
    assert state == "bad" and says in said and "secrets.token_urlsafe" in said
    assert login.partition(":")[2] not in said and "canary" not in said


@pytest.mark.parametrize(
    ("place", "state"),
    [
        ("db.example.com/d", "bad"),
        ("db.example.com/d?sslmode=prefer", "bad"),
        ("8.8.8.8/d?sslmode=disable", "bad"),
        ("10.0.0.7/d", "note"),
        ("postgres/d", "note"),
        ("db.example.com/d?sslmode=verify-full&sslrootcert=/x", None),
        ("127.0.0.1/d", None),
        ("[::1]/d", None),
        ("localhost/d", None),
    ],
)
def test_s10_a_connection_that_need_not_be_encrypted_is_told(tmp_path: Path, place: str, state: str | None) -> None:
    told = found(tmp_path, DATABASE_URL=f"postgresql://u:{GOOD}@{place}")
    assert told.get("database TLS", (None,))[0] == state
    assert "canary" not in str(told) and set(told) <= {"database TLS"}


def test_s10_tls_may_be_asked_for_by_libpqs_own_variable(tmp_path: Path) -> None:
    url = f"postgresql://u:{GOOD}@db.example.com/d"
    assert found(tmp_path, DATABASE_URL=url) and not found(tmp_path, DATABASE_URL=url, PGSSLMODE="verify-full")


def test_s10_the_receiver_listens_on_loopback_and_else_it_is_told(tmp_path: Path) -> None:
    assert SyncSettings().sync_receiver_host == "127.0.0.1" and found(tmp_path) == {}
    state, said = found(tmp_path, SYNC_RECEIVER_HOST="0.0.0.0")["receiver"]  # noqa: S104
    assert state == "bad" and "deploy/Caddyfile" in said
    behind = found(tmp_path, SYNC_RECEIVER_HOST="0.0.0.0", SYNC_PUBLIC_URL="https://sync.example.com")  # noqa: S104
    assert behind["receiver"][0] == "note"


@pytest.mark.parametrize(
    ("words", "host"),
    [
        (["python", "/venv/bin/dagster-webserver", "-h", "0.0.0.0", "-p", "3000"], "0.0.0.0"),  # noqa: S104
        (["/venv/bin/python", "-m", "dagster", "dev", "--host=192.168.0.5"], "192.168.0.5"),
        (["dagster-webserver", "-p", "3000"], None),
        (["dagster", "dev", "-h", "127.0.0.1"], None),
        (["dagster", "api", "grpc", "-h", "0.0.0.0"], None),  # noqa: S104
        (["vim", "dev", "-h", "0.0.0.0"], None),  # noqa: S104
    ],
)
def test_s10_an_open_user_interface_is_told(tmp_path: Path, words: list[str], host: str | None) -> None:
    (tmp_path / "123").mkdir()
    (tmp_path / "123" / "cmdline").write_bytes("\0".join([*words, ""]).encode())
    (tmp_path / "self").mkdir()
    told = found(tmp_path, tmp_path)
    assert set(told) == ({"Dagster UI"} if host else set())
    if host:
        assert told["Dagster UI"][0] == "note" and f"listens on {host}" in told["Dagster UI"][1]


def test_s10_a_running_process_is_seen_by_its_arguments(tmp_path: Path) -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, "dagster-webserver", "-h", "192.0.2.77"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        told = {line.says for line in exposed(sync_settings({}), {})}
        process.communicate()
    assert any("192.0.2.77" in said for said in told) or not Path("/proc/self/cmdline").exists()


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


@needs_git
def test_s10_an_env_file_that_others_read_or_that_is_in_git_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"KAITEN_API_TOKEN={GOOD}\n")
    path.chmod(0o600)
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", str(path))
    assert found(tmp_path) == {}
    path.chmod(0o640)
    assert found(tmp_path)[".env"] == ("bad", "others on this machine may read it. chmod 600 .env")
    path.chmod(0o600)
    assert git(tmp_path, "init", "-q").returncode == 0
    assert found(tmp_path) == {}, "a repository that does not have it"
    git(tmp_path, "add", "-f", ".env")
    state, said = found(tmp_path)[".env"]
    assert state == "bad" and "git rm --cached .env" in said and "canary" not in said


def test_s10_doctor_warns(company: Company, canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = {"SYNC_RECEIVER_HOST": "0.0.0.0", "DATABASE_URL": "postgresql://postgres:postgres@nowhere.invalid/d"}  # noqa: S104
    for name, value in {**company.env, **opened}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "400")
    result = CliRunner().invoke(cli.app, ["doctor"])
    canary.check("the output", result.output)
    assert result.exit_code == 1
    for said in ("everybody knows", "need not be encrypted", "it listens on 0.0.0.0, without TLS"):
        assert said in result.output


@pytest.fixture
def hooked(tmp_path: Path) -> Callable[[str, str], subprocess.CompletedProcess[str]]:
    """hooked(file, text) -> what git says to a commit of it, with the hook of .pre-commit-config.yaml in its place."""
    (hook, _) = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entry = hook["entry"].replace(".venv/", f"{PROJECT}/.venv/").replace("deploy/git", f"{PROJECT}/deploy/git")
    repository = tmp_path / "repository"
    repository.mkdir()
    assert git(repository, "init", "-q").returncode == 0
    script = repository / ".git" / "hooks" / "pre-commit"
    quoted = " ".join(f"'{word}'" for word in entry.split())
    script.write_text(f"#!/bin/sh\ngit diff --cached --name-only -z | xargs -0 {quoted}\n")
    script.chmod(0o755)

    def commit(file: str, text: str) -> subprocess.CompletedProcess[str]:
        (repository / file).parent.mkdir(exist_ok=True)
        (repository / file).write_text(text)
        git(repository, "add", "-f", file)
        done = git(repository, "commit", "-q", "-m", "a file")
        git(repository, "rm", "-q", "-f", "--cached", file)
        return done

    return commit


@needs_git
@pytest.mark.skipif(not (PROJECT / ".venv" / "bin" / "detect-secrets-hook").exists(), reason="not installed by make")
def test_s10_git_refuses_a_secret_and_takes_what_is_none(
    hooked: Callable[[str, str], subprocess.CompletedProcess[str]],
) -> None:
    clean = hooked("notes.md", "KAITEN_API_TOKEN= is empty, and so is HUBSPOT_ACCESS_TOKEN\n")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    secrets = (
        "KAITEN_EMEA_API_TOKEN=7f3c2a90-51be-4a7e-9d7e-0c1f2b3a4d5e",
        "export HUBSPOT_ACCESS_TOKEN='pat-na1-11111111-2222-3333-4444-555555555555'",
        "  BITRIX_WEBHOOK_URL: https://shop.example.com/rest/1/a1b2c3d4e5f6g7h8/",
        "DATABASE_URL=postgresql://owner:k3mv92nf01lq@db.example.com/d",
    )
    refused = hooked(".env", "\n".join(secrets))
    assert refused.returncode != 0
    said = refused.stdout + refused.stderr
    assert all(f".env:{line}" in said for line in range(1, len(secrets) + 1)), said
    assert "k3mv92nf01lq" not in said and "7f3c2a90" not in said
