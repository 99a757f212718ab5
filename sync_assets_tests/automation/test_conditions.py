"""Conditions: what each operator says of present, absent and differently spelled values, and laws that hold of all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_assets.automation.conditions import Comparison, Every, Not, Some, holds, parse_condition, same
from sync_assets.automation.document import Node
from sync_assets.automation.fields import value_at

BEFORE = {
    "status_id": 7,
    "price": 500,
    "name": "Lead",
    "closed_at": None,
    "custom_fields_values": [{"field_id": 11, "field_code": "PHONE", "values": [{"value": "+7"}]}],
    "_embedded": {"tags": [{"id": 1, "name": "vip"}, {"id": 2, "name": "B2B"}]},
}
AFTER = {
    **BEFORE,
    "status_id": 142,
    "price": 20000,
    "closed_at": 1_767_258_000,  # 2026-01-01T09:00:00Z
    "empty": "",
    "is_done": True,
    "text": "001",
    "when": "2026-01-01T12:00:00+03:00",
    "at": 1_767_258_000_000,
    "custom_fields_values": [
        {"field_id": 11, "field_code": "PHONE", "values": [{"value": "+7"}, {"value": "+8"}]},
        {"field_id": 12, "field_code": None, "values": [{"value": "a"}]},
    ],
    "properties": {"amount": "10000.50", "hs_is_closed": "true"},
    "tags": None,
}

TABLE: list[tuple[str, str, Any, bool]] = [
    ("after.status_id", "equals", 142, True),
    ("after.status_id", "equals", "142", True),
    ("after.status_id", "equals", 143, False),
    ("after.missing", "equals", None, True),
    ("before.status_id", "equals", 7, True),
    ("after.text", "equals", "001", True),
    ("after.text", "equals", "1", False),
    ("after.text", "equals", 1, True),
    ("after.is_done", "equals", True, True),
    ("after.is_done", "equals", 1, False),
    ("after.properties.hs_is_closed", "equals", True, True),
    ("after.when", "equals", "2026-01-01T09:00:00Z", True),
    ("after.closed_at", "equals", "2026-01-01T09:00:00Z", True),
    ("after.at", "equals", "2026-01-01T12:00:00+03:00", True),
    ("after.tags", "equals", ["B2B", "vip"], True),
    ("after.tags", "equals", ["vip"], False),
    ("after.custom_fields.PHONE", "equals", ["+8", "+7"], True),
    ("after.status_id", "not_equals", 143, True),
    ("after.missing", "not_equals", 143, True),
    ("after.status_id", "in", [1, 142], True),
    ("after.status_id", "in", [1, 2], False),
    ("after.missing", "in", [1, 2], False),
    ("after.status_id", "not_in", [1, 2], True),
    ("after.status_id", "not_in", ["142"], False),
    ("after.tags", "contains", "vip", True),
    ("after.tags", "contains", "VIP", False),
    ("after.name", "contains", "ea", True),
    ("after.missing", "contains", "x", False),
    ("after.status_id", "contains", 4, False),
    ("after.custom_fields.PHONE", "contains", "+8", True),
    ("before.custom_fields.11", "equals", "+7", True),
    ("after.custom_fields.12", "equals", "a", True),
    ("after.custom_fields.nothing", "empty", None, True),
    ("after.price", "gt", 19999, True),
    ("after.price", "gt", 20000, False),
    ("after.price", "gte", 20000, True),
    ("after.price", "lt", 20000.5, True),
    ("after.price", "lte", 19999, False),
    ("after.properties.amount", "gt", 9999, True),
    ("after.properties.amount", "lt", "10000.51", True),
    ("after.name", "gt", 1, False),
    ("after.missing", "lt", 1, False),
    ("after.is_done", "gte", 0, False),
    ("after.closed_at", "gte", "2026-01-01", True),
    ("after.closed_at", "lt", "2026-01-01T12:00:00+04:00", False),
    ("after.when", "lte", "2026-01-01T09:00:00Z", True),
    ("after.at", "gt", "2025-12-31", True),
    ("after.empty", "empty", None, True),
    ("after.missing", "empty", None, True),
    ("after.price", "empty", None, False),
    ("after.tags", "not_empty", None, True),
    ("after.closed_at", "changed", None, True),
    ("after.name", "changed", None, False),
    ("after.name", "not_changed", None, True),
    ("after.price", "not_changed", None, False),
    ("after.status_id", "changed_to", 142, True),
    ("before.status_id", "changed_to", 142, True),
    ("after.name", "changed_to", "Lead", False),
    ("after.status_id", "changed_from", 7, True),
    ("after.status_id", "changed_from", 142, False),
    ("after.closed_at", "changed_from", None, True),
    ("after.status_id", "changed", {"from": [7, 8], "to": [142]}, True),
    ("after.status_id", "changed", {"from": 8}, False),
    ("after.status_id", "changed", {"to": [142, 143]}, True),
    ("current.status_id", "equals", 143, True),
    ("after._embedded.tags.0.name", "equals", "vip", True),
    ("after._embedded.tags.9.name", "empty", None, True),
    ("after.name.0.x", "empty", None, True),
]
BARE = ("empty", "not_empty", "not_changed")


def node(value: Any) -> Node:
    """As if it came from line 1 of a file."""
    match value:
        case dict():
            return Node({name: node(inner) for name, inner in value.items()}, "a.yaml", 1)
        case list():
            return Node([node(inner) for inner in value], "a.yaml", 1)
        case _:
            return Node(value, "a.yaml", 1)


def comparison(field: str, op: str, value: Any) -> Any:
    given = {"field": field, "op": op}
    if op not in BARE and not (op == "changed" and value is None):
        given["value"] = value
    return parse_condition(node(given))


def said(condition: Any, before: Any = BEFORE, after: Any = AFTER, current: Any = {"status_id": 143}) -> bool:  # noqa: B006
    return holds(condition, before=before, after=after, current=current)


@pytest.mark.parametrize(("field", "op", "value", "expected"), TABLE, ids=lambda v: str(v)[:40])
def test_an_operator(field: str, op: str, value: Any, expected: bool) -> None:
    assert said(comparison(field, op, value)) is expected


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("changed", None, True), ("changed_to", 142, True), ("changed_to", 143, False), ("changed_from", 7, False),
        ("changed_from", None, True), ("not_changed", None, False), ("changed", {"from": [7]}, False),
    ],
)  # fmt: skip
def test_a_record_that_came_from_nothing_has_changed_to_what_it_is(op: str, value: Any, expected: bool) -> None:
    assert said(comparison("after.status_id", op, value), before=None) is expected
    assert said(comparison("after.missing", "changed", None), before=None) is False


def test_all_any_and_not_nest() -> None:
    won = {"field": "after.status_id", "op": "equals", "value": 142}
    lost = {"field": "after.status_id", "op": "equals", "value": 143}
    assert said(parse_condition(node({"all": [won, {"any": [lost, won]}, {"not": lost}]})))
    assert not said(parse_condition(node({"all": [won, {"any": [lost, {"not": won}]}]})))


def test_a_record_that_is_gone_is_asked_for_by_its_own_word() -> None:
    gone, there = (parse_condition(node({"entity_deleted": deleted})) for deleted in (True, False))
    assert said(gone, current=None) and not said(gone)
    assert said(there) and not said(there, current=None)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"field": "status_id", "op": "equals", "value": 1}, "is no field: begin with before., after., current."),
        ({"field": "after.a b", "op": "equals", "value": 1}, "names of letters, digits and _"),
        ({"field": "after.", "op": "equals", "value": 1}, "is no field"),
        ({"field": "after.x", "op": "equal", "value": 1}, "did you mean equals"),
        ({"field": "after.x", "op": "in", "value": 1}, "a number where a list belongs"),
        ({"field": "after.x", "op": "in", "value": []}, "an empty list where a list belongs"),
        ({"field": "after.x", "op": "gt", "value": "soon"}, "compares numbers or moments"),
        ({"field": "after.x", "op": "gt", "value": True}, "compares numbers or moments"),
        ({"field": "after.x", "op": "contains", "value": [1]}, "compares with one value"),
        ({"field": "after.x", "op": "empty", "value": 1}, "empty has no value"),
        ({"field": "after.x", "op": "equals"}, "equals needs a value"),
        ({"field": "after.x", "op": "changed", "value": {}}, "changed has from, to or both"),
        ({"field": "after.x", "op": "changed", "value": {"form": 1}}, "did you mean from"),
        ({"field": "after.x", "changed": {"to": 1}, "op": "in"}, "either op or changed"),
        ({"field": "current.x", "op": "changed"}, "not of current."),
        ({"all": []}, "an empty list where a list belongs"),
        ({"all": [1]}, "a condition is a mapping"),
        ({"all": [], "any": []}, "is not known here"),
        ({"op": "equals", "value": 1}, "field is missing"),
        ([], "a condition is a mapping"),
    ],
)
def test_what_cannot_be_understood_is_said_with_its_line(given: Any, complaint: str) -> None:
    from sync_assets.errors import BadAutomation

    with pytest.raises(BadAutomation) as error:
        parse_condition(node(given))
    assert complaint in str(error.value) and error.value.where == {"file": "a.yaml", "line": 1}


SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=True) | st.text(max_size=12)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
RECORDS = st.none() | st.dictionaries(st.sampled_from(["x", "tags", "_embedded", "custom_fields_values"]), VALUES)
OPERANDS = {
    "equals": VALUES, "not_equals": VALUES, "contains": SCALARS, "in": st.lists(SCALARS), "not_in": st.lists(SCALARS),
    "gt": st.integers(), "lte": st.just("2026-01-01"), "changed_to": SCALARS, "changed_from": SCALARS,
}  # fmt: skip
PATHS = st.sampled_from([("x",), ("x", "y"), ("tags",), ("custom_fields", "11"), ("_embedded", "tags", "0")])


@st.composite
def conditions(draw: Any) -> Any:
    op = draw(st.sampled_from(sorted(OPERANDS)))
    side = "after" if op.startswith("changed") else draw(st.sampled_from(["before", "after", "current"]))
    return Comparison(side, draw(PATHS), op, draw(OPERANDS[op]))


@settings(max_examples=50)
@given(conditions(), conditions(), RECORDS, RECORDS, RECORDS)
def test_no_record_makes_a_condition_fail_and_logic_holds(
    one: Any, two: Any, before: Any, after: Any, now: Any
) -> None:
    def so(condition: Any) -> bool:
        answer = holds(condition, before=before, after=after, current=now)
        assert isinstance(answer, bool)
        return answer

    assert so(Not(one)) is not so(one)
    assert so(Every((one, two))) == (so(one) and so(two)) == (not so(Some((Not(one), Not(two)))))
    assert so(Some((one, two))) == (so(one) or so(two)) and so(Every()) and not so(Some(()))
    for op, opposite in (("equals", "not_equals"), ("in", "not_in")):
        if one.op == op:
            assert so(one) is not so(Comparison(one.side, one.path, opposite, one.value))
    found = value_at({"before": before, "after": after, "current": now}[one.side], one.path)
    assert so(Comparison(one.side, one.path, "empty")) is not so(Comparison(one.side, one.path, "not_empty"))
    if one.op == "gt" and so(one):
        assert found is not None and not so(Comparison(one.side, one.path, "lte", one.value))


@example(None, {"tags": True}, ("tags",))
@settings(max_examples=50)
@given(RECORDS, RECORDS, PATHS)
def test_changed_means_that_something_went_from_something_to_something_else(before: Any, after: Any, path: Any) -> None:
    def so(op: str, value: Any = None) -> bool:
        return holds(Comparison("after", path, op, value), before=before, after=after, current=None)

    left, right = value_at(before, path), value_at(after, path)
    assert so("changed") is not so("not_changed") and so("changed") is not same(left, right)
    # A number that is none (NaN) equals not even itself, so nothing is compared with it.
    if same(left, left) and same(right, right):
        assert so("changed") == so("changed_to", right) == so("changed_from", left)


@settings(max_examples=50)
@given(VALUES, VALUES)
def test_same_is_symmetric(one: Any, other: Any) -> None:
    assert same(one, other) == same(other, one)


@settings(max_examples=50)
@given(st.integers(631_152_000, 3_786_912_000), st.integers(-12, 14), st.integers(-3600, 3600))
def test_moments_compare_as_instants_however_they_are_spelled(second: int, hours: int, apart: int) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    later = moment + timedelta(seconds=apart)
    there = later.astimezone(timezone(timedelta(hours=hours)))
    for spelled in (
        there.isoformat(),
        int(later.timestamp()),
        int(later.timestamp() * 1000),
        str(int(later.timestamp())),
    ):
        wanted = moment.isoformat().replace("+00:00", "Z")
        after = {"x": spelled}
        assert holds(Comparison("after", ("x",), "equals", wanted), before=None, after=after, current=None) == (
            apart == 0
        )
        assert holds(Comparison("after", ("x",), "gte", wanted), before=None, after=after, current=None) == (apart >= 0)
