"""Hours in which steps may be done, by the clocks on the wall of a time zone.

An hour that clocks leave out begins when they jump past it; one that they strike twice is open both times. A window
that ends before it begins runs over midnight and belongs to the day on which it opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from sync_assets.alert_settings import daily_hours
from sync_assets.automation.document import Node

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOKS_AHEAD = 9
"""Days within which every window opens: a week, and one more for a day that has no such hour."""


@dataclass(frozen=True)
class Window:
    zone: str
    opens: int  # minutes after midnight
    closes: int
    days: frozenset[int]  # 0 is Monday

    @cached_property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def is_open(self, moment: datetime) -> bool:
        wall = moment.astimezone(self.tz)
        minute = wall.hour * 60 + wall.minute
        today, before = wall.weekday() in self.days, (wall.weekday() - 1) % 7 in self.days
        if self.opens < self.closes:
            return today and self.opens <= minute < self.closes
        return (today and minute >= self.opens) or (before and minute < self.closes)

    def opening(self, moment: datetime) -> datetime:
        """The first moment from this one on at which it is open, in UTC."""
        moment = moment.astimezone(UTC)
        if self.is_open(moment):
            return moment
        return min(m for m in self._edges(moment) if m >= moment and self.is_open(m))

    def _edges(self, moment: datetime) -> Iterator[datetime]:
        """Every moment around this one at which it could open: by its hour, or because clocks jump."""
        first = moment.astimezone(self.tz).date() - timedelta(days=2)
        for day in (first + timedelta(days=n) for n in range(LOOKS_AHEAD + 4)):
            yield from self._hour(day)
            yield from self._jumps(day)

    def _hour(self, day: date) -> Iterator[datetime]:
        wall = datetime.combine(day, time(self.opens // 60, self.opens % 60), self.tz)
        for fold in (0, 1):
            instant = wall.replace(fold=fold).astimezone(UTC)
            if instant.astimezone(self.tz).replace(tzinfo=None) == wall.replace(tzinfo=None):
                yield instant

    def _jumps(self, day: date) -> Iterator[datetime]:
        start = datetime.combine(day, time(0), UTC)
        low, high = start, start + timedelta(days=1)
        if self._offset(low) == self._offset(high):
            return
        while high - low > timedelta(minutes=1):
            middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
            low, high = (middle, high) if self._offset(middle) == self._offset(start) else (low, middle)
        yield high

    def _offset(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self.tz).utcoffset()


def parse_window(node: Node) -> Window:
    """{tz: Europe/Moscow, hours: "09:00-19:00", days: mon-fri}. Raises BadAutomation with the line of what is wrong."""
    parts = node.mapping(required=["tz", "hours"], optional=["days"])
    zone = parts["tz"].text()
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise parts["tz"].wrong(f"{zone[:60]!r} is no time zone: Europe/Moscow, UTC") from None
    try:
        hours = daily_hours(parts["hours"].text())
    except ValueError as e:
        raise parts["hours"].wrong(str(e)) from None
    days = _days(parts["days"]) if "days" in parts else frozenset(range(7))
    return Window(zone, *hours, days)


def every_day(hours: str, zone: str) -> Window:
    """("22:00-07:00", "Europe/Moscow"). Raises ValueError for hours that are none."""
    return Window(zone, *daily_hours(hours), frozenset(range(7)))


def _days(node: Node) -> frozenset[int]:
    named = [item.text() for item in node.items()] if isinstance(node.value, list) else node.text().split(",")
    days: set[int] = set()
    for part in named:
        first, _, last = part.strip().lower().partition("-")
        last = last or first
        if first not in DAYS or last not in DAYS:
            raise node.wrong("days are mon-fri, or mon,wed,sat")
        start, count = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7
        days |= {(start + n) % 7 for n in range(count + 1)}
    return frozenset(days)
