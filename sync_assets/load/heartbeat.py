"""Signs of life while something else is under way: a lease is renewed for as long as its holder is at work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sync_assets.errors import SyncError


@contextmanager
def beating(beat: Callable[[], object], lease_seconds: float, name: str) -> Iterator[None]:
    """Calls `beat` three times per lease, in a thread of its own. What keeps it from succeeding the work meets too."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(lease_seconds / 3):
            with suppress(SyncError):
                beat()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
