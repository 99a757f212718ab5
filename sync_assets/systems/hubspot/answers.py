"""The parts of HubSpot's answers that steer a read: cursors, totals and stamps."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sync_assets.errors import WrongShape
from sync_assets.extract.dialect import Answer

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
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, RecursionError) as e:
        raise WrongShape(f"the answer's frame is not HubSpot's: {type(e).__name__}") from None
