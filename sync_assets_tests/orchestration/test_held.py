"""What is held is stored in its order, together, and nothing is lost with what cannot be stored."""

import threading
from collections.abc import Callable

import pytest

from sync_assets.orchestration import held
from sync_assets.orchestration.held import Held


class Shelf:
    """Keeps numbers, all or none of those that it is given at once; negative ones it cannot keep."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.given: list[list[int]] = []
        self.away = False
        self.asks: Callable[[], None] = lambda: None
        self.held = Held[int](self.store, (ConnectionError,))

    def store(self, numbers: list[int]) -> None:
        if self.away:
            raise ConnectionError
        self.asks()
        self.given.append(list(numbers))
        if bad := [n for n in numbers if n < 0]:
            raise ValueError(bad[0])
        self.kept += numbers


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr(held, "LONGEST_SECONDS", 3600.0)
    return Shelf()


def test_what_waits_is_stored_with_what_does_not(shelf: Shelf) -> None:
    for n in (1, 2, 3):
        shelf.held.take(n, waits=True)
    assert shelf.given == []
    shelf.held.take(4, waits=False)
    shelf.held.take(5, waits=False)
    assert shelf.given == [[1, 2, 3, 4], [5]]


def test_whoever_reads_has_it_stored(shelf: Shelf) -> None:
    shelf.held.let_go()
    shelf.held.take(1, waits=True)
    shelf.held.let_go()
    shelf.held.let_go()
    assert shelf.given == [[1]]


def test_what_comes_long_after_the_first_takes_all_of_them_along(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(held.time, "monotonic", lambda: now)
    for now in (100.0, 3000.0, 3701.0, 3702.0):
        shelf.held.take(int(now), waits=True)
    assert shelf.given == [[100, 3000, 3701]], "by the age of the first, and the next first begins anew"


def test_one_that_cannot_be_stored_is_raised_and_takes_nothing_else_along(shelf: Shelf) -> None:
    for n in (1, -2, 3, -4):
        shelf.held.take(n, waits=True)
    with pytest.raises(ValueError, match="-2"):
        shelf.held.take(5, waits=False)
    assert shelf.kept == [1, 3, 5]
    with pytest.raises(ValueError, match="-6"):
        shelf.held.take(-6, waits=False)
    shelf.held.take(7, waits=False)
    assert shelf.kept == [1, 3, 5, 7] and shelf.given[-2:] == [[-6], [7]], "one alone is not tried again"


def test_where_nobody_can_store_now_the_last_one_is_refused_and_the_others_stay(shelf: Shelf) -> None:
    shelf.held.take(1, waits=True)
    shelf.held.take(2, waits=True)
    shelf.away = True
    with pytest.raises(ConnectionError):
        shelf.held.take(3, waits=False)
    with pytest.raises(ConnectionError):
        shelf.held.let_go()
    assert shelf.kept == []
    shelf.away = False
    shelf.held.take(4, waits=False)
    assert shelf.kept == [1, 2, 4], "whoever brought 3 was told that it was not stored"


def test_whoever_stores_may_ask_as_readers_do(shelf: Shelf) -> None:
    shelf.asks = shelf.held.let_go
    shelf.held.take(1, waits=True)
    shelf.held.take(2, waits=False)
    assert shelf.given == [[1, 2]]


def test_many_at_once_are_all_stored_once_and_each_in_its_own_order(shelf: Shelf) -> None:
    def bring(first: int) -> None:
        for n in range(first, first + 1000):
            shelf.held.take(n, waits=n % 7 != 0)

    threads = [threading.Thread(target=bring, args=(first,)) for first in (0, 1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shelf.held.let_go()
    assert sorted(shelf.kept) == list(range(4000))
    for first in (0, 1000, 2000, 3000):
        own = [n for n in shelf.kept if first <= n < first + 1000]
        assert own == sorted(own)
