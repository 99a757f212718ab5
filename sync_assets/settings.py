"""The environment, and nothing else, becomes typed settings; what is missing is named together with where to get it.

An account is found by the variables of its system: KAITEN_API_URL makes the account `kaiten`, KAITEN_EMEA_API_URL
beside it the account `kaiten_emea`. A `.env` file in the working folder counts as environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sync_assets.entity import Account, System
from sync_assets.errors import MissingSetting, UnsafeSetting

T = TypeVar("T", bound=BaseSettings)

FORMER_NAMES = {
    "WS_API_KEY": "WORKSECTION_HASH",
    "WS_DOMAIN": "WORKSECTION_DOMAIN",
    "WORKSECTION_API_KEY": "WORKSECTION_HASH",
    "KAITEN_TOKEN": "KAITEN_API_TOKEN",
    "KAITEN_DOMAIN": "KAITEN_API_URL",
    "KAITEN_BASE_URL": "KAITEN_API_URL",
    "NEXT_PUBLIC_SUPABASE_URL": "DATABASE_URL",
    "NEXT_PUBLIC_SUPABASE_ANON_KEY": "DATABASE_URL",
    "SUPABASE_URL": "DATABASE_URL",
    "SUPABASE_KEY": "DATABASE_URL",
    "SUPABASE_SERVICE_ROLE_KEY": "DATABASE_URL",
}
"""Variables of older set-ups. Supabase's REST address and keys give way to its Postgres connection string."""

TLS_SWITCHES = re.compile(r"^(SYNC|[A-Z0-9]+)_(VERIFY(_TLS|_SSL)?|TLS_VERIFY|SSL_VERIFY|INSECURE)$|^PYTHONHTTPSVERIFY$")


class SyncSettings(BaseSettings):
    """What holds for every account."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    database_url: SecretStr | None = None
    sync_batch_size: int = 1000
    """Records per commit, at least; a commit holds whole pages."""
    sync_overlap_seconds: int = 300
    """How far before its watermark an incremental sync starts."""
    sync_max_wait_seconds: float = 120.0
    """A longer pause than this, asked for by a source, fails the entity instead of blocking the run."""
    sync_retries: int = 5
    """Tries of one request that fails for reasons that pass."""
    sync_request_seconds: float = 60.0
    """Deadline of one request, from its first byte to the last of the answer."""
    sync_lease_seconds: int = 60
    """An entity whose sync has not committed for this long may be taken over."""
    sync_fuse_percent: float = 30.0
    """A sync that would delete more than this share of an entity (and more than 10 rows) deletes nothing."""
    sync_fresh_hours: float = 13.0
    """An entity that was last synced longer ago than this is stale: two schedules of six hours and one to run."""
    sync_database_wait_seconds: float = 60.0
    """How long a commit waits for a Postgres that went away."""


class AccountSettings(BaseSettings):
    """What one account of a system needs. Subclasses name the variables; secrets are SecretStr."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    where: ClassVar[Mapping[str, str]] = {}
    """Where a person finds each required value."""

    rate: float | None = None
    """Requests per second instead of the documented limit; 0 for none."""

    def options(self) -> dict[str, Any]:
        return {}

    def secrets(self) -> tuple[str, ...]:
        values = (getattr(self, name) for name in type(self).model_fields)
        return tuple(v.get_secret_value() for v in values if isinstance(v, SecretStr) and v.get_secret_value())

    @classmethod
    def required(cls) -> tuple[str, ...]:
        return tuple(name.upper() for name, f in cls.model_fields.items() if f.is_required())


def environment() -> dict[str, str]:
    """The process environment over the file `.env` of the working folder. Empty values count as not set.

    SYNC_ASSETS_ENV_FILE names another file; /dev/null for none.
    """
    found = {**dotenv_values(os.environ.get("SYNC_ASSETS_ENV_FILE") or Path.cwd() / ".env"), **os.environ}
    return {name: value for name, value in found.items() if value}


def sync_settings(env: Mapping[str, str] | None = None) -> SyncSettings:
    env = environment() if env is None else env
    return _typed(SyncSettings, "", env)


def connected_accounts(
    systems: Sequence[System], env: Mapping[str, str] | None = None
) -> tuple[list[Account], list[str]]:
    """The accounts that the environment connects, and one line for each system that is left out.

    Raises MissingSetting where an account has some of its variables but not all, UnsafeSetting where a value would
    send a secret over plain HTTP or into a private network.
    """
    env = environment() if env is None else env
    for name in env:
        if TLS_SWITCHES.match(name):
            raise UnsafeSetting(
                f"{name} asks for connections without TLS checks; there is no such switch",
                next_step=f"remove {name}; add a private CA with SSL_CERT_FILE instead",
            )
    accounts: list[Account] = []
    left_out: list[str] = []
    for system in systems:
        labels = sorted(_labels(system, env))
        if not labels:
            left_out.append(f"{system.title} is left out: {_unset(system, env)}")
        for label in labels:
            prefix = f"{system.name.upper()}_{label}_" if label else f"{system.name.upper()}_"
            missing = [prefix + name for name in system.settings.required() if prefix + name not in env]
            if missing:
                raise MissingSetting(
                    f"{system.title} is half set: {', '.join(missing)} missing",
                    next_step=f"set {missing[0]} ({_where(system, missing[0].removeprefix(prefix))})"
                    + _former_hint(missing, env),
                )
            name = f"{system.name}_{label.lower()}" if label else system.name
            accounts.append(Account(name, system, _typed(system.settings, prefix, env)))
    return accounts, left_out


def former_names(env: Mapping[str, str]) -> list[str]:
    """One line per variable that bears an old name."""
    return [
        f"{old} is the former name of {new}: rename it"
        if "SUPABASE" not in old
        else f"{old} is not used: set {new} to the Postgres connection string of the Supabase project"
        for old, new in FORMER_NAMES.items()
        if old in env and new not in env
    ]


def safe_url(value: str, *, setting: str) -> str:
    """`value` without its last slash. Raises UnsafeSetting for anything but https to a public host, or 127.0.0.1."""
    url = urlsplit(value)
    host = url.hostname or ""
    if host in ("127.0.0.1", "localhost") and url.scheme in ("http", "https"):
        return value.rstrip("/")
    if url.scheme != "https" or not host:
        raise UnsafeSetting(f"{setting} must start with https://", next_step=f"correct {setting}")
    try:
        private = not ipaddress.ip_address(host).is_global
    except ValueError:
        # A last part that is a number makes an address of the whole: 127.1, 0x7f.1
        number = re.fullmatch(r"\d+|0x[0-9a-f]*", host.rpartition(".")[2])
        private = "." not in host or bool(number) or host.endswith((".local", ".internal", ".localhost"))
    if private or url.username or url.password:
        raise UnsafeSetting(
            f"{setting} names a private host or carries a password",
            next_step=f"set {setting} to the public address of the account",
        )
    return value.rstrip("/")


def _labels(system: System, env: Mapping[str, str]) -> Iterator[str]:
    prefix = system.name.upper()
    suffixes = "|".join(sorted((n.upper() for n in system.settings.model_fields), key=len, reverse=True))
    pattern = re.compile(rf"^{prefix}_(?:([A-Z0-9]+)_)??(?:{suffixes})$")
    found = {m.group(1) or "" for m in map(pattern.match, env) if m}
    yield from found


def _unset(system: System, env: Mapping[str, str]) -> str:
    names = [f"{system.name.upper()}_{name}" for name in system.settings.required()]
    return f"{' and '.join(names)} not set{_former_hint(names, env)}"


def _former_hint(names: Sequence[str], env: Mapping[str, str]) -> str:
    hints = [f"{old} is the former name of {new}" for old, new in FORMER_NAMES.items() if old in env and new in names]
    return f" ({'; '.join(hints)})" if hints else ""


def _where(system: System, name: str) -> str:
    return system.settings.where.get(name.lower(), "see .env.example")


def _typed(cls: type[T], prefix: str, env: Mapping[str, str]) -> T:
    values = {n: env[prefix + n.upper()] for n in cls.model_fields if prefix + n.upper() in env}
    try:
        return cls.model_validate(values)
    except ValidationError as e:
        wrong = ", ".join(f"{prefix}{str(x['loc'][0]).upper()}: {x['msg']}" for x in e.errors(include_input=False))
    raise MissingSetting(f"a setting is not valid: {wrong}", next_step="correct it in the environment or in .env")
