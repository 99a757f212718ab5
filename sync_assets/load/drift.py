"""Notices fields that come and go in the source: a new one is reported once, one lost by every record is not believed.

A field that every record has had and that a whole batch suddenly lacks is more likely the API's change than everybody's
edit: its values are carried over, and the check `fields_present` goes red until it is back or forgotten.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from sync_assets.load.batch import Row
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

ENOUGH = 20
"""A batch of fewer changed records proves nothing about the API."""

AT_ONCE = 200
"""Records whose names are compared at once: what a decoder makes of them is small beside a commit."""


Alike = Counter[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]
"""How many rows have these names, of a read that omits those and adds those."""


@dataclass
class Fields:
    """The top-level fields of an entity: all that were ever met, those that no record lacked, those that are gone."""

    known: set[str] = field(default_factory=set)
    steady: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    named: dict[str, str] = field(default_factory=dict)  # what was asked for by name, and its type in the source

    @staticmethod
    def of(stored: dict[str, Any] | None) -> Fields:
        held = dict(stored or {})
        named = held.pop("named", {})
        return Fields(**{name: set(values) for name, values in held.items()}, named=named)

    def stored(self) -> str:
        sets = {name: sorted(values) for name, values in vars(self).items() if name != "named"}
        return json.dumps(sets | {"named": self.named})


def alike(rows: Iterable[Row]) -> Alike:
    """How many of these rows have which names; it can be counted before their transaction begins."""
    found: Alike = Counter()
    left, all_alike = iter(rows), True
    while some := list(islice(left, AT_ONCE)):
        first = some[0]
        all_alike = all_alike and bool(first.names) and all(row.read is first.read for row in some)
        if all_alike and first.names and _have(some, first.names):
            found[first.names, first.read.omits, first.read.adds] += len(some)
            continue
        all_alike = False  # a decoder takes a millisecond to make: not for each of their kinds
        for row in some:
            if row.names is not None:  # else the slow path tells what is wrong with the record
                found[row.names, row.read.omits, row.read.adds] += 1
    return found


def _have(rows: Sequence[Row], names: tuple[str, ...]) -> bool:
    """Whether each of them has these names and no other: told by one decoder in a third of the time."""
    try:
        return len(_of(names)(b"[%s]" % b",".join([row.record for row in rows]))) == len(rows)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return False


@lru_cache(maxsize=256)
def _of(names: tuple[str, ...]) -> Callable[[bytes], list[Any]]:
    """Raises ValueError for names that no struct can have."""
    fields = {f"field_{n}": name for n, name in enumerate(names)}
    struct = msgspec.defstruct(
        "Record", [(field, msgspec.Raw) for field in fields], rename=fields, forbid_unknown_fields=True, gc=False
    )
    return msgspec.json.Decoder(list[struct]).decode  # type: ignore[valid-type]


def compare(fields: Fields, rows: Sequence[Row], alike: Alike) -> tuple[Fields, list[Row], list[str]]:
    """What these changed rows teach: the fields as known now, the rows with gone fields carried over, and notes."""
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
        named=fields.named,
    )
    notes = [f"new field: {name}" for name in sorted(new)]
    notes += [f"field gone from every record, values kept: {name}" for name in sorted(gone - fields.gone)]
    if gone:
        carried = tuple(sorted(gone))
        rows = [replace(r, read=replace(r.read, omits=(*r.read.omits, *carried))) for r in rows]
    return learnt, list(rows), notes


def defined(fields: Fields, part: str, named: Mapping[str, str]) -> tuple[Fields, list[str]]:
    """What the source's own definitions of the fields in `part` teach: one note for each that changed since.

    A field that is no longer defined is not sent any more; its values are carried over like those of any lost field.
    """
    before, path = fields.named, f"/{part}/"
    lost = {path + name for name in before.keys() - named.keys()}
    notes = []
    if before:
        notes += [f"new in {part}: {name} ({named[name]})" for name in sorted(named.keys() - before.keys())]
        notes += [
            f"{part}: {name} was {before[name]} and is {named[name]}"
            for name in sorted(named.keys() & before.keys())
            if named[name] != before[name]
        ]
        notes += [f"no longer defined, values kept: {name}" for name in sorted(lost - fields.gone)]
    gone = (fields.gone | lost) - {path + name for name in named}
    return replace(fields, gone=gone, named=dict(named)), notes


def _steady(fields: Fields, common: set[str], gone: set[str], *, enough: bool) -> set[str]:
    if not fields.steady:
        return common if enough else set()
    return (fields.steady & common) | (fields.steady & gone)


def watch(
    cursor: Cursor, target: Target, rows: list[Row], stored: dict[str, Any] | None, counted: Alike | None = None
) -> tuple[list[Row], list[str]]:
    """Compares changed rows with the fields known so far and remembers what they teach.

    `stored` is what this transaction was told of them, `counted` the rows' `alike`.
    """
    if not rows:
        return rows, []
    known, counted = Fields.of(stored), alike(rows) if counted is None else counted
    learnt, compared, notes = compare(known, rows, counted)
    if learnt != known:
        # Another sync may be learning too, and what it has learnt must not be forgotten.
        account, entity = target.account, target.entity.name
        learnt, compared, notes = compare(read(cursor, account, entity, lock=True), rows, counted)
        save(cursor, account, entity, learnt)
    return compared, notes


def read(cursor: Cursor, account: str, entity: str, *, lock: bool = False) -> Fields:
    query = "select fields from sync.metadata where account = %s and entity = %s"
    cursor.execute(f"{query} for update" if lock else query, (account, entity))
    row = cursor.fetchone()
    return Fields.of(row[0] if row else None)


def save(cursor: Cursor, account: str, entity: str, fields: Fields) -> None:
    cursor.later(
        "update sync.metadata set fields = %s where account = %s and entity = %s", (fields.stored(), account, entity)
    )
