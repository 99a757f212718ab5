"""A page: one answer split into records that nobody has decoded yet, each with its key.

A page that the parser refuses is split by its tokens instead and marked suspect: then one bad record costs one record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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

LONGEST_NUMBER = 18
"""Digits of a number that is its own canonical spelling, in a column of numbers and in one of texts."""

KeyReader = Callable[[bytes | msgspec.Raw], str | None]

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
    sets: tuple[str, list[str]] | None = None  # (column, values): every record that has one of them is in this page
    oversized: dict[str, AnswerTooLarge] = field(default_factory=dict)  # by key: of these the record is only its head
    size: int = 0  # bytes of its answer
    frame: Any = None  # what the answer says around its records, where a dialect named its type and a parser took it
    key_of: KeyReader | None = None  # where the keys are only what the records begin with: reads one to its end

    def certain(self) -> Page:
        """The same with keys that were read to the end of each record: a name that comes twice counts where it comes
        last."""
        if self.key_of:
            self.keys, self.key_of = list(map(self.key_of, self.records)), None
        return self

    def joined(self, other: Page) -> Page:
        """Both as one, as old as the older."""
        records, keys = [*self.records, *other.records], [*self.keys, *other.keys]
        suspect, oversized = self.suspect or other.suspect, self.oversized | other.oversized
        seen, key_of = min(self.seen, other.seen), self.key_of or other.key_of
        return Page(self.name, self.read, seen, records, keys, suspect, oversized=oversized, key_of=key_of)

    def without(self, index: int) -> Page:
        self.records = self.records[:index] + self.records[index + 1 :]
        self.keys = self.keys[:index] + self.keys[index + 1 :]
        return self


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
        self._names = tuple(keys)
        read = key_reader(keys)

        def key(record: bytes | msgspec.Raw) -> str | None:
            text = read(record)
            return text if text is None else canonical(text)

        self._key: KeyReader = key

    def page(
        self,
        name: str,
        read: Whole | ById,
        answer: Answer,
        carry: bytes = b"",
        frame: type[msgspec.Struct] = msgspec.Struct,
        hasty: bool = False,
    ) -> Page:
        """`frame` is the type of what stands around the records, where these are in a field of the answer itself.
        `hasty`: the keys may be what the records begin with, which takes no second look at all of the answer; they are
        made certain before a record that is not held is written.

        Raises WrongShape where the list of records is not where the API has it.
        """
        try:
            records, around = self._split(answer.body, read, frame)
        except WrongShape as e:
            raise e.at(page=name) from None
        if carry:
            records = [_carried(r, carry) for r in records]
        suspect = around is None
        one_by_one = carry or suspect or isinstance(read, ById) or len(self._names) > 1
        heads = _plain_heads(records, self._names[0]) if hasty and not one_by_one else None
        keys = heads or (None if one_by_one else self._plain_keys(answer.body, read))
        return Page(
            name,
            read,
            answer.seen,
            records,
            keys or [self._key(r) for r in records],
            suspect,
            size=len(answer.body),
            frame=around,
            key_of=self._key if heads else None,
        )

    def _plain_keys(self, body: bytes, read: Whole | ById) -> list[str | None] | None:
        """The keys of a page in one go, where each is a number spelled plainly. None where it is not so simple."""
        at = self._at if read.at is None else read.at
        try:
            found, _ = _inside(body, at, of=_plainly_keyed(self._names[0]))
            keys = [str(record.key) for record in found]
        except MALFORMED:
            return None
        digits = "".join(keys)
        plain = digits.isascii() and digits.isdigit() and {key[:1] for key in keys}.isdisjoint(("", "0"))
        return [*keys] if plain and max(map(len, keys)) <= LONGEST_NUMBER else None

    def _split(
        self, body: bytes, read: Whole | ById, frame: type[msgspec.Struct]
    ) -> tuple[list[bytes | msgspec.Raw], Any]:
        """The records, and what is around them; None for that where a parser refuses the answer."""
        at, single = self._at if read.at is None else read.at, isinstance(read, ById)
        place = f"${'.' + at if at else ''}"
        try:
            found, around = _inside(body, at, of=msgspec.Raw if single else list[msgspec.Raw], frame=frame)
            return [found] if single else found, around
        except msgspec.ValidationError as e:
            if frame is not msgspec.Struct:
                return self._split(body, read, msgspec.Struct)  # what is wrong may be the frame alone
            raise WrongShape(f"no record{'' if single else 's'} at {place}: {e}") from None
        except MALFORMED:
            try:
                *above, name = at.split(".")
                for part in above:
                    (body,) = scan.elements(body, part, single=True)
                return list(scan.elements(body, name, single=single)), None
            except ValueError as e:
                raise WrongShape(f"the answer is not JSON with records at {place}: {e}") from None


def _plain_heads(records: Sequence[bytes | msgspec.Raw], name: str) -> list[str | None] | None:
    """The keys with which records begin, where each does with a number spelled plainly."""
    heads = list(map(_head(name).match, records))
    numbers = [head[1] or head[2] for head in heads if head]
    return [*b" ".join(numbers).decode().split(" ")] if numbers and len(numbers) == len(heads) else None


@lru_cache
def _head(name: str) -> re.Pattern[bytes]:
    number = rb"([1-9]\d{0,%d})" % (LONGEST_NUMBER - 1)
    return re.compile(rb'\{\s*"%s"\s*:\s*(?:"%s"|%s)\s*[,}]' % (re.escape(name.encode()), number, number))


@lru_cache
def _plainly_keyed(name: str) -> Any:
    record: Any = msgspec.defstruct("Key", [("key", int | str)], rename={"key": name})
    return list[record]


def _inside(body: bytes, at: str, of: Any, frame: type[msgspec.Struct] = msgspec.Struct) -> tuple[Any, Any]:
    """What is at the path `at` of an answer, decoded as `of`, and the whole answer as a `frame`."""
    around = found = msgspec.json.decode(body, type=_envelope(at, of, frame))
    for name in at.split(".") if at else ():
        found = getattr(found, name)
    return found, around


@lru_cache
def _envelope(at: str, of: Any, frame: type[msgspec.Struct]) -> Any:
    first, *more = at.split(".") if at else [""]
    for name in reversed(more):
        of = msgspec.defstruct("Envelope", [(name, of)])
    return msgspec.defstruct("Envelope", [(first, of)], bases=(frame,), kw_only=True) if first else of


def _carried(record: bytes | msgspec.Raw, carry: bytes) -> bytes:
    """`record` with a field in front: a field of the same name in the record itself stands later and wins."""
    raw = bytes(record)
    if raw[:1] != b"{":
        return raw
    return b"{" + carry + (b"," if raw[1:].strip() != b"}" else b"") + raw[1:]


def sightings(pages: Sequence[Page]) -> dict[str, tuple[int, list[str]]]:
    """Under the name of the first of these pages the number of all their records, and the keys among them.

    As one, because a long list of keys is packed where it is stored, and short ones are not.
    """
    keys = [key for page in pages for key in page.keys if key is not None]
    return {pages[0].name: (sum(len(page.records) for page in pages), keys)} if pages else {}
