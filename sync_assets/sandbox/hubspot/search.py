"""HubSpot's search: filters, one sort, offsets, a cap, and an index that may lag behind the records.

Promise: without lag and faults, the rows are exactly those whose properties satisfy the filters. The non-obvious
decision: ties are ordered by a hash of the id, stable but meaningless, because nothing promises an order among rows
that share a millisecond.
"""

import re
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sync_assets.sandbox.dialect import Record, encode
from sync_assets.sandbox.hubspot.errors import ApiError, invalid, unknown_property
from sync_assets.sandbox.hubspot.links import Links
from sync_assets.sandbox.hubspot.names import kind_of, millis
from sync_assets.sandbox.hubspot.shelf import Shelf, Thing

MOST_GROUPS, MOST_FILTERS, MOST_IN_ALL, MOST_CHARACTERS = 5, 6, 18, 3000
Test = Callable[[Thing, dict[str, str]], bool]
Types = dict[str, Record]


def found(shelf: Shelf, things: Iterable[Thing], definitions: Types, links: Links, body: Record) -> list[Thing]:
    """All records that the body means, in its order."""
    groups = _groups(body)
    tests = [[_test(shelf, definitions, links, one) for one in group] for group in groups]
    needles = str(body.get("query") or "").lower()
    hits, read = [], bool(needles) or _reads_values(groups, shelf)
    for thing in things:
        values = thing.properties() if read else {}
        if tests and not any(all(test(thing, values) for test in group) for group in tests):
            continue
        if needles and not any(needles in value.lower() for value in values.values()):
            continue
        hits.append(thing)
    return _sorted(shelf, definitions, hits, body)


def _groups(body: Record) -> list[list[Record]]:
    groups = [group.get("filters") or [] for group in body.get("filterGroups") or ()]
    if body.get("filters"):
        groups.append(body["filters"])
    size = len(encode(groups)) + len(str(body.get("query") or ""))
    sizes = [len(group) for group in groups]
    if len(groups) > MOST_GROUPS or max(sizes, default=0) > MOST_FILTERS or sum(sizes) > MOST_IN_ALL:
        raise invalid(f"at most {MOST_GROUPS} groups of {MOST_FILTERS} filters, {MOST_IN_ALL} in all")
    if size > MOST_CHARACTERS:
        raise invalid(f"A query can contain a maximum of {MOST_CHARACTERS} characters")
    return [group for group in groups if group]


def _reads_values(groups: list[list[Record]], shelf: Shelf) -> bool:
    return any(one.get("propertyName") not in shelf.kind.always for group in groups for one in group)


def _own(shelf: Shelf, name: str) -> Callable[[Thing], int] | None:
    """The three properties that a record's frame knows, without decoding the rest."""
    kind = shelf.kind
    frame: dict[str, Callable[[Thing], int]] = {
        kind.created: lambda t: t.created,
        kind.modified: lambda t: t.modified,
        "hs_object_id": lambda t: t.id,
    }
    return frame.get(name)


def _test(shelf: Shelf, definitions: Types, links: Links, given: Record) -> Test:
    name, operator = str(given.get("propertyName")), str(given.get("operator"))
    if name.startswith("associations."):
        return _associated(shelf, links, name, given)
    if name not in definitions:
        raise unknown_property(name)
    if operator not in _OPERATORS:
        raise invalid(f"operator {operator!r} is unknown")
    type = definitions[name]["type"]
    wanted = [_ordered(type, value) for value in _values(given)]
    if operator in ("IN", "NOT_IN") and type == "string":
        # Documented: here a text with capitals matches nothing.
        wanted = [str(value) for value in _values(given)]
    if operator not in ("HAS_PROPERTY", "NOT_HAS_PROPERTY") and not wanted:
        raise invalid(f"operator {operator} needs a value")
    if type == "datetime" and 0 in wanted:
        # Seen live: asking from the very epoch fails on their side.
        raise ApiError(500, "internal error")
    compare, own = _OPERATORS[operator], _own(shelf, name)

    def test(thing: Thing, values: dict[str, str]) -> bool:
        value: Any = own(thing) if own is not None else _ordered(type, values.get(name))
        return compare(value, wanted)

    return test


def _values(given: Record) -> list[Any]:
    if given.get("values") is not None:
        return list(given["values"])
    return [given[name] for name in ("value", "highValue") if given.get(name) is not None]


def _ordered(type: str, value: Any) -> Any:
    """A value that compares as its type does; None where there is none or it is not of that type."""
    if value is None or value == "":
        return None
    text = str(value)
    match type:
        case "number":
            try:
                return Decimal(text)
            except InvalidOperation:
                return None
        case "datetime" | "date":
            return _moment(text)
        case "enumeration":
            return text
    return text.lower()


def _moment(text: str) -> int | None:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return millis(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _associated(shelf: Shelf, links: Links, name: str, given: Record) -> Test:
    kind = kind_of(name.removeprefix("associations."))
    if kind is None:
        raise unknown_property(name)
    wanted = {int(value) for value in _values(given)}
    return lambda thing, _values: not wanted.isdisjoint(links.of(shelf.kind.name, thing.id, kind.name))


def _has(value: Any, _wanted: list[Any]) -> bool:
    return value is not None


def _in(value: Any, wanted: list[Any]) -> bool:
    return value is not None and value in wanted


def _token(value: Any, wanted: list[Any]) -> bool:
    needle = str(wanted[0]).strip("*")
    return (value is not None and any(needle in word for word in re.split(r"[\s@.]", str(value)))) or needle == value


_OPERATORS: dict[str, Callable[[Any, list[Any]], bool]] = {
    "EQ": lambda v, w: v is not None and v == w[0],
    "NEQ": lambda v, w: v is None or v != w[0],
    "LT": lambda v, w: v is not None and w[0] is not None and v < w[0],
    "LTE": lambda v, w: v is not None and w[0] is not None and v <= w[0],
    "GT": lambda v, w: v is not None and w[0] is not None and v > w[0],
    "GTE": lambda v, w: v is not None and w[0] is not None and v >= w[0],
    "BETWEEN": lambda v, w: v is not None and w[0] <= v <= w[-1],
    "IN": _in,
    "NOT_IN": lambda v, w: not _in(v, w),
    "HAS_PROPERTY": _has,
    "NOT_HAS_PROPERTY": lambda v, w: not _has(v, w),
    "CONTAINS_TOKEN": _token,
    "NOT_CONTAINS_TOKEN": lambda v, w: not _token(v, w),
}


def _sorted(shelf: Shelf, definitions: Types, hits: list[Thing], body: Record) -> list[Thing]:
    rules = body.get("sorts") or ()
    if not rules:
        return sorted(hits, key=lambda t: t.id)
    if len(rules) > 1:
        raise invalid("only one sort is supported")
    rule = rules[0]
    if isinstance(rule, str):
        rule = {"propertyName": rule.lstrip("-"), "direction": "DESCENDING" if rule.startswith("-") else "ASCENDING"}
    name, descending = str(rule.get("propertyName")), rule.get("direction") == "DESCENDING"
    if name not in definitions:
        raise unknown_property(name)
    own, type = _own(shelf, name), definitions[name]["type"]
    if own is not None:
        key = own
        hits.sort(key=lambda t: (key(t), zlib.crc32(b"%d" % t.id)), reverse=descending)
        return hits
    valued = [(_ordered(type, t.properties().get(name)), t) for t in hits]
    some = sorted((pair for pair in valued if pair[0] is not None), key=lambda pair: pair[0], reverse=descending)
    return [thing for _, thing in some] + [thing for value, thing in valued if value is None]
