"""What changed since a moment, by search: lossless across its cap, equal times, a lagging index and rows out of order.

No offset is ever used, so the cap of 10,000 is never met: each page begins at the time of the last row before it. Where
one millisecond fills a page, its rows are read in the order of their ids. Where rows come out of order, order is given
up: a window whose whole answer fits a page needs none, and a larger one is halved. The index's lag is the overlap's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import msgspec

from sync_assets.entity import Own
from sync_assets.errors import AnswerTooLarge, SourceUnavailable
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import MALFORMED, Page
from sync_assets.systems.hubspot.answers import Found, Stamped, told
from sync_assets.systems.hubspot.batch import AT_ONCE, read_batch
from sync_assets.systems.hubspot.listing import ObjectList

SIZE = 200
FIRST_MOMENT = 1000
"""Milliseconds: a search from 1970-01-01T00:00:00Z exactly is answered with 500."""

LARGEST_ID = 10**15
END_OF_TIME = 10**14
"""Milliseconds: some stamps lie in the future, but none beyond the year 5138."""

STUCK = 10_000
"""Pages of one search; more is no search but a ring."""

Filter = dict[str, str]


@dataclass(frozen=True)
class _Answer:
    page: Page
    stamps: list[int]  # milliseconds, in the order of the rows
    ids: list[int]
    more: bool
    total: int


@dataclass(frozen=True)
class ObjectSearch(Own):
    """`path` is the search; `changed` the property that says when a record of this type last changed."""

    shape: str = "object"
    changed: str = ""
    since: datetime | None = None
    everything: ObjectList | None = None  # what is read where the search proves to hide records

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """Raises SourceUnavailable where the search never ends."""
        yield from _Search(self, fetch).pages()


class _Search:
    def __init__(self, read: ObjectSearch, fetch: Fetch) -> None:
        self._read = read
        self._fetch = fetch
        self._asked = 0
        self._shown: set[int] = set()

    def pages(self) -> Iterator[Page]:
        since = max(FIRST_MOMENT, millis(self._read.since) if self._read.since else 0)
        at: int | None = since
        before = since
        claimed = due = 0
        while at is not None:
            answer = self._ask([self._filter("GTE", at)])
            claimed = claimed or answer.total
            # A row that shows a newer stamp than it is sorted by makes us leap over others: fewer are left than due.
            if not _in_order(answer.stamps, at) or answer.total < due:
                self._fetch.remark("the search's order does not hold: read by windows instead")
                yield from self._by_windows(before)
                break
            yield answer.page
            last = answer.stamps[-1] if answer.stamps else at
            before, due = at, answer.total - sum(stamp < last for stamp in answer.stamps)
            if not answer.more:
                at = None
            elif not answer.stamps or last == at:
                # A page of one millisecond, which the same question would only bring again.
                yield from self._instant(at, 0, LARGEST_ID, ordered=True)
                at, due = at + 1, 0
            else:
                at = last
        yield from self._whole_list_where_it_does_not_add_up(since, claimed or 0)

    def _instant(self, at: int, low: int, high: int, *, ordered: bool) -> Iterator[Page]:
        """The records of one millisecond whose ids lie between `low` and `high`."""
        while True:
            answer = self._ask([self._filter("EQ", at), _of_ids("GTE", low), _of_ids("LTE", high)], sort="hs_object_id")
            yield answer.page
            if not answer.more or low == high:
                return
            if ordered and answer.ids and _in_order(answer.ids, low):
                low = answer.ids[-1] + 1
                continue
            middle = (low + high) // 2
            yield from self._instant(at, low, middle, ordered=False)
            low = middle + 1

    def _by_windows(self, start: int) -> Iterator[Page]:
        """Windows that halve until the whole answer of each fits one page; their order means nothing."""
        end = max(start, millis(datetime.now(UTC) + timedelta(days=1)))
        windows = [(end + 1, END_OF_TIME), (start, end)]
        while windows:
            low, high = windows.pop()
            answer = self._ask([self._filter("GTE", low), self._filter("LTE", high)])
            yield answer.page
            if answer.more and low == high:
                yield from self._instant(low, 0, LARGEST_ID, ordered=False)
            elif answer.more:
                middle = (low + high) // 2
                windows += [(middle + 1, high), (low, middle)]

    def _whole_list_where_it_does_not_add_up(self, since: int, claimed: int) -> Iterator[Page]:
        if len(self._shown) < claimed:
            # Records may have been deleted while we read: ask once more how many there are.
            claimed = min(claimed, self._ask([self._filter("GTE", since)], limit=1).total)
        self._fetch.claims.append((claimed, min(len(self._shown), claimed)))
        if len(self._shown) < claimed and self._read.everything:
            self._fetch.remark(
                f"the search counts {claimed} records and shows {len(self._shown)}: the whole list was read"
            )
            yield from self._read.everything.pages(self._fetch, {})

    def _filter(self, operator: str, at: int) -> Filter:
        return {"propertyName": self._read.changed, "operator": operator, "value": str(at)}

    def _ask(self, filters: list[Filter], *, sort: str = "", limit: int = SIZE) -> _Answer:
        self._asked += 1
        if self._asked > STUCK:
            raise SourceUnavailable(f"the search does not end after {STUCK} pages")
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": sort or self._read.changed, "direction": "ASCENDING"}],
            "properties": self._fetch.names,
            "limit": limit,
        }
        stop, path = threading.Event(), self._read.path
        try:
            answer = self._fetch.ask(path, {}, stop, body=msgspec.json.encode(body))
            thin = False
        except AnswerTooLarge:
            thin = True
            answer = self._fetch.ask(
                path, {}, stop, body=msgspec.json.encode(body | {"properties": [self._read.changed]})
            )
        name = f"{path.split('/')[-2]} by search, page {self._asked}"
        page = self._fetch.splitter.page(name, self._read, answer)
        found, stamps = told(answer, Found), [self._stamp(r) for r in page.records]
        keys = [key for key in page.keys if key is not None]
        if limit == SIZE:
            self._shown.update(map(int, keys))
        if thin and keys:
            pages = [
                read_batch(self._fetch, self._read, path.removesuffix("/search"), some, stop, name=name)
                for some in (keys[:AT_ONCE], keys[AT_ONCE:])
                if some
            ]
            page = reduce(Page.joined, pages)
        return _Answer(page, stamps, [int(key) for key in keys], found.after is not None, found.total)

    def _stamp(self, record: bytes | msgspec.Raw) -> int:
        try:
            properties = msgspec.json.decode(record, type=Stamped).properties
            return _when(getattr(properties, self._read.changed) or "")
        except (*MALFORMED, ValueError):
            return -1  # out of any order: windows need no stamp


def millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _when(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else millis(datetime.fromisoformat(text))


def _of_ids(operator: str, id: int) -> Filter:
    return {"propertyName": "hs_object_id", "operator": operator, "value": str(id)}


def _in_order(values: list[int], at: int) -> bool:
    return all(a <= b for a, b in zip([at, *values], values, strict=False))
