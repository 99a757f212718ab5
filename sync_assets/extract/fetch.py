"""Reads an entity's pages, as many requests in flight as the limit lets leave, and yields them in order.

The order makes the cursor one position; the speculation ends with the list, and requests that still wait for their
slot by then never leave.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, TypeVar

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
                answer = self._ask(one.path.replace("{key}", key), params, stop)
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
            page = self._splitter.page(name, read.read, self._ask(path, params, stop), carry)
            page.after = {"read": index, "parent": parent, "variant": variant}
            return [page]

        jobs = (partial(one, parent, variant) for parent, variant in places)
        for pages in _in_order(jobs, lambda _: IN_FLIGHT):
            yield from pages

    def _list(self, read: Whole, index: int, since: str | None, start: Position) -> Iterator[Page]:
        if isinstance(read, OffsetPages):
            yield from self._offset_pages(read, index, since, start)
            return
        page = self._splitter.page(read.path, read, self._ask(read.path, read.params, threading.Event()))
        page.after = {"read": index + 1}
        yield page

    def _offset_pages(self, read: OffsetPages, index: int, since: str | None, start: Position) -> Iterator[Page]:
        """Invariant: every row that stands still in the listing from start to end is yielded.

        Each page must hold the last row of the page before it (its anchor). Rows that went away before the offset pull
        later rows up, past the anchor: then the page before is read again, until the chain closes. Rows that came in
        push rows down: they are met twice, which costs nothing.
        """
        offset, size = start.get("offset", 0), read.size
        anchors: dict[int, str | None] = {offset: start.get("anchor")}
        met: dict[tuple[str | None, ...], int] = {}
        backs = 0
        while True:
            base: Params = {
                **read.params,
                **read.order,
                **({read.since: since} if read.since and since else {}),
            }
            closing = _in_order(
                (partial(self._page, read, base, at) for at in count(offset, max(1, size - 1))),
                lambda done: min(IN_FLIGHT, max(1, done)),
            )
            for at, page in zip(count(offset, max(1, size - 1)), closing, strict=False):
                keys, rows = tuple(page.keys), len(page.records)
                if rows > 1 and met.setdefault(keys, at) != at:
                    raise PageLoop(f"the page at offset {at} is the page at offset {met[keys]} again")
                anchor = anchors.get(at)
                if anchor is not None and anchor not in keys:
                    backs += 1
                    if backs > STEPS_BACK:
                        raise SourceUnavailable("rows go away faster than the pages can be read")
                    met.clear()
                    offset = max(0, at - (size - 1))
                    break
                backs = 0
                last = page.keys[-1] if rows else None
                follows = at + max(1, rows - 1)
                anchors[follows] = last
                page.after = {"read": index, "offset": follows, "anchor": last}
                # A short page ends the list, unless its length looks like a cap below the one that was documented.
                ends = rows < size and (rows == 0 or rows % 10 != 0)
                if ends:
                    page.after = {"read": index + 1}
                yield page.without(keys.index(anchor)) if anchor is not None else page
                if ends:
                    return
                if rows < size:
                    offset, size = follows, rows
                    break

    def _page(self, read: OffsetPages, base: Params, at: int, stop: threading.Event) -> Page:
        params = {**base, "limit": read.size, "offset": at}
        return self._splitter.page(f"{read.path}, offset {at}", read, self._ask(read.path, params, stop))


def _in_order(jobs: Iterable[Callable[[threading.Event], T]], depth: Callable[[int], int]) -> Iterator[T]:
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
