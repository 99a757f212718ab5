"""What a webhook is: who may call us, and which records a call is about. Values, like `entity`.

A webhook is a hint. Nothing of it is believed but that a record is worth a look: the record itself is read from the
API. The one exception is `Event.record`, of a source that cannot be asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


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
    key: str = ""  # "": the entity as a whole
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
    secret: str = ""  # the last part of the path, where the vendor signs nothing
    answer: bytes = b""
    content_type: str = "application/json"
    body: int = 4 * 2**20  # bytes
    signs_url: bool = False  # the vendor signs the address that it calls, so SYNC_PUBLIC_URL must say which that is
