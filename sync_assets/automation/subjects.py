"""What rules can be about: the entities whose changes are told of, by the words that files use for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sync_assets.automation.document import Node
from sync_assets.automation.fields import Record, value_at
from sync_assets.entity import Tells
from sync_assets.systems import SYSTEMS


@dataclass(frozen=True)
class Subject:
    system: str
    entity: str
    tells: Tells

    def state(self, record: Record | None) -> object:
        """Where a record stands; None where there is none, or it stands nowhere."""
        return value_at(record, tuple(self.tells.stage[0].split("."))) if self.tells.stage else None


@lru_cache
def subjects() -> Mapping[tuple[str, str], Subject]:
    """By system and entity, which is `lead` as well as `leads`."""
    found: dict[tuple[str, str], Subject] = {}
    for system in SYSTEMS:
        for entity in system.entities(system.settings.model_construct()):
            if entity.tells:
                subject = Subject(system.name, entity.name, entity.tells)
                found[system.name, entity.name] = found[system.name, entity.name.removesuffix("s")] = subject
    return found


def subject_of(source: Node, entity: Node) -> Subject:
    """Raises BadAutomation for what no source has, or nobody is told of."""
    known = subjects()
    system = source.one_of(list(dict.fromkeys(system for system, _ in known)))
    return known[system, entity.one_of([word for own, word in known if own == system])]
