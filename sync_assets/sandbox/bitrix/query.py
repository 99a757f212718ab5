"""What a list is asked for: filter, order, select, start; and which rows that means.

Promise: a filter that the vendor understands is obeyed exactly, and one that it does not understand vanishes without
a word, so that the answer is the whole table. The non-obvious decision: bounds on the key are kept apart from the
other conditions, so a client that pages by `>id` has its conditions evaluated once per change of the world.
"""

import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sync_assets.sandbox.bitrix import php
from sync_assets.sandbox.bitrix.shapes import STAMPS, Kind, snake, type_of
from sync_assets.sandbox.bitrix.table import Key, Table
from sync_assets.sandbox.dialect import Record, decode, encode

OPERATORS = ("!=%", "!@", "!%", "=%", "%=", ">=", "<=", "!=", "@", ">", "<", "%", "=", "!", "")
BOUNDS = (">", ">=", "<", "<=")


@dataclass(frozen=True)
class Condition:
    name: str
    operator: str
    wanted: Any


@dataclass(frozen=True)
class Asked:
    conditions: tuple[Condition, ...]
    bounds: tuple[Condition, ...]
    order: tuple[tuple[str, bool], ...]
    select: frozenset[str] | None

    @property
    def by_key(self) -> bool:
        return not self.order


def asked(kind: Kind, given: Record, switches: dict[str, str], zone: ZoneInfo) -> Asked:
    conditions: list[Condition] = []
    bounds: list[Condition] = []
    for raw, value in php.pairs(given.get("filter")).items():
        found = _condition(kind, snake(raw), value, switches, zone)
        if found is not None:
            bound = found.name == kind.key and found.operator in BOUNDS and isinstance(found.wanted, int)
            (bounds if bound else conditions).append(found)
    order = []
    for raw, direction in php.pairs(given.get("order")).items():
        if (name := kind.columns.get(snake(raw))) is not None:
            order.append((name, str(direction).upper() == "DESC"))
    if order[:1] == [(kind.key, False)]:
        order = []
    wanted = php.values(given.get("select") or ())
    names = frozenset(kind.columns[snake(str(raw))] for raw in wanted if snake(str(raw)) in kind.columns)
    return Asked(tuple(conditions), tuple(bounds), tuple(order), None if "*" in wanted else names or None)


def _condition(kind: Kind, key: str, value: Any, switches: dict[str, str], zone: ZoneInfo) -> Condition | None:
    """None for what the vendor drops: unknown names, and dates that it cannot read."""
    operator = next(o for o in OPERATORS if key.startswith(o))
    name = kind.columns.get(key[len(operator) :])
    if name is None or (name in STAMPS and switches["bitrix.dated"] != "yes"):
        return None
    several = isinstance(value, (dict, list)) and switches["bitrix.int_lists"] == "in"
    match type_of(kind, name):
        case "datetime":
            value = moment(value, zone)
            return None if value is None else Condition(name, operator, value)
        case "integer":
            wanted: Any = tuple(php.whole(v) for v in php.values(value)) if several else php.whole(value)
        case "double":
            wanted = tuple(php.real(v) for v in php.values(value)) if several else php.real(value)
        case _:
            texts = tuple(str(v).casefold() for v in php.values(value))
            wanted = texts if isinstance(value, (dict, list)) else texts[0]
    return Condition(name, operator, wanted)


def moment(value: Any, zone: ZoneInfo) -> float | None:
    """Seconds since the epoch of an ISO date or one in the site's format; without a zone it is the portal's time."""
    if not isinstance(value, str):
        return None
    text = re.sub(r"^(\d\d)\.(\d\d)\.(\d{4})", r"\3-\2-\1", value.strip())
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()


def _value(kind: Kind, name: str, record: Record) -> Any:
    value = record[name]
    if value is None or (value == "" and type_of(kind, name) == "datetime"):
        return None
    if type_of(kind, name) == "datetime":
        return datetime.fromisoformat(value).timestamp()
    if isinstance(value, (dict, list)):
        return encode(value).decode()
    return value.casefold() if isinstance(value, str) else value


def _like(value: Any, wanted: Any) -> bool:
    return re.fullmatch(re.escape(str(wanted)).replace("%", ".*"), str(value)) is not None


def _same(value: Any, wanted: Any) -> bool:
    return bool(value in wanted if isinstance(wanted, tuple) else value == wanted)


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda v, w: v >= w,
    "<=": lambda v, w: v <= w,
    ">": lambda v, w: v > w,
    "<": lambda v, w: v < w,
    "%": lambda v, w: str(w) in str(v),
    "=%": _like,
    "%=": _like,
}


def _test(value: Any, condition: Condition) -> bool:
    operator, wanted = condition.operator, condition.wanted
    if operator.startswith("!"):
        # A row that has no value is unlike any value.
        plain = operator.lstrip("!").removeprefix("=") or "="
        return value is None or not _test(value, Condition(condition.name, plain, wanted))
    if value is None:
        return False
    if operator in _TESTS and not isinstance(wanted, tuple):
        return _TESTS[operator](value, wanted)
    return _same(value, wanted)


def found(table: Table, asked: Asked) -> list[Key]:
    """The keys of all rows that satisfy the conditions, in the asked order; bounds on the key come later."""
    kind, ids = table.kind, table.ids
    for condition in asked.conditions:
        wanted = condition.wanted if isinstance(condition.wanted, tuple) else (condition.wanted,)
        if condition.operator not in ("", "=", "@"):
            continue
        if condition.name == kind.parent:
            ids = sorted({id for parent in wanted for id in table.children(parent)})
        elif condition.name == kind.key and isinstance(wanted[0] if wanted else 0, int):
            ids = sorted({id for id in wanted if id in table.rows})
    if not asked.conditions and not asked.order:
        return ids
    rows: list[tuple[Key, Record]] = [(id, decode(table.rows[id])) for id in ids]
    for condition in asked.conditions:
        rows = [pair for pair in rows if _test(_value(kind, condition.name, pair[1]), condition)]
    if asked.order:
        # Ties have an order, but none that anybody could count on.
        rows.sort(key=lambda pair: zlib.crc32(str(pair[0]).encode()))
        for name, descending in reversed(asked.order):
            rows.sort(key=lambda pair: _orderly(_value(kind, name, pair[1])), reverse=descending)
    return [id for id, _ in rows]


def _orderly(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)


def bounded(ids: list[Key], asked: Asked) -> list[Key]:
    if not asked.by_key:
        keep: Callable[[Key], bool] = lambda id: all(_TESTS[b.operator](id, b.wanted) for b in asked.bounds)  # noqa: E731
        return [id for id in ids if keep(id)] if asked.bounds else ids
    first, last = 0, len(ids)
    for bound in asked.bounds:
        match bound.operator:
            case ">":
                first = max(first, bisect_right(ids, bound.wanted))
            case ">=":
                first = max(first, bisect_left(ids, bound.wanted))
            case "<":
                last = min(last, bisect_left(ids, bound.wanted))
            case _:
                last = min(last, bisect_right(ids, bound.wanted))
    return ids[first:last] if asked.bounds else ids
