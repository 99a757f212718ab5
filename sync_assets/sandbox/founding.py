"""A system whose company is founded when somebody first looks at it.

So a sandbox that serves only other systems pays nothing for it. The non-obvious decision: no cached_property, whose
lock and the world's would be taken in both orders.
"""

import random
import threading
from typing import Generic, Protocol, TypeVar

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import System


class Company(Protocol):
    revision: int


C = TypeVar("C", bound=Company)


class FoundedLate(System, Generic[C]):
    def __init__(
        self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str], size: str
    ) -> None:
        self.switches, self._size = switches, size
        self._dice, self._clock, self._lock = dice, clock, lock
        self._company: C | None = None

    def first_day(self) -> C:
        """The company as it is before anything happens."""
        raise NotImplementedError

    @property
    def company(self) -> C:
        if self._company is None:
            with self._lock:
                if self._company is None:
                    self._company = self.first_day()
        return self._company

    @property
    def revision(self) -> int:  # type: ignore[override]
        return self.company.revision
