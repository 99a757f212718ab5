"""Kaiten's external webhooks: JSON without a signature, one address per space, every event there is.

What is told of a card's members, tags, blockers, comments, files and times leads to the card. Of an event its ids, its
stamp and the names of what changed are kept, and no value: authors, titles and texts are read from the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from sync_assets.systems.kaiten.entities import ENTITIES
from sync_assets.webhook import Delivery, Endpoint, Event, Registration, Subscription, bears, digest, number, unreadable

if TYPE_CHECKING:
    from sync_assets.extract.http import Door
    from sync_assets.systems.kaiten.api import KaitenSettings

ENTITY_OF = {name: entity for entity in ENTITIES for name in entity.hints}

KEPT = ("id", "card_id", "board_id", "space_id", "user_id", "column_id", "lane_id", "version", "updated")

LINKS = ("tag:add", "tag:remove", "card_member:add", "card_member:remove")
"""What is put on a card and taken off it may be put on once more, which looks just the same; so does a stamp of its
own, which says when the tag was last changed and not when the card got it."""

BY_LIST = ("board:add",)
"""Told of a record whose read by id lacks what only the list shows, its place: the list is read."""


class _Envelope(msgspec.Struct):
    event: str
    data: dict[str, msgspec.Raw]


class _Webhook(msgspec.Struct):
    id: int
    url: str
    enabled: bool = True


class _Space(msgspec.Struct):
    id: int
    archived: bool = False


STAMP = re.compile(r"[0-9TZ:.+-]{1,40}")


def endpoints(settings: KaitenSettings) -> tuple[Endpoint, ...]:
    secret = settings.webhook_secret.get_secret_value()
    return (Endpoint(bears(secret), events, secret=secret),) if secret else ()


def events(delivery: Delivery) -> Iterator[Event]:
    try:
        envelope = msgspec.json.decode(delivery.body, type=_Envelope)
        changes = _object(envelope.data.get("changes"))
        record = _object(envelope.data["old"]) if "old" in envelope.data else envelope.data
        says = {name: _scalar(record[name]) for name in KEPT if name in record}
        told = {name: _scalar(changes[name]) for name in KEPT if name in changes}
    except (msgspec.DecodeError, RecursionError):
        yield unreadable(delivery.body, "no event of Kaiten", evidence=delivery.body)
        return
    name = envelope.event[:60]
    entity = ENTITY_OF.get(name)
    stamped = told if "changes" in envelope.data else says
    by_id = bool(entity and entity.one) and name not in BY_LIST
    key = number(says.get("card_id", says.get("id"))) if by_id else ""
    lost = by_id and not key
    payload: dict[str, Any] = {"event": name, **says}
    if changes:
        payload |= {"changed": sorted(changes), "now": told}
    yield Event(
        name,
        entity.name if entity and not lost else "",
        key,
        at=_moment(stamped.get("updated")) if name not in LINKS else None,
        identity=digest(delivery.body),
        unique=name not in LINKS and not {"updated", "version"}.isdisjoint(stamped),
        payload=msgspec.json.encode(payload),
        problem="it bears no id" if lost else "",
    )


def _object(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    return {} if raw is None else msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def _scalar(raw: msgspec.Raw) -> Any:
    """A number, or a text of the characters of a time; None for anything else, so that no words are kept."""
    value = msgspec.json.decode(raw)
    return value if isinstance(value, int) or (isinstance(value, str) and STAMP.fullmatch(value)) else None


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None


def listed(door: Door, url: str) -> Sequence[Subscription]:
    """One per space that is not archived. A space has room for one address."""
    spaces = msgspec.json.decode(door.ask("/spaces", {}).body, type=list[_Space])
    return [_subscription(door, url, space.id) for space in spaces if not space.archived]


def _subscription(door: Door, url: str, space: int) -> Subscription:
    found = msgspec.json.decode(door.ask(_path(space), {}).body, type=list[_Webhook])
    place = f"space {space}"
    if not found:
        return Subscription("missing", place)
    ours = next((webhook for webhook in found if webhook.url == url), None)
    if ours is not None:
        return Subscription("on" if ours.enabled else "off", place, str(ours.id))
    former = next((webhook for webhook in found if webhook.url.startswith(url.rpartition("/")[0] + "/")), None)
    if former is not None:
        return Subscription("missing", place, str(former.id), "it leads to our address with another secret")
    return Subscription("foreign", place, says="the space's only webhook leads elsewhere; free it by hand")


def create(door: Door, _settings: KaitenSettings, url: str, there: Subscription) -> None:
    path = _path(int(there.place.removeprefix("space ")))
    if there.id:
        enabled = msgspec.json.encode({"url": url, "enabled": True})
        door.ask(f"{path}/{there.id}", {}, body=enabled, method="PATCH")
    else:
        door.ask(path, {}, body=msgspec.json.encode({"url": url}))


def _path(space: int) -> str:
    return f"/spaces/{space}/external-webhooks"


REGISTRATION = Registration(
    tuple(ENTITY_OF),
    "Kaiten: each space's settings, External webhooks (a paid feature; it sends every event)",
    ("webhook_secret",),
    listed,
    create,
)
