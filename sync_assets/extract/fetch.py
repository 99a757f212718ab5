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
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

from sync_assets.entity import ById, Each, OffsetPages, Own, OwnById, Params, Requested, Whole
from sync_assets.errors import PageLoop, SourceUnavailable, SyncError
from sync_assets.extract.along import Along
from sync_assets.extract.dialect import Answer
from sync_assets.extract.pages import Page, Position, Splitter

IN_FLIGHT = 4
"""Requests of one list under way at once: enough to fill 20/s at 150 ms, and at most three too many at its end."""

STEPS_BACK = 3
"""How often one gap between pages is read again before the entity gives up for this run."""


class Ask(Protocol):
    def __call__(self, path: str, params: Params, stop: threading.Event, *, body: bytes | None = None) -> Answer: ...


Parents = Callable[[str, str], Sequence[Any]]
T = TypeVar("T")


@dataclass
class Fetch:
    """The reads of one entity, and what reads with a protocol of their own are carried out with."""

    ask: Ask
    splitter: Splitter
    parents: Parents
    """(entity, where) -> its stored keys, sorted."""
    names: tuple[str, ...] = ()
    """The fields that must be asked for by name."""
    remark: Callable[[str], None] = lambda _: None
    """Says something to whoever looks at this sync."""
    room: Callable[[int], None] = lambda _: None
    """Hears how many requests that nobody needs yet may be under way beside those of the read."""
    withheld: list[str] = field(default_factory=list)
    """What the token may not read of an entity whose other parts are read: nothing follows from not seeing it."""
    claims: list[tuple[int, int]] = field(default_factory=list)
    """For each list that told its own total: that total, and the records that it showed."""
    along: Along = field(default_factory=Along)

    def pages(
        self, reads: Sequence[Requested], *, since: str | None = None, resume: Position | None = None
    ) -> Iterator[Page]:
        """All pages of all reads, from `resume` on; `page.after` is where to resume after that page."""
        resume = resume or {}
        for index in range(resume.get("read", 0), len(reads)):
            read = reads[index]
            start = resume if index == resume.get("read", 0) else {}
            if isinstance(read, Each):
                yield from self._each(read, index, start)
            elif isinstance(read, Own):
                yield from self._own(read, index, start)
            else:
                yield from self._list(read, index, since, start)

    def by_id(self, one: ById, keys: Iterable[str]) -> Iterator[tuple[str, Page | SyncError]]:
        """One record per key, in order; what failed comes as the error, so that one key costs one key."""
        if isinstance(one, OwnById):
            yield from one.look(self, list(keys))
            return

        def look(key: str, stop: threading.Event) -> tuple[str, Page | SyncError]:
            params = {n: str(v).replace("{key}", key) for n, v in one.params.items()}
            try:
                answer = self.ask(one.path.replace("{key}", quote(key, safe="")), params, stop)
                return key, self.splitter.page(f"{one.path}, key {key}", one, answer)
            except SyncError as e:
                return key, e

        yield from in_order((partial(look, key) for key in keys), lambda _: IN_FLIGHT)

    def _own(self, read: Own, index: int, start: Position) -> Iterator[Page]:
        place = {name: value for name, value in start.items() if name != "read"}
        pages = read.pages(self, place)
        for page in one_ahead(pages) if read.ahead else pages:
            if page.after == {}:
                page.after = {"read": index + 1}
            else:
                # After a page that names no place, the read goes on from where the page before it did.
                place = page.after or place
                page.after = {"read": index, **place}
            yield page

    def _each(self, read: Each, index: int, start: Position) -> Iterator[Page]:
        done = (start["parent"], start["variant"]) if "parent" in start else None
        places = [
            (parent, variant)
            for parent in self.parents(read.parent, read.where)
            if not read.only or str(parent) in read.only
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
                    self.ask, self.splitter, read.read, path, params, name=name, carry=carry, ahead=1, stop=stop
                )
                pages = [page for page, _ in listing.pages()]
            else:
                pages = [self.splitter.page(name, read.read, self.ask(path, params, stop), carry)]
            pages[-1].after = {"read": index, "parent": parent, "variant": variant}
            return pages

        jobs = (partial(one, parent, variant) for parent, variant in places)
        for pages in in_order(jobs, lambda _: IN_FLIGHT):
            yield from pages

    def _list(self, read: Whole, index: int, since: str | None, start: Position) -> Iterator[Page]:
        if not isinstance(read, OffsetPages):
            page = self.splitter.page(read.path, read, self.ask(read.path, read.params, threading.Event()))
            page.after = {"read": index + 1}
            yield page
            return
        params = {**read.params, **({read.since: since} if read.since and since else {})}
        listing = Listing(self.ask, self.splitter, read, read.path, params, name=read.path)
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
        self._met: dict[int, int] = {}
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
            with closing(in_order(jobs, lambda done: min(self._ahead, max(1, done)))) as read_ahead:
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
        if len(page.keys) > 1 and (first := met_before(self._met, page, at)) is not None:
            raise PageLoop(f"the page at offset {at} is the page at offset {first} again")
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


def met_before(met: dict[int, int], page: Page, at: int) -> int | None:
    """Where a page of the same keys was met; None where this is the first. `met` is what was met so far.

    By their hash: the keys of a long list would fill the memory.
    """
    first = met.setdefault(hash(tuple(page.keys)), at)
    return None if first == at else first


class AsDone(Generic[T]):
    """Jobs in threads, each result as it comes. A job leaves when it is added, however busy the consumer is.

    Closing it tells the jobs under way to stop.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="fetch")
        self._done: SimpleQueue[Future[T]] = SimpleQueue()
        self._pending = 0

    def add(self, job: Callable[[threading.Event], T]) -> None:
        self._pending += 1
        self._pool.submit(job, self._stop).add_done_callback(self._done.put)

    def __iter__(self) -> Iterator[T]:
        while self._pending:
            done = self._done.get()
            self._pending -= 1
            yield done.result()

    def close(self) -> None:
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Makes the next item, in a thread, while the last one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
        upcoming = pool.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(next, items, None)
            yield item


def in_order(jobs: Iterable[Callable[[threading.Event], T]], depth: Callable[[int], int]) -> Generator[T, None, None]:
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
