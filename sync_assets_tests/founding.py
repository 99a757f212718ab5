"""Sandboxes of tests whose companies are copies of one that was founded alike: for a tenth of the time.

Promise: a copy has the books of a company founded anew. Its world's clock, lock, switches and dice, which have rolled
as far, and what the sandbox's modules define are shared, as they are there. Only what was the same to the byte when it
was founded a second time, at another instant, is copied. Tests of the sandbox itself get no copies.
"""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from sync_assets.sandbox.world import World


@dataclass(frozen=True)
class _Founded:
    digest: bytes
    rolled: Any
    books: bytes | None


_known: dict[Any, _Founded] = {}


def founded_alike(world: World) -> World:
    for system in world.systems.values():
        system.first_day = partial(_first_day, system, system.first_day)  # type: ignore[attr-defined]
    return world


def _first_day(system: Any, found: Any) -> Any:
    switches = tuple(item for item in system.switches.items() if item[0].startswith(f"{system.name}."))
    key = (type(system), system._size, getattr(system, "_cards", None), switches, system._dice.getstate())
    before = _known.get(key)
    if before and before.books:
        system._dice.setstate(before.rolled)
        return _Reader(before.books, system).load()
    company = found()
    books = _written(company, system)
    # Most are founded once: what they would be compared with is all that is kept of them.
    digest = sha256(books).digest()
    same = before is not None and before.digest == digest
    _known[key] = _Founded(digest, system._dice.getstate(), books if same else None)
    return company


def _written(company: Any, system: Any) -> bytes:
    told = io.BytesIO()
    _Writer(told, system).dump(company)
    return told.getvalue()


def _own(system: Any) -> dict[str, Any]:
    return {"clock": system.clock, "lock": system.lock, "switches": system.switches, "dice": system._dice}


def _constants() -> dict[str, Any]:
    """What the sandbox's modules define once for all companies: a test that changes it means every company."""
    found: dict[str, Any] = {}
    for module in [m for name, m in sys.modules.items() if name.startswith("sync_assets.sandbox.")]:
        for name, value in vars(module).items():
            parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
            for n, thing in enumerate((value, *parts)):
                if type(thing).__module__ != "builtins" or isinstance(thing, (dict, list)):
                    found[f"{module.__name__} {name} {n}"] = thing
    return found


CONSTANTS = _constants()


class _Writer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, system: Any) -> None:
        super().__init__(file)
        self._names = {id(thing): name for name, thing in (CONSTANTS | _own(system)).items()}

    def persistent_id(self, thing: Any) -> str | None:
        return self._names.get(id(thing))


class _Reader(pickle.Unpickler):
    def __init__(self, told: bytes, system: Any) -> None:
        super().__init__(io.BytesIO(told))
        self._things = _own(system)

    def persistent_load(self, name: str) -> Any:
        return self._things[name] if name in self._things else CONSTANTS[name]
