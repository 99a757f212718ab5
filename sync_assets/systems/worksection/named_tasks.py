"""Tasks that webhooks tell of, by all tasks of their projects: read by its id, a task shows its subtasks cut short.

So one request shows a task that is here already, whichever of its subtasks was meant. A task that is not here, or not
where it was, is asked for first: it says in which project it is now, or that it is gone. The task that moved is stored
before its former project's set is held against what is stored, so that only what is gone is buried.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import Any

import msgspec

from sync_assets.entity import Own, Params
from sync_assets.errors import NotFound
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page

PROJECTS = 4
"""Of more projects than these everything is read at once: a request takes a second, however little it shows."""

EXTRA = "text,subtasks"

HOLDS = "jsonb_path_exists(raw_json, '$.child.**.id ? (@ == $id)', jsonb_build_object('id', '{id}'))"


class _Project(msgspec.Struct):
    id: str = ""


class _Task(msgspec.Struct):
    id: str = ""
    project: _Project = msgspec.field(default_factory=_Project)
    child: list[_Task] = []

    def ids(self) -> Iterator[str]:
        yield self.id
        for child in self.child:
            yield from child.ids()


class _Answer(msgspec.Struct):
    data: _Task = msgspec.field(default_factory=_Task)


@dataclass(frozen=True)
class NamedTasks(Own):
    """`these` are ids of tasks or subtasks, whether they are here or not."""

    these: tuple[str, ...] = ()

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """One page, so that the sets of projects are held against what is stored when all of it is stored."""
        wanted = [id for id in self.these if id.isascii() and id.isdigit()]
        read = self._read(fetch, self._known(fetch, wanted))
        shown = {id for page in read.values() for id in _ids(page)}
        now = {self._project(fetch, id) for id in wanted if id not in shown}
        read |= self._read(fetch, sorted(now - {"", *read}))
        if read:
            whole = reduce(Page.joined, {id(page): page for page in read.values()}.values())
            whole.sets = ("project_id", sorted(read))
            yield whole

    def _known(self, fetch: Fetch, wanted: Sequence[str]) -> Sequence[str]:
        """The projects in which the tasks were last seen."""
        if not wanted:
            return []
        top = {*fetch.parents("tasks", f"id = any('{{{','.join(wanted)}}}')")}
        tasks = " or ".join(f"id = '{id}'" if id in top else HOLDS.format(id=id) for id in wanted)
        return fetch.parents("projects", f"id in (select project_id from tasks where {tasks})")  # noqa: S608  digits

    def _read(self, fetch: Fetch, projects: Sequence[str]) -> dict[str, Page]:
        """The page that shows all tasks of a project, for each that is there."""
        if len(projects) > PROJECTS:
            return dict.fromkeys(projects, self._page(fetch, "get_all_tasks", {"extra": f"{EXTRA},archive"}))
        pages: dict[str, Page] = {}
        for project in projects:
            try:
                pages[project] = self._page(fetch, "get_tasks", {"id_project": project, "extra": EXTRA})
            except NotFound as e:
                fetch.remark(f"project {project}: {e.what}")
        return pages

    def _page(self, fetch: Fetch, action: str, params: Params) -> Page:
        name = " ".join((action, *map(str, params.values())))
        return fetch.splitter.page(name, self, fetch.ask(action, params, threading.Event()))

    def _project(self, fetch: Fetch, id: str) -> str:
        """Where a task is now, "" where it is gone."""
        try:
            answer = fetch.ask("get_task", {"id_task": id}, threading.Event())
            return msgspec.json.decode(answer.body, type=_Answer).data.project.id
        except (NotFound, msgspec.DecodeError, RecursionError):
            return ""


def _ids(page: Page) -> Iterator[str]:
    """Of all tasks and subtasks."""
    for record in page.records:
        with suppress(msgspec.DecodeError, RecursionError):
            yield from msgspec.json.decode(record, type=_Task).ids()
