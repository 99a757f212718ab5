"""Reads an entity's pages, as many requests in flight as the limit lets leave, and yields them in order.

The order makes the cursor one position; the speculation ends with the list, and requests that still wait for their
slot by then never leave.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any, TypeVar
from urllib.parse import quote

from sync_assets.entity import ById, Each, OffsetPages, Params, Requested, Whole
from sync_assets.errors import PageLoop, SourceUnavailable, SyncError
from sync_assets.extract.http import Answer
from sync_assets.extract.pages import Page, Position, Splitter

IN_FLIGHT = 4
"""Requests of one list under way at once: enough to fill 20/s at 150 ms, and at most three too many at its end."""

STEPS_BACK = 3
"""How often one gap between pages is read again before the entity gives up for this run."""

Ask = Callable[[str, Params, threading.Event], Answer]
Parents = Callable[[str, str], Sequence[Any]]
T = TypeVar("T")


class Fetch:
    """The reads of one entity. `parents(entity, where)` answers the stored keys of a parent, sorted."""

    def __init__(self, ask: Ask, splitter: Splitter, parents: Parents) -> None:
        self._ask = ask
        self._splitter = splitter
        self._parents = parents

    def pages(
        self, reads: Sequence[Requested], *, since: str | None = None, resume: Position | None = None
    ) -> Iterator[Page]:
        """All pages of all reads, from `resume` on; `page.after` is where to resume after that page."""
        resume = resume or {}
        for index in range(resume.get("read", 0), len(reads)):
            read = reads[index]
            start = resume if index == resume.get("read", 0) else {}
            yield from (
                self._each(read, index, start) if isinstance(read, Each) else self._list(read, index, since, start)
            )

    def by_id(self, one: ById, keys: Iterable[str]) -> Iterator[tuple[str, Page | SyncError]]:
        """One record per key, in order; what failed comes as the error, so that one key costs one key."""

        def look(key: str, stop: threading.Event) -> tuple[str, Page | SyncError]:
            params = {n: str(v).replace("{key}", key) for n, v in one.params.items()}
            try:
                answer = self._ask(one.path.replace("{key}", quote(key, safe="")), params, stop)
                return key, self._splitter.page(f"{one.path}, key {key}", one, answer)
            except SyncError as e:
                return key, e

        yield from _in_order((partial(look, key) for key in keys), lambda _: IN_FLIGHT)

    def _each(self, read: Each, index: int, start: Position) -> Iterator[Page]:
        done = (start["parent"], start["variant"]) if "parent" in start else None
        places = [
            (parent, variant)
            for parent in self._parents(read.parent, read.where)
            for variant in range(len(read.variants))
            if done is None or (parent, variant) > done
        ]

        def one(parent: Any, variant: int, stop: threading.Event) -> list[Page]:
            params = {**read.read.params, **read.variants[variant]}
            path = read.read.path.replace("{key}", str(parent))
            name = ", ".join([path, *(f"{k} {v}" for k, v in read.variants[variant].items())])
            carry = f"{json.dumps(read.carry)}:{json.dumps(parent)}".encode() if read.carry else b""
            if isinstance(read.read, OffsetPages):
                listing = Listing(
                    self._ask, self._splitter, read.read, path, params, name=name, carry=carry, ahead=1, stop=stop
                )
                pages = [page for page, _ in listing.pages()]
            else:
                pages = [self._splitter.page(name, read.read, self._ask(path, params, stop), carry)]
            pages[-1].after = {"read": index, "parent": parent, "variant": variant}
            return pages

        jobs = (partial(one, parent, variant) for parent, variant in places)
        for pages in _in_order(jobs, lambda _: IN_FLIGHT):
            yield from pages

    def _list(self, read: Whole, index: int, since: str | None, start: Position) -> Iterator[Page]:
        if not isinstance(read, OffsetPages):
            page = self._splitter.page(read.path, read, self._ask(read.path, read.params, threading.Event()))
            page.after = {"read": index + 1}
            yield page
            return
        params = {**read.params, **({read.since: since} if read.since and since else {})}
        listing = Listing(self._ask, self._splitter, read, read.path, params, name=read.path)
        for page, rest in listing.pages(start.get("offset", 0), start.get("anchor")):
            page.after = {"read": index, **rest} if rest else {"read": index + 1}
            yield page


class Listing:
    """One list that pages by offset, read so that no row slips through between two pages.

    Invariant: every row that stands still in the list from start to end is yielded. Each page must hold the last row of
    the page before it (its anchor). Rows that went away before the offset pull later rows up, past the anchor: then the
    page before is read again, until the chain closes. Rows that came in push rows down: they are met twice, which costs
    nothing.
    """

    def __init__(
        self,
        ask: Ask,
        splitter: Splitter,
        read: OffsetPages,
        path: str,
        params: Params,
        *,
        name: str,
        carry: bytes = b"",
        ahead: int = IN_FLIGHT,
        stop: threading.Event | None = None,
    ) -> None:
        self._ask = ask
        self._splitter = splitter
        self._read = read
        self._path = path
        self._params = {**params, **read.order}
        self._name = name
        self._carry = carry
        self._ahead = ahead
        self._stop = stop
        self._met: dict[int, int] = {}  # by their hash: the keys of a long list would fill the memory
        self._gap = 0
        self._backs = 0

    def pages(self, offset: int = 0, anchor: str | None = None) -> Iterator[tuple[Page, Position]]:
        """The pages from `offset` on, each with where to go on after it; with nothing after the last.

        Raises PageLoop where a page comes again under another offset, SourceUnavailable where rows go away faster than
        pages can be read.
        """
        anchors = {offset: anchor}
        size = self._read.size
        while True:
            step = max(1, size - 1)
            jobs = (partial(self._page, at) for at in count(offset, step))
            with closing(_in_order(jobs, lambda done: min(self._ahead, max(1, done)))) as read_ahead:
                for at, page in zip(count(offset, step), read_ahead, strict=False):
                    if self._is_gap(at, page, anchors.get(at)):
                        offset = max(0, at - step)
                        break
                    rows, last = len(page.records), page.keys[-1] if page.keys else None
                    follows = at + max(1, rows - 1)
                    anchor, anchors[follows] = anchors.get(at), last
                    # A short page ends the list, unless its length looks like a cap below the documented one.
                    ends = rows < size and (rows == 0 or rows % 10 != 0)
                    rest: Position = {} if ends else {"offset": follows, "anchor": last}
                    yield (page.without(page.keys.index(anchor)) if anchor is not None else page), rest
                    if ends:
                        return
                    if rows < size:
                        offset, size = follows, rows
                        break

    def _is_gap(self, at: int, page: Page, anchor: str | None) -> bool:
        keys = hash(tuple(page.keys))
        if len(page.keys) > 1 and self._met.setdefault(keys, at) != at:
            raise PageLoop(f"the page at offset {at} is the page at offset {self._met[keys]} again")
        if anchor is None or anchor in page.keys:
            if at > self._gap:
                self._backs = 0
            return False
        self._backs += 1
        self._gap = max(self._gap, at)
        if self._backs > STEPS_BACK:
            raise SourceUnavailable("rows go away faster than the pages can be read")
        self._met.clear()
        return True

    def _page(self, at: int, stop: threading.Event) -> Page:
        params = {**self._params, "limit": self._read.size, "offset": at}
        answer = self._ask(self._path, params, self._stop or stop)
        return self._splitter.page(f"{self._name}, offset {at}", self._read, answer, self._carry)


def _in_order(jobs: Iterable[Callable[[threading.Event], T]], depth: Callable[[int], int]) -> Generator[T, None, None]:
    """Runs jobs in threads, `depth(done)` of them ahead, and yields their results in order.

    Closing the iterator tells the jobs under way to stop; those that have sent nothing yet send nothing.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="fetch")
    pending: deque[Future[T]] = deque()
    done = 0
    try:
        for job in jobs:
            pending.append(pool.submit(job, stop))
            while len(pending) >= depth(done):
                yield pending.popleft().result()
                done += 1
        while pending:
            yield pending.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
