"""A part of a record of which most fields are null, without its nulls: told by a decoder that knows the fields.

Such a decoder makes no dict and compares no names, which halves the cost of a record. Which fields there are is learnt
from the records themselves: one that brings an unknown field is read as a dict, and its fields are known from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

Part = bytes | msgspec.Raw

LESSONS = 20
"""Whoever brings new fields more often than this has no fixed ones: each decoder takes milliseconds to make."""

_values = msgspec.json.Decoder(dict[str, str | None]).decode


class Nulls:
    """Takes the nulls out of parts that hold texts and nulls alone."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._decode: Callable[[Part], Any] | None = None
        self._lessons = 0

    def left_out(self, part: Part) -> Part:
        """`part` in fewer words; as it came where it holds anything but texts and nulls."""
        if self._decode is not None:
            try:
                return msgspec.json.encode(self._decode(part))
            except (msgspec.DecodeError, RecursionError):
                pass
        try:
            values = _values(part)
        except (msgspec.DecodeError, RecursionError):
            return part
        if self._lessons < LESSONS and not values.keys() <= self._known.keys():
            self._learn(values)
        return msgspec.json.encode({field: value for field, value in values.items() if value is not None})

    def _learn(self, values: dict[str, str | None]) -> None:
        self._lessons += 1
        known = {**self._known, **dict.fromkeys(values)}
        names = {f"field_{n}": name for n, name in enumerate(known)}
        try:
            # Of a field that comes twice the last one counts, as everywhere.
            struct = msgspec.defstruct(
                "Part",
                [(field, str | None, None) for field in names],
                rename=names,
                omit_defaults=True,
                forbid_unknown_fields=True,
                gc=False,
            )
        except ValueError:
            return  # a name with a quote or the like
        self._known, self._decode = known, msgspec.json.Decoder(struct).decode


@lru_cache(maxsize=256)
def nulls_of(*_of: str) -> Nulls:
    """One for each read and part: the records of one read are alike."""
    return Nulls()
