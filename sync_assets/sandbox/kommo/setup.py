"""What an administrator sets up: users, pipelines and their statuses, loss reasons, custom fields, tags, rights.

The non-obvious decision: none of it has a stamp that a reader could follow, so a renamed status or field reaches all
its records in silence; whoever mirrors these reads them whole each time.
"""

import random
import threading
from typing import Any

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.kommo import fields
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID, LOST, WON, Thing
from sync_assets.sandbox.webhooks.news import News

COLORS = ("#99ccff", "#ffcc66", "#fffeb2", "#c1e0ff", "#ffdc7f", "#deff81")
ENTITIES = ("leads", "contacts", "companies")


class Setup:
    living: dict[str, dict[int, Thing]]

    def __init__(self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str]) -> None:
        self.dice, self.clock, self.lock, self.switches = dice, clock, lock, switches
        self.revision, self.news = 0, News()
        self.users: dict[int, Record] = {}
        self.groups: dict[int, Record] = {}
        self.roles: dict[int, Record] = {}
        self.pipelines: dict[int, Record] = {}
        # By pipeline and own id, because won and lost are 142 and 143 in each pipeline.
        self.statuses: dict[tuple[int, int], Record] = {}
        self.loss_reasons: dict[int, Record] = {}
        self.definitions: dict[str, dict[int, Record]] = {entity: {} for entity in ENTITIES}
        self.tags: dict[str, dict[int, Record]] = {entity: {} for entity in ENTITIES}
        # Resources that this integration's user may not read.
        self.refused: set[str] = set()
        self._numbers = 3_177_000

    def number(self) -> int:
        self._numbers += self.dice.randint(1, 9)
        return self._numbers

    def forget_rows(self, kind: str, id: int | None = None) -> None:
        """Bytes that were remembered with something joined on that has changed."""
        for thing in self.living[kind].values() if id is None else [self.living[kind].get(id)]:
            if thing is not None:
                thing.rows.clear()

    def _changed(self, *kinds: str) -> None:
        for kind in kinds:
            self.forget_rows(kind)
        self.revision += 1

    def create_pipeline(self, name: str, stages: tuple[str, ...], *, is_main: bool = False) -> int:
        with self.lock:
            id = self.number()
            self.pipelines[id] = {
                "id": id, "name": name, "sort": len(self.pipelines) + 1, "is_main": is_main, "is_unsorted_on": is_main,
                "is_archive": False, "account_id": ACCOUNT_ID,
            }  # fmt: skip
            self._status(id, self.number(), "Неразобранное", 10, "#c1c1c1", False, 1)
            for stage in stages:
                self.create_status(id, stage)
            self._status(id, WON, "Успешно реализовано", 10_000, "#CCFF66", False, 0)
            self._status(id, LOST, "Закрыто и не реализовано", 11_000, "#D5D8DB", False, 0)
            self._changed()
            return id

    def _status(self, pipeline: int, id: int, name: str, sort: int, color: str, editable: bool, type: int) -> None:
        self.statuses[pipeline, id] = {
            "id": id, "name": name, "sort": sort, "is_editable": editable, "pipeline_id": pipeline, "color": color,
            "type": type, "account_id": ACCOUNT_ID,
        }  # fmt: skip

    def create_status(self, pipeline: int, name: str) -> int:
        with self.lock:
            id, own = self.number(), [s["sort"] for (p, _), s in self.statuses.items() if p == pipeline]
            sort = max(s for s in own if s < 10_000) + 10
            self._status(pipeline, id, name, sort, COLORS[len(own) % len(COLORS)], True, 0)
            self._changed()
            return id

    def update_status(self, pipeline: int, id: int, **changes: Any) -> None:
        self.statuses[pipeline, id] |= changes
        self._changed()

    def delete_status(self, pipeline: int, id: int) -> None:
        """Only an empty one, and none of those that every pipeline has."""
        with self.lock:
            stage = {"pipeline_id": pipeline, "status_id": id}
            if not self.statuses[pipeline, id]["is_editable"]:
                raise RefusedError(f"status {id} belongs to Kommo")
            if any(stage.items() <= lead.fields.items() for lead in self.living["leads"].values()):
                raise RefusedError(f"status {id} still has leads")
            del self.statuses[pipeline, id]
            self._changed()

    def update_pipeline(self, id: int, **changes: Any) -> None:
        self.pipelines[id] |= changes
        self._changed()

    def create_loss_reason(self, name: str, at: int) -> int:
        id = self.number()
        sort = 100_000 + 100 * len(self.loss_reasons)
        self.loss_reasons[id] = {"id": id, "name": name, "sort": sort, "created_at": at, "updated_at": at}
        self._changed()
        return id

    def define(
        self, entity: str, name: str, type: str = "text", code: str | None = None, enums: tuple[str, ...] = ()
    ) -> int:
        """A new custom field."""
        id = self.number()
        self.definitions[entity][id] = fields.definition(entity, id, name, type, code, enums)
        self._changed()
        return id

    def redefine(self, entity: str, id: int, **changes: Any) -> None:
        """Rename a custom field, retype it, give it other choices: no record's stamp moves."""
        self.definitions[entity][id] |= changes
        self._changed(entity)

    def retire(self, entity: str, id: int) -> None:
        """Delete a custom field: its values vanish from every record."""
        del self.definitions[entity][id]
        self._changed(entity)

    def field(self, entity: str, name: str) -> int:
        """The id of a custom field by its code or name."""
        known = self.definitions[entity].items()
        found = next((id for id, own in known if name in (own["code"], own["name"])), None)
        if found is None:
            raise RefusedError(f"{entity} have no custom field {name!r}")
        return found

    def tag_id(self, entity: str, name: str) -> int:
        """A tag by its name, made when there is none."""
        found = next((id for id, tag in self.tags[entity].items() if tag["name"] == name), None)
        if found is None:
            found = self.number()
            self.tags[entity][found] = {"id": found, "name": name, "color": None}
        return found

    def rename_tag(self, entity: str, id: int, name: str) -> None:
        self.tags[entity][id]["name"] = name
        self._changed(entity)

    def update_user(self, id: int, **changes: Any) -> None:
        rights = {name: changes.pop(name) for name in list(changes) if name in self.users[id]["rights"]}
        self.users[id] |= changes | {"rights": self.users[id]["rights"] | rights}
        self._changed()

    def deactivate_user(self, id: int) -> None:
        self.update_user(id, is_active=False)

    def revoke(self, resource: str) -> None:
        """The integration's user loses a right: `users` is what one who is no administrator lacks."""
        self.refused.add(resource)

    def grant(self, resource: str) -> None:
        self.refused.discard(resource)
