"""The records of one commit, one per key, each ready to be sent to Postgres before the transaction begins.

A record's hash is XXH3's of 128 bits: every record of every sync pays for it, and a cryptographic one was a tenth of an
unchanged sync. Chance does not find two alike, and who would look for them must know the database's seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from typing import Any, Generic, TypeVar

import msgspec
from xxhash import xxh3_128_digest

from sync_assets.entity import ById, Whole
from sync_assets.errors import AnswerTooLarge
from sync_assets.extract.pages import KeyReader, Page
from sync_assets.load.sparse import nulls_of

T = TypeVar("T")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

FIELDS, LENGTH, SEEN, JSONB = Struct(">hi"), Struct(">i"), Struct(">iq"), Struct(">hib")
HASH_BYTES = 16
ARRAY, BOUNDS, TEXT = Struct(">iii"), Struct(">ii"), 25


class once(Generic[T]):  # noqa: N801  it stands where cached_property would
    """functools.cached_property without its lock, which Python 3.11 takes for each value: a tenth of a record."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work

    def __get__(self, held: Any, _: Any) -> T:
        value = held.__dict__[self._work.__name__] = self._work(held)
        return value


class Misread(Exception):
    """A record names its key a second time, and differently."""


@dataclass
class Row:
    """A record on its way to Postgres."""

    key: str
    record: bytes | msgspec.Raw
    seen: int
    read: Whole | ById
    hash: bytes
    sparse: tuple[str, ...] = ()
    held: bool = True  # a row of its key may be there

    @once
    def staged(self) -> bytes:
        """The row of the staging table as COPY's binary format spells it: nothing to escape or to look for."""
        key, record = self.key.encode(), self.content
        return b"".join((
            FIELDS.pack(7, len(key)), key,
            LENGTH.pack(len(record)), record,
            LENGTH.pack(len(self.hash)), self.hash,
            SEEN.pack(8, self.seen),
            _of_read(self.read.shape, self.read.omits, self.read.adds),
        ))  # fmt: skip

    @once
    def straight(self) -> bytes:
        """The same for the target itself, all but its last column, `sync_id`."""
        record, shape = self.content, self.read.shape.encode()
        return b"".join((
            JSONB.pack(5, len(record) + 1, 1), record,
            SEEN.pack(8, self.seen),
            LENGTH.pack(len(self.hash)), self.hash,
            LENGTH.pack(len(shape)), shape,
        ))  # fmt: skip

    @property
    def content(self) -> bytes:
        """What is stored: the record as it came, without the nulls of its sparse parts. It is asked for once."""
        if not self.sparse or self._parts is None:
            return bytes(self.record)
        parts = dict(self._parts)
        for name in self.sparse:
            if name in parts:
                parts[name] = msgspec.Raw(nulls_of(self.read.path, name).left_out(parts[name]))
        return msgspec.json.encode(parts)

    @once
    def names(self) -> tuple[str, ...] | None:
        """The record's top-level fields, None where a parser refuses it."""
        return None if self._parts is None else tuple(self._parts)

    @once
    def _parts(self) -> dict[str, msgspec.Raw] | None:
        try:
            return _fields(self.record)
        except (msgspec.DecodeError, RecursionError):
            return None

    def prepare(self) -> None:
        """Works out ahead of the transaction what it will ask for."""
        _ = self.staged if self.held else self.straight


@dataclass
class Batch:
    """The records of one commit, one per key, and what was left out on the way."""

    rows: dict[str, Row] = field(default_factory=dict)
    keyless: list[bytes] = field(default_factory=list)
    oversized: dict[str, AnswerTooLarge] = field(default_factory=dict)
    repeated: int = 0
    suspect: bool = False
    key_of: KeyReader | None = None  # where keys are only what records begin with

    def must_be_sure(self, rows: Iterable[Row]) -> None:
        """Of the keys of rows that are not held as they came; the others were made sure of when they were written.

        Raises Misread.
        """
        if (read := self.key_of) and any(read(row.record) != row.key for row in rows):
            raise Misread()


def batch(pages: Iterable[Page], seed: int, sparse: tuple[str, ...] = ()) -> Batch:
    """Of two records with one key the one asked for later stays, of one page the last. `seed` is the database's."""
    found = Batch()
    for page in pages:
        found.suspect |= page.suspect
        found.key_of = found.key_of or page.key_of
        for record, key in zip(page.records, page.keys, strict=True):
            if key is None:
                found.keyless.append(bytes(record))
                continue
            if key in page.oversized:
                found.repeated += key in found.oversized
                found.oversized[key] = page.oversized[key]
                continue
            if (held := found.rows.get(key)) is not None:
                found.repeated += 1
                if held.seen > page.seen:
                    continue
            found.rows[key] = Row(key, record, page.seen, page.read, xxh3_128_digest(record, seed), sparse)
    return found


@lru_cache
def _of_read(shape: str, omits: tuple[str, ...], adds: tuple[str, ...]) -> bytes:
    """The fields that all rows of one read share."""
    return b"".join(LENGTH.pack(len(f)) + f for f in (shape.encode(), _array(omits), _array(adds)))


def _array(names: tuple[str, ...]) -> bytes:
    """A text[] in Postgres' binary format."""
    if not names:
        return ARRAY.pack(0, 0, TEXT)
    held = [name.encode() for name in names]
    return ARRAY.pack(1, 0, TEXT) + BOUNDS.pack(len(held), 1) + b"".join(LENGTH.pack(len(n)) + n for n in held)
