"""Registrations, changes and deliveries of all vendors: what tests and the control port hold in their hands.

The non-obvious decision: a system may have more than one way to tell (Bitrix's own events and its shop's PHP handler);
each is a vendor of its own, named `bitrix` and `bitrix.shop`, and the change is recorded once for each.
"""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.faults import Fault, Faults
from sync_assets.sandbox.webhooks.sender import Delivery, Sender
from sync_assets.sandbox.webhooks.vendor import Event, Hook, Said, Vendor
from sync_assets.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Change:
    """One event that the world produced; `at` in seconds of world time."""

    number: int
    system: str
    name: str
    entity: str
    key: str
    at: float
    listeners: int


class Webhooks:
    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._sender = Sender(faults, world.seed, float(world.switches["webhooks.speed"]))
        self.changes: list[Change] = []
        self._turn: dict[str, int] = {}
        self.vendors: dict[str, Vendor] = {}
        for system in world.systems.values():
            for vendor in system.vendors:
                self.vendors[vendor.name] = vendor
                vendor.happened, vendor.ring = self._happened, self._sender.call

    @property
    def deliveries(self) -> list[Delivery]:
        return self._sender.deliveries

    @property
    def speed(self) -> float:
        """By what the vendors' waits between two attempts are divided."""
        return self._sender.speed

    @speed.setter
    def speed(self, factor: float) -> None:
        self._sender.speed = factor

    def stop(self) -> None:
        self._sender.stop()

    def vendor(self, system: str) -> Vendor:
        if system not in self.vendors:
            raise RefusedError(f"nobody sends webhooks as {system!r}; known: {', '.join(self.vendors)}")
        return self.vendors[system]

    def register(self, system: str, url: str, *, events: Iterable[str] = (), place: Any = None, **secrets: str) -> Hook:
        """Without `events` all that the vendor knows; `place` narrows Kaiten to a space. `secret` is the main one."""
        return self.vendor(system).register(url, events, place, secrets)

    def remove(self, system: str, id: int | None = None) -> None:
        """One registration, or all of a vendor's."""
        vendor = self.vendor(system)
        with self._world.lock:
            for gone in list(vendor.hooks) if id is None else [id]:
                # What waits for it stays behind, too.
                vendor.hooks.pop(gone).status = "disabled"

    def settled(self, timeout: float = 10.0) -> None:
        """Wait until all is sent but retries that are not due within a second; raises TimeoutError."""
        self._sender.settled(timeout)

    def holding(self) -> AbstractContextManager[None]:
        """Nothing leaves within."""
        return self._sender.holding()

    def burst(self, system: str, events: int, records: int) -> list[str]:
        """So many real changes of so many records, in turns; the next burst goes on where this ended. Keys."""
        own = self._world.system(system)
        done = []
        for _ in range(events):
            turn = self._turn.get(system, 0)
            self._turn[system] = turn + 1
            with self._world.lock:
                done.append(str(own.touch(turn % records, turn)))
        return done

    def invent(self, system: str, name: str, entity: str, key: str) -> None:
        """W12: an event of something that did not happen; it is no change."""
        vendor = self.vendor(system)
        with self._world.lock:
            self._lay(vendor, vendor.invented(name, entity, key), self._world.clock.peek().timestamp())

    def afflict(self, fault: Fault) -> None:
        """W5 and W12, set like any other fault."""
        if fault.system is None:
            raise RefusedError(f"{fault.id} takes a system")
        if fault.id == "W5":
            self.burst(fault.system, int(fault.option("events", 100)), int(fault.option("records", 10)))
        else:
            given = (str(fault.option(name, "")) for name in ("event", "entity", "key"))
            self.invent(fault.system, *given)

    def _happened(self, vendor: Vendor, events: list[Event]) -> None:
        at = self._world.clock.peek().timestamp()
        for event in events:
            listeners = self._lay(vendor, event, at)
            number = len(self.changes) + 1
            self.changes.append(Change(number, vendor.name, event.name, event.entity, event.key, at, listeners))

    def _lay(self, vendor: Vendor, event: Event, at: float) -> int:
        wanting = [hook for hook in vendor.hooks.values() if vendor.wants(hook, event)]
        if wanting:
            self._sender.start()
            body = event.body()
            for hook in wanting:
                self._sender.lay(vendor, hook, Said(event, body, at))
        return len(wanting)

    # For the control port.

    def as_dict(self, since: int = 0) -> Record:
        """Everything from the outside; of secrets only their names."""
        hooks = [
            {"system": v.name, "id": h.id, "url": h.url, "events": sorted(h.events), "place": h.place,
             "secrets": sorted(h.secrets), "status": h.status, "failures": len(h.failures)}
            for v in self.vendors.values() for h in v.hooks.values()
        ]  # fmt: skip
        sent = [
            {"system": d.system, "hook": d.hook, "attempt": d.attempt, "events": d.events, "keys": d.keys,
             "at": d.at, "status": d.status, "ok": d.ok, "reason": d.reason, "faults": d.faults, "seconds": d.seconds}
            for d in self.deliveries[since:]
        ]  # fmt: skip
        return {"now": time.time(), "speed": self.speed, "registrations": hooks, "deliveries": sent}

    def counts(self) -> Record:
        """How many changes of each event there were, and to how many somebody listened."""
        found: dict[str, dict[str, list[int]]] = {}
        for change in self.changes:
            line = found.setdefault(change.system, {}).setdefault(change.name, [0, 0])
            line[0] += 1
            line[1] += change.listeners > 0
        return found

    def listed_changes(self, since: int = 0) -> list[Record]:
        return [asdict(change) for change in self.changes[since:]]
