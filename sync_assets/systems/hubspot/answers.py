"""The parts of HubSpot's answers that steer a read: cursors, totals and stamps."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sync_assets.errors import WrongShape
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer
from sync_assets.extract.pages import MALFORMED

T = TypeVar("T")


class Next(msgspec.Struct):
    after: str


class Paging(msgspec.Struct):
    next: Next | None = None


class Listed(msgspec.Struct):
    paging: Paging | None = None

    @property
    def after(self) -> str | None:
        """The cursor of the page that follows, None on the last one."""
        return self.paging.next.after if self.paging and self.paging.next else None


class Found(Listed):
    total: int = 0


class Properties(msgspec.Struct):
    hs_object_id: str
    hs_lastmodifieddate: str | None = None
    lastmodifieddate: str | None = None


class Stamped(msgspec.Struct):
    properties: Properties


def told(answer: Answer, kind: type[T]) -> T:
    """Raises WrongShape where the answer is not of this kind."""
    try:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except MALFORMED:
            # A record that no parser takes must not cost the cursor beside it.
            if not issubclass(kind, Listed):
                raise
            return msgspec.json.decode(scan.without(answer.body, "results"), type=kind)
    except (*MALFORMED, ValueError) as e:
        raise WrongShape(f"the answer's frame is not HubSpot's: {type(e).__name__}") from None
