"""Named points where a test may kill this process with SIGKILL; inert unless SYNC_ASSETS_CRASH_AT names one."""

from __future__ import annotations

import os
import signal

CRASH_AT = os.environ.get("SYNC_ASSETS_CRASH_AT")


def point(name: str) -> None:
    if name == CRASH_AT:
        os.kill(os.getpid(), signal.SIGKILL)
