"""Dagster's UI in a headless browser: a webserver over a home, and pages that tell what went wrong in them.

Decision: what a page renders is read, not its GraphQL; a toast, a failed request or an error in its console fails.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sync_assets.local import PROJECT, bare_environment
from sync_assets.local_webhooks import free_port
from sync_assets.processes import Process, wait_for

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
LOCATION = "sync_assets.definitions"
PATIENCE = 30_000
"""Milliseconds."""

SIZE = {"width": 1600, "height": 1000}


@contextmanager
def webserver(env: Mapping[str, str], home: Path) -> Iterator[str]:
    """The address of a Dagster webserver over the instance of `home`, with this environment and nothing of ours."""
    port = free_port()
    command = [Path(sys.executable).with_name("dagster-webserver"), "-h", "127.0.0.1", "-p", str(port)]
    process = Process(
        "webserver",
        [*command, "-w", str(PROJECT / "workspace.yaml")],
        env=bare_environment({**env, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"}),
        cwd=home,
        log=home / "webserver.log",
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(address), process, timeout=90)
        yield address
    finally:
        process.end(10.0)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/server_info", timeout=2).is_success
    except httpx.HTTPError:
        return False


@dataclass
class Window:
    """One page of the browser, and what it complained of."""

    address: str
    page: Any
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.on("request", lambda r: self.asked.append(r.url))

    def open(self, path: str, *expected: str) -> str:
        """The text of a page as soon as it shows all that is expected of it."""
        self.page.goto(f"{self.address}{path}")
        for words in expected:
            self.page.get_by_text(words).first.wait_for()
        return self.text

    @property
    def text(self) -> str:
        return str(self.page.inner_text("body"))

    def plots(self, *expected: str) -> int:
        """Turns an asset's metadata to plots, and answers how many there are when those that are expected are there."""
        self.page.get_by_role("button", name="Plots").click()
        self.page.locator("canvas").first.wait_for()
        for words in expected:
            self.page.get_by_text(words, exact=True).first.wait_for()
        return int(self.page.locator("canvas").count())

    def strangers(self) -> list[str]:
        """What was asked of anybody but the webserver."""
        return [url for url in self.asked if not url.startswith((self.address, "data:", "blob:"))]

    def picture(self, path: Path, settled: float = 3.0) -> None:
        """Of what is in view, after some seconds for what moves or still loads; the page asks its server for ever."""
        time.sleep(settled)
        self.page.screenshot(path=path)


@contextmanager
def window(address: str, size: Mapping[str, int] | None = None) -> Iterator[Window]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield Window(address, chromium.new_page(viewport=dict(size or SIZE)))
        finally:
            chromium.close()
