"""Hours in which steps may be done: held against a clock on the wall that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sync_assets.alert_settings import MIDNIGHT
from sync_assets.automation.document import document
from sync_assets.automation.window import Window, parse_window
from sync_assets.errors import BadAutomation

# Clocks jump forth and back at 1:00 UTC; by half an hour; at midnight, so that a day begins at one; never.
ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "America/Asuncion", "Asia/Beirut", "Europe/Moscow")

ON_CHANGES = st.sampled_from(
    [datetime(2024, month, day, tzinfo=UTC) for month, day in ((3, 30), (3, 23), (4, 6), (10, 5), (10, 26), (6, 1))]
)


def wall_open(window: Window, moment: datetime) -> bool:
    """By the wall alone: its time of day and its day of the week."""
    wall = moment.astimezone(ZoneInfo(window.zone))
    at = wall.hour * 60 + wall.minute
    if window.opens < window.closes:
        return wall.weekday() in window.days and window.opens <= at < window.closes
    day = wall if at >= window.opens else wall - timedelta(days=1)
    return day.weekday() in window.days and (at >= window.opens or at < window.closes)


@settings(max_examples=60)
@given(
    zone=st.sampled_from(ZONES), base=ON_CHANGES, minutes=st.integers(0, 3 * MIDNIGHT),
    opens=st.integers(0, MIDNIGHT - 1), closes=st.integers(0, MIDNIGHT),
    days=st.frozensets(st.integers(0, 6), min_size=1),
)  # fmt: skip
@example("Europe/Berlin", datetime(2024, 3, 30, tzinfo=UTC), 0, 150, 170, frozenset({6}))  # an hour that is left out
@example("Europe/Berlin", datetime(2024, 10, 26, tzinfo=UTC), 1491, 150, 170, frozenset({6}))  # one that strikes twice
@example("Europe/Berlin", datetime(2024, 10, 26, tzinfo=UTC), 1479, 110, 155, frozenset({6}))  # back into open hours
@example("Asia/Beirut", datetime(2024, 3, 30, tzinfo=UTC), 0, 0, 60, frozenset({6}))  # a day that begins at one
def test_it_opens_at_the_first_minute_at_which_the_wall_says_so(
    zone: str, base: datetime, minutes: int, opens: int, closes: int, days: frozenset[int]
) -> None:
    if opens == closes:
        return
    window, moment = Window(zone, opens, closes, days), base + timedelta(minutes=minutes)
    found = window.opening(moment)
    assert found >= moment and wall_open(window, found)
    minute = moment
    while minute < found:
        assert not wall_open(window, minute), f"open already at {minute}, and not only at {found}"
        minute += timedelta(minutes=1)


def written(tmp_path: Path, text: str) -> Window:
    path = tmp_path / "window.yaml"
    path.write_text(text)
    return parse_window(document(path))


def test_friday_night_is_friday_and_goes_on_after_midnight(tmp_path: Path) -> None:
    window = written(tmp_path, "tz: Europe/Moscow\nhours: 22:00-06:00\ndays: fri")
    saturday = datetime(2024, 6, 8, 2, 30, tzinfo=UTC)  # 5:30 in Moscow
    assert window.opening(saturday) == saturday
    assert window.opening(saturday + timedelta(minutes=30)) == datetime(2024, 6, 14, 19, tzinfo=UTC)


def test_days_go_round_the_end_of_the_week_and_all_day_is_always(tmp_path: Path) -> None:
    assert written(tmp_path, "tz: UTC\nhours: 09:00-19:00\ndays: sat-mon").days == {5, 6, 0}
    always = written(tmp_path, "tz: UTC\nhours: 00:00-24:00")
    moment = datetime(2024, 6, 8, 23, 59, 59, 999_999, tzinfo=UTC)
    assert always.opening(moment) == moment


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("tz: Mars/Phobos\nhours: 09:00-19:00", 1, "no time zone"),
        ("tz: UTC\nhours: 9-19", 2, "two times of day"),
        ("tz: UTC\nhours: 09:00-25:00", 2, "two times of day"),
        ("tz: UTC\nhours: 09:00-09:00", 2, "two times of day"),
        ("tz: UTC\nhours: 09:00-19:00\ndays: mon-someday", 3, "mon-fri"),
        ("tz: UTC\nhours: 09:00-19:00\nday: mon", 3, "did you mean days"),
    ],
)
def test_what_is_no_window_is_said_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(BadAutomation, match=says) as told:
        written(tmp_path, text)
    assert told.value.where["line"] == line
