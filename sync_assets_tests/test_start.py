"""What a process that starts does not pay for: asked of processes of their own."""

import subprocess
import sys

import sync_assets

FROZEN = "import gc; from sync_assets.definitions import defs; print(gc.get_freeze_count(), *gc.get_threshold())"
LOADED = """
import sys
from sync_assets.extract import http
print(*(name for name in ("rich", "pygments", "click", "httpx") if name in sys.modules))
"""


def answer(code: str) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()


def test_a_process_that_loads_the_definitions_does_not_walk_what_stays_again() -> None:
    frozen, *pace = map(int, answer(FROZEN))
    assert frozen > 100_000 and tuple(pace) == sync_assets.PACE


def test_who_asks_a_source_does_not_load_the_command_line_of_httpx() -> None:
    assert answer(LOADED) == ["httpx"]
