"""A whole installation on this machine: embedded Postgres, the sandbox, and an environment that points at them.

Real accounts and a real DATABASE_URL never leak into it: the environment that children get is built from nothing but
what a process needs and what stands here. Each installation has a folder under .sync_assets to itself for as long as it
runs, so that any number of them may run at once in one checkout.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from sync_assets.account import Account, connected_accounts
from sync_assets.load.database import Database
from sync_assets.load.migrations import migrate
from sync_assets.postgres import EmbeddedPostgres
from sync_assets.postgres.lock import locked
from sync_assets.postgres.place import prepare as prepare_folder
from sync_assets.processes import Process, Supervisor, wait_for
from sync_assets.systems import SYSTEMS

PROJECT = Path(__file__).resolve().parents[1]
STATE = PROJECT / ".sync_assets"

SENSORS = {"DAGSTER_GRPC_MAX_WORKERS": "32"}
"""Threads of Dagster's code server: each sensor that watches for events holds one, and its own six would be too few."""


@dataclass
class SandboxProcess:
    """The sandbox as a child process, and its control port."""

    process: Process
    places: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that connect the product to it."""
        kaiten, worksection, hubspot, kommo, bitrix = (
            self.places[name] for name in ("kaiten", "worksection", "hubspot", "kommo", "bitrix")
        )
        return {
            "KAITEN_API_URL": kaiten["url"],
            "KAITEN_API_TOKEN": kaiten["token"],
            "WORKSECTION_DOMAIN": worksection["url"],
            "WORKSECTION_HASH": worksection["key"],
            "WORKSECTION_SYNC_TAG": "sync_assets",
            "HUBSPOT_API_URL": hubspot["url"],
            "HUBSPOT_ACCESS_TOKEN": hubspot["token"],
            "HUBSPOT_PHONE_REGION": "RU",
            "KOMMO_BASE_URL": kommo["url"],
            "KOMMO_ACCESS_TOKEN": kommo["token"],
            "BITRIX_WEBHOOK_URL": bitrix["url"],
        }

    def live(self, steps: int) -> None:
        """Lets the sandbox's company live for so many steps."""
        self.tell("_world/advance", steps=steps)

    def tell(self, what: str, **how: Any) -> None:
        httpx.post(f"{self.places['control']}/{what}", json=how, timeout=30).raise_for_status()

    def kommo(self, method: str, path: str, body: Any = None) -> Any:
        """What somebody who works with the sandbox's Kommo does there, or sees: its API, and nothing of ours."""
        kommo = self.places["kommo"]
        answer = httpx.request(
            method,
            f"{kommo['url']}/api/v4/{path}",
            json=body,
            headers={"Authorization": f"Bearer {kommo['token']}"},
            timeout=30,
        )
        return answer.raise_for_status().json() if answer.status_code != 204 else {}


def own_folder(supervisor: Supervisor, name: str) -> Path:
    """The first folder of this name that no other process has; the kernel frees it with this process."""
    held = ExitStack()
    supervisor.at_end(held.close)
    for number in count(1):
        folder = STATE / (name if number == 1 else f"{name}-{number}")
        prepare_folder(folder)
        with suppress(TimeoutError):
            held.enter_context(locked(folder / "in_use.lock", patience=0))
            return folder
    raise AssertionError("numbers end")


def start_sandbox(supervisor: Supervisor, folder: Path, arguments: Sequence[str] = ()) -> SandboxProcess:
    """Raises the supervisor's errors where it does not come up."""
    port_file = folder / "sandbox.json"
    port_file.unlink(missing_ok=True)
    supervisor.at_end(lambda: port_file.unlink(missing_ok=True))
    process = supervisor.spawn(
        "sandbox",
        [sys.executable, "-m", "sync_assets.sandbox", "--port-file", str(port_file), *arguments],
        env=bare_environment(),
        cwd=PROJECT,
        log=folder / "sandbox.log",
    )
    wait_for(port_file.exists, process, timeout=60)
    return SandboxProcess(process, json.loads(port_file.read_text()))


def start_postgres(supervisor: Supervisor, folder: Path, *, durable: bool = True) -> EmbeddedPostgres:
    """Registered first, so that it ends last."""
    postgres = EmbeddedPostgres(folder, durable=durable)
    supervisor.at_end(postgres.stop)
    postgres.start()
    return postgres


def fresh_database(postgres: EmbeddedPostgres, name: str) -> str:
    postgres.drop_database(name)
    return postgres.create_database(name)


def prepare(url: str, env: Mapping[str, str]) -> list[Account]:
    """Applies `sql/` for the accounts that `env` connects."""
    accounts, _ = connected_accounts(SYSTEMS, env)
    database = Database(url, name="sync_assets migrate")
    try:
        migrate(database, accounts)
    finally:
        database.close()
    return accounts


def bare_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process needs, without this shell's accounts, `.env` or Postgres variables."""
    prefixes = ("PG", "DAGSTER_", "DATABASE_URL", "SYNC_", *(s.name.upper() + "_" for s in SYSTEMS))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return {
        **kept,
        "SYNC_ASSETS_ENV_FILE": os.devnull,
        "DAGSTER_HOME": str(PROJECT),
        **SENSORS,
        "PYTHONUNBUFFERED": "1",
        **(more or {}),
    }


@dataclass
class Clock:
    """Seconds since the demo began, for its headings."""

    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        return f"{time.monotonic() - self.started:5.1f} s"
