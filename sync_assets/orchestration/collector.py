"""Python's collector of garbage in a process that has imported Dagster.

Promise: what was imported is not walked again, and there are fewer walks. Dagster's modules are half a million objects
that stay as long as the process; at Python's own pace, looking at them again and again was a sixth of a run's CPU.
"""

import gc

PACE = (10_000, 20, 50)


def spare_what_stays() -> None:
    gc.freeze()
    gc.set_threshold(*PACE)
