"""The HubSpot side of the company: its records and the edits that people make to them.

Promise: each edit moves the last-modified property unless HubSpot itself would not move it (archiving, associations,
calculated values), and is seen by the next request. The non-obvious decision: an edit takes `at`, so that a test can
put a change into the past, the future or the very millisecond of another.
"""

import random
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError, encode
from sync_assets.sandbox.hubspot import definitions
from sync_assets.sandbox.hubspot.links import Links
from sync_assets.sandbox.hubspot.names import KINDS, SCOPES, kind_of, millis, stamp
from sync_assets.sandbox.hubspot.shelf import Shelf, Thing
from sync_assets.sandbox.webhooks.news import News

PORTAL, APP = 26_103_417, 2_011_410
ZONE = "Europe/Moscow"
BIN_DAYS = 90
FIRST_NEW = {"contacts": 713_802_347_700, "deals": 24_622_879_000, "calls": 190_232_235_000, "companies": 7_945_036_900}


class HubSpotCompany:
    def __init__(self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str]) -> None:
        self.dice, self.clock, self.lock, self.switches = dice, clock, lock, switches
        self.revision, self.news = 0, News()
        page = f"https://app-eu1.hubspot.com/contacts/{PORTAL}" if switches["hubspot.url"] == "yes" else None
        wide = int(switches["hubspot.properties"])
        self.definitions = {k: definitions.wide(k, wide if k == "contacts" else 0) for k in KINDS}
        self.retired: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
        self.shelves = {kind: Shelf(KINDS[kind], self.definitions[kind], page) for kind in KINDS}
        self.links = Links()
        self.owners: dict[str, Record] = {}
        self.pipelines: dict[str, Record] = {}
        self.scopes = set(SCOPES)
        # Merged-away id -> the record it became part of, which may have been merged away in turn.
        self.merged: dict[str, dict[int, int]] = {kind: {} for kind in KINDS}
        self.erased: list[int] = []
        # Call -> the contact who was really on the line, and what gives it away; the oracle of call_contacts.
        self.callers: dict[int, tuple[int | None, str]] = {}
        self._last_ids = dict(FIRST_NEW)

    @contextmanager
    def changing(self) -> Iterator[None]:
        with self.lock, self.news.scope():
            yield
            self.revision += 1

    def shelf(self, entity: str) -> Shelf:
        kind = kind_of(entity)
        if kind is None:
            raise RefusedError(f"no HubSpot object {entity!r}; known: {', '.join(KINDS)}")
        return self.shelves[kind.name]

    def now(self, at: datetime | None) -> int:
        return millis(at or self.clock.now())

    def properties(self, entity: str, id: int) -> dict[str, str]:
        """The record's properties that are not null, without the three that its frame knows."""
        return self.shelf(entity).get(id).properties()

    def survivor(self, entity: str, id: int) -> int:
        """Whom this id means today: itself, or the record it was merged into, however often."""
        merged = self.merged[self.shelf(entity).kind.name]
        while id in merged:
            id = merged[id]
        return id

    # Records.

    def new_id(self, entity: str) -> int:
        self._last_ids[entity] += self.dice.randint(1, 60)
        return self._last_ids[entity]

    def create(
        self,
        entity: str,
        properties: Record | None = None,
        /,
        *,
        id: int | None = None,
        at: datetime | None = None,
        **fields: Any,
    ) -> int:
        """A new contact, deal, call or company; `id` and `at` are for history."""
        shelf = self.shelf(entity)
        given = self._texts(shelf, (properties or {}) | fields)
        with self.changing():
            if (twin := self.by_email(given.get("email"))) is not None and shelf.kind.name == "contacts":
                raise RefusedError(f"Contact already exists. Existing ID: {twin}")
            id = id or self.new_id(shelf.kind.name)
            now = self.now(at)
            self._last_ids[shelf.kind.name] = max(id, self._last_ids[shelf.kind.name])
            shelf.put(Thing(id, now, now, encode(_kept(given))), self.now(None))
            self.news.tell("created", shelf.kind.name, id)
            return id

    def update(
        self,
        entity: str,
        id: int,
        properties: Record | None = None,
        /,
        *,
        at: datetime | None = None,
        touch: bool = True,
        **fields: Any,
    ) -> None:
        """None makes a property null; `touch=False` is how calculated properties change: no stamp moves."""
        shelf = self.shelf(entity)
        given = self._texts(shelf, (properties or {}) | fields)
        with self.changing():
            thing = shelf.get(id)
            before, now = thing.properties(), self.now(at)
            after = _kept({**before, **given})
            packed = encode(after)
            self.news.tell("changed", shelf.kind.name, id, before, after)
            shelf.put(Thing(id, thing.created, now if touch else thing.modified, packed), self.now(None))

    def stamp_all(self, entity: str, ids: Iterable[int] | None = None, at: datetime | None = None) -> datetime:
        """A bulk edit: all these records, or every one, changed in one and the same millisecond."""
        shelf = self.shelf(entity)
        with self.changing():
            moment, seen = at or self.clock.now(), self.now(None)
            for id in list(shelf.ids if ids is None else ids):
                thing = shelf.get(id)
                shelf.put(Thing(id, thing.created, millis(moment), thing.packed), seen)
            return moment

    def archive(self, entity: str, id: int, at: datetime | None = None) -> None:
        """Into the recycle bin for 90 days; the last-modified property does not move."""
        shelf = self.shelf(entity)
        with self.changing():
            thing = shelf.take(id, self.now(None))
            shelf.archived[id] = Thing(id, thing.created, thing.modified, thing.packed, self.now(at))
            self.news.tell("deleted", shelf.kind.name, id)

    def restore(self, entity: str, id: int) -> None:
        shelf = self.shelf(entity)
        with self.changing():
            thing = self.binned(entity).get(id)
            if thing is None or id in self.merged[shelf.kind.name]:
                raise RefusedError(f"no archived {shelf.kind.singular} {id}")
            del shelf.archived[id]
            touched = self.switches["hubspot.restore"] == "touch"
            modified = self.now(None) if touched else thing.modified
            shelf.put(Thing(id, thing.created, modified, thing.packed), self.now(None))
            self.news.tell("restored", shelf.kind.name, id)

    def binned(self, entity: str) -> dict[int, Thing]:
        """What the archived list shows: nothing that was thrown away more than 90 days ago."""
        shelf = self.shelf(entity)
        oldest = millis(self.clock.peek()) - BIN_DAYS * 86_400_000
        return {id: shelf.archived[id] for id in sorted(shelf.archived) if shelf.archived[id].archived >= oldest}

    def gdpr_delete(self, id: int) -> None:
        """Erased, in no list and no bin, under this id and every id that was merged into it."""
        shelf = self.shelves["contacts"]
        with self.changing():
            if shelf.archived.pop(id, None) is None:
                shelf.take(id, self.now(None))
            self.links.forget("contacts", id)
            for other in [old for old in self.merged["contacts"] if self.survivor("contacts", old) == id]:
                shelf.archived.pop(other, None)
            self.erased.append(id)
            self.news.tell("erased", "contacts", id)

    def merge(self, entity: str, primary: int, other: int, at: datetime | None = None) -> int:
        """The surviving record's id: a new one, or the primary's with `hubspot.merge=keep`."""
        shelf = self.shelf(entity)
        kind = shelf.kind.name
        with self.changing():
            first, second = shelf.get(primary), shelf.get(other)
            if first is second:
                raise RefusedError(f"cannot merge {primary} with itself")
            now = self.now(at)
            seen = self.now(None)
            id = primary if self.switches["hubspot.merge"] == "keep" else self.new_id(kind)
            values = second.properties() | {k: v for k, v in first.properties().items() if v}
            losers = [old for old in (primary, other) if old != id]
            earlier = [t.properties().get("hs_merged_object_ids", "") for t in (first, second)]
            values["hs_merged_object_ids"] = ";".join(filter(None, [*earlier, *map(str, losers)]))
            if kind == "contacts":
                # Direct merges only: chained ones are missing here, as Fivetran found.
                values["hs_calculated_merged_vids"] = ";".join(f"{old}:{now}" for old in losers)
            for old in losers:
                gone = shelf.take(old, seen)
                self.merged[kind][old] = id
                self.links.move(kind, old, id)
                if self.switches["hubspot.merged_archived"] == "yes":
                    shelf.archived[old] = Thing(old, gone.created, gone.modified, gone.packed, seen)
            shelf.put(Thing(id, min(first.created, second.created), now, encode(_kept(values))), seen)
            self.news.tell("merged", kind, id, primary, other, len(values) - len(first.properties()))
            return id

    def associate(self, entity: str, id: int, to: str, other: int, label: str | None = None) -> None:
        """Both directions at once; neither record is touched by it."""
        one, two = self.shelf(entity), self.shelf(to)
        with self.changing():
            one.get(id), two.get(other)
            self.links.add(one.kind.name, id, two.kind.name, other, label)
            self.news.tell("associated", one.kind.name, id, two.kind.name, other)

    def dissociate(self, entity: str, id: int, to: str, other: int, label: str | None = None) -> None:
        with self.changing():
            ends = (self.shelf(entity).kind.name, id, self.shelf(to).kind.name, other)
            self.links.drop(*ends, label)
            self.news.tell("dissociated", *ends)

    def by_email(self, email: str | None) -> int | None:
        """The living contact with this e-mail."""
        if not email:
            return None
        needle = encode({"email": email})[1:-1]
        found = (t.id for t in self.shelves["contacts"].living.values() if needle in t.packed)
        return next(found, None)

    # Definitions, owners, scopes.

    def define(self, entity: str, name: str, type: str = "string", field_type: str = "text", **more: Any) -> None:
        """A new property, or one made again under an archived one's name, whatever its type was."""
        kind = self.shelf(entity).kind.name
        with self.changing():
            now = stamp(self.now(None))
            fresh = definitions.definition(kind, name, type, field_type, hubspotDefined=False, **more)
            self.definitions[kind][name] = fresh | {"createdAt": now, "updatedAt": now}
            self.retired[kind].pop(name, None)
            self.shelves[kind].forget_selections()

    def retype(self, entity: str, name: str, type: str, field_type: str) -> None:
        """Archived and made again with another type: what reaches a reader is a changed type."""
        self.retire(entity, name)
        self.define(entity, name, type, field_type)

    def retire(self, entity: str, name: str) -> None:
        """Archive a property: reads no longer know its name."""
        kind = self.shelf(entity).kind.name
        with self.changing():
            if name not in self.definitions[kind]:
                raise RefusedError(f"no property {name!r} of {kind}")
            gone = self.definitions[kind].pop(name)
            self.retired[kind][name] = gone | {"archived": True, "archivedAt": stamp(self.now(None))}
            self.shelves[kind].forget_selections()

    def update_owner(self, id: str, **fields: Any) -> None:
        with self.changing():
            self.owners[id] |= fields | {"updatedAt": stamp(self.now(None))}

    def update_stage(self, pipeline: str, id: str, **fields: Any) -> None:
        with self.changing():
            stage = next(s for s in self.pipelines[pipeline]["stages"] if s["id"] == id)
            stage |= fields | {"updatedAt": stamp(self.now(None))}

    def revoke(self, scope: str) -> None:
        if scope not in SCOPES:
            raise RefusedError(f"no scope {scope!r}; known: {', '.join(sorted(SCOPES))}")
        self.scopes.discard(scope)

    def grant(self, scope: str) -> None:
        self.scopes.add(scope)

    def _texts(self, shelf: Shelf, given: Record) -> dict[str, str | None]:
        known = self.definitions[shelf.kind.name]
        if unknown := [name for name in given if name not in known]:
            raise UnknownPropertyError(unknown[0])
        return {name: _text(value) for name, value in given.items() if name not in shelf.kind.always}


class UnknownPropertyError(RefusedError):
    """A property that this portal does not define; its name is the message."""


def _kept(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _text(value: Any) -> str | None:
    """Every value is a string on the wire."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case datetime():
            return stamp(millis(value))
    raise RefusedError(f"no property value: {value!r}")
