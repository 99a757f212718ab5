"""A process that loads the definitions walks what stays no more: asked of a process of its own."""

import subprocess
import sys

from sync_assets.orchestration.collector import PACE

ASKED = "import gc; from sync_assets.definitions import defs; print(gc.get_freeze_count(), *gc.get_threshold())"


def test_a_process_that_loads_the_definitions_does_not_walk_what_stays_again() -> None:
    said = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True, timeout=60).stdout
    frozen, *pace = map(int, said.split())
    assert frozen > 100_000 and tuple(pace) == PACE
