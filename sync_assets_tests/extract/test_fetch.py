"""Reading pages ahead: in order, resumable from every page, and no request after the end."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sync_assets.entity import ById, Each, OffsetPages, Whole
from sync_assets.errors import Forbidden, RecordGone, SourceUnavailable
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import Fetch, in_order
from sync_assets.extract.pages import Splitter
from sync_assets.sandbox.dialect import encode


class Source:
    """A listing of `rows` ids at /rows, lists of two per parent at /parents/<key>, records at /rows/<key>."""

    def __init__(self, rows: int = 0, cap: int = 100) -> None:
        self.rows, self.cap = rows, cap
        self.asked: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self.fetch = Fetch(self.ask, Splitter("", ("id",)), lambda entity, where: [3, 5, 8])

    def ask(self, path: str, params: Any, stop: threading.Event) -> Answer:
        offset = int(params.get("offset", 0))
        with self._lock:
            self.asked.append((path, offset))
        if path == "/rows":
            size = min(int(params["limit"]), self.cap)
            return self._answer([{"id": i} for i in range(self.rows)][offset : offset + size])
        key = path.rpartition("/")[2]
        if path.startswith("/rows/"):
            if key == "404":
                raise RecordGone("gone")
            if key == "403":
                raise Forbidden("no")
            return self._answer({"id": int(key)})
        return self._answer([{"id": f"{key}-{params.get('kind', 0)}-{n}"} for n in range(2)])

    def _answer(self, value: Any) -> Answer:
        return Answer(200, None, encode(value))  # type: ignore[arg-type]


READ = OffsetPages("/rows", size=10)
EACH = Each("parents", Whole("/parents/{key}"), carry="parent_id", variants=({"kind": 1}, {"kind": 2}))


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 19, 20, 55, 100])
def test_every_row_oncein_order_whatever_their_number(rows: int) -> None:
    source = Source(rows)
    keys = [int(k or 0) for page in source.fetch.pages([READ]) for k in page.keys]
    assert keys == list(range(rows))
    assert len(source.asked) <= max(1, -(-rows // 9)) + 4


@pytest.mark.parametrize("cap", [10, 20, 50])
@pytest.mark.parametrize("rows", [9, 10, 49, 50, 51, 120])
def test_a_lower_cap_than_the_documented_one_is_not_the_end(cap: int, rows: int) -> None:
    read = OffsetPages("/rows", size=100)
    assert {int(k or 0) for page in Source(rows, cap).fetch.pages([read]) for k in page.keys} == set(range(rows))


@pytest.mark.parametrize("stopped_after", range(6))
def test_reading_goes_on_from_any_page(stopped_after: int) -> None:
    pages = list(Source(50).fetch.pages([READ, EACH]))
    first = [k for page in pages[:stopped_after] for k in page.keys]
    resume = pages[stopped_after - 1].after if stopped_after else None
    rest = [k for page in Source(50).fetch.pages([READ, EACH], resume=resume) for k in page.keys]
    assert first + rest == [k for page in pages for k in page.keys]


def test_reading_by_parent_goes_on_after_any_parent_and_variant() -> None:
    everything = list(Source().fetch.pages([EACH]))
    assert len(everything) == 6
    for at, page in enumerate(everything):
        rest = list(Source().fetch.pages([EACH], resume=page.after))
        assert [p.name for p in rest] == [p.name for p in everything[at + 1 :]]
    assert len({p.name for p in everything}) == 6, "names of pages are what sightings are kept under"


def test_one_key_that_fails_costs_one_key() -> None:
    found = dict(Source().fetch.by_id(ById("/rows/{key}"), ["1", "404", "2", "403"]))
    assert list(found) == ["1", "404", "2", "403"]
    assert isinstance(found["404"], RecordGone) and isinstance(found["403"], Forbidden)
    assert [getattr(found[k], "keys", None) for k in ("1", "2")] == [["1"], ["2"]]


def test_a_key_never_leaves_its_place_in_the_path() -> None:
    asked: list[str] = []

    def ask(path: str, params: Any, stop: Any) -> Answer:
        asked.append(path)
        raise SourceUnavailable()

    list(Fetch(ask, Splitter("", ("id",)), lambda *_: []).by_id(ById("/rows/{key}"), ["../users", "1?a=b", "a b"]))
    assert sorted(asked) == ["/rows/..%2Fusers", "/rows/1%3Fa%3Db", "/rows/a%20b"]


def test_results_comein_order_whatever_the_time_they_take() -> None:
    def job(n: int, stop: threading.Event) -> int:
        time.sleep((7 - n) % 4 * 0.01)
        return n

    assert list(in_order((partial(job, n) for n in range(8)), lambda _: 4)) == list(range(8))


def test_an_iterator_that_is_closed_tells_the_jobs_under_way_to_stop() -> None:
    under_way: list[int] = []
    stopped: list[bool] = []

    def job(n: int, stop: threading.Event) -> int:
        if n:
            under_way.append(n)
            stopped.append(stop.wait(30))
        return n

    jobs: list[Callable[[threading.Event], int]] = [partial(job, n) for n in range(4)]
    results = in_order(jobs, lambda _: 4)
    assert next(results) == 0
    while not under_way:
        time.sleep(0.01)
    results.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while len(stopped) < len(under_way) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stopped == [True] * len(under_way), "long before the 30 s are over"
