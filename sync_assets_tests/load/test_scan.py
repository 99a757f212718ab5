"""The token scanner: it takes apart what a parser refuses, so it must agree with the parser wherever both can read."""

from __future__ import annotations

import json
from typing import Any

import psycopg2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg2.extensions import connection as Connection

from sync_assets.entity import ById, Whole
from sync_assets.errors import WrongShape
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer
from sync_assets.extract.pages import Splitter

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
RECORDS = st.lists(VALUES, max_size=6)
SPACES = st.sampled_from([None, 0, 2])


@given(RECORDS, SPACES, st.booleans())
def test_elements_splits_any_list_as_a_json_parser_does(records: list[Any], indent: int | None, plain: bool) -> None:
    body = json.dumps(records, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    assert [json.loads(e) for e in scan.elements(body, "")] == records


@given(RECORDS, st.dictionaries(st.text(), VALUES, max_size=3), st.dictionaries(st.text(), VALUES, max_size=3))
def test_elements_finds_the_list_in_its_field_whatever_stands_around_it(
    records: list[Any], before: dict[str, Any], after: dict[str, Any]
) -> None:
    before.pop("data", None)
    after.pop("data", None)
    body = json.dumps({**before, "data": records, **{k: v for k, v in after.items() if k not in before}}).encode()
    assert [json.loads(e) for e in scan.elements(body, "data")] == records


@given(RECORDS, st.integers(min_value=0, max_value=400))
@example(["]"], 3)
@example([{"a": "}]"}], 9)
def test_elements_of_a_body_cut_short_are_refused_never_fewer(records: list[Any], keep: int) -> None:
    body = json.dumps(records).encode()
    if keep < len(body):
        with pytest.raises(ValueError, match="does not end"):
            scan.elements(body[:keep], "")


@given(st.binary(max_size=200))
def test_elements_answers_or_refuses_any_bytes_and_never_breaks(body: bytes) -> None:
    for single in (False, True):
        try:
            found = scan.elements(body, "", single=single)
        except ValueError:
            continue
        for element in found:
            scan.culprit(element)
            scan.field(element, "id")
            scan.mend(element)[0].decode()


@pytest.mark.parametrize("body", [b'{"id": NaN}', b'{"data": {"id": NaN}}', b'{"data": null, "x": [NaN]}', b"NaN", b""])
def test_an_answer_without_its_list_is_an_error_however_damaged_it_is(body: bytes) -> None:
    for at in ("", "data"):
        with pytest.raises(WrongShape):
            Splitter(at, ["id"]).page("p", Whole("/x"), _answer(body))


def test_a_record_asked_for_by_key_is_found_in_a_damaged_answer() -> None:
    body = b'{"data": {"id": 7, "a": NaN}}'
    page = Splitter("data", ["id"]).page("p", ById("/x"), _answer(body))
    assert (page.suspect, page.keys, page.records) == (True, ["7"], [b'{"id": 7, "a": NaN}'])


def test_v6_elements_survives_twenty_thousand_levels() -> None:
    deep = b'{"id":1,"title":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    page = Splitter("", ["id"]).page("p", Whole("/x"), _answer(b"[" + deep + b',{"id":2}]'))
    assert (page.suspect, page.keys) == (True, ["1", "2"])
    assert scan.culprit(deep) == "/title"


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b'"\\ud800"', b'"\xff\xfe"', b"1e400000", b"01", b'"\\q"'])
def test_v2_v3_one_damaged_record_leaves_its_neighbours_as_they_are(value: bytes) -> None:
    body = b'[{"id":1},{"id":2,"a":' + value + b'},{"id":3}]'
    page = Splitter("", ["id"]).page("p", Whole("/x"), _answer(body))
    assert page.keys == ["1", "2", "3"]
    assert [bytes(r) for r in page.records][::2] == [b'{"id":1}', b'{"id":3}']


@given(st.text(), st.text())
def test_mend_leaves_whole_text_exactly_as_it_is(key: str, value: str) -> None:
    for plain in (True, False):
        record = json.dumps({key.replace("\0", ""): value.replace("\0", "")}, ensure_ascii=plain).encode()
        assert scan.mend(record) == (record, [])


CODE_UNITS = st.lists(st.sampled_from(["\\\\", "\\u0000", "\\ud83d", "\\ude00", "\\u00e9", "x", "u0000", "é"]))


@given(CODE_UNITS)
@example(["\\\\", "u0000"])
@example(["\\\\", "\\u0000"])
@example(["\\ud83d", "\\ud83d", "\\ude00", "\\ude00"])
def test_mend_replaces_exactly_nul_and_lone_surrogates(units: list[str]) -> None:
    record = '{"a":"' + "".join(units) + '"}'
    read = json.loads(record)["a"].replace("\0", "\ufffd")
    expected = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in read)
    mended, notes = scan.mend(record.encode())
    assert json.loads(mended)["a"] == expected
    assert bool(notes) == (mended != record.encode())


@given(st.binary(max_size=40))
def test_v2_mend_replaces_bytes_that_are_no_text(raw: bytes) -> None:
    raw = raw.replace(b'"', b"").replace(b"\\", b"").replace(b"\0", b"")
    mended, notes = scan.mend(b'{"a":"' + raw + b'"}')
    assert mended.decode() == '{"a":"' + raw.decode("utf-8", "replace") + '"}'
    try:
        raw.decode()
        assert notes == []
    except UnicodeDecodeError:
        assert notes == ["invalid UTF-8 replaced"]


def test_v1_mend_notes_each_kind_of_damage_once() -> None:
    mended, notes = scan.mend(b'{"a":"\\u0000\\u0000 \0 \\ud800 \xff"}')
    assert json.loads(mended) == {"a": "\ufffd\ufffd \ufffd \ufffd \ufffd"}
    assert notes == ["invalid UTF-8 replaced", "NUL replaced", "lone surrogate replaced"]


@pytest.mark.parametrize(
    ("record", "path"),
    [
        (b'{"id":1,"size":NaN}', "/size"),
        (b'{"id":1,"properties":{"id_5":[1,1e400000]}}', "/properties/id_5/1"),
        (b'[{"a":[[0],-Infinity]}]', "/0/a/1"),
        (b'{"a":1e-400000}', "/a"),
        (b'{"a":"fine","b":"raw \n line"}', "/b"),
        (b'{"a":"\\q"}', "/a"),
        (b'{"a":nope}', "/a"),
        (b'{"a":1e5,"b":"1e400000","c":0e400000,"d":true,"e":null}', None),
    ],
)
def test_v3_culprit_names_the_path_of_the_value(record: bytes, path: str | None) -> None:
    assert scan.culprit(record) == path


@pytest.mark.parametrize("number", ["1e131071", "1e131072", "0.1e131072", "10e131071", "1e-16383", "1e-16384", "-9e9"])
@pytest.mark.parametrize("digits", ["", "00"])
def test_v3_culprit_knows_the_numbers_that_postgres_has_room_for(asked: Connection, number: str, digits: str) -> None:
    number = number.replace("e", f"{digits}e") if "." in number else number
    with asked.cursor() as cursor:
        try:
            cursor.execute("select %s::jsonb is null", (number,))
            held = True
        except psycopg2.DataError:
            held = False
    assert (scan.culprit(b'{"a":%s}' % number.encode()) is None) == held


def test_v7_a_field_is_read_as_a_parser_would_read_it() -> None:
    assert scan.field(rb'{"id":"a\u0041\n","x":NaN}', "id") == "aA\n"
    assert scan.field(b'{"id":1,"x":{"id":9},"id":2}', "id") == "2"
    assert scan.field(b'{"id":null}', "id") is None
    assert scan.field(b'{"x":NaN}', "id") is None


def _answer(body: bytes) -> Answer:
    return Answer(200, {}, body)  # type: ignore[arg-type]
