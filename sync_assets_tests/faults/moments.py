"""What the tests of kills and of Postgres share: a sync in a process of its own, and the right moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from sync_assets_tests.company import Company


def process(company: Company, *only: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sync_assets_tests.load.syncing", *only],
        env={"PATH": os.defpath, **company.env, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def offsets(company: Company) -> list[int]:
    return [int(r.query["offset"]) for r in company.sandbox.requests if r.path.endswith("/cards")]


def touch_every_card(company: Company) -> None:
    for key in list(company.sandbox.world.kaiten.cards):
        company.sandbox.world.kaiten.update_card(key, title=f"title of {key}")


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
