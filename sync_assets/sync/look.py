"""A fresh look at records that webhooks told of, with all that belongs to them; and what was done in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from psycopg2 import sql

from sync_assets import crash
from sync_assets.entity import Entity
from sync_assets.errors import DatabaseUnavailable, SyncError
from sync_assets.extract.along import Along
from sync_assets.sync import Connected, Outcome, Request, sync_entity
from sync_assets.sync.belongings import belongings
from sync_assets.sync.plan import of_parents


@dataclass
class Work:
    """What was done, by entity and in all; what went wrong, in words; and what is left in the inbox."""

    events: int = 0
    records: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    waiting: int = 0
    dead: int = 0

    def add(self, entity: str, outcome: Outcome) -> None:
        held = self.outcomes.setdefault(entity, outcome)
        if held is not outcome:
            held.totals = {name: value + outcome.totals[name] for name, value in held.totals.items()}
            held.rows, held.waiting, held.log_id = outcome.rows, outcome.waiting, outcome.log_id
            for note in outcome.note.split("; "):
                held.remark(note)

    def problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)


def look(
    connection: Connected,
    entity: Entity,
    keys: Sequence[str],
    work: Work,
    pushed: Mapping[str, Sequence[bytes]] | None = None,
) -> Outcome:
    """Reads records by their keys, or by their parents' where the API has no other way; as a whole where one is "".

    `pushed` are records that came with the webhooks, for those that the API does not show.
    """
    for key in keys:
        crash.point(f"at {entity.name} {key}")
    request = replace(_request(entity, tuple(keys)), pushed=pushed or {})
    others = list(belongings(connection.account, entity, request.ids or request.parents))
    along = Along([read for other, of_it in others if of_it.parents for read in of_parents(other, of_it.parents)])
    outcome = sync_entity(connection, entity, replace(request, along=along))
    work.add(entity.name, outcome)
    for other, of_it in others:
        work.add(other.name, sync_entity(connection, other, replace(of_it, along=along)))
    return outcome


def answers(connection: Connected, entity: Entity, key: str) -> bool:
    """Whether the source tells of another record of the entity than this one, right now."""
    if not (entity.one or entity.of_parents):
        return False
    by_others = entity.one is None and (entity.follows or len(entity.keys) > 1)
    target = connection.target((entity.follows or entity.links[0].to) if by_others else entity.name)
    query = sql.SQL("select {key} from {table} t where {key} <> %s limit 1")
    try:
        other = connection.database.query(query.format(key=target.key_text("t"), table=target.table), (key,))
        if other:
            sync_entity(connection, entity, _request(entity, other))
    except DatabaseUnavailable:
        raise
    except SyncError:
        return False
    return bool(other)


def _request(entity: Entity, keys: tuple[str, ...]) -> Request:
    if "" in keys or not (entity.one or entity.of_parents):
        return Request("webhook")
    return Request("webhook", ids=keys) if entity.one else Request("webhook", parents=keys)
