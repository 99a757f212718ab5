"""A whole list by its ids: each command begins where the one before it in the batch ended, 2,500 rows in a request.

Bitrix itself resolves the reference to the row before. Where there is none, after the end or behind a command that
failed, it reads as nothing and the whole table comes again: so what stands behind a page that was not full is nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec

from sync_assets.entity import Own
from sync_assets.errors import PageLoop, SourceUnavailable, SyncError, WrongShape
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import AsDone, Fetch
from sync_assets.extract.pages import Page
from sync_assets.systems.bitrix.commands import COMMANDS, PAGE, Command, Results, carried_out, query

FEW = 4
"""Commands of the first batch where few rows are expected."""

Filter = Mapping[str, object]


@dataclass(frozen=True)
class Keyset(Own):
    """The list method `path`, whose rows are in `at`; `entity` is the table that keeps them."""

    entity: str = ""
    select: tuple[str, ...] = ()
    per: str = ""  # the filter without which the list refuses: it is read for each catalog
    stamp: str = ""  # the field that bears the time of the last change
    since: datetime | None = None

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """Raises PageLoop where the list does not obey its filter, SourceUnavailable where it is out of order."""
        changed: Filter = {f">={self.stamp}": self.since.isoformat(timespec="seconds")} if self.since else {}
        if not self.per:
            yield from _Walk(self, fetch, changed, start.get("after", 0)).pages()
            return
        for catalog in fetch.parents("catalogs", "true"):
            if catalog >= start.get("catalog", 0):
                after = start.get("after", 0) if catalog == start.get("catalog") else 0
                for page in _Walk(self, fetch, {**changed, self.per: catalog}, after).pages():
                    page.after = {**(page.after or {}), "catalog": catalog}
                    yield page


class _Walk:
    def __init__(self, read: Keyset, fetch: Fetch, filter: Filter, after: int) -> None:
        self._read, self._fetch, self._filter, self._after = read, fetch, filter, after
        self._requests: AsDone[tuple[Results, int]] = AsDone()

    def pages(self) -> Iterator[Page]:
        with closing(self._requests) as answers:
            first = partial(self._begin, FEW) if self._read.since else partial(self._ask, self._expected())
            self._requests.add(first)
            for found, size in answers:
                pages: list[Page] = []
                try:
                    following, problem = self._take(found, size, pages), None
                except SyncError as e:
                    following, problem = 0, e
                # The next request is under way while these pages are stored.
                if following:
                    self._requests.add(partial(self._ask, following))
                yield from pages
                if problem:
                    raise problem

    def _take(self, found: Results, size: int, pages: list[Page]) -> int:
        """Adds a batch's pages to `pages`. Answers how many commands the next batch has, 0 at the end of the list."""
        for n in range(size):
            if (refusal := found.refused(n)) is not None:
                if size == 1:
                    raise refusal.at(page=self._name())
                # What stands behind it began nowhere: from here on again, the failed command alone first.
                return 1
            page = self._page(found, n)
            full, sound = len(page.records) >= PAGE, bool(page.keys) and page.keys[-1] is not None
            if full and not any(page.keys):
                raise WrongShape("none of the rows has an id to go on behind", page=page.name)
            self._go_on(page)
            pages.append(page)
            if not full or (n == size - 1 and not found.more(n)):
                return 0
            if not sound:
                return size
        return COMMANDS

    def _expected(self) -> int:
        """Commands that the rows which are here would fill; all fifty where there are none yet."""
        catalog = self._filter.get(self._read.per)
        of = "true" if catalog is None else f"iblock_id = {catalog}"
        held = len(self._fetch.parents(self._read.entity, f"id > {self._after} and {of}"))
        return min(COMMANDS, held // PAGE + 1) if held else COMMANDS

    def _chain(self, size: int) -> list[Command]:
        commands = []
        for n in range(size):
            begin = f"$result[c{n - 1}][{self._read.at}][{PAGE - 1}][id]" if n else self._after
            # The last one is counted, so that a list that ends with a full page needs no further request.
            start = 0 if n == size - 1 else -1
            rows = query({**self._filter, ">id": begin}, order="id", select=self._read.select, start=start)
            commands.append(Command(self._read.path, rows))
        return commands

    def _ask(self, size: int, stop: threading.Event) -> tuple[Results, int]:
        return carried_out(self._fetch, self._chain(size), stop), size

    def _begin(self, size: int, stop: threading.Event) -> tuple[Results, int]:
        """The first batch under a filter that another version of the portal may not know."""
        method = self._read.path.replace(".list", ".getFields")
        found = carried_out(self._fetch, [*self._chain(size), Command(method, {})], stop)
        if (refusal := found.refused(size)) is not None:
            raise refusal.at(page=method)
        if self._read.stamp not in _fields(found.answer(size)):
            raise WrongShape(
                f"this portal's {self._read.path} knows no {self._read.stamp}: it would drop that filter",
                next_step="sync this entity in full; update the portal's sale and catalog modules",
            )
        return found, size

    def _name(self) -> str:
        catalog = self._filter.get(self._read.per)
        return f"{self._read.path}{f' of catalog {catalog}' if catalog is not None else ''} after {self._after}"

    def _page(self, found: Results, n: int) -> Page:
        page = self._fetch.splitter.page(self._name(), self._read, found.answer(n))
        ids = list(dict.fromkeys(int(key) for key in page.keys if key is not None))  # a row may come twice
        if any(a > b for a, b in pairwise(ids)):
            raise SourceUnavailable("rows come out of order", page=page.name)
        if ids and ids[-1] <= self._after:
            raise PageLoop("the list begins again instead of going on: it does not obey its filter", page=page.name)
        if page.records:
            obeyed(page, self._filter)
        return page

    def _go_on(self, page: Page) -> None:
        """Leaves out what was shown before, and goes on behind the last row."""
        fresh = [i for i, key in enumerate(page.keys) if key is None or int(key) > self._after]
        page.records, page.keys = [page.records[i] for i in fresh], [page.keys[i] for i in fresh]
        self._after = max([self._after, *(int(key) for key in page.keys if key is not None)])
        page.after = {"after": self._after}


def obeyed(page: Page, filter: Filter) -> None:
    """Raises WrongShape where the first row is none that the filter lets through: Bitrix has dropped it."""
    for name, wanted in filter.items():
        field, least = name.removeprefix(">="), name.startswith(">=")
        value = scan.field(bytes(page.records[0]), field)
        if value is not None and (_moment(value) < _moment(str(wanted)) if least else value != str(wanted)):
            raise WrongShape(f"the answer does not obey the filter {name}", page=page.name)


def _moment(value: str) -> float:
    """Of a date that is none, or that tells no zone, the end of time: it proves nothing against the filter."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return float("inf")
    return moment.timestamp() if moment.tzinfo else float("inf")


def _fields(answer: Answer) -> set[str]:
    try:
        described = msgspec.json.decode(answer.body, type=dict[str, dict[str, Any]])
    except msgspec.DecodeError:
        raise WrongShape("getFields does not tell the fields") from None
    return {name for fields in described.values() for name in fields}
