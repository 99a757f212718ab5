"""Quiet hours, by the clocks of their zone: nobody is woken, nothing is forgotten, and what cannot wait passes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from sync_assets_tests.notify.conftest import Book
from sync_assets_tests.notify.ear import Answer, Ear

MakeBook = Callable[..., Book]
QUIET = {"SYNC_ALERT_QUIET": "22:00-07:00", "SYNC_ALERT_TIME_ZONE": "Europe/Berlin"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_what_came_up_in_the_night_is_one_message_in_the_morning(make_book: MakeBook, ear: Ear) -> None:
    book = make_book("slack", **QUIET)
    book.now = at("2026-03-10 20:30")  # 21:30 in Berlin
    book.tick(book.cause("before"))
    assert len(ear.texts()) == 1
    book.now = at("2026-03-10 21:00")
    book.tick(book.cause("one"), book.cause("two"))
    book.later(hours=1)
    book.tick(book.cause("one"))
    book.now = at("2026-03-11 05:59")
    assert book.tick(book.cause("one")).held == 3 and len(ear.texts()) == 1
    book.now = at("2026-03-11 06:00")
    book.tick(book.cause("one"))
    assert len(ear.texts()) == 2
    summary = ear.texts()[1]
    assert "While it was quiet: 1 wrong, 2 over" in summary
    assert "• kaiten/cards: check one: 3 values" in summary
    assert "• Over: kaiten/cards: check two, after 1 h" in summary and "• Over: kaiten/cards: check before" in summary
    book.later(hours=1)
    book.tick(book.cause("one"))
    assert len(ear.texts()) == 2


@pytest.mark.parametrize(
    ("passes", "told"), [("critical", {"critical"}), ("error", {"critical", "error"}), ("none", set())]
)
def test_what_cannot_wait_passes(passes: str, told: set[str], make_book: MakeBook, ear: Ear) -> None:
    book = make_book("slack", **QUIET, SYNC_ALERT_QUIET_EXCEPT=passes)
    book.now = at("2026-03-10 23:00")
    red = [book.cause(f"a_{severity}", severity=severity) for severity in ("critical", "error", "warning")]
    book.tick(*red)
    heard = {s for s in ("critical", "error", "warning") if any(f"check a_{s}" in text for text in ear.texts())}
    assert heard == told
    book.now = at("2026-03-11 09:00")
    book.tick(*red)
    assert all(sum(f"check a_{s}" in text for text in ear.texts()) == 1 for s in ("critical", "error", "warning"))


@pytest.mark.parametrize(
    ("zone", "before", "quiet_ends"),
    [
        ("Europe/Berlin", "2026-03-28 22:00", "2026-03-29 05:00"),  # clocks jump to summer: 07:00 is 05:00 UTC
        ("Europe/Berlin", "2026-10-24 22:00", "2026-10-25 06:00"),  # and back
        ("America/New_York", "2026-11-21 04:00", "2026-11-21 12:00"),
        ("UTC", "2026-11-20 23:00", "2026-11-21 07:00"),
    ],
)
def test_hours_are_those_of_the_zone_when_clocks_change_too(
    zone: str, before: str, quiet_ends: str, make_book: MakeBook, ear: Ear
) -> None:
    book = make_book("slack", SYNC_ALERT_QUIET="22:00-07:00", SYNC_ALERT_TIME_ZONE=zone)
    book.now = at(before)
    book.tick(book.cause())
    book.now = at(quiet_ends) - timedelta(minutes=1)
    book.tick(book.cause())
    assert ear.texts() == []
    book.now = at(quiet_ends)
    book.tick(book.cause())
    assert len(ear.texts()) == 1


def test_a_morning_summary_that_is_not_taken_is_told_later(make_book: MakeBook, ear: Ear) -> None:
    book = make_book("slack", **QUIET)
    red = [book.cause("one"), book.cause("two")]
    book.now = at("2026-03-10 23:00")
    book.tick(*red)
    book.now = at("2026-03-11 06:00")
    ear.says("slack", Answer(503))
    book.tick(*red)
    ear.says("slack", Answer())
    book.later(minutes=10)
    book.tick(*red)
    (text,) = ear.texts()
    assert "While it was quiet: 2 wrong" in text


def test_the_end_of_what_came_back_is_told_before_its_beginning(make_book: MakeBook, ear: Ear) -> None:
    book = make_book("slack", **QUIET)
    book.tick(book.cause())
    book.now = at("2026-03-10 23:00")
    book.tick()
    book.now = at("2026-03-11 12:00")
    book.tick(book.cause())
    assert ["Over: " in text for text in ear.texts()] == [False, True, False]
