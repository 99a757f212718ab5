"""The shelf of one object type: tens of thousands of records, served a page at a time.

The non-obvious decision: a record is never changed, only replaced, and the one it replaced is kept for a while. So
a search index that lags is a view of the past, exactly what HubSpot's is, and costs nothing when nobody asks for it.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable

import msgspec

from sync_assets.sandbox.dialect import Record, RefusedError, decode, encode
from sync_assets.sandbox.hubspot.names import Kind, stamp

NULL = msgspec.Raw(b"null")
# Longest lag of the search index that can be asked for.
MEMORY = 86_400_000


class Selection:
    """The properties one request asks for, ready to be written."""

    def __init__(self, names: Iterable[str], *, whole: bool) -> None:
        self.whole = whole
        self.pieces = [(name, encode(name) + b":") for name in sorted(names)]


class Thing(msgspec.Struct, gc=False):
    id: int
    created: int
    modified: int
    # Every property that is not null, as one JSON object.
    packed: bytes
    archived: int = 0
    # The row as served last, with all properties and with some.
    whole: tuple[Selection, bytes] | None = None
    part: tuple[Selection, bytes] | None = None

    def properties(self) -> dict[str, str]:
        return decode(self.packed, type=dict[str, str])


class Shelf:
    def __init__(self, kind: Kind, definitions: dict[str, Record], page: str | None) -> None:
        self.kind = kind
        # Shared with the company, which tells when they change.
        self._definitions = definitions
        self._page = page
        self.living: dict[int, Thing] = {}
        self.archived: dict[int, Thing] = {}
        self.ids: list[int] = []
        self.past: deque[tuple[int, int, Thing | None]] = deque()
        self._selections: dict[frozenset[str], Selection] = {}

    def forget_selections(self) -> None:
        self._selections.clear()

    def selection(self, asked: Iterable[str] | None) -> Selection:
        """None asks for the defaults; names that are not defined are left out without a word."""
        wanted = {*self.kind.always, *(self.kind.defaults if asked is None else asked)}
        names = frozenset(wanted & self._definitions.keys())
        if names not in self._selections:
            self._selections[names] = Selection(names, whole=len(names) == len(self._definitions))
        return self._selections[names]

    def everything(self) -> Selection:
        return self.selection(self._definitions)

    # The records.

    def get(self, id: int) -> Thing:
        if id not in self.living:
            raise RefusedError(f"no {self.kind.singular} {id}")
        return self.living[id]

    def put(self, thing: Thing, now: int | None = None) -> None:
        """Shelve a record, new or changed; without `now` it is seeded history that no index lags behind."""
        before = self.living.get(thing.id)
        if before is None:
            if not self.ids or thing.id > self.ids[-1]:
                self.ids.append(thing.id)
            else:
                insort(self.ids, thing.id)
        self.living[thing.id] = thing
        self._remember(thing.id, before, now)

    def take(self, id: int, now: int) -> Thing:
        thing = self.get(id)
        del self.living[id]
        del self.ids[bisect_left(self.ids, id)]
        self._remember(id, thing, now)
        return thing

    def _remember(self, id: int, before: Thing | None, now: int | None) -> None:
        if now is not None:
            self.past.append((now, id, before))
            while self.past[0][0] < now - MEMORY:
                self.past.popleft()

    def as_of(self, at: int) -> dict[int, Thing]:
        """The living records at that moment."""
        if not self.past or self.past[-1][0] <= at:
            return self.living
        then = dict(self.living)
        for moment, id, before in reversed(self.past):
            if moment <= at:
                break
            if before is None:
                then.pop(id, None)
            else:
                then[id] = before
        return then

    # What a record looks like when it is read.

    def row(self, thing: Thing, selection: Selection) -> bytes:
        served = thing.whole if selection.whole else thing.part
        if served is not None and served[0] is selection:
            return served[1]
        row = self._row(thing, selection)
        if selection.whole:
            thing.whole = (selection, row)
        else:
            thing.part = (selection, row)
        return row

    def _row(self, thing: Thing, selection: Selection) -> bytes:
        created, modified = encode(stamp(thing.created)), encode(stamp(thing.modified))
        id = b'"%d"' % thing.id
        values = decode(thing.packed, type=dict[str, msgspec.Raw])
        fixed = zip(self.kind.always, (created, modified, id), strict=True)
        values |= {name: msgspec.Raw(value) for name, value in fixed}
        parts = [b'{"id":', id, b',"properties":{']
        parts.append(b",".join([piece + values.get(name, NULL) for name, piece in selection.pieces]))
        parts += [b'},"createdAt":', created, b',"updatedAt":', modified]
        if thing.archived:
            parts += [b',"archived":true,"archivedAt":', encode(stamp(thing.archived))]
        else:
            parts.append(b',"archived":false')
        if self._page is not None:
            parts.append(b',"url":"%s/record/%s/%d"' % (self._page.encode(), self.kind.type_id.encode(), thing.id))
        return b"".join([*parts, b"}"])
