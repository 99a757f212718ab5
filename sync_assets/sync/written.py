"""The keys of the records that a sync may have written: what follows from them is looked for there, not in a table."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 2_000
"""More of them are looked up no sooner than the whole table is read."""


class Written:
    def __init__(self, most: int | None) -> None:
        """None: however many there are."""
        self._most = most
        self._keys: set[str] | None = set()

    def add(self, keys: Iterable[str]) -> None:
        if self._keys is not None:
            self._keys.update(keys)
            if self._most is not None and len(self._keys) > self._most:
                self._keys = None

    def any_of_all(self) -> None:
        """Nobody knows which."""
        self._keys = None

    @property
    def keys(self) -> list[str] | None:
        """None: it may be any."""
        return None if self._keys is None else sorted(self._keys)
