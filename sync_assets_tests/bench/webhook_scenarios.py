"""From a change at the vendor to its row: all five systems at once under Dagster's daemon, then a burst at one of them.

A delay counts from before the change to the moment at which its event was settled, which is after its row's commit. The
limits are the vendors' own, on both sides. Wall, CPU and requests are those of receiver and daemon together.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from sync_assets.account import Account, connected_accounts
from sync_assets.entity import in_sync_order
from sync_assets.load.database import Database
from sync_assets.local import SandboxProcess, bare_environment, prepare, start_sandbox
from sync_assets.local_webhooks import (
    free_port,
    let_vendors_call,
    start_daemon,
    start_receiver,
    until_all_listen,
    webhook_environment,
)
from sync_assets.processes import Supervisor
from sync_assets.settings import sync_settings
from sync_assets.sync import Request, connected, sync_entity
from sync_assets.sync.connection import buckets
from sync_assets.systems import SYSTEMS
from sync_assets_tests.bench.lab import TICKS, Lab, Run, median, stat
from sync_assets_tests.bench.scenarios import Goal, Scenario, Tell
from sync_assets_tests.bench.source import ROOT

BURSTING = "hubspot"
DONE = """
select key, extract(epoch from received_at)::float8, extract(epoch from done_at)::float8, deliveries
  from sync.webhook_events where account = %s and state = 'done' order by id
"""
LEFT = "select count(*) from sync.webhook_events where account = %s and state in ('new', 'taken', 'waiting')"
HEARD = "select coalesce(sum(deliveries), 0)::bigint from sync.webhook_events where account = %s and state = 'done'"


@dataclass(frozen=True)
class Plan:
    repeats: int
    events: int  # per system, at half its limit
    burst: int
    records: int
    faster: float = 1.0  # the limits, times this


FULL = Plan(repeats=1, events=200, burst=10_000, records=500)
QUICK = Plan(repeats=1, events=3, burst=40, records=20, faster=5.0)


@dataclass
class Stage:
    sandbox: SandboxProcess
    accounts: list[Account]
    database: Database
    pids: list[int]
    control: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.control = httpx.Client(base_url=self.sandbox.places["control"], timeout=300, trust_env=False)

    def change(self, system: str, events: int, records: int) -> list[str]:
        how = {"system": system, "events": events, "records": records}
        keys: list[str] = self.control.post("/_webhooks/burst", json=how).raise_for_status().json()
        return keys

    def requests(self, system: str, since: float) -> int:
        log = self.control.get("/_requests", params={"system": system}).json()
        return sum(entry["monotonic"] >= since for entry in log)

    def violations(self) -> Goal:
        """Requests that came sooner than a vendor takes them, the first ones with the time since the one before."""
        found = self.control.get("/_violations").json()
        told = []
        for entry in found[:3]:
            log = self.control.get("/_requests", params={"system": entry["system"]}).json()
            gap = entry["monotonic"] - max(e["monotonic"] for e in log if e["monotonic"] < entry["monotonic"])
            told.append(f"{entry['system']} after {gap:.3f} s")
        return Goal(" ".join(("requests above the limits", *told)), 0, len(found))

    def spent(self) -> float:
        return sum(sum(stat(pid)[11:13]) for pid in _family(self.pids)) / TICKS

    def peak(self) -> int:
        return sum(_resident(pid) for pid in _family(self.pids))

    def until_worked_off(self, account: str) -> None:
        while self.database.query(LEFT, (account,))[0]:
            time.sleep(0.05)


def scenarios(lab: Lab, plan: Plan, tell: Tell) -> Iterator[Scenario]:
    with stage(lab, plan) as on:
        yield paced(lab, on, plan, tell)
        yield burst(lab, on, plan, tell)


@contextmanager
def stage(lab: Lab, plan: Plan) -> Iterator[Stage]:
    """Sandbox, receiver and daemon as `make up` has them, and every account synced once."""
    with Supervisor() as supervisor, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limits = {s.name: s.buckets[0].rate * plan.faster for s in SYSTEMS}
        arguments = [word for system, rate in limits.items() for word in ("--rate", f"{system}={rate:g}")]
        sandbox = start_sandbox(supervisor, folder, arguments if plan.faster > 1 else [])
        (folder / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
        url = lab.postgres.create_database(f"webhooks_{time.monotonic_ns()}")
        env = bare_environment({
            **sandbox.environment,
            **webhook_environment(free_port()),
            **({f"{system.upper()}_RATE": f"{rate:g}" for system, rate in limits.items()} if plan.faster > 1 else {}),
            "SYNC_SPOOL_FOLDER": str(folder / "spool"),
            "DATABASE_URL": url,
            "DAGSTER_HOME": name,
        })  # fmt: skip
        prepare(url, env)
        accounts, _ = connected_accounts(SYSTEMS, env)
        together([threading.Thread(target=_first_sync, args=(account, env)) for account in accounts])
        database = Database(url)
        supervisor.at_end(database.close)
        receiver, daemon = start_receiver(supervisor, folder, env), start_daemon(supervisor, folder, env)
        let_vendors_call(sandbox, accounts, env)
        until_all_listen(daemon, database, accounts)
        yield Stage(sandbox, accounts, database, [receiver.pid, daemon.pid])


def _first_sync(account: Account, env: dict[str, str]) -> None:
    with connected(account, sync_settings(env)) as connection:
        for entity in in_sync_order(account.entities):
            sync_entity(connection, entity, Request("full"))


def together(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def paced(lab: Lab, on: Stage, plan: Plan, tell: Tell) -> Scenario:
    """Each system's events at half of its limit, all systems at once."""
    found = Scenario(f"from change to row, {plan.events} events per system at half its limit, under the daemon")
    changed: dict[str, list[tuple[float, str]]] = {account.name: [] for account in on.accounts}
    began, spent, (postgres, wal) = time.monotonic(), on.spent(), lab.spent(on_database(on))

    def change(account: Account) -> None:
        pace = 2 / (buckets(account)[0].rate)
        start = time.monotonic()
        for n in range(plan.events):
            time.sleep(max(0.0, start + n * pace - time.monotonic()))
            at = time.time()
            changed[account.name] += [(at, key) for key in on.change(account.name, 1, plan.events)]

    together([threading.Thread(target=change, args=(account,)) for account in on.accounts])
    for account in on.accounts:
        on.until_worked_off(account.name)
    wall, (pg, logged) = time.monotonic() - began, lab.spent(on_database(on), (postgres, wal))
    cpu = on.spent() - spent
    for name, posts in changed.items():
        delays = sorted(_delays(posts, on.database.rows(DONE, (name,))))
        cuts = statistics.quantiles(delays, n=100)
        counts = {"seen": len(delays), "p50_ms": round(cuts[49] * 1000), "p95_ms": round(cuts[94] * 1000)}
        run = Run(wall, cpu, pg, on.peak(), logged, on.requests(name, began), 0, 0, counts)
        tell(f"{name} {counts}", run)
        found.rows[name] = median([run])
        found.goals += [
            Goal(f"{name}: events seen in Postgres", plan.events, len(delays), least=True),
            Goal(f"{name}: p50", 0.3, cuts[49], " s"),
            Goal(f"{name}: p95", 1.0, cuts[94], " s"),
        ]
    found.goals.append(on.violations())
    return found


def burst(lab: Lab, on: Stage, plan: Plan, tell: Tell) -> Scenario:
    """So many events of few records at once, as a mass edit makes them."""
    found = Scenario(f"{plan.burst:,} events of {plan.records} {BURSTING} records at once")
    label = "until the inbox is empty"
    (heard,) = on.database.query(HEARD, (BURSTING,))
    began, spent, before = time.monotonic(), on.spent(), lab.spent(on_database(on))
    keys = on.change(BURSTING, plan.burst, plan.records)
    on.control.post("/_webhooks/settled", json={"timeout": 280}).raise_for_status()
    accepted = time.monotonic() - began
    on.until_worked_off(BURSTING)
    wall, (pg, logged) = time.monotonic() - began, lab.spent(on_database(on), before)
    (after,) = on.database.query(HEARD, (BURSTING,))
    last = {key: turn for turn, key in enumerate(keys, plan.events)}  # each turn leaves its number in a name
    rows = dict(on.database.rows("select id::text, firstname from hubspot.contacts where id = any(%s)",
                                 ([int(key) for key in last],)))  # fmt: skip
    right = sum(rows.get(key) == f"Turn {turn}" for key, turn in last.items())
    counts = {"events": after - heard, "records": len(last), "right": right, "accepted_ms": round(accepted * 1000)}
    run = Run(wall, on.spent() - spent, pg, on.peak(), logged, on.requests(BURSTING, began), 0, 0, counts)
    tell(f"{label} {counts}", run)
    found.rows[label] = median([run])
    found.goals = [
        Goal("events accepted and worked off", plan.burst, after - heard, least=True),
        Goal("records as they were left", len(last), right, least=True),
        Goal("requests per record", 1, run.requests / len(last), "x"),
        on.violations(),
    ]
    return found


def _delays(posts: list[tuple[float, str]], done: list[tuple[Any, ...]]) -> Iterator[float]:
    """For each change the first event of its record that came after it, or was still waiting and told of it too."""
    left = [(about, received, over, n) for about, received, over, times in done for n in range(times)]
    for at, key in posts:
        for n, (about, received, over, repetition) in enumerate(left):
            if about in (key, "") and (over if repetition else received) >= at:
                del left[n]
                yield over - at
                break


def on_database(on: Stage) -> str:
    return str(psycopg2.extensions.parse_dsn(on.database.url)["dbname"])


def _family(pids: list[int]) -> list[int]:
    """These processes and all that they have started."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents.setdefault(stat(int(folder.name))[1], []).append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = list(pids)
    for pid in found:
        found += parents.get(pid, [])
    return found


def _resident(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 1024 * sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
