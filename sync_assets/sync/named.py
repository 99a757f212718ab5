"""Fields that a source sends only where they are asked for by name: which there are, and what changed about them.

The source's own definitions decide. Where the token may not read those, the names of last time serve, and at the very
first the names that the table's typed columns are derived from.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sync_assets.entity import Named, Params
from sync_assets.errors import Forbidden, NotFound, WrongShape
from sync_assets.load import drift
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database
from sync_assets.load.target import Target

if TYPE_CHECKING:
    from sync_assets.sync.connection import Connected


LASTING = 300.0
"""Seconds for which syncs of single records go by the names that the one before them was told."""


class _Definition(msgspec.Struct):
    name: str
    type: str = ""


class _Definitions(msgspec.Struct):
    results: list[_Definition]


def names_of(
    connection: Connected,
    target: Target,
    ask: Callable[[str, Params], bytes],
    remark: Callable[[str], None],
    *,
    lasting: bool,
) -> tuple[str, ...]:
    """The names of an entity's named fields. `lasting`: those that were told a little while ago will do."""
    if (named := target.entity.named) is None:
        return ()
    told_at, names = connection.names.get(target.entity.name, (0.0, ()))
    if not lasting or not names or time.monotonic() - told_at > LASTING:
        names = names_to_ask_for(named, ask, connection.database, target, remark)
        connection.names[target.entity.name] = time.monotonic(), names
    return names


def names_to_ask_for(
    named: Named, ask: Callable[[str, Params], bytes], database: Database, target: Target, remark: Callable[[str], None]
) -> tuple[str, ...]:
    """Sorted; what changed since the last time is remarked once."""
    account, entity = target.account, target.entity.name
    try:
        types = types_of(named, ask)
    except (Forbidden, NotFound) as e:
        remark(f"definitions of {named.part} cannot be read: {e.what}")
        fields = database.look(lambda cursor: drift.read(cursor, account, entity))
        return tuple(sorted(fields.named)) or _of_columns(named.part, target)

    def learn(cursor: Cursor) -> list[str]:
        before = drift.read(cursor, account, entity)
        learnt, notes = drift.defined(before, named.part, types)
        if learnt != before:
            learnt, notes = drift.defined(drift.read(cursor, account, entity, lock=True), named.part, types)
            drift.save(cursor, account, entity, learnt)
        return notes

    for note in database.transaction(learn):
        remark(note)
    return tuple(sorted(types))


def types_of(named: Named, ask: Callable[[str, Params], bytes]) -> dict[str, str]:
    """By name, as the source defines them now."""
    try:
        found = msgspec.json.decode(ask(named.path, {}), type=_Definitions).results
    except msgspec.DecodeError:
        raise WrongShape(f"the definitions of {named.part} have no name and type", endpoint=named.path) from None
    return {d.name: d.type for d in found}


def _of_columns(part: str, target: Target) -> tuple[str, ...]:
    names = (re.search(rf"'{{{part},([^}}]+)}}'", c.expression or "") for c in target.columns)
    return tuple(sorted({m.group(1) for m in names if m}))
