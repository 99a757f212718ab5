"""What the brackets of a query mean: filters, order, page and limit.

The non-obvious decision: a filter that nobody knows is ignored by default, which is the likelier behaviour and the
crueller one, as a typo then reads everything; `kommo.unknown_filter=400` finds such typos.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kommo.errors import ApiError
from sync_assets.sandbox.kommo.shapes import Thing

Test = Callable[[Thing], bool]

_PEOPLE = ("id", "name", "created_by", "updated_by", "responsible_user_id")
# What may be equal to one of several values, by kind; and under which name the record has it.
EQUAL: dict[str, dict[str, str]] = {
    "leads": {name: name for name in (*_PEOPLE, "price", "pipeline_id")},
    "contacts": {name: name for name in _PEOPLE},
    "companies": {name: name for name in _PEOPLE},
    "tasks": {name: name for name in ("id", "responsible_user_id", "is_completed", "entity_type", "entity_id")}
    | {"task_type": "task_type_id"},
    "events": {
        "id": "id",
        "type": "type",
        "created_by": "created_by",
        "entity": "entity_type",
        "entity_id": "entity_id",
    },
}
RANGES = {
    "leads": ("created_at", "updated_at", "closed_at", "closest_task_at", "price"),
    "contacts": ("created_at", "updated_at", "closest_task_at"),
    "companies": ("created_at", "updated_at", "closest_task_at"),
    "tasks": ("updated_at",),
    "events": ("created_at",),
}
ORDERS = {
    "leads": ("created_at", "updated_at", "id"), "contacts": ("updated_at", "id"), "companies": ("updated_at", "id"),
    "tasks": ("complete_till", "created_at", "id"), "events": (),
}  # fmt: skip
STAGES = "leads_statuses"
MOST_ENTITIES = 10


@dataclass(frozen=True)
class Query:
    """A query string, taken apart once for all its pages."""

    asked: frozenset[str] = frozenset()
    # Name inside `filter` -> (further brackets, value) pairs, in their order.
    filters: dict[str, list[tuple[tuple[str, ...], str]]] = field(default_factory=dict)
    order: tuple[tuple[str, bool], ...] = ()
    text: str = ""


@lru_cache(maxsize=256)
def parse(raw: str) -> Query:
    """`raw` without page and limit."""
    asked: set[str] = set()
    filters: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    order: list[tuple[str, bool]] = []
    text = ""
    for name, value in parse_qsl(raw, keep_blank_values=True):
        head, _, _ = name.partition("[")
        inner = tuple(re.findall(r"\[([^\]]*)\]", name))
        if head == "with":
            asked |= {part.strip() for part in value.split(",") if part.strip()}
        elif head == "filter" and inner:
            filters.setdefault(inner[0], []).append((inner[1:], value))
        elif head == "order" and inner:
            order.append((inner[0], value.lower() == "desc"))
        elif head == "query":
            text = value.lower()
    return Query(frozenset(asked), filters, tuple(order), text)


def without_page(raw: str) -> str:
    return "&".join(pair for pair in raw.split("&") if pair and pair.partition("=")[0] not in ("page", "limit"))


def whole(text: str, name: str) -> int:
    if not text.lstrip("-").isdigit():
        raise ApiError(400, f"{name}: {text!r} is not a number")
    return int(text)


def found(kind: str, query: Query, things: list[Thing], switches: dict[str, str]) -> list[Thing]:
    """Those of `things`, which are in the asked order, that the filters let through.

    A range of what they are ordered by is cut out: a client that reads on from a moment asks for nothing else.
    """
    tests = _tests(kind, query, switches)
    (name, descending), *_ = (*query.order, ("", False))
    between = tests.pop(name, None) if name in RANGES[kind] and name in ORDERS[kind] and not descending else None
    if isinstance(between, Between):
        first = 0 if between.low is None else bisect_left(things, between.low, key=lambda thing: thing.fields[name])
        last = None if between.high is None else bisect_right(things, between.high, key=lambda t: t.fields[name])
        things = things[first:last]
    return [thing for thing in things if all(test(thing) for test in tests.values())] if tests else things[:]


def _tests(kind: str, query: Query, switches: dict[str, str]) -> dict[str, Test]:
    tests: dict[str, Test] = {}
    for name, given in query.filters.items():
        test = _test(kind, name, given, switches)
        if test is None and switches["kommo.unknown_filter"] == "400":
            raise ApiError(400, f"filter {name!r} is not supported")
        if test is not None:
            tests[name] = test
    if kind == "events":
        _sound_entities(query)
    if query.text:
        tests["query"] = lambda thing: query.text in _searched(thing)
    return tests


def _test(kind: str, name: str, given: list[tuple[tuple[str, ...], str]], switches: dict[str, str]) -> Test | None:
    ends = {inner[0]: value for inner, value in given if inner and inner[0] in ("from", "to")}
    if name in RANGES[kind] and (ends or name not in EQUAL[kind]):
        if (kind, name) == ("contacts", "created_at") and switches["kommo.created_filter"] == "ignored":
            return lambda _: True
        if not ends:
            ends = dict.fromkeys(("from", "to"), given[-1][1])
        return _between(name, ends, 1 if switches["kommo.bounds"] == "exclusive" else 0)
    if name in EQUAL[kind] and all(len(inner) <= 1 for inner, _ in given):
        own = EQUAL[kind][name]
        # Only events take several values in one, with commas.
        split = kind == "events" and name != "name"
        values = frozenset(part for _, value in given for part in (value.split(",") if split else [value]))
        return lambda thing: _spelled(thing.fields[own]) in values
    if (kind, name) == ("leads", "statuses"):
        stages = _stages([(inner, value) for inner, value in given if len(inner) == 2])
        return lambda thing: (str(thing.fields["pipeline_id"]), str(thing.fields["status_id"])) in stages
    if kind == "events" and name in ("value_before", "value_after"):
        stages = _stages([(inner[1:], value) for inner, value in given if len(inner) == 3 and inner[0] == STAGES])
        return lambda thing: any(_stage(value) in stages for value in thing.fields[name])
    return None


@dataclass(frozen=True)
class Between:
    name: str
    low: int | None
    high: int | None

    def __call__(self, thing: Thing) -> bool:
        at = thing.fields[self.name]
        return at is not None and (self.low is None or at >= self.low) and (self.high is None or at <= self.high)


def _between(name: str, ends: dict[str, str], margin: int) -> Between:
    low = whole(ends["from"], name) + margin if "from" in ends else None
    return Between(name, low, whole(ends["to"], name) - margin if "to" in ends else None)


def _stages(given: list[tuple[tuple[str, ...], str]]) -> set[tuple[str | None, str | None]]:
    """Pipeline and status count only as a pair: the same status stands in every pipeline."""
    pairs: dict[str, Record] = {}
    for inner, value in given:
        pairs.setdefault(inner[0], {})[inner[1]] = value
    if any(pair.keys() != {"pipeline_id", "status_id"} for pair in pairs.values()):
        raise ApiError(400, "a status is filtered for together with its pipeline")
    return {(pair["pipeline_id"], pair["status_id"]) for pair in pairs.values()}


def _stage(value: Record) -> tuple[str, str]:
    stage = value.get("lead_status", {})
    return str(stage.get("pipeline_id")), str(stage.get("id"))


def _sound_entities(query: Query) -> None:
    entities = {part for _, value in query.filters.get("entity", ()) for part in value.split(",")}
    ids = {part for _, value in query.filters.get("entity_id", ()) for part in value.split(",")}
    if ids and (len(entities) != 1 or len(ids) > MOST_ENTITIES):
        raise ApiError(400, f"filter[entity_id] takes {MOST_ENTITIES} ids of exactly one filter[entity]")


def _spelled(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _searched(thing: Thing) -> str:
    values = (str(value["value"]) for values in thing.values.values() for value in values)
    return " ".join((str(thing.id), str(thing.fields.get("name", "")), *values)).lower()


def ordered(kind: str, query: Query, found: list[Thing], switches: dict[str, str]) -> list[Thing]:
    found.sort(key=lambda thing: thing.id)
    if kind == "events":
        return found if switches["kommo.event_order"] == "oldest" else found[::-1]
    known = [(name, descending) for name, descending in query.order if name in ORDERS[kind]]
    if len(known) < len(query.order) and switches["kommo.unknown_filter"] == "400":
        raise ApiError(400, f"order by {[name for name, _ in query.order]} is not supported")
    if not known and switches["kommo.order"] == "newest":
        known = [("updated_at", True)]
    for name, descending in reversed(known):
        found.sort(key=lambda thing, name=name: thing.fields[name], reverse=descending)  # type: ignore[misc]
    return found
