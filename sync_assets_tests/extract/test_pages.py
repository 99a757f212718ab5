"""An answer becomes a page of records or an error that says where and what; never a page that is empty by mistake."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_assets.entity import ById, Whole
from sync_assets.errors import WrongShape
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer
from sync_assets.extract.pages import Splitter

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
RECORDS = st.lists(st.dictionaries(st.text(), JSON, max_size=4).map(lambda r: {**r, "id": 7}), max_size=5)
QUICK = settings(derandomize=True, max_examples=60)


def page(body: bytes, at: str = "", read: Any = Whole("/rows")) -> Any:  # noqa: B008
    return Splitter(at, ("id",)).page("rows, offset 0", read, Answer(200, None, body))  # type: ignore[arg-type]


@QUICK
@given(value=JSON.filter(lambda v: not isinstance(v, list)))
def test_a8_only_a_list_is_a_page(value: Any) -> None:
    with pytest.raises(WrongShape) as told:
        page(json.dumps(value).encode())
    assert "rows, offset 0" in str(told.value)


@QUICK
@given(value=JSON, rest=st.dictionaries(st.text(), SCALARS, max_size=3))
def test_a8_only_a_list_in_its_field_is_a_page(value: Any, rest: dict[str, Any]) -> None:
    body = json.dumps({**rest, "data": value}).encode()
    if isinstance(value, list):
        assert len(page(body, "data").records) == len(value)
    else:
        with pytest.raises(WrongShape, match=r"\$\.data"):
            page(body, "data")
    rest.pop("data", None)
    with pytest.raises(WrongShape, match=r"\$\.data"):
        page(json.dumps(rest).encode(), "data")


@QUICK
@given(records=RECORDS, cut=st.floats(0, 0.999))
def test_a6_a_page_that_was_cut_is_an_error(records: list[Any], cut: float) -> None:
    body = json.dumps(records).encode()
    with pytest.raises(WrongShape):
        page(body[: int(len(body) * cut)])


@QUICK
@given(records=RECORDS, spaces=st.sampled_from([None, 2]))
def test_records_come_out_as_they_went_in(records: list[Any], spaces: int | None) -> None:
    for ascii_only in (True, False):
        text = json.dumps(records, indent=spaces, ensure_ascii=ascii_only)
        body = text.encode("utf-8", "replace")
        found = page(body)
        if not found.suspect:
            assert [json.loads(bytes(r)) for r in found.records] == json.loads(body)
        assert len(found.records) == len(records)
        assert len(scan.elements(body, "")) == len(records)
        assert len(scan.elements(b'{"data":' + body + b"}", "data")) == len(records)


@pytest.mark.parametrize("damage", [b"NaN", b'"\\ud800"', b'"\xff\xfe"', b"[" * 20_000 + b"]" * 20_000, b"9" * 5000])
def test_a_page_with_one_bad_record_keeps_its_neighbours(damage: bytes) -> None:
    body = b'[{"id":1,"a":{"b":[1,"]"]}},{"id":2,"a":' + damage + b'},{"id":"3","a":"}\\\\\\"]"}]'
    found = page(body)
    assert found.keys == ["1", "2", "3"]
    assert json.loads(bytes(found.records[2])) == {"id": "3", "a": '}\\"]'}


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ({"id": 12}, "12"),
        ({"id": "12"}, "12"),
        ({"id": None}, None),
        ({"id": ""}, None),
        ({"id": {"a": 1}}, None),
        ({"id": [1]}, None),
        ({}, None),
        ({"ID": 12}, None),
    ],
)
def test_a_key_is_a_number_or_a_text(record: dict[str, Any], key: str | None) -> None:
    assert page(json.dumps([record]).encode()).keys == [key]


def test_one_record_by_key_is_a_page_of_one() -> None:
    found = page(b'{"id":5}', read=ById("/rows/{key}"))
    assert (found.keys, len(found.records)) == (["5"], 1)
    with pytest.raises(WrongShape):
        page(b'{"status":"ok"}', "data", ById("/rows/{key}"))


def test_what_the_parents_key_adds_gives_way_to_the_records_own() -> None:
    splitter = Splitter("", ("id",))
    answer = Answer(200, None, b'[{"id":1},{"id":2,"space_id":9},{}]')  # type: ignore[arg-type]
    found = splitter.page("boards", Whole("/boards"), answer, carry=b'"space_id":4')
    assert [msgspec.json.decode(bytes(r)).get("space_id") for r in found.records] == [4, 9, 4]


def hasty(*records: str) -> Any:
    body = f"[{','.join(records)}]".encode()
    return Splitter("", ("id",)).page("rows", Whole("/rows"), Answer(200, None, body), hasty=True)  # type: ignore[arg-type]


def test_hasty_keys_are_what_records_begin_with_until_they_are_made_certain() -> None:
    found = hasty('{"id":"12","name":"a"}', '{ "id" : 13 }', '{"id":"14","x":{"id":"1"},"id":"15"}')
    assert found.keys == ["12", "13", "14"]
    assert found.certain().keys == ["12", "13", "15"]
    assert found.certain().keys == ["12", "13", "15"]


OTHERWISE = (
    '{"name":"a","id":"7"}', '{"id":"07"}', '{"id":"7 "}', '{"id":"7 a"}', '{"id":7.5}', '{"id":7e2}', '{"id":"-7"}',
    '{"id":null}', '{"id":""}', '{"id":1234567890123456789}', '{"id":"\\u0037"}', "{}", '{"id":{"id":7}}',
    '{"identity":7}', "7", '"id"', '{"id":"٧"}',
)  # fmt: skip


@pytest.mark.parametrize("other", OTHERWISE)
def test_where_one_record_begins_otherwise_no_key_is_hasty(other: str) -> None:
    found, slow = hasty('{"id":1}', other), page(f'[{{"id":1}},{other}]'.encode())
    assert found.key_of is None
    assert found.keys == slow.keys


@QUICK
@given(records=RECORDS, spaces=st.sampled_from([None, 2]), first=st.booleans())
def test_hasty_keys_made_certain_are_the_keys(records: list[dict[str, Any]], spaces: int | None, first: bool) -> None:
    texts = [json.dumps({"id": 7, **r} if first else r, indent=spaces) for r in records]
    assert hasty(*texts).certain().keys == page(f"[{','.join(texts)}]".encode()).keys
