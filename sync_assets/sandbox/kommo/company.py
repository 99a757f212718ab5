"""The Kommo side of the company: the edits that people make to its leads, contacts, companies and tasks.

Promise: each edit is in the journal and is seen by the next request; it moves `updated_at` if it is one of the
record's own fields, or named in `kommo.touch`. The non-obvious decision: stamps are whole seconds, as Kommo's are, so
several edits of one second share a stamp and only a reader who re-reads the last second sees them all.
"""

import random
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.kommo.auth import ADMIN
from sync_assets.sandbox.kommo.records import Records
from sync_assets.sandbox.kommo.shapes import FRESH, LOST, SINGULAR, WON, Thing

FIRST_IDS = {
    "leads": 19_600_000,
    "contacts": 32_400_000,
    "companies": 33_900_000,
    "tasks": 4_745_000,
    "notes": 61_200_000,
}


class KommoCompany(Records):
    def __init__(self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str]) -> None:
        super().__init__(dice, clock, lock, switches)
        self._last_ids = dict(FIRST_IDS)

    # Leads, contacts, companies, tasks.

    def new_id(self, kind: str) -> int:
        self._last_ids[kind] += 2 * self.dice.randint(1, 40)
        return self._last_ids[kind]

    def create(
        self,
        kind: str,
        *,
        at: datetime | None = None,
        by: int = ADMIN,
        values: dict[int, list[Record]] | None = None,
        tags: Iterable[str] = (),
        links: Iterable[tuple[str, int]] = (),
        **fields: Any,
    ) -> int:
        """A new record; `links` are (kind, id), and a lead's first contact is its main one."""
        with self.changing():
            now, id = self.now(at), self.new_id(kind)
            who = {"created_by": by, "updated_by": by, "responsible_user_id": by or ADMIN}
            when = {"created_at": now // 1000, "updated_at": now // 1000}
            fresh = FRESH[kind] | {"id": id, **who, **when}
            fresh |= self._settled(kind, fresh, self._default_stage(fields) if kind == "leads" else fields, now)
            named = tuple(self.tag_id(kind, tag) for tag in tags)
            thing = Thing(id, fresh, self._sound(kind, values), named)
            self._put(kind, id, thing)
            self.journal.write(f"{SINGULAR[kind]}_added", kind, id, now, by)
            for other, one in links:
                self._join(kind, id, other, one, None, by)
            return id

    def update(
        self,
        kind: str,
        id: int,
        *,
        at: datetime | None = None,
        by: int = ADMIN,
        values: dict[int, list[Record]] | None = None,
        touch: bool = True,
        **fields: Any,
    ) -> None:
        """Custom fields that are listed are replaced, the others stay; `touch=False` moves no stamp."""
        with self.changing():
            before, now = self.get(kind, id), self.now(at)
            own = {"updated_at": now // 1000, "updated_by": by} if touch else {}
            changed = before.fields | own | self._settled(kind, before.fields, fields, now)
            kept = {field: v for field, v in (before.values | self._sound(kind, values)).items() if v}
            after = replace(before, fields=changed, values=kept, rows={})
            self._put(kind, id, after)
            self.journal.compare(kind, before, after, now, by)

    def _default_stage(self, fields: Record) -> Record:
        pipeline = fields.get("pipeline_id") or next(id for id, p in self.pipelines.items() if p["is_main"])
        first = (id for (own, id), status in self.statuses.items() if own == pipeline and status["type"] == 0)
        return {"status_id": next(first, 0)} | fields | {"pipeline_id": pipeline}

    def _settled(self, kind: str, before: Record, fields: Record, now: int) -> Record:
        """The fields as given, and what follows from them."""
        if unknown := fields.keys() - FRESH[kind].keys():
            raise RefusedError(f"a {SINGULAR[kind]} has no field {sorted(unknown)}; custom ones go into `values`")
        given = dict(fields)
        if kind == "contacts" and given.keys() & {"first_name", "last_name"} and "name" not in given:
            names = before | given
            given["name"] = f"{names['first_name']} {names['last_name']}".strip()
        if kind == "leads" and given.keys() & {"status_id", "pipeline_id"}:
            stage = (given.get("pipeline_id", before["pipeline_id"]), given.get("status_id", before["status_id"]))
            if stage not in self.statuses:
                raise RefusedError(f"no status {stage[1]} in pipeline {stage[0]}")
            closed = stage[1] in (WON, LOST)
            if closed and before["status_id"] != stage[1]:
                given.setdefault("closed_at", now // 1000)
            elif not closed:
                given["closed_at"] = None
            if stage[1] != LOST:
                given["loss_reason_id"] = None
        return given

    def _sound(self, kind: str, values: dict[int, list[Record]] | None) -> dict[int, list[Record]]:
        if unknown := (values or {}).keys() - self.definitions.get(kind, {}).keys():
            raise RefusedError(f"{kind} have no custom field {sorted(unknown)}")
        return values or {}

    def move(self, id: int, status_id: int, pipeline_id: int | None = None, **more: Any) -> None:
        """A lead to another stage: `more` may say why it was lost."""
        pipeline = pipeline_id or self.get("leads", id).fields["pipeline_id"]
        self.update("leads", id, status_id=status_id, pipeline_id=pipeline, **more)

    def complete(self, id: int, text: str = "", **more: Any) -> None:
        self.update("tasks", id, is_completed=True, result={"text": text} if text else [], **more)

    def tag(self, kind: str, id: int, *names: str, only: bool = False, by: int = ADMIN) -> None:
        """Add these tags, or with `only` have these and no others."""
        wanted = tuple(self.tag_id(kind, name) for name in names)
        before = self.get(kind, id).tags
        self._tag(kind, id, wanted if only else tuple(dict.fromkeys(before + wanted)), by)

    def untag(self, kind: str, id: int, name: str, by: int = ADMIN) -> None:
        gone = self.tag_id(kind, name)
        self._tag(kind, id, tuple(tag for tag in self.get(kind, id).tags if tag != gone), by)

    def _tag(self, kind: str, id: int, tags: tuple[int, ...], by: int) -> None:
        with self.changing():
            before, now = self.get(kind, id), self.now()
            changed = before.fields | self._stamp("tags", now, by)
            self._put(kind, id, replace(before, fields=changed, tags=tags, rows={}))
            for type, these in (("added", set(tags) - set(before.tags)), ("deleted", set(before.tags) - set(tags))):
                for tag in sorted(these):
                    shown = [{"tag": {"id": tag, "name": self.tags[kind][tag]["name"]}}]
                    sides = {"after": shown} if type == "added" else {"before": shown}
                    self.journal.write(f"entity_tag_{type}", kind, id, now, by, **sides)

    def note(self, kind: str, id: int, type: str, params: Record, by: int = ADMIN) -> int:
        """Into the feed of a record, whose stamps it leaves."""
        with self.changing():
            now, number = self.now(), self._last_ids["notes"] + 1
            self._last_ids["notes"] = number
            own = self.get(kind, id).fields
            who = {"created_by": by, "updated_by": by, "created_at": now // 1000, "updated_at": now // 1000}
            whose = {name: own[name] for name in ("responsible_user_id", "group_id")}
            note = {"id": number, "entity_id": id} | who | whose | {"note_type": type, "params": params}
            self.notes[kind][number] = note
            self.news.tell("note", kind, id, note)
            self.journal.write(f"{type}_note_added", kind, id, now, by, after=[{"note": {"id": number}}])
            return number

    def link(
        self,
        kind: str,
        id: int,
        other: str,
        one: int,
        *,
        main: bool | None = None,
        at: datetime | None = None,
        by: int = ADMIN,
    ) -> None:
        """Both ways at once. A lead or contact has one company: the one before is unlinked."""
        with self.changing():
            self._join(kind, id, other, one, main, by)
            self._linked("linked", kind, id, other, one, self.now(at), by)

    def _join(self, kind: str, id: int, other: str, one: int, main: bool | None, by: int) -> None:
        self.get(kind, id), self.get(other, one)
        for left, number, right, new in ((kind, id, other, one), (other, one, kind, id)):
            if right == "companies":
                for old in [c for c in self.links.of(left, number, "companies") if c != new]:
                    self.unlink(left, number, "companies", old, by=by)
            self.forget_rows(left, number)
        self.links.add(kind, id, other, one, main)

    def unlink(self, kind: str, id: int, other: str, one: int, by: int = ADMIN) -> None:
        with self.changing():
            if self.links.drop(kind, id, other, one):
                self._linked("unlinked", kind, id, other, one, self.now(), by)

    def _linked(self, how: str, kind: str, id: int, other: str, one: int, now: int, by: int) -> None:
        for left, number, right, far in ((kind, id, other, one), (other, one, kind, id)):
            if (thing := self.living[left].get(number)) is None:
                continue
            self._put(left, number, replace(thing, fields=thing.fields | self._stamp("links", now, by), rows={}))
            end = [{"link": {"entity": {"type": SINGULAR[right], "id": far}}}]
            self.journal.write(
                f"entity_{how}", left, number, now, by, **{"after" if how == "linked" else "before": end}
            )

    # Leaving and coming back.

    def delete(self, kind: str, id: int, at: datetime | None = None, by: int = ADMIN) -> None:
        """Into the recycle bin; a task has none and is gone at once."""
        with self.changing():
            thing, now = self.get(kind, id), self.now(at)
            if kind == "tasks":
                self.gone[kind].add(id)
            else:
                changed = thing.fields | {"is_deleted": True} | self._stamp("delete", now, by)
                self.binned[kind][id] = replace(thing, fields=changed, rows={})
            self._put(kind, id, None)
            self.journal.write(f"{SINGULAR[kind]}_deleted", kind, id, now, by)

    def restore(self, kind: str, id: int, at: datetime | None = None, by: int = ADMIN) -> None:
        with self.changing():
            if id not in self.binned[kind]:
                raise RefusedError(f"no {SINGULAR[kind]} {id} in the recycle bin")
            thing, now = self.binned[kind].pop(id), self.now(at)
            changed = thing.fields | {"is_deleted": False} | self._stamp("restore", now, by)
            self._put(kind, id, replace(thing, fields=changed, rows={}))
            self._closest(kind, id)
            self.news.tell("restored", kind, id)
            self.journal.write(f"{SINGULAR[kind]}_restored", kind, id, now, by)

    def purge(self, kind: str, id: int) -> None:
        """Out of the recycle bin: from here on only the journal knows of it."""
        with self.changing():
            if self.binned[kind].pop(id, None) is None:
                raise RefusedError(f"no {SINGULAR[kind]} {id} in the recycle bin")
            self.gone[kind].add(id)
            self.links.forget(kind, id)

    def merge(self, kind: str, primary: int, other: int, at: datetime | None = None, by: int = ADMIN) -> None:
        """The primary keeps its id and takes what it lacks; the other is in no list and no bin."""
        with self.changing():
            first, second, now = self.get(kind, primary), self.get(kind, other), self.now(at)
            if primary == other or kind == "tasks":
                raise RefusedError(f"cannot merge {SINGULAR[kind]} {other} into {primary}")
            self._put(kind, other, None)
            self.merged[kind][other] = primary
            self.links.move(kind, other, primary)
            for task in sorted(self._tasks.get((kind, other), ())):
                self.update("tasks", task, at=at, by=by, touch=False, entity_id=primary)
            tags = tuple(dict.fromkeys(first.tags + second.tags))
            first = self.get(kind, primary)
            changed = first.fields | self._stamp("merge", now, by)
            self._put(
                kind, primary, replace(first, fields=changed, values=second.values | first.values, tags=tags, rows={})
            )
            for far, one in self.links.all_of(kind, primary):
                self.forget_rows(far, one)
            entity = [{"entity": {"type": SINGULAR[kind], "id": other}}]
            self.journal.write("entity_merged", kind, primary, now, by, before=entity)
            if self.switches["kommo.merge"] == "deleted":
                self.journal.write(f"{SINGULAR[kind]}_deleted", kind, other, now, by)

    def stamp_all(self, kind: str, ids: Iterable[int] | None = None, at: datetime | None = None) -> int:
        """A bulk edit: all these records, or every one, changed in one and the same second."""
        with self.changing():
            second = self.now(at) // 1000
            for id in list(self.living[kind] if ids is None else ids):
                thing = self.get(kind, id)
                self._put(kind, id, replace(thing, fields=thing.fields | {"updated_at": second}, rows={}))
            return second
