"""What lies open: passwords that everybody knows, connections without TLS, doors to the outside, secrets in git.

Looks at the settings and at this machine only, and asks nobody; `doctor` shows what is found. What a person may have
good reason for (a proxy stands before it) is a note, all else is red. No secret is shown.
"""

from __future__ import annotations

import ipaddress
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from sync_assets.settings import ENV_FILE, LOOPBACK, SyncSettings

KNOWN_PASSWORDS = frozenset((
    "admin", "changeme", "default", "demo", "example", "letmein", "pass", "password", "postgres", "qwerty", "root",
    "secret", "supabase", "test", "user", "123456", "12345678", "your-password",
    "your-super-secret-and-long-postgres-password",
))  # fmt: skip
"""What set-ups are shipped with, and what our own .env.example shows."""

SHORT = 12
"""A password of fewer characters can be tried out."""

ENCRYPTED = ("require", "verify-ca", "verify-full")

PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Exposed:
    what: str
    state: Literal["note", "bad"]
    says: str
    todo: str


def exposed(settings: SyncSettings, env: Mapping[str, str], processes: Path = PROCESSES) -> Iterator[Exposed]:
    if settings.database_url is not None:
        yield from _database(settings.database_url.get_secret_value(), env)
    yield from _receiver(settings)
    yield from _user_interface(processes)
    yield from _env_file(Path(os.environ.get(ENV_FILE) or Path.cwd() / ".env"))


def _database(url: str, env: Mapping[str, str]) -> Iterator[Exposed]:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return  # the connection says what is wrong with it
    if not host or host.startswith("/") or _is_loopback(host):
        return
    password = unquote(parts.password or "")
    known = password.lower() in KNOWN_PASSWORDS | {unquote(parts.username or "").lower(), parts.path.strip("/").lower()}
    if password and (known or len(password) < SHORT):
        how = "is one that everybody knows" if known else f"has fewer than {SHORT} characters"
        yield Exposed(
            "database password", "bad", f"the password in DATABASE_URL {how}",
            "give the role another: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )  # fmt: skip
    mode = parse_qs(parts.query).get("sslmode", [env.get("PGSSLMODE", "")])[-1]
    if mode not in ENCRYPTED:
        yield Exposed(
            "database TLS", "note" if _is_private(host) else "bad",
            f"the connection to {host} need not be encrypted (sslmode {mode or 'prefer'})",
            "add ?sslmode=require to DATABASE_URL, or verify-full with sslrootcert",
        )  # fmt: skip


def _receiver(settings: SyncSettings) -> Iterator[Exposed]:
    host = settings.sync_receiver_host
    if not _is_loopback(host):
        behind = settings.sync_public_url.startswith("https://")
        yield Exposed(
            "receiver", "note" if behind else "bad", f"it listens on {host}, without TLS",
            "let the proxy alone reach this port" if behind
            else "set SYNC_RECEIVER_HOST=127.0.0.1 and put a proxy with TLS before it (deploy/Caddyfile)",
        )  # fmt: skip


def _user_interface(processes: Path) -> Iterator[Exposed]:
    """Dagster's UI has no login. Where its processes on this machine listen, as their arguments tell."""
    for host in sorted(_served_on(processes)):
        if not _is_loopback(host):
            yield Exposed(
                "Dagster UI", "note", f"it listens on {host} and asks nobody for a password",
                "start it with -h 127.0.0.1, and put a proxy with a login before it where others are to see it",
            )  # fmt: skip


def _served_on(processes: Path) -> Iterator[str]:
    for path in processes.glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue  # it has ended, or is another user's
        names = [Path(word).name for word in words]
        if "dagster-webserver" in names or ("dagster" in names and words[names.index("dagster") + 1 :][:1] == ["dev"]):
            yield _option(words, ("-h", "--host")) or "127.0.0.1"


def _option(words: list[str], names: tuple[str, ...]) -> str:
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in names:
            return after
        if word.startswith("--") and word.partition("=")[0] in names:
            return word.partition("=")[2]
    return ""


def _env_file(path: Path) -> Iterator[Exposed]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Exposed(".env", "bad", "others on this machine may read it", "chmod 600 .env")
    if _in_git(path):
        yield Exposed(
            ".env", "bad", "it is in git, with its secrets",
            "git rm --cached .env, commit, and have every secret in it issued anew: history keeps it",
        )  # fmt: skip


def _in_git(path: Path) -> bool:
    if which("git") is None:
        return False
    command = ["git", "-C", str(path.parent), "ls-files", "--error-unmatch", "--", path.name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


def _is_private(host: str) -> bool:
    """A network of one's own: its addresses, or a name that only it knows (`postgres` beside its container)."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".svc.cluster.local"))
