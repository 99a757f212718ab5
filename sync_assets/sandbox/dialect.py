"""What every system gives the frame: requests in, answers out, truth, life; nothing about sockets.

The non-obvious decision: an answer keeps its records as separate serialised rows between a head and a tail,
and a request carries a `keep` predicate that dialects apply before paging. So one frame can lose, repeat or
damage any single record of any system, down to the byte, without knowing the system.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

if TYPE_CHECKING:
    from sync_assets.sandbox.webhooks.news import Heard
    from sync_assets.sandbox.webhooks.vendor import Vendor

Record = dict[str, Any]
encode = msgspec.json.encode
decode = msgspec.json.decode

JSON = "application/json; charset=utf-8"


class RefusedError(ValueError):
    """An edit or request the company cannot carry out; the dialect words it for its own clients."""


@dataclass(slots=True)
class Request:
    method: str
    path: str
    raw_query: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    keep: Callable[[Any], bool] | None = None
    # Whether what is not kept is hidden from looks by id too.
    strict: bool = False
    # Set when a fault changed what is asked for: such an answer must not be remembered.
    altered: bool = False
    # Faults that the dialect itself carries out, by id.
    faults: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return f"{self.path}?{self.raw_query}" if self.raw_query else self.path

    def kept(self, rows: list[tuple[Any, bytes]]) -> list[bytes]:
        keep = self.keep
        return [row for key, row in rows if keep is None or keep(key)]


@dataclass(slots=True)
class Answer:
    status: int = 200
    body: bytes | None = None
    rows: list[bytes] | None = None
    head: bytes = b"["
    tail: bytes = b"]"
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON
    # What must be asked elsewhere first, outside the world's lock; its answer takes this one's place.
    later: Callable[[], Awaitable[Answer]] | None = None

    @property
    def is_list(self) -> bool:
        return self.rows is not None and self.head.endswith(b"[")

    def content(self) -> bytes:
        if self.body is None:
            self.body = b"".join((self.head, b",".join(self.rows or ()), self.tail))
        return self.body


def of_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, encode(value))


def of_rows(rows: list[bytes]) -> Answer:
    return Answer(rows=rows)


def of_record(row: bytes) -> Answer:
    return Answer(rows=[row], head=b"", tail=b"")


@dataclass(slots=True, frozen=True)
class Throttle:
    """The limiter's verdict on one request."""

    allowed: bool
    remaining: int
    wait: float
    # Of which limit, and how much it allows, where a vendor has several.
    policy: str = ""
    limit: int = 0


class Limiter(Protocol):
    def take(self, request: Request) -> Throttle | None:
        """None where there is no limit."""


class System:
    """One vendor's API over one company."""

    name: ClassVar[str]
    revision: int = 0
    # Who tells of its changes.
    vendors: tuple[Vendor, ...] = ()

    def credentials(self) -> dict[str, str]:
        raise NotImplementedError

    def refuse(self, request: Request) -> Answer | None:
        """The answer to a caller without rights, or None."""
        raise NotImplementedError

    def limiter(self, rates: dict[str, float]) -> Limiter:
        """What counts this system's requests; `rates` are all systems', by name."""
        raise NotImplementedError

    def denied(self, status: int, request: Request | None = None) -> Answer:
        """How this vendor says that the token was revoked (401) or a right is missing (403)."""
        raise NotImplementedError

    def missing(self) -> Answer:
        raise NotImplementedError

    def throttled(self, throttle: Throttle) -> Answer:
        raise NotImplementedError

    def disguised(self, variant: str, retry_after: Any) -> Answer:
        """Asking to wait in a way that does not look like it."""
        raise RefusedError(f"{self.name} has no throttling in disguise")

    def limit_headers(self, _throttle: Throttle) -> dict[str, str]:
        return {}

    def finish(self, request: Request, answer: Answer) -> None:
        """What goes onto every answer, its faults included."""

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def entities(self) -> tuple[str, ...]:
        raise NotImplementedError

    def truth(self, entity: str) -> list[bytes]:
        raise NotImplementedError

    def live(self, rng: random.Random) -> None:
        """One step of the company's life; changes at least one record."""
        raise NotImplementedError

    def touch(self, record: int, turn: int) -> Any:
        """One edit of the n-th record that webhooks tell of, another at each turn; its key."""
        raise NotImplementedError

    def heard(self, news: list[Heard]) -> None:
        """What one edit changed, for whoever tells of it."""
        for vendor in self.vendors:
            vendor.hear(news)

    def afflict(self, fault: str, options: Record | None = None) -> None:
        """Faults that are facts of the world (hostile names, rings): truth and answers agree on them."""

    def disturb(self, rows: list[bytes], insert: int, delete: int) -> None:
        """Change the world between two pages: delete records already handed out, insert new ones."""

    def edit(self, rows: list[bytes], count: int, which: str) -> None:
        """Change records between two pages: those handed out, or with `ahead` those to come."""
