"""Three ways to read a Kommo list whole while it moves: by time, by halving windows, and page after page.

Pages are numbers over a list that shifts when a record changes, so a page number is trusted only where nothing can
slip through: inside one second, and in lists that only grow at their head. Nothing found is an answer without a body
(204), so where the page before said that more follows, it is asked for once more before it is believed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from sync_assets.entity import Own, Params
from sync_assets.errors import PageLoop, SourceUnavailable, WrongShape
from sync_assets.extract import scan
from sync_assets.extract.fetch import Fetch, met_before
from sync_assets.extract.pages import Page

SIZE = 250
STUCK = 10_000
"""Pages of one list; more is a ring."""


class _Href(msgspec.Struct):
    href: str = ""


class _Links(msgspec.Struct):
    next: _Href | None = None


class _Stamped(msgspec.Struct):
    updated_at: int


@dataclass(frozen=True)
class KommoRead(Own):
    ahead: bool = True
    since: datetime | None = None

    def one(self, fetch: Fetch, params: Params, name: str) -> tuple[Page, bool]:
        """A page, and whether more follow."""
        answer = fetch.ask(self.path, {**self.params, "limit": SIZE, **params}, threading.Event())
        if answer.status == 204:
            return Page(name, self, answer.seen, [], []), False
        try:
            # By its tokens: a record that no parser takes must not cost the links beside it.
            (links,) = scan.elements(answer.body, "_links", single=True)
            more = msgspec.json.decode(links, type=_Links).next is not None
        except (msgspec.DecodeError, ValueError):
            raise WrongShape("the answer has no links at $._links", page=name) from None
        return fetch.splitter.page(name, self, answer), more

    def numbered(self, fetch: Fetch, params: Params, name: str) -> Iterator[Page]:
        """Page after page. Raises PageLoop where one comes again, SourceUnavailable where they do not end."""
        met: dict[int, int] = {}
        for number in range(1, STUCK):
            page, more = self.one(fetch, {**params, "page": number}, f"{name}, page {number}")
            if number > 1 and not page.records:
                page, more = self.one(fetch, {**params, "page": number}, f"{name}, page {number}")
            if page.keys and (first := met_before(met, page, number)) is not None:
                raise PageLoop(f"page {number} is page {first} again", page=page.name)
            yield page
            if not more:
                return
        raise SourceUnavailable(f"the list does not end after {STUCK} pages")


@dataclass(frozen=True)
class Pages(KommoRead):
    """A list that is short, or that only grows at its head: what moves is met twice and never missed."""

    filter: str = ""  # the filter by time, inclusive

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        params: dict[str, str | int] = {}
        if self.since and self.filter:
            params[self.filter] = int(self.since.timestamp())
        yield from self.numbered(fetch, params, self.path)


@dataclass(frozen=True)
class ByTime(KommoRead):
    """Each request begins where the last row before it was changed, so no page number is needed."""

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """Raises SourceUnavailable where rows come out of order, or do not come though more were said to follow."""
        promised = False  # nor is it by a page of a run before this one: its rows may be gone since
        at = start.get("at", int(self.since.timestamp()) if self.since else 0)
        # What was shown of the last two seconds, which the next request begins with again.
        met = {(key, stamp) for key, stamp in start.get("met", ())}
        while True:
            params = {"filter[updated_at][from]": max(0, at - 1), "order[updated_at]": "asc"}
            page, more = self.one(fetch, params, f"{self.path} changed from {at}")
            if promised and not page.records:
                page, more = self.one(fetch, params, page.name)
                if not page.records:
                    raise SourceUnavailable("more rows were said to follow, and none came", page=page.name)
            promised = more
            versions = _versions(page)
            # A row that comes twice in one page is none out of order.
            stamps = [stamp for _, stamp in dict.fromkeys(versions)]
            if stamps != sorted(stamps):
                raise SourceUnavailable("rows come out of order", page=page.name)
            last = max(at, stamps[-1]) if stamps else at
            shown = _without(page, met)
            met = {v for v in met | set(versions) if v[1] >= last - 1}
            if not more:
                shown.after = {}
                yield shown
                return
            if last > at:
                shown.after = {"at": last, "met": sorted(v for v in met if v[0])}
                yield shown
                at = last
                continue
            yield shown
            # A second that fills a page: its rows by id, which nothing but a change of their own moves.
            within = {"filter[updated_at][from]": max(0, at - 1), "filter[updated_at][to]": at + 1, "order[id]": "asc"}
            for some in self.numbered(fetch, within, f"{self.path} changed at {at}"):
                versions = _versions(some)
                yield _without(some, met)
                met |= set(versions)
            at, promised = at + 1, False


@dataclass(frozen=True)
class ByWindows(KommoRead):
    """For a list that cannot be ordered by time: windows that halve until each fits a page."""

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        end = int((datetime.now(UTC) + timedelta(days=366)).timestamp())
        begin = int(self.since.timestamp()) if self.since else 0
        empty: tuple[int, int] | None = None
        for low, high, page in self._halved(fetch, begin, end):
            if not page.records and (low, high) != (begin, end):
                empty = (empty[0] if empty else low, high)
                continue
            if empty:
                yield from self._again(fetch, *empty)
                empty = None
            yield page
        if empty:
            yield from self._again(fetch, *empty)

    def _again(self, fetch: Fetch, low: int, high: int) -> Iterator[Page]:
        """Windows side by side that showed nothing, as one: a list in which more follows has no holes by accident."""
        for _, _, page in self._halved(fetch, low, high):
            yield page

    def _halved(self, fetch: Fetch, low: int, high: int) -> Iterator[tuple[int, int, Page]]:
        """Each page with the window that it is of, in order."""
        # A second more on either side: whether bounds are inclusive is not documented.
        window = {"filter[updated_at][from]": max(0, low - 1), "filter[updated_at][to]": high + 1}
        page, more = self.one(fetch, window, f"{self.path} changed from {low} to {high}")
        if not more:
            yield low, high, page
        elif low == high:
            for some in self.numbered(fetch, {**window, "order[id]": "asc"}, page.name):
                yield low, high, some
        else:
            middle = (low + high) // 2
            yield from self._halved(fetch, low, middle)
            yield from self._halved(fetch, middle + 1, high)


def since(read: KommoRead, moment: datetime) -> KommoRead:
    return replace(read, since=moment)


def _versions(page: Page) -> list[tuple[str | None, int]]:
    """The key of each row and when it was changed."""
    versions: list[tuple[str | None, int]] = []
    for key, record in zip(page.keys, page.records, strict=True):
        try:
            stamp = msgspec.json.decode(record, type=_Stamped).updated_at
        except (msgspec.DecodeError, RecursionError):
            # Where it stands says enough of when a damaged record was changed.
            text = scan.field(bytes(record), "updated_at") or ""
            stamp = int(text) if text.isdigit() else versions[-1][1] if versions else 0
        versions.append((key, stamp))
    return versions


def _without(page: Page, met: set[tuple[str | None, int]]) -> Page:
    kept = [i for i, version in enumerate(_versions(page)) if version not in met or version[0] is None]
    return replace(page, records=[page.records[i] for i in kept], keys=[page.keys[i] for i in kept])
