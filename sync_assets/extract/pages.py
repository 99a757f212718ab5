"""A page: one answer split into records that nobody has decoded yet, each with its key.

A page that the parser refuses is split by its tokens instead and marked suspect: then one bad record costs one record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from sync_assets.entity import ById, Whole
from sync_assets.errors import AnswerTooLarge, WrongShape
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer

Position = dict[str, Any]
"""Where a sweep goes on: {"read": index, "parent": key, "variant": index, "offset": rows, "anchor": key}."""

MALFORMED = (msgspec.DecodeError, RecursionError)


@dataclass
class Page:
    name: str  # unique within a sweep, for people too: "cards, offset 99"
    read: Whole | ById
    seen: int
    records: list[bytes | msgspec.Raw]
    keys: list[str | None]
    suspect: bool = False
    after: Position | None = None
    oversized: dict[str, AnswerTooLarge] = field(default_factory=dict)  # by key: of these the record is only its head

    def joined(self, other: Page) -> Page:
        """Both as one, as old as the older."""
        records, keys = [*self.records, *other.records], [*self.keys, *other.keys]
        suspect, oversized = self.suspect or other.suspect, self.oversized | other.oversized
        return Page(self.name, self.read, min(self.seen, other.seen), records, keys, suspect, oversized=oversized)

    def without(self, index: int) -> Page:
        self.records = self.records[:index] + self.records[index + 1 :]
        self.keys = self.keys[:index] + self.keys[index + 1 :]
        return self


KeyReader = Callable[[bytes | msgspec.Raw], str | None]


def key_reader(names: Sequence[str]) -> KeyReader:
    """A function from a record to its key as text; parts of a composite key are joined by a slash.

    None where a part is missing or null, or no number or text. `12` and `"12"` are one key.
    """
    struct = msgspec.defstruct("Key", [(n, int | str | None, None) for n in names])
    decode = msgspec.json.Decoder(struct).decode

    def read(record: bytes | msgspec.Raw) -> str | None:
        try:
            key = decode(record)
            parts = [getattr(key, n) for n in names]
        except MALFORMED:
            parts = [scan.field(bytes(record), n) for n in names]
        if any(p is None or p == "" for p in parts):
            return None
        return "/".join(map(str, parts))

    return read


class Splitter:
    """Splits answers whose records are in the field `at`, or are the answer itself.

    `canonical` answers the one spelling of a key, None for a text that can be no key.
    """

    def __init__(self, at: str, keys: Sequence[str], canonical: Callable[[str], str | None] = lambda key: key) -> None:
        self._at = at
        read = key_reader(keys)

        def key(record: bytes | msgspec.Raw) -> str | None:
            text = read(record)
            return text if text is None else canonical(text)

        self._key: KeyReader = key
        rows: Any = list[msgspec.Raw]
        self._type = msgspec.defstruct("Envelope", [(at, rows)]) if at else rows

    def page(self, name: str, read: Whole | ById, answer: Answer, carry: bytes = b"") -> Page:
        """Raises WrongShape where the list of records is not where the API has it."""
        try:
            records, suspect = self._one(answer.body, read) if isinstance(read, ById) else self._many(answer.body)
        except WrongShape as e:
            raise e.at(page=name) from None
        if carry:
            records = [_carried(r, carry) for r in records]
        return Page(name, read, answer.seen, records, [self._key(r) for r in records], suspect)

    def _many(self, body: bytes) -> tuple[list[bytes | msgspec.Raw], bool]:
        try:
            found: Any = msgspec.json.decode(body, type=self._type)
            return list(getattr(found, self._at) if self._at else found), False
        except msgspec.ValidationError as e:
            raise WrongShape(f"the list of records at {_place(self._at)} is not there: {e}") from None
        except MALFORMED:
            return _scanned(body, self._at, single=False)

    def _one(self, body: bytes, read: ById) -> tuple[list[bytes | msgspec.Raw], bool]:
        at = self._at if read.at is None else read.at
        try:
            found: Any = msgspec.json.decode(body, type=_envelope(at))
            return [getattr(found, at) if at else found], False
        except msgspec.ValidationError as e:
            raise WrongShape(f"the record at {_place(at)} is not there: {e}") from None
        except MALFORMED:
            return _scanned(body, at, single=True)


@lru_cache
def _envelope(at: str) -> Any:
    return msgspec.defstruct("Envelope", [(at, msgspec.Raw)]) if at else msgspec.Raw


def _place(at: str) -> str:
    return f"${'.' + at if at else ''}"


def _scanned(body: bytes, at: str, *, single: bool) -> tuple[list[bytes | msgspec.Raw], bool]:
    try:
        return list(scan.elements(body, at, single=single)), True
    except ValueError as e:
        raise WrongShape(f"the answer is not JSON with records at {_place(at)}: {e}") from None


def _carried(record: bytes | msgspec.Raw, carry: bytes) -> bytes:
    """`record` with a field in front: a field of the same name in the record itself stands later and wins."""
    raw = bytes(record)
    if raw[:1] != b"{":
        return raw
    return b"{" + carry + (b"," if raw[1:].strip() != b"}" else b"") + raw[1:]


def sightings(pages: Iterable[Page]) -> dict[str, tuple[int, list[str]]]:
    """By the name of each page the number of its records and the keys among them."""
    seen: dict[str, tuple[int, list[str]]] = {}
    for page in pages:
        records, keys = seen.get(page.name, (0, []))
        seen[page.name] = records + len(page.records), [*keys, *(k for k in page.keys if k is not None)]
    return seen
