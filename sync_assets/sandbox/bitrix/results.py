"""A call and its result, before either is put on the wire, and the page that a list is asked for.

The non-obvious decision: `start` is a place in the list only as far as it is a multiple of fifty, because the vendor
turns it into the number of a page; a client that continues from where a short page ended reads rows twice.
"""

from dataclasses import dataclass, field
from typing import Any

from sync_assets.sandbox.bitrix import php
from sync_assets.sandbox.bitrix.table import Key
from sync_assets.sandbox.dialect import Record, Request, encode

PAGE = 50


@dataclass
class Call:
    method: str
    given: Record
    request: Request
    switches: dict[str, str] = field(default_factory=dict)

    def sees(self, id: Key) -> bool:
        """Whether no fault hides this row."""
        return self.request.keep is None or self.request.keep(id)


@dataclass
class Outcome:
    rows: list[bytes] | None
    head: bytes = b""
    tail: bytes = b""
    total: int | None = None
    next: int | None = None

    def content(self) -> bytes:
        return self.head + b",".join(self.rows or ()) + self.tail


def value(result: Any) -> Outcome:
    return Outcome(None, encode(result))


def page(call: Call, ids: list[Key]) -> tuple[list[Key], int, int | None]:
    """The rows of one page, the total (0 where counting was switched off) and where the next page starts."""
    faults, start = call.request.faults, php.whole(call.given.get("start", 0))
    counted = start != -1 or call.switches["bitrix.uncounted"] == "no"
    start = max(0, start)
    total = len(ids)
    if call.switches["bitrix.start"] == "page":
        start -= start % PAGE
    following = start + PAGE if counted and total > start + PAGE else None
    first = start
    if (ring := faults.get("P1")) is not None:
        first = start % (int(ring.option("loop", 1)) * PAGE)
    elif (again := faults.get("P2")) is not None:
        first = max(0, start - int(again.option("rows", 3)))
    if (wrong := faults.get("P10")) is not None:
        wrong.strikes += 1
        total += int(wrong.option("by", 0))
        hide = int(wrong.option("hide", 0))
        # Counted, and never given.
        ids = ids[: len(ids) // 2] + ids[len(ids) // 2 + hide :] if hide else ids
    return ids[first : first + PAGE], total if counted else 0, following
