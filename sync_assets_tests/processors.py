"""Each worker of the suite keeps to one processor, and with it its sandbox's threads and its Postgres.

A test is a row of short talks between these three, and one of them computes at a time. Left to the scheduler each
answer wakes the other processor; on a virtual machine that costs more than the answer: 98 s instead of 49 for the same
tests by two workers on two processors.
"""

import os
from collections.abc import Iterator, Set
from contextlib import contextmanager

Processors = Set[int]


def allowed() -> Processors:
    """Those that this process may use; none where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def of_worker(worker: str | None, processors: Processors) -> Processors:
    """gw0 has the first one, gw1 the second; a suite without workers has all."""
    if not processors or worker is None:
        return processors
    return {sorted(processors)[int(worker.removeprefix("gw")) % len(processors)]}


@contextmanager
def kept_to(processors: Processors) -> Iterator[None]:
    """What this thread starts meanwhile, threads and processes, keeps to them for good."""
    before = allowed()
    if processors:
        os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)
