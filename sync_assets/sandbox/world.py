"""The company as a whole: one clock, one seed, one lock, and a dialect for each system it uses.

The non-obvious decision: every behaviour that the facts leave open is a named switch with the likelier
default, kept here in one table, so that the product can be shown to hold either way.
"""

import random
import threading
from pathlib import Path

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError, System, decode
from sync_assets.sandbox.kaiten.api import Kaiten
from sync_assets.sandbox.worksection.api import Worksection

SIZES = ("tiny", "demo", "bench")

SWITCHES = {
    "kaiten.reset": "epoch",  # X-RateLimit-Reset: epoch | seconds
    "kaiten.throttle_body": "message",  # body of a 429: message | empty
    "kaiten.missing_card": "403",  # empty 403 (seen live) | 404
    "kaiten.writes": "200",  # 200 with the record | empty: 200 with an empty body
    "worksection.throttle": "json",  # json: HTTP 200 with an error | 429: HTTP 429 and Retry-After
    "worksection.cap": "10000",  # most records in one answer
    "worksection.skew": "300",  # seconds the HMAC stamp may be off
    "worksection.utc_offset": "0",  # hours between UTC and the account's local time
    "worksection.child_tags": "yes",  # tags of children in get_tasks: yes | no
}


class World:
    def __init__(
        self,
        seed: int = 1,
        size: str = "tiny",
        cards: int | None = None,
        replay: Path | None = None,
        switches: dict[str, str] | None = None,
    ) -> None:
        if size not in SIZES:
            raise RefusedError(f"no size {size!r}; known: {', '.join(SIZES)}")
        if unknown := (switches or {}).keys() - SWITCHES.keys():
            raise RefusedError(f"no switch {sorted(unknown)}; known: {', '.join(SWITCHES)}")
        self.seed, self.size = seed, size
        self.clock, self.lock = Clock(), threading.RLock()
        self.switches = SWITCHES | (switches or {})
        self._kaiten = Kaiten(self._dice("kaiten"), self.clock, self.lock, self.switches, size, cards, replay)
        self._worksection = Worksection(self._dice("worksection"), self.clock, self.lock, self.switches, size)
        self.systems: dict[str, System] = {s.name: s for s in (self._kaiten, self._worksection)}
        self.kaiten = self._kaiten.company
        self.worksection = self._worksection.company
        self._steps = 0

    def _dice(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {purpose}")

    def system(self, name: str) -> System:
        if name not in self.systems:
            raise RefusedError(f"no system {name!r}; known: {', '.join(self.systems)}")
        return self.systems[name]

    def truth_rows(self, system: str, entity: str) -> list[bytes]:
        with self.lock:
            return self.system(system).truth(entity)

    def truth(self, system: str, entity: str) -> list[Record]:
        return [decode(row) for row in self.truth_rows(system, entity)]

    def advance(self, steps: int = 1) -> None:
        """The company lives: each step changes something in every system, the same for the same seed."""
        for _ in range(steps):
            self._steps += 1
            for name, system in self.systems.items():
                with self.lock:
                    system.live(self._dice(f"{name} step {self._steps}"))
