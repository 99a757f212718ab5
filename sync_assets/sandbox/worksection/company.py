"""The Worksection side of the company: projects, tasks in three levels, tags, and the journal of what
happened.

Promise: every edit writes the event that `get_events` will show, and `hierarchy` tells stages, objects and
sections from the company's own books. The non-obvious decision: what is a stage or a synced project is
recorded when it is made (`stage_tags`, `synced_tag`), never read back from titles, so the product's parsing
has something to be wrong against.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.webhooks.news import News

SYNC_TAG = "sync_assets"
NO_STAGE = "none"
NOBODY = {"id": "1", "email": "NOONE", "name": "Executive isn't assigned"}
ANYBODY = {"id": "2", "email": "ANY", "name": "Anyone"}
NO_MANAGER = {"id": "0", "email": "NOONE", "name": "Manager isn't assigned"}


@dataclass
class Task:
    id: str
    project: str
    parent: str | None
    fields: Record
    tags: list[int] = field(default_factory=list)
    children: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        return bool(self.fields["status"] == "active")

    @property
    def counted(self) -> bool:
        return self.active and not self.fields["name"].startswith("!")


class WorksectionCompany:
    def __init__(self, dice: random.Random, clock: Clock, lock: threading.RLock, utc_offset: float) -> None:
        self.dice, self.clock, self.lock = dice, clock, lock
        self.revision, self.news = 0, News()
        self._offset = timedelta(hours=utc_offset)
        self._last_id = 1_400
        self.users: dict[str, Record] = {}
        self.user_groups: list[Record] = []
        self.project_groups: list[Record] = []
        self.tag_groups: dict[str, list[Record]] = {"task": [], "project": []}
        self.tags: dict[str, dict[int, Record]] = {"task": {}, "project": {}}
        self.projects: dict[str, Record] = {}
        self.project_tags: dict[str, list[int]] = {}
        self.tasks: dict[str, Task] = {}
        self.tops: dict[str, list[str]] = {}
        self.events: list[tuple[datetime, Record]] = []
        self.stage_tags: set[int] = set()
        self.synced_tag = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        with self.lock, self.news.scope():
            yield
            self.revision += 1

    def new_id(self) -> int:
        self._last_id += self.dice.randint(1, 4)
        return self._last_id

    def minute(self, moment: datetime) -> str:
        return f"{moment + self._offset:%Y-%m-%d %H:%M}"

    def person(self, id: str) -> Record:
        user = self.users[id]
        return {"id": id, "email": user["email"], "name": user["name"]}

    def task(self, id: str) -> Task:
        if id not in self.tasks:
            raise RefusedError(f"no task {id}")
        return self.tasks[id]

    def project(self, id: str) -> Record:
        if id not in self.projects:
            raise RefusedError(f"no project {id}")
        return self.projects[id]

    def top(self, task: Task) -> str:
        while task.parent is not None:
            task = self.tasks[task.parent]
        return task.id

    def page(self, task: Task) -> str:
        top = self.top(task)
        return f"/project/{task.project}/{top}/" + (f"{task.id}/" if task.parent else "")

    def _happened(self, action: str, kind: str, id: str, page: str, new: Record, old: Record) -> None:
        now = self.clock.now()
        author = self.person(next(iter(self.users)))
        body = {"type": kind, "id": id, "page": page}
        stamped: Record = {"action": action, "object": body, "date_added": self.minute(now), "user_from": author}
        event = stamped | ({"new": new} if new else {}) | ({"old": old} if old else {})
        self.events.append((now, event))
        self.news.tell(event)

    # Tags.

    def create_tag_group(self, of: str, title: str, kind: str = "label", access: str = "public") -> Record:
        group = {"title": title, "id": self.new_id(), "type": kind, "access": access}
        self.tag_groups[of].append(group)
        return group

    def create_tag(self, of: str, title: str, group: Record, *, id: int | None = None, stage: bool = False) -> int:
        """A tag of tasks or of projects; a stage's tag exists in both under one id."""
        with self.changing():
            id = self.new_id() if id is None else id
            nested = {**group, "id_group": group["id"]}
            self.tags[of][id] = {"title": title, "id": id, "group": nested}
            if stage:
                self.stage_tags.add(id)
            return id

    def rename_tag(self, id: int, title: str) -> None:
        with self.changing():
            for tags in self.tags.values():
                if id in tags:
                    tags[id]["title"] = title

    # Projects.

    def create_project(self, name: str, *, tags: tuple[int, ...] = (), at: datetime | None = None, **own: Any) -> str:
        with self.changing():
            id = str(self.new_id())
            record: Record = {
                "id": id,
                "name": name,
                "page": f"/project/{id}/",
                "status": "active",
                "company": "Our company",
            }
            record |= {"user_from": self.person(next(iter(self.users))), "user_to": NO_MANAGER}
            record |= {"date_added": self.minute(at or self.clock.now()), **own}
            self.projects[id], self.project_tags[id], self.tops[id] = record, list(tags), []
            if at is None:
                self._happened("post", "project", id, record["page"], {"title": name}, {})
            return id

    def update_project(self, id: str, **fields: Any) -> None:
        with self.changing():
            project = self.project(id)
            old, new = _exchange(project, fields)
            self._happened("update", "project", id, project["page"], new, old)

    def rename_project(self, id: str, name: str) -> None:
        self.update_project(id, name=name)

    def archive_project(self, id: str) -> None:
        with self.changing():
            project = self.project(id)
            project |= {"status": "archive", "date_closed": self.minute(self.clock.now())}
            self._happened("close", "project", id, project["page"], {}, {})

    def set_project_tags(self, id: str, tags: list[int]) -> None:
        with self.changing():
            self.project_tags[id] = list(tags)
            self._happened("update", "project", id, self.project(id)["page"], {}, {})

    # Tasks.

    def create_task(
        self,
        project: str,
        parent: str | None = None,
        *,
        name: str = "New task",
        tags: tuple[int, ...] | list[int] = (),
        at: datetime | None = None,
        **own: Any,
    ) -> str:
        with self.changing():
            self.project(project)
            if parent is not None and self.task(parent).parent and self.task(self.task(parent).parent or "").parent:
                raise RefusedError("a sub-subtask has no subtasks")
            id = str(self.new_id())
            fields: Record = {"name": name, "status": "active", "priority": "1", "user_to": NOBODY}
            fields |= {"user_from": self.person(next(iter(self.users)))}
            fields |= {"date_added": self.minute(at or self.clock.now()), **own}
            task = self.tasks[id] = Task(id, project, parent, _present(fields), list(tags))
            (self.tasks[parent].children if parent else self.tops[project]).append(id)
            if at is None:
                self._happened("post", "task", id, self.page(task), {"title": name}, {})
            return id

    def update_task(self, id: str, **fields: Any) -> None:
        """Change fields by the API's own names; None takes a field away."""
        with self.changing():
            task = self.task(id)
            old, new = _exchange(task.fields, fields)
            self._happened("update", "task", id, self.page(task), new, old)

    def rename_task(self, id: str, name: str) -> None:
        self.update_task(id, name=name)

    def set_tags(self, id: str, tags: list[int]) -> None:
        with self.changing():
            task = self.task(id)
            old, task.tags = task.tags, list(tags)
            known = self.tags["task"]
            changed = [{"tags": {str(t): known[t]["title"] for t in side if t in known}} for side in (task.tags, old)]
            self._happened("update", "task", id, self.page(task), *changed)

    def close_task(self, id: str) -> None:
        with self.changing():
            task = self.task(id)
            task.fields |= {"status": "done", "date_closed": self.minute(self.clock.now())}
            self._happened("close", "task", id, self.page(task), {}, {})

    def reopen_task(self, id: str) -> None:
        with self.changing():
            task = self.task(id)
            task.fields["status"] = "active"
            task.fields.pop("date_closed", None)
            self._happened("reopen", "task", id, self.page(task), {}, {})

    def delete_task(self, id: str) -> None:
        with self.changing():
            task = self.task(id)
            for child in list(task.children):
                self.delete_task(child)
            page = self.page(task)
            del self.tasks[id]
            (self.tasks[task.parent].children if task.parent else self.tops[task.project]).remove(id)
            self._happened("delete", "task", id, page, {}, {"title": task.fields["name"]})

    # The books.

    def hierarchy(self) -> dict[str, list[Record]]:
        """Stages, objects and sections of the synced projects that are not archived; active tasks only."""
        stages: list[Record] = []
        objects: list[Record] = []
        sections: list[Record] = []
        for id, project in self.projects.items():
            mine = self.project_tags[id]
            if project["status"] == "archive" or self.synced_tag not in mine:
                continue
            own = [tag for tag in mine if tag in self.stage_tags]
            titles = self.tags["project"]
            stages += [{"project_id": id, "tag_id": str(tag), "title": titles[tag]["title"]} for tag in own]
            for top in (self.tasks[t] for t in self.tops[id]):
                if not top.counted:
                    continue
                stage = next((str(tag) for tag in own if tag in top.tags), NO_STAGE)
                names = {"id": top.id, "name": top.fields["name"], "project_id": id}
                objects.append({**names, "stage_tag_id": stage})
                children = (self.tasks[c] for c in top.children)
                sections += [
                    {"id": c.id, "name": c.fields["name"], "project_id": id, "object_id": top.id}
                    for c in children
                    if c.counted
                ]
        return {"stages": stages, "objects": objects, "sections": sections}


def _present(fields: Record) -> Record:
    return {name: value for name, value in fields.items() if value is not None}


def _exchange(record: Record, fields: Record) -> tuple[Record, Record]:
    """Apply changes; returns what an event calls old and new: a name is a `title`, nothing is ""."""
    spelled = {name: "title" if name == "name" else name for name in fields}
    old = {spelled[name]: record.get(name, "") for name in fields}
    new = {spelled[name]: "" if value is None else value for name, value in fields.items()}
    record |= fields
    for name in [name for name, value in fields.items() if value is None]:
        del record[name]
    return old, new
