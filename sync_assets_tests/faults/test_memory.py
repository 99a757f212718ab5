"""D10: the memory of a sync is a matter of its pages, whatever the size of the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")

FEW, MANY = 1_250, 12_500
BATCH = "500"
"""Two commits are in memory at a time: the few fill them too."""


def cost(company: Company, kind: str) -> dict[str, Any]:
    """What a sync of the contacts in a process of its own took."""
    env = {"PATH": os.defpath, "SYNC_ASSETS_ENV_FILE": os.devnull, **company.env}
    command = [sys.executable, "-m", "sync_assets_tests.bench.client", "hubspot", kind, "contacts"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_d10_ten_times_the_rows_take_no_more_memory(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    peaks: dict[str, list[int]] = {"created": [], "unchanged": []}
    for contacts in (FEW, MANY):
        switches = {"hubspot.contacts": str(contacts), "hubspot.deals": "1", "hubspot.calls": "1"}
        company = make_company(make_sandbox(switches=switches), SYNC_BATCH_SIZE=BATCH)
        for counted in peaks:
            found = cost(company, "full")
            assert found["counts"][counted] == contacts
            peaks[counted].append(found["peak_rss"])
    for counted, (few, many) in peaks.items():
        assert many <= 1.2 * few, f"{counted}: {few >> 20} MB of {FEW} rows, {many >> 20} MB of {MANY}"
        assert many < 150 << 20
