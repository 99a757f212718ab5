"""The sandbox's vendors call a receiver of ours: secrets of one run, a receiver and a daemon as children, and a look.

The secrets are made for the run and live in the environment of its children alone.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from sync_assets import registration
from sync_assets.account import Account
from sync_assets.load.announcements import NAME
from sync_assets.load.database import Database
from sync_assets.local import PROJECT, SandboxProcess
from sync_assets.processes import Process, Supervisor, wait_for
from sync_assets.settings import sync_settings
from sync_assets.sync import connected

COMMANDS = Path(sys.executable).parent

SET_BY_HAND = {
    "hubspot": {"client_secret": "HUBSPOT_WEBHOOK_SECRET"},
    "bitrix": {"application_token": "BITRIX_APPLICATION_TOKEN"},
}
"""Vendors whose addresses a person sets: what the sandbox calls the secret, and our variable."""

LISTENING = "select count(*) from pg_stat_activity where datname = current_database() and application_name = %s"

ARRIVED = """
select e.event, rtrim(e.entity || ' ' || e.key) from sync.webhook_events e join sync.logs l on l.id = e.sync_id
 where e.account = %s and e.id > %s and e.state = 'done' and l.created + l.updated > 0 order by e.id limit 1
"""

PAY = """
with one as (select id from bitrix.orders where crm_status = 'new' order by id limit 1)
update bitrix.orders o set crm_status = 'paid' from one where o.id = one.id returning o.id::text
"""
WRITTEN = "select 1 from sync.outbox where key = %s and state = 'confirmed'"
ECHOED = "select 1 from sync.webhook_events where account = 'bitrix' and key = %s and id > %s and state = 'done'"
LETTERS = "select count(*) from sync.outbox where key = %s"

PATIENCE = 30.0
"""Seconds that a change may take before the demo says that it did not arrive."""


@dataclass(frozen=True)
class Arrival:
    """One change of the sandbox's company; `seconds` later its row showed it, None where it never did."""

    account: str
    event: str = ""
    record: str = ""
    seconds: float | None = None


def webhook_environment(port: int) -> dict[str, str]:
    """The variables of a receiver on this machine, with fresh secrets, and of the way back."""
    secrets = (
        "HUBSPOT_WEBHOOK_SECRET", "KAITEN_WEBHOOK_SECRET", "KOMMO_WEBHOOK_SECRET", "WORKSECTION_WEBHOOK_PASSWORD",
        "BITRIX_APPLICATION_TOKEN",
    )  # fmt: skip
    return {
        **{name: token_urlsafe(32) for name in secrets},
        "WORKSECTION_WEBHOOK_USER": "sync_assets",
        "SYNC_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SYNC_RECEIVER_PORT": str(port),
        "SYNC_WAY_BACK": "on",
    }


def start_receiver(supervisor: Supervisor, folder: Path, env: Mapping[str, str]) -> Process:
    return supervisor.spawn(
        "receiver",
        [COMMANDS / "sync-assets", "receive"],
        env=env,
        cwd=PROJECT,
        log=folder / "receiver.log",
    )


def until_it_takes_calls(receiver: Process, env: Mapping[str, str]) -> None:
    """Raises the supervisor's errors where it does not come up."""
    wait_for(lambda: _listens(sync_settings(env).sync_receiver_port), receiver, timeout=60)


def start_daemon(supervisor: Supervisor, folder: Path, env: Mapping[str, str]) -> Process:
    """Dagster's daemon, whose sensors work the inbox off."""
    command: list[str | Path] = [COMMANDS / "dagster-daemon", "run", "-m", "sync_assets.definitions"]
    return supervisor.spawn("daemon", command, env=env, cwd=PROJECT, log=folder / "daemon.log", grace=15.0)


def until_all_listen(daemon: Process, database: Database, accounts: Sequence[Account]) -> None:
    """Each system's sensor waits for announcements on a connection of its own."""
    systems = len({account.system.name for account in accounts})
    wait_for(lambda: database.query(LISTENING, (NAME,))[0] >= systems, daemon, timeout=60)


def let_vendors_call(sandbox: SandboxProcess, accounts: Sequence[Account], env: Mapping[str, str]) -> None:
    """Registers our addresses: by the vendors' own APIs where they have one, else as a person would."""
    settings = sync_settings(env)
    for account in accounts:
        if registration.watched(account):
            with connected(account, settings) as connection:
                registration.create(account, settings.sync_public_url, connection.door)
    for name, secrets in SET_BY_HAND.items():
        url = f"{settings.sync_public_url}/webhooks/{name}"
        sandbox.tell("_webhooks", system=name, url=url, **{said: env[variable] for said, variable in secrets.items()})


def arrivals(sandbox: SandboxProcess, database: Database, accounts: Sequence[Account]) -> Iterator[Arrival]:
    """Changes one record per system and waits until its row shows it."""
    for account in accounts:
        (before,) = database.query("select coalesce(max(id), 0) from sync.webhook_events")
        changed = time.monotonic()
        sandbox.tell("_webhooks/burst", system=account.system.name, events=1, records=1)
        yield _arrival(database, account, before, changed)


def written_back(database: Database) -> Arrival:
    """Changes an order's status by SQL and waits until the shop has it, and until its echo came and caused nothing."""
    (before,) = database.query("select coalesce(max(id), 0) from sync.webhook_events")
    changed = time.monotonic()
    (order,) = database.query(PAY)
    if not _until(lambda: database.query(WRITTEN, (order,))):
        return Arrival("bitrix", record=order)
    seconds = time.monotonic() - changed
    echoed = _until(lambda: database.query(ECHOED, (order, before))) and database.query(LETTERS, (order,)) == (1,)
    return Arrival("bitrix", "its echo caused nothing" if echoed else "", order, seconds if echoed else None)


def _until(holds: Callable[[], object]) -> bool:
    until = time.monotonic() + PATIENCE
    while not (found := bool(holds())) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def _arrival(database: Database, account: Account, before: int, changed: float) -> Arrival:
    if not _until(lambda: database.query(ARRIVED, (account.name, before))):
        return Arrival(account.name)
    seconds = time.monotonic() - changed
    event, record = database.query(ARRIVED, (account.name, before))
    return Arrival(account.name, event, record, seconds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
