"""What a webhook is: who may call us, and which records a call is about. Values, like `entity`.

A webhook is a hint. Nothing of it is believed but that a record is worth a look: the record itself is read from the
API. The one exception is `Event.record`, of a source that cannot be asked for it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

EVIDENCE = 4096
"""Bytes kept of what cannot be read."""


@dataclass(frozen=True)
class Delivery:
    """A request as it came. `url` is the public address that was called, headers go by lower-case names."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    received: datetime
    method: str = "POST"


@dataclass(frozen=True)
class Event:
    """What a delivery says of one record."""

    name: str  # as the vendor calls it
    entity: str = ""  # "": we know no entity of this event; it is kept and counted
    key: str = ""  # a parent's where the entity has no read by id but is read `of_parents`; "": the entity as a whole
    at: datetime | None = None  # when it happened, by the vendor's clock
    identity: str = ""  # what the vendor knows it by; "": its payload
    unique: bool = True  # False: a second event may look just like this one, since it says neither who nor when it is
    payload: bytes = b""  # what of the delivery is about it
    record: bytes = b""  # the record itself, where the API may not show it
    problem: str = ""  # why nothing can be made of it; it is kept with that reason


@dataclass(frozen=True)
class Endpoint:
    """One address of an account, /webhooks/ACCOUNT[/name][/secret]. Where its secret is not set there is none."""

    authentic: Callable[[Delivery], bool]
    """Compares in constant time; for a secret in the path the end of `Delivery.url` bears it."""
    events: Callable[[Delivery], Iterable[Event]]
    """Never raises for what a body holds: what cannot be read is an event with a `problem`."""
    name: str = ""
    secret: str = field(default="", repr=False)  # the last part of the path, where the vendor signs nothing
    answer: bytes = b""
    content_type: str = "application/json"
    body: int = 4 * 2**20  # bytes
    signs_url: bool = False  # the vendor signs the address that it calls, so SYNC_PUBLIC_URL must say which that is

    def path(self, account: str) -> str:
        return "/".join(("/webhooks", account, *filter(None, (self.name, self.secret))))


@dataclass(frozen=True)
class Subscription:
    """What a vendor has of ours in one place. Whose address is no longer ours to set is `foreign`."""

    state: Literal["on", "off", "missing", "foreign"]
    place: str = ""  # where an account has several
    id: str = ""
    says: str = ""


@dataclass(frozen=True)
class Registration:
    """How a vendor learns our address. Doors are `extract.http.Door`, settings those of the account."""

    events: tuple[str, ...]
    where: str
    """Where a person sets it, and sees what became of it."""
    needs: tuple[str, ...]
    """The settings without which there is no address."""
    listed: Callable[[Any, str], Sequence[Subscription]] | None = None
    """(door, url) -> one per place that should call `url`; None where no API tells."""
    create: Callable[[Any, Any, str, Subscription], None] | None = None
    """(door, settings, url, what is there): switches it on."""


def same(given: str, expected: str) -> bool:
    """In constant time, whatever `given` holds."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


def bears(secret: str) -> Callable[[Delivery], bool]:
    """Whether the last part of the path that was called is `secret`."""
    return lambda delivery: same(delivery.url.partition("?")[0].rpartition("/")[2], secret)


def digest(*parts: bytes) -> str:
    """The identity of what bears none: no two lists of parts share it."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


def number(value: object) -> str:
    """An id that is a number, as text; "" for anything else."""
    text = str(value)
    return text if len(text) < 20 and text.isascii() and text.isdigit() else ""


def moment(epoch: float) -> datetime | None:
    """Seconds since 1970 as a time; None for what is none."""
    try:
        return datetime.fromtimestamp(epoch, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def unreadable(body: bytes, why: str, *, evidence: bytes = b"") -> Event:
    """A delivery, or a part of one, of which nothing can be made."""
    said = f"{why} ({len(body)} bytes)"
    return Event("", identity=digest(b"unreadable", body), payload=evidence[:EVIDENCE], problem=said)
