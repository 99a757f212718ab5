"""The casts behind typed columns: declared formats only, NULL for the rest, the same answer in every session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.provisional import urls
from psycopg2.extensions import connection as Connection

KINDS = (
    "text",
    "whole",
    "key",
    "amount",
    "flag",
    "day",
    "moment",
    "local_moment",
    "instant",
    "amount2",
    "epoch",
    "flag2",
    "moment2",
)
ALL = "select " + ", ".join(f"sync.to_{kind}(%(value)s)" for kind in KINDS)

MOMENTS: list[tuple[str, str, datetime | None]] = [
    ("moment", "2026-07-09T15:17:59.905Z", datetime(2026, 7, 9, 15, 17, 59, 905000, UTC)),
    ("moment", "2026-07-09T15:17Z", datetime(2026, 7, 9, 15, 17, tzinfo=UTC)),
    ("moment", "2026-07-09T15:17:59+0530", datetime(2026, 7, 9, 9, 47, 59, tzinfo=UTC)),
    ("moment", "2026-07-09T15:17:59-03:30", datetime(2026, 7, 9, 18, 47, 59, tzinfo=UTC)),
    ("moment", "2026-07-09T15:17:59", None),
    ("moment", "2026-07-09 15:17:59Z", None),
    ("moment", "2026-07-09T15:17:59z", None),
    ("moment", "2026-07-09T24:00:00Z", None),
    ("moment", "2026-07-09T23:59:60Z", None),
    ("moment", "2026-02-30T00:00:00Z", None),
    ("moment", "2026-07-09T15:17:59+15:00", None),
    ("moment", "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ("moment", "0001-01-01T00:00:00+14:00", None),
    ("moment", "9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ("moment", "9999-12-31T23:59:59.9999999Z", None),
    ("moment", "9999-12-31T23:59:59-01:00", None),
    ("moment", "10000-01-01T00:00:00.000Z", None),
    ("moment", "02.03.2025", None),
    ("moment", "now", None),
    ("moment", "infinity", None),
    ("moment", "1740873600", None),
    ("moment", "1740873600000", None),
    ("moment", "2024-04-11T18:04:51+03:00", datetime(2024, 4, 11, 15, 4, 51, tzinfo=UTC)),
    ("moment", "2024-04-31T18:04:51+03:00", None),
    ("moment", "2024-04-30T18:04:51-00:60", None),
    ("moment", "2024-04-28T18:04:51+14:59", datetime(2024, 4, 28, 3, 5, 51, tzinfo=UTC)),
    ("moment", "2024-04-28T18:04:51+15:00", None),
    ("moment", "2024-04-28T18:04:51+03:60", None),
    ("moment", "2-24-04-28T18:04:51Z", None),
    ("moment", "2024--4-28T18:04:51Z", None),
    ("moment", "2024-04-28T18:04:T1Z", None),
    ("moment", "2024-04-28T18:04:51+0::00", None),
    ("moment", "2024-04-28T18:04:51.9.5Z", None),
    *(("moment", f"{first}024-04-28T18:04:51Z", None) for first in "٢ +"),
]

CASES: list[tuple[str, str | None, Any]] = [
    ("text", "", ""),
    ("text", "Пример 🎉", "Пример 🎉"),
    ("text", None, None),
    ("whole", "-999999999999999999", -999999999999999999),
    ("whole", "9223372036854775808", None),
    ("whole", "9" * 5000, None),
    ("whole", "1.0", None),
    ("whole", "+5", None),
    ("whole", " 5", None),
    ("whole", "5\n", None),
    ("whole", "١٢", None),
    ("whole", "", None),
    ("key", "12", 12),
    ("key", "0012", 12),
    ("key", "-12", None),
    ("key", "0x1f", None),
    ("key", "1_000", None),
    (
        "amount",
        "123456789012345678901234567890.000000000000000000001",
        Decimal("123456789012345678901234567890." + "0" * 20 + "1"),
    ),
    ("amount", "-0.10", Decimal("-0.10")),
    ("amount", "1 000,50", None),
    ("amount", "1,000.50", None),
    ("amount", "NaN", None),
    ("amount", "Infinity", None),
    ("amount", "-Infinity", None),
    ("amount", "1e400000", None),
    ("amount", "1e5", None),
    ("amount", ".5", None),
    ("amount", "5.", None),
    ("amount", "9" * 61, None),
    ("flag", "true", True),
    ("flag", "0", False),
    ("flag", "True", None),
    ("flag", "yes", None),
    ("flag", "t", None),
    ("flag", "", None),
    ("day", "2024-02-29", date(2024, 2, 29)),
    ("day", "2023-02-29", None),
    ("day", "2000-02-29", date(2000, 2, 29)),
    ("day", "1900-02-29", None),
    ("day", "2025-02-30", None),
    ("day", "0000-00-00", None),
    ("day", "0000-01-01", None),
    ("day", "0001-01-01", date(1, 1, 1)),
    ("day", "9999-12-31", date(9999, 12, 31)),
    ("day", "10000-01-01", None),
    ("day", "02.03.2025", None),
    ("day", "03/02/2025", None),
    ("day", "2025-3-2", None),
    ("day", "2025-04-31", None),
    ("day", "today", None),
    ("day", "infinity", None),
    ("day", "2025-03-02T00:00:00Z", None),
    ("day", "1740873600", None),
    *MOMENTS,
    ("local_moment", "2025-03-02 10:00", datetime(2025, 3, 2, 10, 0)),  # noqa: DTZ001
    ("local_moment", "2025-03-02 10:00:59", datetime(2025, 3, 2, 10, 0, 59)),  # noqa: DTZ001
    ("local_moment", "2025-03-02", None),
    ("local_moment", "2025-03-02T10:00:00", None),
    ("local_moment", "2025-03-02 10:00Z", None),
    ("local_moment", "0000-00-00 00:00", None),
    ("instant", "2026-07-09T15:17:59.905Z", datetime(2026, 7, 9, 15, 17, 59, 905000, UTC)),
    ("instant", "2021-05-31", datetime(2021, 5, 31, tzinfo=UTC)),
    ("instant", "2025-02-30", None),
    ("instant", "1622505600123", datetime(2021, 6, 1, 0, 0, 0, 123000, UTC)),
    ("instant", "0", datetime(1970, 1, 1, tzinfo=UTC)),
    ("instant", "-86400000", datetime(1969, 12, 31, tzinfo=UTC)),
    ("instant", "-9999999999999", datetime(1653, 2, 10, 6, 13, 20, 1000, UTC)),
    ("instant", "9" * 15, None),
    ("instant", "1622505600.5", None),
    ("instant", "02.03.2025", None),
    ("instant", "", None),
    *(("moment2", text, moment) for kind, text, moment in MOMENTS),
    ("flag2", "Y", True),
    ("flag2", "N", False),
    ("flag2", "true", True),
    ("flag2", "0", False),
    ("flag2", "y", None),
    ("flag2", "", None),
    ("epoch", "0", datetime(1970, 1, 1, tzinfo=UTC)),
    ("epoch", "-1", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("epoch", "1763700000", datetime(2025, 11, 21, 4, 40, tzinfo=UTC)),
    ("epoch", "1763700000000", None),
    ("epoch", "1763700000.5", None),
    ("epoch", "2026-11-21", None),
    ("epoch", "", None),
    ("amount2", "1.0E7", Decimal("1E7")),
    ("amount2", "1e400000", None),
    ("amount2", "1e-9", Decimal("1E-9")),
    (
        "amount2",
        "0.40000000000000002220446049250313080847263336181640625",
        Decimal("0.40000000000000002220446049250313080847263336181640625"),
    ),
    ("amount2", "9" * 400, Decimal("9" * 400)),
    ("amount2", "9" * 401, None),
    ("amount2", "1 000,50", None),
    ("amount2", "NaN", None),
    ("amount2", ".5", None),
    ("amount2", "", None),
]


@pytest.mark.parametrize(("kind", "value", "expected"), CASES)
def test_v3_v4_a_cast_takes_its_declared_formats_and_nothing_else(
    asked: Connection, kind: str, value: str | None, expected: Any
) -> None:
    assert _ask(asked, f"select sync.to_{kind}(%(value)s)", value) == [expected]


SESSIONS = (
    "set datestyle = 'German, DMY'; set timezone = 'Asia/Kolkata'",
    "set datestyle = 'SQL, MDY'; set timezone = 'America/St_Johns'; set intervalstyle = 'iso_8601'",
    "set datestyle = 'Postgres, YMD'; set timezone = 'Pacific/Apia'; set extra_float_digits = -15",
    "set search_path = ''; set timezone = 'UTC'; set datestyle = 'ISO, DMY'; set lc_numeric = 'C'",
    "set search_path = 'pg_temp, kaiten'; set standard_conforming_strings = on",
)


@pytest.mark.parametrize("session", SESSIONS)
def test_v4_a_cast_answers_the_same_in_every_session(asked: Connection, session: str) -> None:
    values = [value for _, value, _ in CASES]
    query = "select " + ", ".join(_fixed(kind) for kind in KINDS) + " from unnest(%s::text[]) v"
    with asked.cursor() as cursor:
        cursor.execute("reset all")
        cursor.execute(query, (values,))
        plain = cursor.fetchall()
        try:
            cursor.execute(session)
            cursor.execute(query, (values,))
            assert cursor.fetchall() == plain
        finally:
            cursor.execute("reset all")


def test_casts_are_immutable_and_each_name_in_them_has_its_schema(asked: Connection) -> None:
    with asked.cursor() as cursor:
        cursor.execute(
            "select proname, provolatile, proparallel, pg_get_functiondef(oid) from pg_proc"
            " where pronamespace = 'sync'::regnamespace and proname ~ '^to_'"
        )
        found = cursor.fetchall()
    assert {name for name, *_ in found} == {f"to_{kind}" for kind in KINDS}
    for name, volatile, parallel, body in found:
        assert (volatile, parallel) == ("i", "s"), name
        assert "days_in_month" not in body.replace("sync.days_in_month", ""), name


NEARLY = st.one_of(
    st.text(),
    st.from_regex(r"[+-]?[0-9]{1,70}([.,][0-9]{0,70})?([eE][+-]?[0-9]{1,7})?", fullmatch=True),
    st.from_regex(
        r"[0-9]{4,5}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?",
        fullmatch=True,
    ),
    st.datetimes().map(str),
    st.sampled_from(["now", "infinity", "allballs", "epoch", "J2451187", "BC", "\\", "%s", "' or 1=1", "{}"]),
    urls(),
)


@settings(max_examples=400)
@given(NEARLY)
@example("9999-02-29T23:59:59.999999999-14:59")
@example("0001-01-01T00:00:00.000000000+14:59")
def test_v4_a_cast_never_raises_and_its_answer_can_be_read(asked: Connection, text: str) -> None:
    value = "".join(c for c in text if c != "\0" and not 0xD800 <= ord(c) < 0xE000)
    answers = dict(zip(KINDS, _ask(asked, ALL, value), strict=True))
    assert answers["text"] == value
    try:
        expected = date.fromisoformat(value) if len(value) == 10 and value[4::3] == "--" else None
    except ValueError:
        expected = None
    assert answers["day"] == (expected if value.isascii() else None)


ZONES = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@settings(max_examples=200)
@given(st.datetimes(timezones=ZONES))
@example(datetime(2024, 2, 29, 23, 59, 59, 999999, timezone(timedelta(hours=-14))))
@example(datetime(1, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=14))))
@example(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-14))))
def test_v4_a_moment_is_the_one_that_python_reads(asked: Connection, moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        expected = None
    assert _ask(asked, "select sync.to_moment(%(value)s)", moment.isoformat()) == [expected]


@settings(max_examples=100)
@given(st.dates())
def test_v4_every_day_of_the_calendar_is_read(asked: Connection, day: date) -> None:
    assert _ask(asked, "select sync.to_day(%(value)s)", day.isoformat()) == [day]


def test_v4_no_day_that_the_calendar_lacks_is_read(asked: Connection) -> None:
    wrong = [f"{y:04}-{m:02}-{d:02}" for y in (1, 1900, 2000, 2023, 2024) for m in range(14) for d in range(33)]
    real = {d for d in wrong if _is_a_day(d)}
    with asked.cursor() as cursor:
        cursor.execute("select v from unnest(%s::text[]) v where sync.to_day(v) is not null", (wrong,))
        assert {v for (v,) in cursor.fetchall()} == real


def _is_a_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _fixed(kind: str) -> str:
    """A cast's answer in words that no session setting changes."""
    call = f"sync.to_{kind}(v)"
    if kind in ("moment", "local_moment", "day", "instant"):
        return f"extract(epoch from {call})::numeric"
    return f"pg_catalog.convert_to({call}::text, 'UTF8')::bytea = pg_catalog.convert_to(v, 'UTF8'), {call} is null"


def _ask(connection: Connection, query: str, value: str | None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("set timezone = 'UTC'")
        cursor.execute(query, {"value": value})
        row = cursor.fetchone()
    assert row is not None
    return list(row)
