"""All records of a type, in the order of their ids: by several cursors at once where a cursor proves to be an id.

Nobody promises that `after` is an id, so it is never believed: each page must ascend and its cursor must not lie before
its last record, each segment is read on until it meets the first record of the next one or is given the very cursor
that the next one began with, and at the first doubt the first cursor goes on alone to the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from operator import lt
from typing import Any

import msgspec

from sync_assets.entity import Own
from sync_assets.errors import AddressTooLong, AnswerTooLarge, PageLoop, SyncError
from sync_assets.extract.fetch import AsDone, Fetch
from sync_assets.extract.pages import Page
from sync_assets.systems.hubspot.answers import Found, Listed, told
from sync_assets.systems.hubspot.batch import read_batch

SIZE = 100
URL_BYTES = 5_000
"""Names that make a longer URL are asked for by POST: nobody says where 414 begins, and 8,000 was too long for some."""

WORTH_SPLITTING = 2_000
"""Records; fewer are read by one cursor before the others would have started."""

ONE_CURSOR = "the list's cursors are no ids: read by one cursor"

RANK = 9_900
"""A search shows no record beyond its 10,000th."""


@dataclass(eq=False)
class Segment:
    """A cursor's part of the ids: from `start` to the first record of the next segment."""

    start: int = 0
    after: str | None = None
    first: int | None = None
    done: bool = False


@dataclass(frozen=True)
class Part:
    """Where a further cursor is to start, and who looks for the next such place."""

    start: int
    further: Callable[[threading.Event], Part | None] | None = None


@dataclass(frozen=True)
class ObjectList(Own):
    """`path` lists the records, by up to so many `cursors` at once."""

    shape: str = "object"
    early: bool = True
    cursors: int = 1
    named: bool = True

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """Raises PageLoop where a cursor comes again."""
        yield from _Listing(self, fetch, [Segment(**s) for s in start.get("segments", ())]).pages()


class _Listing:
    def __init__(self, read: ObjectList, fetch: Fetch, segments: list[Segment]) -> None:
        self._read = read
        self._fetch = fetch
        self._may_split = read.cursors > 1 and len(segments) <= 1
        self._alone = False
        self._segments = segments or [Segment()]
        self._given: set[tuple[int, str]] = set()
        self._waiting: dict[Segment, tuple[Page, str | None]] = {}
        self._wide = read.named and len(",".join(fetch.names)) > URL_BYTES
        self._requests: AsDone[tuple[Segment, Page, str | None] | Part | None] = AsDone()

    def pages(self) -> Iterator[Page]:
        with closing(self._requests) as answers:
            for segment in self._segments:
                if not segment.done:
                    self._requests.add(partial(self._ask, segment))
            for found in answers:
                if found is None:
                    continue
                if isinstance(found, Part):
                    self._split([found.start])
                    if found.further:
                        self._requests.add(found.further)
                    self._tell_room()
                    continue
                segment, page, after = found
                if segment not in self._segments or segment.done:
                    continue  # given up while its request was under way
                if not _ascends(_ids(page), segment, after):
                    page.certain()  # a record may name its id twice, and its page is no reason to doubt then
                self._waiting[segment] = page, after
                yield from self._in_turn()

    def _in_turn(self) -> Iterator[Page]:
        """A page that reaches the next segment's place waits until that one's first page tells where it is cut."""
        while segment := next((s for s in self._waiting if not self._must_wait(s)), None):
            page, after = self._waiting.pop(segment)
            if segment in self._segments:
                yield self._taken(segment, page, after)

    def _must_wait(self, segment: Segment) -> bool:
        """Where it begins is known from then on: the segment before it may wait for just that."""
        following = self._following(segment) if segment in self._segments else None
        if following is None or following.first is not None:
            return False
        page, after = self._waiting[segment]
        ids = _ids(page)
        if not ids or ids[-1] < following.start or not _ascends(ids, segment, after):
            return False
        if segment.first is None:
            segment.first = ids[0]
        return True

    def _taken(self, segment: Segment, page: Page, after: str | None) -> Page:
        ids = _ids(page)
        if len(self._segments) > 1 and not _ascends(ids, segment, after):
            self._give_up()
            if segment is not self._segments[0]:
                page.after = self._position()
                return page
        if ids and segment.first is None:
            segment.first = ids[0]
        segment.after, segment.done = after, after is None
        if not segment.done and (segment.start, after or "") in self._given:
            raise PageLoop(f"the cursor after {page.name} was given before")
        self._given.add((segment.start, after or ""))
        following = self._following(segment)
        if following and following.first is not None and ids and ids[-1] >= following.first:
            segment.done = True
            page = _before(page, following.first)
        elif following and segment.done and following.first is not None:
            # The end of the list before the next segment began: one of the two cursors is no id.
            self._give_up()
        if following and after == str(following.start):
            segment.done = True  # what comes now is the next one's first page, by the same request
        if not segment.done:
            self._requests.add(partial(self._ask, segment))
        if self._may_split:
            self._may_split = False  # not again after giving up either
            if after is not None:
                self._look_for_parts(ids, after)
        page.after = self._position()
        self._tell_room()
        return page

    def _tell_room(self) -> None:
        """One less than all cursors fill the limit; nobody may get into their way before the last ones are at work."""
        reading = sum(not segment.done for segment in self._segments)
        self._fetch.room(max(reading == 1, self._read.cursors - 1 - reading))

    def _position(self) -> dict[str, Any]:
        """{} at the end of the list."""
        return {} if all(s.done for s in self._segments) else {"segments": [dict(vars(s)) for s in self._segments]}

    def _following(self, segment: Segment) -> Segment | None:
        later = self._segments[self._segments.index(segment) + 1 :]
        return next((s for s in later if not (s.done and s.first is None)), None)

    def _give_up(self) -> None:
        """The first cursor reads on alone; what the others have shown counts all the same."""
        self._alone = True
        first = self._segments[0]
        if first.done:
            self._segments = [Segment()]
            self._given.clear()
            self._requests.add(partial(self._ask, self._segments[0]))
        else:
            self._segments = [first]
        self._fetch.remark(ONE_CURSOR)

    # Segments

    def _look_for_parts(self, ids: list[int], after: str) -> None:
        """Rows that are here tell at once; the search takes as long as some pages, and the first cursor goes on."""
        if not after.isdigit() or not _ascends(ids, self._segments[0], after):
            self._fetch.remark(ONE_CURSOR)
            return
        held = self._fetch.parents(self._read.path.rpartition("/")[2], "true")
        if len(held) >= WORTH_SPLITTING:
            self._split([int(held[rank]) for rank in self._shares(len(held))])
        else:
            self._requests.add(self._first_part)

    def _shares(self, total: int) -> list[int]:
        """Ranks that part so many records about equally, each the first of a page: where the pages of two cursors meet
        so, none is read twice."""
        return [total * i // self._read.cursors // SIZE * SIZE for i in range(1, self._read.cursors)]

    def _split(self, starts: Sequence[int]) -> None:
        """Ids that part the rest of the list; what its cursor has passed meanwhile is its own."""
        for start in starts:
            last = self._segments[-1]
            passed = last.after or str(last.start)
            if self._alone or last.done or not passed.isdigit() or start <= int(passed):
                continue
            self._segments.append(Segment(start))
            self._requests.add(partial(self._ask, self._segments[-1]))

    def _first_part(self, stop: threading.Event) -> Part | None:
        try:
            total, _ = self._ranked(0, 0, stop)
        except SyncError as e:
            self._no_part(e)
            return None
        return self._part(0, 0, self._shares(total), stop) if total >= WORTH_SPLITTING else None

    def _part(self, base: int, passed: int, ranks: Sequence[int], stop: threading.Event) -> Part | None:
        """The first of these ranks, counted on from the record `base`, which has the rank `passed`."""
        try:
            while ranks[0] > passed:
                step = min(ranks[0] - passed, RANK)
                _, id = self._ranked(base, step - (base > 0), stop)
                if id is None:
                    return None
                base, passed = id, passed + step
        except SyncError as e:
            self._no_part(e)
            return None
        return Part(base, partial(self._part, base, passed, ranks[1:]) if len(ranks) > 1 else None)

    def _no_part(self, error: SyncError) -> None:
        self._fetch.remark(f"read by fewer cursors: the search does not tell where to part the list ({error.what})")

    def _ranked(self, base: int, rank: int, stop: threading.Event) -> tuple[int, int | None]:
        """How many records have an id above `base`, and the id of the one at `rank` among them."""
        body = {
            "filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "GT", "value": str(base)}]}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["hs_object_id"],
            "limit": 1,
            "after": rank,
        }
        answer = self._fetch.ask(f"{self._read.path}/search", {}, stop, body=msgspec.json.encode(body))
        page = self._fetch.splitter.page("the search for equal shares", self._read, answer)
        ids = _ids(page)
        return told(answer, Found).total, ids[0] if ids else None

    # Requests

    def _ask(self, segment: Segment, stop: threading.Event) -> tuple[Segment, Page, str | None]:
        after = segment.after if segment.after is not None else str(segment.start) if segment.start else None
        params: dict[str, str | int] = {"limit": SIZE, **self._read.params}
        if after is not None:
            params["after"] = after
        only_ids = params | {"properties": "hs_object_id"}
        thin = self._wide
        try:
            names = {"properties": ",".join(self._fetch.names)} if self._read.named else {}
            answer = self._fetch.ask(self._read.path, only_ids if thin else params | names, stop)
        except (AnswerTooLarge, AddressTooLong) as e:
            if thin or not self._read.named:
                raise
            thin = True
            self._wide |= isinstance(e, AddressTooLong)
            answer = self._fetch.ask(self._read.path, only_ids, stop)
        name = f"{self._read.path.rpartition('/')[2]} from {after or 'the first'}"
        page = self._fetch.splitter.page(name, self._read, answer, frame=Listed, hasty=True)
        cursor = (page.frame if isinstance(page.frame, Listed) else told(answer, Listed)).after
        if thin and page.keys:
            keys = [key for key in page.certain().keys if key is not None]
            page = read_batch(self._fetch, self._read, self._read.path, keys, stop, name=name)
        return segment, page, cursor


def _ids(page: Page) -> list[int]:
    return list(map(int, filter(None, page.keys)))


def _ascends(ids: list[int], segment: Segment, after: str | None) -> bool:
    steps = all(map(lt, ids, ids[1:]))
    begins = not ids or ids[0] >= segment.start
    leads_on = after is None or (after.isdigit() and (not ids or int(after) >= ids[-1]))
    return steps and begins and leads_on


def _before(page: Page, first: int) -> Page:
    kept = [i for i, key in enumerate(page.certain().keys) if key is None or int(key) < first]
    page.records, page.keys = [page.records[i] for i in kept], [page.keys[i] for i in kept]
    return page
