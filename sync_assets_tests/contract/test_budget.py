"""Processes that share an account share its rate limit: never above it, and hardly below."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company

RATE = 20.0
SECONDS = 8.0
"""Long beside the moment by which a busy machine may see the first request late."""


def test_two_processes_and_their_threads_keep_the_limit_and_use_it(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = make_sandbox(rates={"kaiten": RATE, "worksection": 0})
    company = make_company(sandbox, KAITEN_RATE=str(RATE))
    until = str(time.time() + SECONDS)
    command = [sys.executable, "-m", "sync_assets_tests.contract.metered", "kaiten", until]
    processes = [
        subprocess.Popen(command, env={**os.environ, **company.env}, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    shares = [json.loads(process.communicate(timeout=30)[0])["asked"] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert min(shares) > 0
    times = [entry.monotonic for entry in sandbox.requests]
    reached = (len(times) - 1) / (times[-1] - times[0])
    print(f"{reached:.1f}/s of {RATE}/s, shares {shares}")
    assert sandbox.violations == []
    assert reached >= 0.9 * RATE
    assert reached <= RATE
