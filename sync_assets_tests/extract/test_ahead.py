"""What is asked ahead: taken once, by whoever asks the same; in nobody's way, and never twice at the source's cost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from sync_assets.errors import Forbidden, SourceUnavailable, SyncError
from sync_assets.extract import ahead
from sync_assets.extract.ahead import Ahead, Beginning
from sync_assets.extract.budget import Stopped
from sync_assets.extract.dialect import Answer

NEVER = threading.Event()


class Door:
    """Answers its number; holds every request while `shut`, fails with `error`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.shut = threading.Event()
        self.error: SyncError | None = None
        self.size = 0
        self.api = SimpleNamespace(bucket=lambda path: "search" if path.endswith("/search") else "burst")
        self._change = threading.Condition()

    def __copy__(self) -> "Door":
        return self

    def ask(self, path: str, params: Any, *, stop: threading.Event | None = None, **_: Any) -> Answer:
        with self._change:
            self.asked.append(path)
            self._change.notify_all()
        while self.shut.is_set():
            if stop and stop.wait(0.005):
                raise Stopped()
        if self.error:
            raise self.error
        return Answer(200, {}, bytes(self.size), len(self.asked))

    def wait_for(self, count: int) -> None:
        with self._change:
            assert self._change.wait_for(lambda: len(self.asked) >= count, 10), self.asked


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def asking(door: Door) -> Iterator[Ahead]:
    made = Ahead(door)  # type: ignore[arg-type]
    yield made
    door.shut.clear()
    made.close()


def begun(asking: Ahead, name: str, *paths: str, most: int = 20) -> None:
    """Begins, and waits until all was asked that could be."""
    asking.later(lambda work: work(), begin(asking, name, *paths, most=most)).result(10)


def begin(asking: Ahead, name: str, *paths: str, most: int = 20, bucket: str = "") -> Callable[[], None]:
    """Begins; what it answers waits for the end."""
    over = threading.Event()

    def work(beginning: Beginning) -> None:
        try:
            for path in paths:
                asking.ask_ahead(beginning, path, {}, NEVER)
        except SyncError:
            pass
        finally:
            over.set()

    asking.begin(Beginning(name, most, bucket=bucket), work)
    return partial(over.wait, 10)  # type: ignore[return-value]


def test_an_answer_is_taken_once(asking: Ahead, door: Door) -> None:
    begun(asking, "calls", "/a")
    assert asking.taken == 0
    assert asking.ask("calls", "/a", {}).seen == 1
    assert (door.asked, asking.taken) == (["/a"], 1)
    assert asking.ask("calls", "/a", {}).seen == 2


def test_nobody_takes_what_was_not_asked_for_him(asking: Ahead, door: Door) -> None:
    begun(asking, "calls", "/a")
    asking.ask("deals", "/a", {})
    asking.ask("calls", "/a", {"limit": 1})
    asking.ask("calls", "/a", {}, body=b"{}")
    asking.ask("calls", "/a", {}, by_key=True)
    assert door.asked == ["/a"] * 5
    asking.forget("calls")
    asking.ask("calls", "/a", {})
    assert len(door.asked) == 6


def test_what_was_needed_before_it_is_asked_ahead_is_asked_once(asking: Ahead, door: Door) -> None:
    leave, over = threading.Event(), threading.Event()

    def work(beginning: Beginning) -> None:
        leave.wait(10)
        with suppress(Stopped):
            asking.ask_ahead(beginning, "/bin", {}, NEVER)
        over.set()

    asking.begin(Beginning("cards", 1, at_once=True), work)
    asking.ask("cards", "/bin", {})
    leave.set()
    assert over.wait(10)
    assert door.asked == ["/bin"]


def test_what_was_asked_too_late_once_is_asked_ahead_by_the_next(asking: Ahead, door: Door) -> None:
    leave = threading.Event()
    asking.begin(Beginning("cards", 1, at_once=True), lambda _: leave.wait(10) and None)
    asking.ask("cards", "/bin", {})
    leave.set()
    asking.forget("cards")
    begun(asking, "cards", "/bin")
    asking.ask("cards", "/bin", {})
    assert (len(door.asked), asking.taken) == (2, 1)


def test_an_answer_on_its_way_is_waited_for(asking: Ahead, door: Door) -> None:
    door.shut.set()
    begin(asking, "calls", "/a", "/b")
    door.wait_for(1)
    asking.no_more("calls")
    threading.Timer(0.05, door.shut.clear).start()
    assert asking.ask("calls", "/a", {}).seen == 1
    asking.ask("calls", "/b", {})
    assert door.asked == ["/a", "/b"], "its own sync asks for what had not left yet"


def test_what_failed_is_asked_again_and_what_was_refused_is_not(asking: Ahead, door: Door) -> None:
    door.error = SourceUnavailable("for a moment")
    begun(asking, "calls", "/a")
    door.error = None
    assert asking.ask("calls", "/a", {}).status == 200
    door.error = Forbidden("the token lacks a scope")
    begun(asking, "deals", "/b")
    with pytest.raises(Forbidden, match="lacks a scope"):
        asking.ask("deals", "/b", {})
    assert door.asked == ["/a", "/a", "/b"]


def test_only_so_many_are_under_way_as_there_is_room_for_and_those_sooner_needed_first(
    asking: Ahead, door: Door
) -> None:
    asking.room(0)
    begin(asking, "deals", "/deals/1")
    begin(asking, "calls", "/calls/1")
    asking.ask("contacts", "/contacts", {})
    while not all(beginning.waiting for beginning in asking._beginnings):
        time.sleep(0.005)
    assert door.asked == ["/contacts"]
    door.shut.set()
    asking.room(1)
    door.wait_for(2)
    assert door.asked == ["/contacts", "/deals/1"]
    asking.room(2)
    door.wait_for(3)


def test_what_another_limit_counts_waits_for_no_room(asking: Ahead, door: Door) -> None:
    asking.room(0)
    begin(asking, "calls", "/calls/search", "/calls", bucket="burst")
    door.wait_for(1)
    asking.room(1)
    door.wait_for(2)
    assert door.asked == ["/calls/search", "/calls"]


def test_no_more_than_one_commit_holds_is_kept(asking: Ahead, door: Door) -> None:
    door.size = ahead.MOST_BYTES // 2
    over = begin(asking, "calls", "/1", "/2", "/3")
    door.wait_for(2)
    asking.ask("deals", "/deals", {})
    assert door.asked == ["/1", "/2", "/deals"]
    asking.ask("calls", "/1", {})
    over()
    assert door.asked == ["/1", "/2", "/deals", "/3"]


def test_no_more_than_its_leave(asking: Ahead, door: Door) -> None:
    begun(asking, "calls", "/1", "/2", "/3", most=2)
    assert door.asked == ["/1", "/2"]


@pytest.mark.parametrize("room", [0, 2])
def test_whoever_waits_when_it_is_closed_ends(asking: Ahead, door: Door, room: int) -> None:
    asking.room(room)
    door.shut.set()
    over = begin(asking, "calls", "/1", "/2")
    if room:
        door.wait_for(1)
    asking.stop()
    assert over()
    assert len(door.asked) == bool(room)
