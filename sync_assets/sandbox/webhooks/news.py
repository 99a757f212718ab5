"""What a company's books say has changed, handed on once an edit is complete.

The non-obvious decision: an edit may be made of many (a board and its columns, a merge), and what it did is told when
the outermost ends, so that nobody hears of a record that is only half made.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Heard = tuple[Any, ...]


class News:
    """Used under the world's lock. Without a listener, as while history is seeded, nothing is kept."""

    def __init__(self) -> None:
        self.listener: Callable[[list[Heard]], None] | None = None
        self._depth = 0
        self._heard: list[Heard] = []

    @contextmanager
    def scope(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._hand_on()

    def tell(self, *what: Any) -> None:
        if self.listener is not None:
            self._heard.append(what)
            self._hand_on()

    def _hand_on(self) -> None:
        if self._depth == 0 and self._heard and self.listener is not None:
            heard, self._heard = self._heard, []
            self.listener(heard)
