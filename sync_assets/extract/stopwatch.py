"""Wall time in which at least one thread was at something: four threads that wait for one second waited one second."""

from __future__ import annotations

import threading
import time


class Stopwatch:
    """Use: `with stopwatch:`, from as many threads as one likes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._since = 0.0
        self._total = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._since = time.monotonic()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._total += time.monotonic() - self._since

    @property
    def seconds(self) -> float:
        """So far, what is under way included."""
        with self._lock:
            return self._total + (time.monotonic() - self._since if self._inside else 0.0)
