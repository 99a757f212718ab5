"""Links: what a child points at is here, or it is known since when it is waited for and what the source said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sync_assets.check.finding import SAMPLE, Finding, Scope
from sync_assets.entity import Link
from sync_assets.load import parents
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

PATIENCE = timedelta(hours=1)
"""A parent usually comes with the next sync; longer than this somebody has to look."""

LIST = """
select m.child_columns, m.entity, m.key, m.state, m.waiting_since, coalesce(m.evidence, '')
  from sync.missing_parents m
 where m.account = %(account)s and m.child_entity = %(entity)s
 order by m.waiting_since, m.entity, m.key
"""


def links_resolve(scope: Scope) -> Finding:
    """Every link of a record leads to a record, or is known to be waiting, gone or unreachable."""
    name = "links_resolve"
    if not scope.sync_ids:
        own, goals = scope.own, [(link, scope.target(link.to)) for link in scope.entity.links]
        scope.database.transaction(lambda cursor: _look_at_all(cursor, own, goals))
    found = scope.ask(LIST, scope.where)
    now = datetime.now(UTC)
    overdue = [r for r in found if r[3] == "waiting" and now - r[4] > PATIENCE]
    waiting = [r for r in found if r[3] == "waiting"]
    facts = {
        "count": len(found),
        "waiting": len(waiting),
        "waiting_too_long": len(overdue),
        "gone": sum(r[3] == "gone" for r in found),
        "unreachable": sum(r[3] == "unreachable" for r in found),
        "sample": [_line(*r) for r in (overdue or found)[:SAMPLE]],
        "query": scope.listing("missing_parents", "child_entity"),
    }
    if overdue:
        return Finding(name, False, f"{len(overdue)} parents have been waited for longer than an hour", facts=facts)
    if found:
        return Finding(name, False, f"{len(found)} parents are not here; each is accounted for", "WARN", facts)
    return Finding(name, True, "every link leads to a record", facts=facts)


def _line(columns: str, entity: str, key: str, state: str, _since: datetime, evidence: str) -> str:
    return f"{columns} -> {entity} {key}: {state}" + (f" ({evidence})" if evidence else "")


def _look_at_all(cursor: Cursor, child: Target, goals: list[tuple[Link, Target]]) -> None:
    for link, parent in goals:
        parents.note_missing(cursor, child, parent, link)
        parents.no_longer_asked_for(cursor, child, parent, link)
        parents.settle(cursor, parent)
