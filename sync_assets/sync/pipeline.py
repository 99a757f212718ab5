"""Reads on while the pages before are being committed: in order, one commit at a time, in a thread of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sync_assets.errors import OutOfTime, RetryLater
from sync_assets.extract.pages import Page

T = TypeVar("T")

FIRST = 4
"""The first commit is so many times smaller than the others: until it begins, Postgres has nothing to do. Each is twice
the one before it until they are whole: there is more to read in the time that a larger one takes."""

MOST_BYTES = 4_000_000
"""Of the answers of one commit: long records come in smaller commits, and memory does not depend on their length."""


def in_time(pages: Iterator[Page], *, minutes: float) -> Iterator[Page]:
    """A source may grow faster than it is read: raises OutOfTime after so many minutes, between two pages."""
    until = time.monotonic() + minutes * 60
    for page in pages:
        yield page
        if time.monotonic() > until:
            raise OutOfTime(f"not read to the end within {minutes:g} minutes; what was read is stored")


def commit_behind(
    pages: Iterable[Page], *, records: int, prepare: Callable[[list[Page]], T], commit: Callable[[list[Page], T], None]
) -> None:
    """Hands over whole pages as soon as they hold so many records, or MOST_BYTES; at first a FIRST-th of them.

    `prepare` runs while the last commit is under way. Pages read before the source failed are committed; then its
    RetryLater is raised again. At most two hand-overs are in memory.
    """
    held: list[Page] = []
    enough = max(1, records // FIRST)
    with ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
        under_way: Future[None] | None = None

        def ready() -> T:
            """The held pages, prepared; the commit before them is done with."""
            prepared = prepare(held)
            if under_way:
                under_way.result()
            return prepared

        def hand_over() -> None:
            nonlocal held, under_way, enough
            under_way = writer.submit(commit, held, ready())
            held, enough = [], min(records, 2 * enough)

        def finish() -> None:
            """Here: nothing is read meanwhile, and most lists are a page that no thread has to be made for."""
            if held:
                commit(held, ready())
            elif under_way:
                under_way.result()

        try:
            for page in pages:
                held.append(page)
                if sum(len(p.records) for p in held) >= enough or sum(p.size for p in held) >= MOST_BYTES:
                    hand_over()
        except RetryLater:
            finish()
            raise
        finish()
