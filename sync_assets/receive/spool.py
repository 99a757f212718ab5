"""Events on disk while Postgres is away: appended, synced, read again in order, removed.

Promise: what `append` has returned from survives kill -9 and a power cut, and comes back in the order of its appending.
What a crash tore was never answered for and is dropped. What was replayed but not yet noted as such at a crash comes
back once more; the inbox knows it by its identity and time.

Records lie in numbered segments, each behind its length and checksum. A process never appends to a segment that it
found: so a torn end stays an end. The files hold personal data and are for nobody else to read.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from sync_assets.errors import FixConfig

FRAME = struct.Struct(">II")
SEGMENT_BYTES = 16 * 2**20
"""A segment is removed as a whole, once all of it is in Postgres."""


@dataclass(frozen=True)
class Position:
    """Up to where the spool is in Postgres."""

    segment: int
    offset: int


@dataclass(frozen=True)
class Taken:
    """Records that come next, the position behind them, and how many between them cannot be read."""

    records: list[bytes]
    until: Position
    damaged: int = 0


class Spool:
    """A folder of one process. `append` and `take` may be called from different threads."""

    def __init__(self, folder: Path, limit: int) -> None:
        """`limit`: bytes on disk. Raises FixConfig where another process has the folder or it cannot be written."""
        self._folder = folder
        self.limit = limit
        self._lock = threading.Lock()
        self._active: FileIO | None = None
        self._guard = _guarded(folder)
        self._done = _read_position(folder / "position")
        for number in self._numbers():
            if number < self._done.segment:
                self._path(number).unlink()
        self._sizes = {number: self._path(number).stat().st_size for number in self._numbers()}
        self._last = max([self._done.segment, *self._sizes])
        self.events = sum(len(list(self._frames(n, self._start(n), size))) for n, size in self._sizes.items())

    @property
    def size(self) -> int:
        return sum(self._sizes.copy().values())

    def room_for(self, more: int) -> bool:
        return self.size + more <= self.limit

    def append(self, records: Sequence[bytes]) -> None:
        """Returns when they are on the disk. Raises OSError where they are not; nothing of them is kept then."""
        with self._lock:
            if self._active is None or self._sizes[self._last] >= SEGMENT_BYTES:
                self._next_segment()
            assert self._active is not None  # noqa: S101  made above
            whole = b"".join(map(_framed, records))
            try:
                view = memoryview(whole)
                while view:
                    view = view[self._active.write(view) :]
                os.fsync(self._active.fileno())
            except OSError:
                # What a failed fsync has written is unknown: this segment ends where it was sure.
                with suppress(OSError):
                    self._active.truncate(self._sizes[self._last])
                self._active.close()
                self._active = None
                raise
            self._sizes[self._last] += len(whole)
            self.events += len(records)

    def take(self, most: int) -> Taken:
        """The next records, of at most about `most` bytes together. They stay until `settle`."""
        with self._lock:
            for number in sorted(self._sizes):
                records: list[bytes] = []
                damaged = taken = behind = 0
                for record, end in self._frames(number, self._start(number), self._sizes[number]):
                    behind = end
                    damaged += record is None
                    if record is not None:
                        records.append(record)
                        taken += len(record)
                    if taken >= most:
                        break
                if records or damaged:
                    return Taken(records, Position(number, behind), damaged)
                self._remove(number)
            return Taken([], self._done)

    def settle(self, taken: Taken) -> None:
        """These are in Postgres. Raises OSError where that cannot be noted."""
        with self._lock:
            _write_position(self._folder / "position", taken.until)
            self._done = taken.until
            self.events -= len(taken.records) + taken.damaged
            if self._done.offset >= self._sizes[self._done.segment]:
                self._remove(self._done.segment)

    def drop(self, unwanted: Callable[[bytes], bool]) -> int:
        """Takes records out for good; the others stay in their order. Answers how many went.

        Killed on the way, it may have some of what was replayed come back once more, and some of the unwanted stay.
        """
        dropped = 0
        with self._lock:
            if self._active is not None:
                self._active.close()
                self._active = None
            for number in sorted(self._sizes):
                records = [record for record, _ in self._frames(number, self._start(number), self._sizes[number])]
                whole = [record for record in records if record is not None]
                kept = [record for record in whole if not unwanted(record)]
                if len(kept) == len(whole):
                    continue
                if number == self._done.segment:
                    self._done = Position(number, 0)
                    _write_position(self._folder / "position", self._done)
                self._sizes[number] = _replace(self._path(number), b"".join(map(_framed, kept)))
                self.events -= len(records) - len(kept)
                dropped += len(records) - len(kept)
                if not kept:
                    self._remove(number)
        return dropped

    def close(self) -> None:
        with self._lock:
            if self._active is not None:
                self._active.close()
                self._active = None
            os.close(self._guard)

    def _next_segment(self) -> None:
        if self._active is not None:
            self._active.close()
            self._active = None
        path = self._path(self._last + 1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._active = FileIO(file, "ab")
        self._last += 1
        self._sizes[self._last] = 0
        _sync_folder(self._folder)

    def _remove(self, number: int) -> None:
        if number == self._last and self._active is not None:
            self._active.close()
            self._active = None
        del self._sizes[number]
        self._path(number).unlink(missing_ok=True)

    def _frames(self, number: int, offset: int, end: int) -> Iterator[tuple[bytes | None, int]]:
        """Each record with the offset behind it; None for one that is whole in length but not in content."""
        with self._path(number).open("rb") as file:
            file.seek(offset)
            while (frame := _frame(file, end - offset)) is not None:
                record, checksum = frame
                offset += FRAME.size + len(record)
                yield (record if zlib.crc32(record) == checksum else None), offset

    def _start(self, number: int) -> int:
        return self._done.offset if number == self._done.segment else 0

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.segment"))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012}.segment"


def _framed(record: bytes) -> bytes:
    return FRAME.pack(len(record), zlib.crc32(record)) + record


def _frame(file: BinaryIO, left: int) -> tuple[bytes, int] | None:
    """None: here the segment ends. A disk that lost power may have zeros where a torn record was to be."""
    head = file.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    length, checksum = FRAME.unpack(head)
    if length == 0 or FRAME.size + length > left:
        return None
    return file.read(length), checksum


def _guarded(folder: Path) -> int:
    """The open file whose lock says that the folder is ours; the kernel frees it with this process."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        guard = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as e:
        raise FixConfig(
            f"the spool's folder cannot be written ({type(e).__name__})", next_step="correct SYNC_SPOOL_FOLDER"
        ) from None
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(guard)
        raise FixConfig(
            "another receiver uses this spool",
            next_step="end it, or give this one a SYNC_SPOOL_FOLDER of its own",
        ) from None
    return guard


def _read_position(path: Path) -> Position:
    with suppress(FileNotFoundError, ValueError):
        segment, offset = path.read_text().split()
        return Position(int(segment), int(offset))
    return Position(0, 0)


def _write_position(path: Path, position: Position) -> None:
    """Replaced as a whole: a crash leaves the one before."""
    _replace(path, f"{position.segment} {position.offset}\n".encode())


def _replace(path: Path, content: bytes) -> int:
    """Answers its bytes. The file stays its folder's owner's, whoever writes it."""
    new = path.with_suffix(".new")
    owner = path.parent.stat()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if os.geteuid() != owner.st_uid:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    new.replace(path)
    return len(content)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
