"""One measured run in a process of its own: `python -m sync_assets_tests.bench.client SYSTEM HOW [ENTITY,...]`.

HOW is plain (the baseline), batched (Bitrix' careful one), full or incremental. Settings come from the environment, as
the product's do; one JSON line says what it cost. CPU counts from before the connections are made; imports are not in
it. Ours has Python's collector at the product's pace; a baseline has nothing of ours in its memory.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

COUNTS = ("fetched", "created", "updated", "unchanged", "stale", "repeated", "rejected", "deleted")
BY_NAME = {"plain": "sync", "batched": "sync_in_batches"}


def baseline_of(system: str) -> Any:
    return import_module(f"sync_assets_tests.bench.{system}_baseline")


def imported(system: str, how: str, only: str | None) -> Callable[[], dict[str, int]]:
    if how not in BY_NAME:
        from sync_assets_tests.bench.ours import sync

        gc.freeze()  # as the definitions do
        return partial(sync, system, "incremental" if how == "incremental" else "full", only)
    baseline, env = baseline_of(system), os.environ
    connected = (env[f"{system.upper()}_{name}"] for name in baseline.VARIABLES)
    return partial(getattr(baseline, BY_NAME[how]), *connected, env["DATABASE_URL"])


def peak_rss(process: int | str = "self") -> int:
    """Bytes; 0 of one that has ended. Not ru_maxrss: a child inherits that from the process that forked it."""
    status = Path(f"/proc/{process}/status").read_text()
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0")
    return 1024 * int(peak.split()[1])


def main(system: str, how: str, only: str | None = None) -> None:
    sync = imported(system, how, only)
    cpu = time.process_time()
    counts = sync()
    ended, cpu = time.monotonic(), time.process_time() - cpu
    print(json.dumps({"ended": ended, "cpu": cpu, "peak_rss": peak_rss(), "counts": counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
