"""One message for each cause: opened once, reminded of, over once; nothing is lost, and nobody waits for another."""

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from sync_assets_tests.notify.conftest import Book
from sync_assets_tests.notify.ear import Answer, Ear, telegram

MakeBook = Callable[..., Book]


def test_a_cause_is_told_once_and_its_end_once_with_how_long_it_took(book: Book, ear: Ear) -> None:
    for _ in range(3):
        book.tick(book.cause())
        book.later(minutes=10)
    assert len(ear.texts()) == 1
    (opening,) = ear.texts()
    assert "kaiten/cards: check columns_parse" in opening and "3 values do not parse" in opening
    assert "Since 2026-03-10 12:00 UTC" in opening and "Next: look at them." in opening
    for _ in range(3):
        book.tick()
        book.later(minutes=10)
    assert len(ear.texts()) == 2
    assert "Over: kaiten/cards: check columns_parse" in ear.texts()[1] and "It took 30 min" in ear.texts()[1]


def test_ten_runs_that_fail_for_one_reason_are_one_message_and_a_run_counts_once(book: Book, ear: Ear) -> None:
    cause = book.cause("SourceUnavailable", stopped=("kaiten/boards", "kaiten/cards"), entity="spaces")
    for number in range(5):
        for _ in range(2):  # a look that is done again, after a daemon died
            book.fail(cause, run=f"run-{number}")
            book.tell()
        book.later(hours=1)
    (text,) = ear.texts()
    assert "Also stopped: kaiten/boards, kaiten/cards." in text
    assert book.database.rows("select times from sync.alerts") == [(5,)]
    book.succeed("spaces")
    book.tell()
    assert "Over: kaiten/spaces" in ear.texts()[1]
    book.fail(cause, run="run-4")  # a failure that was counted opens nothing again
    assert book.tell().taken == 0


def test_another_class_of_error_is_another_cause(book: Book, ear: Ear) -> None:
    book.fail(book.cause("SourceUnavailable"))
    book.fail(book.cause("Forbidden"))
    book.tell()
    assert len(ear.texts()) == 2


def test_what_stays_wrong_is_told_again_a_day_later(make_book: MakeBook, ear: Ear) -> None:
    book = make_book("slack")
    for _ in range(50):
        book.tick(book.cause())
        book.later(hours=1)
    assert [text.startswith("*Still wrong:") for text in ear.texts()] == [False, True, True]


def test_nobody_is_reminded_where_nobody_wants_to_be(make_book: MakeBook, ear: Ear) -> None:
    book = make_book("slack", SYNC_ALERT_REMIND_HOURS="0")
    for _ in range(5):
        book.tick(book.cause())
        book.later(days=10)
    assert len(ear.texts()) == 1


def test_a_cause_that_comes_and_goes_all_day_is_no_storm(book: Book, ear: Ear) -> None:
    for number in range(12 * 8):
        book.tick(*([book.cause()] if number % 2 else []))
        book.later(minutes=5)
    assert 2 <= len(ear.texts()) <= 4, "it must stay away for longer each time before it is over"
    for _ in range(30):
        book.tick()
        book.later(hours=1)
    assert "Over: " in ear.texts()[-1] and len(ear.texts()) <= 5


def test_slow_flapping_is_bounded_too(book: Book, ear: Ear) -> None:
    for hour in range(48):
        book.look(*([book.cause()] if hour % 2 else []))
        book.tell()
        book.later(hours=1)
    assert len(ear.texts()) <= 20


def test_what_nobody_took_is_sent_again_with_longer_pauses_until_it_is_taken(book: Book, ear: Ear) -> None:
    ear.says("slack", Answer(500, "broken"))
    tries = []
    book.look(book.cause())
    for minute in range(0, 240, 4):
        before = len(ear.requests)
        book.tell()
        tries += [minute] * (len(ear.requests) - before)
        book.later(minutes=4)
    gaps = [b - a for a, b in pairwise(tries)]
    assert 5 <= len(tries) <= 10 and gaps == sorted(gaps), tries
    assert ear.texts() == []
    ear.says("slack", Answer())
    book.later(hours=2)
    book.tick(book.cause())
    book.tick(book.cause())
    assert len(ear.texts()) == 1


def test_a_pause_that_is_asked_for_is_kept(make_book: MakeBook, ear: Ear) -> None:
    book = make_book()
    ear.says("slack", Answer(429, "", {"Retry-After": "600"}))
    ear.says("telegram", telegram(429, "Too Many Requests", retry_after=900))
    book.tick(book.cause())
    ear.says("slack", Answer())
    ear.says("telegram", telegram())
    for minutes, heard in ((9, (0, 0)), (2, (1, 0)), (3, (1, 0)), (2, (1, 1))):
        book.later(minutes=minutes)
        book.tick(book.cause())
        assert (len(ear.texts("slack")), len(ear.texts("telegram"))) == heard


@pytest.mark.parametrize("first", ["slack", "telegram"])
def test_a_notifier_that_is_down_or_hangs_stops_no_other(
    first: str, make_book: MakeBook, ear: Ear, hasty: None
) -> None:
    book = make_book()
    other = {"slack": "telegram", "telegram": "slack"}[first]
    hang = threading.Event()
    ear.says(first, Answer(hangs=hang, takes=False))
    sent = book.tick(book.cause())
    assert (sent.taken, sent.failed) == (1, 1) and len(ear.texts(other)) == 1
    hang.set()
    ear.answers.clear()
    book.later(minutes=5)
    book.tick(book.cause())
    assert len(ear.texts(first)) == 1 and len(ear.texts(other)) == 1


def test_a_notifier_that_fails_after_it_took_a_message_gets_it_twice(book: Book, ear: Ear) -> None:
    """The one case in which a message doubles: nobody can tell it from one that was lost."""
    ear.says("slack", Answer(500, "", takes=True))
    book.tick(book.cause())
    ear.says("slack", Answer())
    book.later(minutes=5)
    book.tick(book.cause())
    assert len(ear.texts()) == 2


def test_a_refused_message_holds_up_no_other_and_says_why(book: Book, ear: Ear) -> None:
    answers = iter([Answer(400, "invalid_blocks"), Answer()])
    ear.says("slack", lambda: next(answers, Answer()))
    book.tick(book.cause("first"), book.cause("second"))
    (text,) = ear.texts()
    assert "check second" in text
    (reason,) = book.database.query("select reason from sync.alert_notices where opening_told_at is null")
    assert "answers 400: invalid_blocks" in reason and "sync-assets alerts test" in reason
    book.later(minutes=2)
    book.tick(book.cause("first"), book.cause("second"))
    assert len(ear.texts()) == 2


def test_a_process_that_dies_while_it_tells_loses_nothing(
    book: Book, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("sync_assets.notify.slack.Slack.send", dies)
        book.tick(book.cause())
    book.later(minutes=1)
    book.tick(book.cause())
    assert ear.texts() == [], "whoever claimed it might still be at it"
    book.later(minutes=5)
    book.tick(book.cause())
    assert len(ear.texts()) == 1


def test_what_was_over_before_anybody_could_be_told_is_one_message(book: Book, ear: Ear) -> None:
    ear.says("slack", Answer(503))
    book.tick(book.cause())
    ear.says("slack", Answer())
    book.later(minutes=40)
    for _ in range(3):
        book.tick()
        book.later(minutes=40)
    (text,) = ear.texts()
    assert text.startswith("*Over: ") and "It was: 3 values do not parse" in text and "40 min" in text


def test_what_was_over_for_a_week_is_told_to_nobody(book: Book, ear: Ear) -> None:
    ear.says("slack", Answer(503))
    book.tick(book.cause())
    book.tick()
    book.later(days=8)
    ear.says("slack", Answer())
    assert book.tell().taken == 0


def test_many_causes_at_once_are_one_message(book: Book, ear: Ear) -> None:
    book.tick(*(book.cause(entity=f"entity_{n}") for n in range(10)))
    (text,) = ear.texts()
    assert "10 wrong" in text and all(f"kaiten/entity_{n}: check columns_parse" in text for n in range(10))
    book.tick()
    assert len(ear.texts()) == 2 and "0 wrong, 10 over" in ear.texts()[1]


def test_a_notifier_that_is_added_later_hears_of_what_is_open(make_book: MakeBook, ear: Ear) -> None:
    book = make_book("slack")
    book.tick(book.cause("over"), book.cause())
    book.tick(book.cause())
    both = make_book()
    both.now = book.now + timedelta(minutes=1)
    both.tick(both.cause())
    (text,) = ear.texts("telegram")
    assert "columns_parse" in text
