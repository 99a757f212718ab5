"""Systems, and the accounts of them that the environment connects; what is missing is named with where to get it.

An account is found by the variables of its system: KAITEN_API_URL makes the account `kaiten`, KAITEN_EMEA_API_URL
beside it the account `kaiten_emea`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sync_assets.entity import Bucket, Derived, Entity, Params, QueuedJob
from sync_assets.errors import FixConfig, MissingSetting, UnsafeSetting
from sync_assets.extract.dialect import Api
from sync_assets.operation import Outbound
from sync_assets.settings import FORMER_NAMES, AccountSettings, environment, hours_by_name, typed
from sync_assets.webhook import Endpoint, Registration

TLS_SWITCHES = re.compile(r"^(SYNC|[A-Z0-9]+)_(VERIFY(_TLS|_SSL)?|TLS_VERIFY|SSL_VERIFY|INSECURE)$|^PYTHONHTTPSVERIFY$")


@dataclass(frozen=True)
class System:
    """One source: its entities, its dialect and its settings. The name is also the prefix of its variables."""

    name: str
    title: str
    settings: type[AccountSettings]
    api: Callable[[Any], Api]
    entities: Callable[[Any], tuple[Entity, ...]]
    buckets: tuple[Bucket, ...]
    preflight: tuple[str, Params]
    rights: Callable[[Any, Any], str | None] | None = None
    """(door, settings) -> a fingerprint of what the token may read, None where the source does not tell."""
    derived: tuple[Derived, ...] = ()
    jobs: tuple[QueuedJob, ...] = ()
    endpoints: Callable[[Any], tuple[Endpoint, ...]] = lambda _: ()
    """The addresses that the vendor calls; none whose secret is not set."""
    registration: Registration | None = None
    """How the vendor learns the address of the first of them."""
    outbound: Outbound | None = None
    """What goes back to it."""
    docs: str = ""


@dataclass(frozen=True)
class Account:
    """One connected account of a system: its own schema, keys, budgets, leases, watermarks and assets."""

    name: str
    system: System
    settings: AccountSettings

    @property
    def schema(self) -> str:
        return self.name

    @property
    def entities(self) -> tuple[Entity, ...]:
        return self.system.entities(self.settings)

    @property
    def told_first(self) -> str | None:
        """The first entity that its webhooks tell of: checks of webhooks stand beside it. None: they tell of none."""
        return next((entity.name for entity in self.entities if entity.hints), None)

    def entity(self, name: str) -> Entity:
        return next(e for e in self.entities if e.name == name)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self.system.endpoints(self.settings)

    def job_name(self, job: QueuedJob) -> str:
        """A second account's job bears its label, as its schema does."""
        return job.name + self.name.removeprefix(self.system.name)

    @property
    def options(self) -> dict[str, Any]:
        """What `Inside` statements may refer to; never a secret."""
        return self.settings.options()


def connected_accounts(
    systems: Sequence[System], env: Mapping[str, str] | None = None
) -> tuple[list[Account], list[str]]:
    """The accounts that the environment connects, and one line for each system that is left out.

    Raises MissingSetting where an account has some of its variables but not all, FixConfig where it has those of two
    ways to prove who we are or names an entity that is none, UnsafeSetting where a value would send a secret over plain
    HTTP or into a private network.
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
            given = {name for name in system.settings.model_fields if prefix + name.upper() in env}
            ways = [", ".join(prefix + name.upper() for name in way) for way in system.settings.begun(given)]
            if len(ways) > 1:
                raise FixConfig(
                    f"{system.title} is set up in two ways at once: {ways[0]} and {ways[1]}",
                    next_step=f"remove {ways[0]}, or {ways[1]}",
                )
            missing = [prefix + name.upper() for name in system.settings.required(given) if name not in given]
            if missing:
                raise MissingSetting(
                    f"{system.title} is half set: {', '.join(missing)} missing",
                    next_step=f"set {missing[0]} ({_where(system, missing[0].removeprefix(prefix))})"
                    + _former_hint(system, prefix, missing, env),
                )
            name = f"{system.name}_{label.lower()}" if label else system.name
            accounts.append(Account(name, system, typed(system.settings, prefix, env)))
            _known_entities(accounts[-1], f"{prefix}FRESH_HOURS")
    return accounts, left_out


def former_names(systems: Sequence[System], env: Mapping[str, str]) -> list[str]:
    """One line per variable that bears an old name."""
    former = {
        old: f"{old} is the former name of {s.name.upper()}_{new.upper()}: rename it"
        for s in systems
        for old, new in s.settings.former.items()
        if f"{s.name.upper()}_{new.upper()}" not in env
    }
    if "DATABASE_URL" not in env:
        supabase = "is not used: set {} to the Postgres connection string of the Supabase project"
        former |= {old: f"{old} {supabase.format(new)}" for old, new in FORMER_NAMES.items()}
    return [said for old, said in former.items() if old in env]


def _known_entities(account: Account, variable: str) -> None:
    known = [entity.name for entity in account.entities]
    for name in hours_by_name(account.settings.fresh_hours):
        if name and name not in known:
            raise FixConfig(
                f"{variable} names {name}, which is no entity of {account.system.title}",
                next_step=f"correct {variable}; its entities are {', '.join(known)}",
            )


def _labels(system: System, env: Mapping[str, str]) -> Iterator[str]:
    prefix = system.name.upper()
    suffixes = "|".join(sorted((n.upper() for n in system.settings.model_fields), key=len, reverse=True))
    pattern = re.compile(rf"^{prefix}_(?:([A-Z0-9]+)_)??(?:{suffixes})$")
    found = {m.group(1) or "" for m in map(pattern.match, env) if m}
    yield from found


def _unset(system: System, env: Mapping[str, str]) -> str:
    names = [f"{system.name}_{name}".upper() for name in system.settings.required()]
    return f"{' and '.join(names)} not set{_former_hint(system, f'{system.name.upper()}_', names, env)}"


def _former_hint(system: System, prefix: str, names: Sequence[str], env: Mapping[str, str]) -> str:
    former = {old: prefix + new.upper() for old, new in system.settings.former.items()}
    hints = [f"{old} is the former name of {new}" for old, new in former.items() if old in env and new in names]
    return f" ({'; '.join(hints)})" if hints else ""


def _where(system: System, name: str) -> str:
    return system.settings.where.get(name.lower(), "see .env.example")
