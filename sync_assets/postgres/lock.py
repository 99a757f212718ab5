"""A lock on a file, held by whoever holds the open file.

Promise: it is freed by the kernel with the last process that has the file open, so a killed holder never
blocks.

Decision: flock, not lockf. A flock belongs to the open file and is inherited: the server is started with the
file open and thereby holds the lock exactly as long as one of its processes lives, whatever became of its
starter.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, patience: float) -> Iterator[int]:
    """The open file, locked. TimeoutError when someone else kept it for all of `patience` seconds."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} is locked by another process") from None
                time.sleep(0.02)
        yield file
    finally:
        os.close(file)
