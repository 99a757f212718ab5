"""What tests of change events share: somebody who listens, the events, and whether each record's are a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sync_assets_tests.company import Company

ALL = (
    ("kommo", "leads"), ("kommo", "contacts"), ("kommo", "tasks"), ("bitrix", "orders"), ("hubspot", "deals"),
    ("kaiten", "cards"),
)  # fmt: skip

EVENTS = """
select account, entity, key, kind, before, after, changed, origin, cause, depth, revision
  from sync.change_events where %s::text is null or entity = %s order by id
"""


@dataclass(frozen=True)
class Event:
    account: str
    entity: str
    key: str
    kind: str
    before: Any
    after: Any
    changed: list[str]
    origin: str
    cause: int | None
    depth: int
    revision: int


def listen(company: Company, *entities: tuple[str, str]) -> None:
    """To these, given by system and name, or to all."""
    company.query("delete from sync.listeners")
    for system, entity in entities or ALL:
        company.query("insert into sync.listeners (consumer, system, entity) values ('test', %s, %s)", (system, entity))


def events(company: Company, entity: str | None = None) -> list[Event]:
    return [Event(*row) for row in company.query(EVENTS, (entity, entity))]


def kinds(company: Company, entity: str | None = None) -> list[tuple[str, str]]:
    return [(event.key, event.kind) for event in events(company, entity)]


def assert_chains(company: Company, since: dict[tuple[str, str, str], Any] | None = None) -> None:
    """What one event leaves is what the next one of the record finds, without a gap, up to what is stored now.

    `since`: what the mirror held when somebody began to listen.
    """
    held: dict[tuple[str, str, str], Any] = dict(since or {})
    revisions: dict[tuple[str, str, str], int] = {}
    for event in events(company):
        record = (event.account, event.entity, event.key)
        if since is not None or record in held:
            assert event.before == held.get(record), (record, event.kind, event.revision)
        assert (event.before is None) == (event.kind in ("created", "restored")), event.kind
        assert (event.after is None) == (event.kind == "deleted"), event.kind
        assert event.revision == revisions.get(record, 0) + 1
        names = {*(event.before or {}), *(event.after or {})}
        differ = {n for n in names if _at(event.before, n) != _at(event.after, n)}
        assert set(event.changed) == differ and differ
        revisions[record], held[record] = event.revision, event.after
    now = mirrored(company, {(account, entity) for account, entity, _ in held})
    for record, after in held.items():
        assert now.get(record) == after, record


def mirrored(company: Company, entities: Sequence[tuple[str, str]] | set[tuple[str, str]]) -> dict[Any, Any]:
    return {
        (account, entity, str(key)): raw
        for account, entity in entities
        for key, raw in company.raw(entity, account).items()
    }


def _at(record: Any, name: str) -> Any:
    return (record or {}).get(name, "absent")
