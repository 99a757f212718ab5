"""A source as the bench uses it: the sandbox in a process of its own, one of its systems, and its request log."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from sync_assets.processes import Process, wait_for

ROOT = Path(__file__).resolve().parents[2]


class Source:
    def __init__(self, book: Mapping[str, Any], system: str, variables: Mapping[str, str], rate: float) -> None:
        found, prefix = book[system], system.upper()
        self.system = system
        self._control = httpx.Client(base_url=book["control"], timeout=300, trust_env=False)
        self._api = httpx.Client(
            base_url=found["url"],
            headers={"Authorization": f"Bearer {found.get('token')}"},
            timeout=60,
            trust_env=False,
        )
        self.env = {
            **{f"{prefix}_{name}": found[what] for name, what in variables.items()},
            **({} if rate else {f"{prefix}_RATE": "0"}),
        }

    def requests(self, since: float) -> list[dict[str, Any]]:
        log = self._control.get("/_requests", params={"system": self.system}).json()
        return [entry for entry in log if entry["monotonic"] >= since]

    def violations(self) -> int:
        return len(self._control.get("/_violations").json())

    def count(self, entity: str) -> int:
        return len(self.records(entity))

    def records(self, entity: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._control.get(f"/_world/{self.system}/{entity}").json()
        return found

    def edit(self, path: str, change: Mapping[str, Any], method: str = "PATCH") -> None:
        self._api.request(method, path, json=change).raise_for_status()


@contextmanager
def sandbox(
    system: str,
    variables: Mapping[str, str],
    *arguments: str,
    size: str = "bench",
    rate: float = 0.0,
    latency_ms: float = 0.0,
) -> Iterator[Source]:
    """`variables` says which settings connect to it: {"API_TOKEN": "token"}; `arguments` are the sandbox's.

    No rate is no limit.
    """
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.json"
        process = Process(
            "sandbox",
            [
                *(sys.executable, "-m", "sync_assets.sandbox", "--size", size, *arguments),
                *("--rate", f"{system}={rate}", "--latency-ms", str(latency_ms), "--port-file", book),
            ],
            cwd=ROOT,
            log=Path(folder) / "sandbox.log",
        )
        try:
            wait_for(book.exists, process, timeout=300)
            yield Source(json.loads(book.read_text()), system, variables, rate)
        finally:
            process.end()
