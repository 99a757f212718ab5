"""Which records belong together: the whole set of each, read anew each time, because no record says when it changed.

One record of ours is one record of theirs with all its associations to one other type. Its set is complete or the read
fails: a set that HubSpot cuts into pages is asked for to its end before it is stored.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from sync_assets.entity import Own
from sync_assets.errors import Forbidden, PageLoop
from sync_assets.extract.fetch import IN_FLIGHT, Fetch, in_order
from sync_assets.extract.pages import Page
from sync_assets.systems.hubspot.answers import Paging, told

AT_ONCE = 1000


class _From(msgspec.Struct):
    id: str


class _Set(msgspec.Struct, rename={"source": "from"}):
    source: _From
    to: list[msgspec.Raw]
    paging: Paging | None = None


class _Sets(msgspec.Struct):
    results: list[_Set]


@dataclass(frozen=True)
class Associations(Own):
    """`path` is the type that associations lead from, `to` are those that they lead to."""

    to: tuple[str, ...] = ()
    these: tuple[str, ...] = ()  # the ids of the records whose sets are read; of all that are here where none is named

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """Raises PageLoop where the pages of one record's set go round in a circle, Forbidden where the token may read
        none of the types; one that it may not read is withheld, and the others are read."""
        if self.these:
            yield from self._named(fetch)
            return
        first, done = self.to.index(start["to"]) if start else 0, start.get("done")
        keys = fetch.parents(self.path, "true")
        for to in self.to[first:]:
            begin = 0 if done is None else bisect_right(keys, done)
            done = None
            chunks = (keys[i : i + AT_ONCE] for i in range(begin, len(keys), AT_ONCE))
            try:
                for page in in_order((partial(self._chunk, fetch, to, c) for c in chunks), lambda _: IN_FLIGHT):
                    last = to == self.to[-1] and page.name == self._name(to, keys)
                    page.after = {} if last else {"to": to, "done": int(page.name.rpartition(" ")[2])}
                    yield page
            except Forbidden as e:
                if len(fetch.withheld) + 1 == len(self.to):
                    raise
                fetch.withheld.append(f"associations with {to} ({e.what})")

    def _named(self, fetch: Fetch) -> Iterator[Page]:
        """The sets of some records, each whole, to all types at once."""
        ids = sorted({int(id) for id in self.these if id.isdigit()})
        for some in (ids[i : i + AT_ONCE] for i in range(0, len(ids), AT_ONCE)):
            page, withheld = None, len(fetch.withheld)
            for to in self.to:
                try:
                    found = self._chunk(fetch, to, some, threading.Event())
                except Forbidden as e:
                    if len(fetch.withheld) - withheld + 1 == len(self.to):
                        raise
                    fetch.withheld.append(f"associations with {to} ({e.what})")
                else:
                    page = page.joined(found) if page else found
            if page and len(fetch.withheld) == withheld:
                page.sets = ("id", [str(id) for id in some])
            if page:
                yield page

    def _name(self, to: str, keys: Sequence[int]) -> str:
        return f"{self.path} to {to}, up to {keys[-1]}"

    def _chunk(self, fetch: Fetch, to: str, keys: Sequence[int], stop: threading.Event) -> Page:
        path = f"/crm/v4/associations/{self.path}/{to}/batch/read"
        wanted: list[dict[str, str]] = [{"id": str(key)} for key in keys]
        whole: dict[str, list[msgspec.Raw]] = {}
        asked: set[tuple[str, str]] = set()
        seen = None
        while wanted:
            answer = fetch.ask(path, {}, stop, body=msgspec.json.encode({"inputs": wanted}))
            seen = answer.seen if seen is None else seen
            wanted = []
            for found in told(answer, _Sets).results:
                whole.setdefault(found.source.id, []).extend(found.to)
                if found.paging and found.paging.next:
                    more = (found.source.id, found.paging.next.after)
                    if more in asked:
                        raise PageLoop(f"the associations of a record to {to} go round in a circle", record=more[0])
                    asked.add(more)
                    wanted.append({"id": more[0], "after": more[1]})
        records = [
            msgspec.json.encode({"id": id, "to_type": to, "to": targets}) for id, targets in whole.items() if targets
        ]
        body = b'{"results":[' + b",".join(records) + b"]}"
        answer = replace(answer, body=body, seen=seen or 0)
        return fetch.splitter.page(self._name(to, keys), self, answer)
