"""Who holds a lease, in words that a person reads and that another process of the same machine can check."""

from __future__ import annotations

import os
import socket
import time


def this_process(run_id: str | None) -> str:
    run = f", Dagster run {run_id}" if run_id else ""
    return f"process {os.getpid()} on {socket.gethostname()}{run}, since {time.strftime('%H:%M:%S', time.gmtime())} UTC"


def holder_is_dead(holder: str | None) -> bool:
    """Whether the holder was a process of this machine that is no more: then nobody waits for its lease to lapse."""
    words = (holder or "").split()
    if len(words) < 4 or words[3].rstrip(",") != socket.gethostname() or not words[1].isdigit():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
