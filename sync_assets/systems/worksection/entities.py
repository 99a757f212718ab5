"""Worksection's entities: what the API has, and the stages, objects and sections that are built from it.

Under the mapping `tag` (the default) a stage is a project tag that matches a pattern, an object a top-level task
attached by the same tag, a section its direct subtask; under `depth` the three are the three levels of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from sync_assets.entity import ById, Entity, Inside, Link, Params, Whole
from sync_assets.systems.worksection.named_tasks import NamedTasks

if TYPE_CHECKING:
    from sync_assets.systems.worksection.api import WorksectionSettings

DOCS = "https://worksection.com/en/faq/api.html"
EVENTS_REACH = timedelta(days=30)
"""get_events looks no further back."""

IN_SCOPE = """exists (
  select from projects p where p.id = parent.{project} and p.status <> 'archive'
     and (%(sync_tag)s = '' or exists (
       select from jsonb_each_text(coalesce(p.raw_json -> 'tags', '{{}}')) t where t.value = %(sync_tag)s)))"""
PROJECT_IN_SCOPE = IN_SCOPE.format(project="id")
TASK_IN_SCOPE = IN_SCOPE.format(project="project_id")
WANTED = """(%(closed)s or {task} ->> 'status' = 'active') and not starts_with({task} ->> 'name', %(marker)s)"""
TOP = WANTED.format(task="parent.raw_json")
ITEM = WANTED.format(task="item")


class _Object(msgspec.Struct):
    type: str = ""
    page: str = ""


class _Event(msgspec.Struct):
    action: str = ""
    object: _Object = msgspec.field(default_factory=_Object)


class _Events(msgspec.Struct):
    data: list[_Event] = []


def changed_tasks(ask: Callable[[str, Params], bytes], since: datetime, now: datetime) -> Sequence[Whole] | str:
    """From the event list: nothing, the tasks of the one project that changed, or the reason to read all.

    All tasks come in one request, so reading by project pays for one project only; a deletion, or a task that may have
    moved, needs the whole listing as proof.
    """
    age = now - since
    if age > EVENTS_REACH:
        return f"the last sync is {age.days} days ago and events reach back 30: all tasks were read"
    minutes = max(1, math.ceil(age.total_seconds() / 60))
    period = (
        f"{minutes}m"
        if minutes <= 360
        else f"{math.ceil(minutes / 60)}h"
        if minutes <= 72 * 60
        else f"{math.ceil(age / timedelta(days=1))}d"
    )
    events = msgspec.json.decode(ask("get_events", {"period": period}), type=_Events).data
    events = [e for e in events if e.object.type in ("task", "project")]
    if not events:
        return []
    places = {parts[2] for e in events if len(parts := e.object.page.split("/")) > 2 and parts[1] == "project"}
    unplaced = any(e.object.type == "project" or not e.object.page.startswith("/project/") for e in events)
    if len(places) == 1 and not unplaced and all(e.action != "delete" for e in events):
        return [Whole("get_tasks", {"id_project": places.pop(), "extra": "text,subtasks"})]
    return f"{len(events)} events in {len(places)} projects: all tasks were read in one request"


PROJECTS = Entity(
    "projects",
    read=Whole("get_projects", {"extra": "text,options,users"}),
    one=ById("get_project", {"id_project": "{key}", "extra": "text,options,users"}),
    codes={"status": ("active", "pending", "archive")},
    doc="Projects, active, pending and archived, with their tags.",
    url=DOCS,
    hints=("post_project", "update_project", "close_project", "reopen_project", "delete_project"),
)
USERS = Entity("users", read=Whole("get_users"), doc="People of the account.", url=DOCS)
TASK_TAGS = Entity("task_tags", read=Whole("get_task_tags"), doc="Labels and statuses of tasks.", url=DOCS)
PROJECT_TAGS = Entity(
    "project_tags",
    read=Whole("get_project_tags"),
    doc="Labels and statuses of projects.",
    url=DOCS,
)
TASKS = Entity(
    "tasks",
    read=Whole("get_all_tasks", {"extra": "text,subtasks,archive"}),
    changes=changed_tasks,
    of_parents=lambda tasks: [NamedTasks("get_tasks", these=tuple(tasks))],
    links=(
        Link("project_id", "projects"),
        Link("responsible_id", "users", none=("0", "1", "2"), order=False),
    ),
    codes={"status": ("active", "done")},
    doc="Top-level tasks with their subtasks inside, active and closed, of every project.",
    url=DOCS,
    # A comment is told of its task. Subtasks are tasks.
    hints=(
        "post_task", "update_task", "close_task", "reopen_task", "delete_task", "post_comment", "update_comment",
        "delete_comment",
    ),
)  # fmt: skip


def entities(settings: WorksectionSettings) -> tuple[Entity, ...]:
    by_tag = settings.mapping == "tag"
    stages = (
        Inside(
            "projects",
            ("$.tags.keyvalue()",),
            record="jsonb_build_object('project_id', parent.id, 'id', item ->> 'key', 'title', item ->> 'value')",
            where=f"item ->> 'value' ~* %(stage_pattern)s and {PROJECT_IN_SCOPE}",
        )
        if by_tag
        else Inside(
            "tasks",
            ("$",),
            where=f"{TOP} and {TASK_IN_SCOPE}",
            record="jsonb_build_object('project_id', parent.project_id, 'id', parent.id, 'title', parent.name)",
        )
    )
    stage_of_object = (
        "coalesce((select s.id from stages s where s.project_id = parent.project_id"
        " and parent.raw_json -> 'tags' ? s.id order by s.id limit 1), 'none')"
        if by_tag
        else "parent.id"
    )
    task = "item - 'child'"
    of_object = "parent.id" if by_tag else "above ->> 'id'"
    objects = Inside(
        "tasks",
        ("$",) if by_tag else ("$.child[*]",),
        where=f"{TOP} and {ITEM} and {TASK_IN_SCOPE}",
        record=f"{task} || jsonb_build_object('project_id', parent.project_id, 'stage_id', {stage_of_object})",
    )
    sections = Inside(
        "tasks",
        ("$.child[*]",) if by_tag else ("$.child[*] > $.child[*]",),
        where=f"{ITEM} and exists (select from objects o where o.id = {of_object})",
        record=f"{task} || jsonb_build_object('project_id', parent.project_id, 'object_id', {of_object})",
    )
    return (
        PROJECTS,
        USERS,
        TASK_TAGS,
        PROJECT_TAGS,
        TASKS,
        Entity(
            "stages",
            key=("project_id", "id"),
            read=stages,
            links=(Link("project_id", "projects"),),
            doc="Stages of a project.",
            url=DOCS,
        ),
        Entity(
            "objects",
            read=objects,
            doc="Objects of a stage; stage 'none' where a task has no stage.",
            links=(
                Link("project_id", "projects"),
                Link(("project_id", "stage_id"), "stages", none=("none",)),
                Link("responsible_id", "users", none=("0", "1", "2"), order=False),
            ),
            url=DOCS,
        ),
        Entity(
            "sections",
            read=sections,
            doc="Sections of an object.",
            url=DOCS,
            links=(
                Link("object_id", "objects"),
                Link("responsible_id", "users", none=("0", "1", "2"), order=False),
            ),
        ),
    )
