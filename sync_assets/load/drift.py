"""Notices fields that come and go in the source: a new one is reported once, one lost by every record is not believed.

A field that every record has had and that a whole batch suddenly lacks is more likely the API's change than everybody's
edit: its values are carried over, and the check `fields_present` goes red until it is back or forgotten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from sync_assets.load.upsert import Row

ENOUGH = 20
"""A batch of fewer changed records proves nothing about the API."""


@dataclass
class Fields:
    """The top-level fields of an entity: all that were ever met, those that no record lacked, those that are gone."""

    known: set[str] = field(default_factory=set)
    steady: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    @staticmethod
    def of(stored: dict[str, Any] | None) -> Fields:
        return Fields(**{name: set(values) for name, values in (stored or {}).items()})

    def stored(self) -> str:
        return json.dumps({name: sorted(values) for name, values in vars(self).items()})


def compare(fields: Fields, rows: Sequence[Row]) -> tuple[Fields, list[Row], list[str]]:
    """What these changed rows teach: the fields as known now, the rows with gone fields carried over, and notes."""
    alike: Counter[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = Counter()
    for row in rows:
        if row.names is not None:  # else the slow path tells what is wrong with the record
            alike[row.names, row.read.omits, row.read.adds] += 1
    if not alike:
        return fields, list(rows), []
    # Postgres holds no name with a NUL.
    shapes = [({n for n in names if "\0" not in n} | set(omits)) - set(adds) for names, omits, adds in alike]
    enough = alike.total() >= ENOUGH
    met, common = set.union(*shapes), set.intersection(*shapes)
    first = not fields.known
    new = set() if first else met - fields.known - {"_notes"}
    gone = (fields.steady | fields.gone) - met if enough else fields.gone - met
    learnt = Fields(
        known=fields.known | met,
        steady=_steady(fields, common, gone, enough=enough),
        gone=gone,
    )
    notes = [f"new field: {name}" for name in sorted(new)]
    notes += [f"field gone from every record, values kept: {name}" for name in sorted(gone - fields.gone)]
    if gone:
        carried = tuple(sorted(gone))
        rows = [replace(r, read=replace(r.read, omits=(*r.read.omits, *carried))) for r in rows]
    return learnt, list(rows), notes


def _steady(fields: Fields, common: set[str], gone: set[str], *, enough: bool) -> set[str]:
    if not fields.steady:
        return common if enough else set()
    return (fields.steady & common) | (fields.steady & gone)


def watch(cursor: Cursor, account: str, entity: str, rows: list[Row]) -> tuple[list[Row], list[str]]:
    """Compares changed rows with the fields known so far and remembers what they teach."""
    if not rows:
        return rows, []
    known = read(cursor, account, entity)
    learnt, rows, notes = compare(known, rows)
    if learnt != known:
        save(cursor, account, entity, learnt)
    return rows, notes


def read(cursor: Cursor, account: str, entity: str) -> Fields:
    cursor.execute("select fields from sync.metadata where account = %s and entity = %s", (account, entity))
    row = cursor.fetchone()
    return Fields.of(row[0] if row else None)


def save(cursor: Cursor, account: str, entity: str, fields: Fields) -> None:
    cursor.execute(
        "update sync.metadata set fields = %s where account = %s and entity = %s", (fields.stored(), account, entity)
    )
