"""A system whose company is founded when somebody first looks at it.

So a sandbox that serves only other systems pays nothing for it. The non-obvious decision: no cached_property, whose
lock and the world's would be taken in both orders.
"""

import random
import threading
from typing import Generic, Protocol, TypeVar

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import System
from sync_assets.sandbox.webhooks.news import News


class Company(Protocol):
    revision: int
    news: News


C = TypeVar("C", bound=Company)


class FoundedLate(System, Generic[C]):
    def __init__(
        self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str], size: str
    ) -> None:
        self.switches, self._size = switches, size
        self._dice, self.clock, self.lock = dice, clock, lock
        self._company: C | None = None

    def first_day(self) -> C:
        """The company as it is before anything happens."""
        raise NotImplementedError

    @property
    def company(self) -> C:
        if self._company is None:
            with self.lock:
                if self._company is None:
                    company = self.first_day()
                    company.news.listener = self.heard
                    self._company = company
        return self._company

    @property
    def revision(self) -> int:  # type: ignore[override]
        return self.company.revision
