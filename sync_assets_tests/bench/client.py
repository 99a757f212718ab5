"""One measured run in a process of its own: `python -m sync_assets_tests.bench.client SYSTEM HOW [ENTITY,...]`.

HOW is plain (the baseline), batched (Bitrix' careful one), full or incremental. Settings come from the environment, as
the product's do; one JSON line says what it cost. CPU counts from before the connections are made; imports are not in
it. Python's collector is at the product's pace.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from sync_assets.account import connected_accounts
from sync_assets.entity import in_sync_order
from sync_assets.orchestration.collector import spare_what_stays
from sync_assets.settings import sync_settings
from sync_assets.sync import Kind, Request, connected, sync_entity
from sync_assets.systems import SYSTEMS
from sync_assets_tests.bench import bitrix_baseline, hubspot_baseline, kaiten_baseline, kommo_baseline

COUNTS = ("fetched", "created", "updated", "unchanged", "stale", "repeated", "rejected", "deleted")
BASELINES: dict[str, Any] = {
    "kaiten": kaiten_baseline,
    "hubspot": hubspot_baseline,
    "kommo": kommo_baseline,
    "bitrix": bitrix_baseline,
}


BY_NAME = {"plain": "sync", "batched": "sync_in_batches"}


def theirs(system: str, how: str) -> dict[str, int]:
    baseline, env = BASELINES[system], os.environ
    connected = (env[f"{system.upper()}_{name}"] for name in baseline.VARIABLES)
    found: dict[str, int] = getattr(baseline, BY_NAME[how])(*connected, env["DATABASE_URL"])
    return found


def ours(system: str, kind: Kind, only: str | None) -> dict[str, int]:
    """The whole account, or some of its entities, whose parents are there already."""
    account = next(a for a in connected_accounts(SYSTEMS)[0] if a.name == system)
    totals = dict.fromkeys(COUNTS, 0)
    with connected(account, sync_settings()) as connection:
        chosen = [e for e in in_sync_order(account.entities) if only is None or e.name in only.split(",")]
        for place, entity in enumerate(chosen, 1):
            done = sync_entity(connection, entity, Request(kind), following=chosen[place:]).totals
            totals = {name: totals[name] + done[name] for name in COUNTS}
    return totals


def peak_rss(process: int | str = "self") -> int:
    """Bytes; 0 of one that has ended. Not ru_maxrss: a child inherits that from the process that forked it."""
    status = Path(f"/proc/{process}/status").read_text()
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0")
    return 1024 * int(peak.split()[1])


def main(system: str, how: str, only: str | None = None) -> None:
    if how not in BY_NAME:
        spare_what_stays()
    cpu = time.process_time()
    kind: Kind = "incremental" if how == "incremental" else "full"
    counts = theirs(system, how) if how in BY_NAME else ours(system, kind, only)
    ended, cpu = time.monotonic(), time.process_time() - cpu
    print(json.dumps({"ended": ended, "cpu": cpu, "peak_rss": peak_rss(), "counts": counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
