"""Conditions over a record before and after a change: a closed table of operators, and all, any and not of them.

    {field: after.status_id, op: changed_to, value: 142}
    {all: [...]}, {any: [...]}, {not: {...}}, {entity_deleted: true}

What is not there is null: it equals nothing but null, it is empty, and it is neither more nor less than anything.
Without a record before, a value that is there now has come from null, so `changed_to` holds of a record that was
created with it; `changed_from` then holds of nothing but null.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sync_assets.automation.document import Node
from sync_assets.automation.fields import Path, Record, field_path, value_at

CHANGES = ("changed", "not_changed", "changed_to", "changed_from")
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
LISTS = ("in", "not_in")
BARE = ("empty", "not_empty", "not_changed")
"""Without a value."""
OPERATORS = ("equals", "not_equals", *LISTS, "contains", *ORDERS, "empty", "not_empty", *CHANGES)

MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")
NUMBER = re.compile(r"[-+]?\d{1,30}(\.\d{1,30})?")
MILLISECONDS = 100_000_000_000
"""From here on a number that is a moment counts milliseconds: as seconds it would be in the year 5138."""


@dataclass(frozen=True)
class Comparison:
    side: str
    path: Path
    op: str
    value: Any = None
    came_from: list[Any] | None = None  # of `changed`: one of these
    went_to: list[Any] | None = None


@dataclass(frozen=True)
class Every:
    parts: tuple[Condition, ...] = field(default=())


@dataclass(frozen=True)
class Some:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    part: Condition


@dataclass(frozen=True)
class Deleted:
    """The record is not there any more, or is there still."""

    deleted: bool


Condition = Comparison | Every | Some | Not | Deleted
ALWAYS = Every()


def parse_condition(node: Node) -> Condition:
    """Raises BadAutomation with the line of what is wrong."""
    if not isinstance(node.value, dict):
        raise node.wrong("a condition is a mapping: {field: after.price, op: gte, value: 10}")
    match next((name for name in ("all", "any", "not", "entity_deleted") if name in node.value), None):
        case "all":
            return Every(tuple(parse_condition(n) for n in node.mapping(required=["all"])["all"].items()))
        case "any":
            return Some(tuple(parse_condition(n) for n in node.mapping(required=["any"])["any"].items()))
        case "not":
            return Not(parse_condition(node.mapping(required=["not"])["not"]))
        case "entity_deleted":
            return Deleted(node.mapping(required=["entity_deleted"])["entity_deleted"].flag())
        case _:
            return _comparison(node)


def holds(condition: Condition, *, before: Record | None, after: Record | None, current: Record | None) -> bool:
    """Whether it is so of this change. Each is a whole record, None where there is none."""
    sides = {"before": before, "after": after, "current": current}
    match condition:
        case Every(parts):
            return all(holds(part, **sides) for part in parts)
        case Some(parts):
            return any(holds(part, **sides) for part in parts)
        case Not(part):
            return not holds(part, **sides)
        case Deleted(deleted):
            return (current is None) == deleted
        case Comparison(op=op) if op in CHANGES:
            return _changed(condition, value_at(before, condition.path), value_at(after, condition.path))
        case Comparison():
            return _compares(condition, value_at(sides[condition.side], condition.path))


def _comparison(node: Node) -> Comparison:
    parts = node.mapping(required=["field"], optional=["op", "value", "changed"])
    side, path = field_path(parts["field"])
    if ("op" in parts) == ("changed" in parts):
        raise node.wrong("a comparison has either op or changed")
    if "changed" in parts and "value" in parts:
        raise node.wrong("changed has from and to, and no value")
    op = parts["op"].one_of(OPERATORS) if "op" in parts else "changed"
    given = parts.get("changed") or parts.get("value")
    if op in CHANGES and side == "current":
        raise parts["field"].wrong("what changed is told of before. and after., and not of current.")
    if op == "changed":
        return _change(side, path, given)
    if (given is None) != (op in BARE):
        raise node.wrong(f"{op} has no value" if given else f"{op} needs a value")
    if given is None:
        return Comparison(side, path, op)
    value = given.plain()
    if op in LISTS:
        given.items()
    elif isinstance(value, dict) or (isinstance(value, list) and op not in ("equals", "not_equals")):
        raise given.wrong(f"{op} compares with one value")
    if op in ORDERS and (isinstance(value, bool) or (_number(value) is None and _moment(value) is None)):
        raise given.wrong(f"{op} compares numbers or moments: 10, 2026-07-01 or 2026-07-01T09:00:00Z")
    return Comparison(side, path, op, value)


def _change(side: str, path: Path, given: Node | None) -> Comparison:
    if given is None:
        return Comparison(side, path, "changed")
    ends = given.mapping(optional=["from", "to"])
    if not ends:
        raise given.wrong("changed has from, to or both")
    lists = {name: [n.plain() for n in end.items()] if isinstance(end.value, list) else [end.plain()]
             for name, end in ends.items()}  # fmt: skip
    return Comparison(side, path, "changed", came_from=lists.get("from"), went_to=lists.get("to"))


def _changed(condition: Comparison, before: Any, after: Any) -> bool:
    if same(before, after):
        return condition.op == "not_changed"
    match condition.op:
        case "changed":
            return all(
                ends is None or any(same(value, end) for end in ends)
                for value, ends in ((before, condition.came_from), (after, condition.went_to))
            )
        case "changed_to":
            return same(after, condition.value)
        case "changed_from":
            return same(before, condition.value)
        case _:
            return False


def _compares(condition: Comparison, found: Any) -> bool:
    wanted = condition.value
    match condition.op:
        case "equals":
            return same(found, wanted)
        case "not_equals":
            return not same(found, wanted)
        case "in":
            return any(same(found, one) for one in wanted)
        case "not_in":
            return not any(same(found, one) for one in wanted)
        case "contains" if isinstance(found, list):
            return any(same(one, wanted) for one in found)
        case "contains":
            return isinstance(found, str) and str(wanted) in found
        case "empty":
            return _empty(found)
        case "not_empty":
            return not _empty(found)
        case _:
            return _in_order(condition.op, found, wanted)


def same(one: Any, other: Any) -> bool:
    """Equal in what is meant: sources spell numbers, flags and moments as texts too; lists are equal in any order."""
    if isinstance(one, list) and isinstance(other, list):
        left = list(other)
        for item in one:
            if (at := next((i for i, o in enumerate(left) if same(item, o)), None)) is None:
                return False
            del left[at]
        return not left
    if one is None or other is None or isinstance(one, Mapping | list) or isinstance(other, Mapping | list):
        return bool(one == other)
    if isinstance(one, bool) or isinstance(other, bool):
        return str(one).lower() == str(other).lower()
    if isinstance(one, str) and isinstance(other, str):
        # Two texts that are both numbers are codes: 007 is not 7.
        spelled = _moment(one) is not None or _moment(other) is not None
        moments = _moments(one, other) if spelled else None
        return one == other or (moments is not None and moments[0] == moments[1])
    numbers = _number(one), _number(other)
    if None not in numbers:
        return numbers[0] == numbers[1]
    moments = _moments(one, other)
    return moments is not None and moments[0] == moments[1]


def _in_order(op: str, found: Any, wanted: Any) -> bool:
    if found is None or isinstance(found, bool | Mapping | list):
        return False
    numbers = _number(found), _number(wanted)
    if None not in numbers:
        return ORDERS[op](*numbers)
    moments = _moments(found, wanted)
    return moments is not None and ORDERS[op](*moments)


def _empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    text = str(value)
    if isinstance(value, str) and not NUMBER.fullmatch(text):
        return None
    try:
        return number if (number := Decimal(text)).is_finite() else None
    except InvalidOperation:
        return None


def _moments(one: Any, other: Any) -> tuple[datetime, datetime] | None:
    """Both as instants, where at least one of them is spelled as one: of two numbers neither is."""
    found = _moment(one, epoch=True), _moment(other, epoch=True)
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _moment(value: Any, *, epoch: bool = False) -> datetime | None:
    """A text that is a date or a moment; without a zone it is UTC. `epoch`: seconds or milliseconds since 1970 too."""
    if isinstance(value, str) and MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    if epoch and (number := _number(value)) is not None:
        try:
            return datetime.fromtimestamp(float(number / 1000 if abs(number) >= MILLISECONDS else number), UTC)
        except (ValueError, OverflowError, OSError):
            return None
    return None
