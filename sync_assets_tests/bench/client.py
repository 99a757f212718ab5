"""One measured run in a process of its own: `python -m sync_assets_tests.bench.client account|cards|plain`.

Its settings come from the environment, as the product's do; one JSON line says what it cost. CPU counts from before the
connections are made; imports are not in it.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from sync_assets.account import Account, connected_accounts
from sync_assets.entity import in_sync_order
from sync_assets.settings import sync_settings
from sync_assets.sync import Request, connected, sync_entity
from sync_assets.systems import SYSTEMS
from sync_assets_tests.bench import baseline

COUNTS = ("fetched", "created", "updated", "unchanged", "stale", "repeated", "rejected", "deleted")


def plain() -> dict[str, int]:
    env = os.environ
    return baseline.sync(env["KAITEN_API_URL"], env["KAITEN_API_TOKEN"], env["DATABASE_URL"])


def ours(only: str | None) -> dict[str, int]:
    """A full sync of the whole account, or of one entity whose parents are there already."""
    account = kaiten()
    totals = dict.fromkeys(COUNTS, 0)
    with connected(account, sync_settings()) as connection:
        for entity in in_sync_order(account.entities):
            if only in (None, entity.name):
                done = sync_entity(connection, entity, Request("full")).totals
                totals = {name: totals[name] + done[name] for name in COUNTS}
    return totals


def kaiten() -> Account:
    return next(a for a in connected_accounts(SYSTEMS)[0] if a.name == "kaiten")


def peak_rss() -> int:
    """Bytes. Not ru_maxrss: a child inherits that from the process that forked it."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main(what: str) -> None:
    cpu = time.process_time()
    counts: dict[str, Any] = plain() if what == "plain" else ours(None if what == "account" else what)
    ended, cpu = time.monotonic(), time.process_time() - cpu
    print(json.dumps({"ended": ended, "cpu": cpu, "peak_rss": peak_rss(), "counts": counts}))


if __name__ == "__main__":
    main(sys.argv[1])
