"""Worksection's actions, one function each, under the vendor's names.

The non-obvious decision: a failure is an exception with the vendor's code, so an action reads as its happy
path and the codes stay beside the rule that they belong to.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Record, decode
from sync_assets.sandbox.worksection.company import Task
from sync_assets.sandbox.worksection.failures import FailureError, Parameters
from sync_assets.sandbox.worksection.failures import needed as _need
from sync_assets.sandbox.worksection.subscriptions import WEBHOOK_ACTIONS

if TYPE_CHECKING:
    from sync_assets.sandbox.worksection.api import Worksection

# The documented windows of get_events.
WINDOWS = {"m": (1, 360, "minutes"), "h": (1, 72, "hours"), "d": (1, 30, "days")}
STATES = {"active": "active", "pending": "pending", "archive": "archive", "archived": "archive"}
CONDITION = re.compile(r"(id|project|parent|name)\s*(=|in|has)\s*(\([\d,\s]+\)|\d+|'[^']*')")


def _project(ws: "Worksection", given: Parameters) -> str:
    id = _need(given, "id_project")
    if id not in ws.company.projects:
        raise FailureError(4, "Project is invalid")
    return id


def _task(ws: "Worksection", given: Parameters) -> Task:
    task = ws.company.tasks.get(_need(given, "id_task"))
    if task is None:
        raise FailureError(5, "Task is invalid")
    return task


def _extra(given: Parameters) -> set[str]:
    text = given.get("extra", "")
    names = decode(text) if text.startswith("[") else text.split(",")
    return {name.strip() for name in names if name}


def _active(given: Parameters) -> bool:
    return given.get("filter") == "active"


def get_projects(ws: "Worksection", given: Parameters) -> list[Record]:
    state = STATES.get(given.get("filter", ""))
    found = [id for id, p in ws.company.projects.items() if state in (None, p["status"])]
    return [ws.views.project(id, _extra(given)) for id in found]


def get_project(ws: "Worksection", given: Parameters) -> Record:
    return ws.views.project(_project(ws, given), _extra(given))


def get_all_tasks(ws: "Worksection", given: Parameters) -> list[Record]:
    return ws.views.all_tasks(_extra(given), active=_active(given))


def get_tasks(ws: "Worksection", given: Parameters) -> list[Record]:
    return ws.views.project_tasks(_project(ws, given), _extra(given), active=_active(given))


def get_task(ws: "Worksection", given: Parameters) -> Record:
    return ws.views.single(_task(ws, given), _extra(given), active=_active(given))


def search_tasks(ws: "Worksection", given: Parameters) -> list[Record]:
    names = ("id_project", "id_task", "email_user_from", "email_user_to", "filter")
    if not any(given.get(name) for name in names):
        raise FailureError(10, "At least one of fields required", ",".join(names))
    tests = _conditions(given.get("filter", ""))
    if "id_project" in given:
        project = _project(ws, given)
        tests.append(lambda task: task.project == project)
    if "id_task" in given:
        tests.append(lambda task, id=given["id_task"]: task.id == id)  # type: ignore[misc]
    for side in ("user_from", "user_to"):
        if email := given.get(f"email_{side}"):
            tests.append(lambda task, s=side, e=email: task.fields[s]["email"] == e)  # type: ignore[misc]
    if status := given.get("status"):
        tests.append(lambda task: task.fields["status"] == status)
    found = [task for task in ws.company.tasks.values() if all(test(task) for test in tests)]
    return [ws.views.task(task, _extra(given) - {"subtasks"}) for task in found]


def _conditions(text: str) -> list[Callable[[Task], bool]]:
    """Conditions joined by `and`; of the vendor's grammar the dates, `or` and brackets are left out."""
    tests: list[Callable[[Task], bool]] = []
    for part in filter(None, text.split(" and ")):
        if (match := CONDITION.fullmatch(part.strip())) is None:
            raise FailureError(11, "Invalid filter", part)
        field, operator, value = match.groups()
        if field == "name":
            name = value.strip("'").lower()
            tests.append(
                lambda task, n=name, op=operator: (  # type: ignore[misc]
                    n == task.fields["name"].lower() if op == "=" else n in task.fields["name"].lower()
                )
            )
        else:
            among = set(re.findall(r"\d+", value))
            tests.append(lambda task, f=field, among=among: (getattr(task, f) or "0") in among)  # type: ignore[misc]
    return tests


def get_events(ws: "Worksection", given: Parameters) -> list[Record]:
    match = re.fullmatch(r"(\d+)([mhd])", given.get("period", ""))
    if match is None or not WINDOWS[match[2]][0] <= int(match[1]) <= WINDOWS[match[2]][1]:
        raise FailureError(10, "Field is required", "period")
    since = ws.company.clock.peek() - timedelta(**{WINDOWS[match[2]][2]: int(match[1])})
    prefix = f"/project/{_project(ws, given)}/" if given.get("id_project") else "/"
    return [e for at, e in reversed(ws.company.events) if at >= since and e["object"]["page"].startswith(prefix)]


def _tags(of: str) -> Callable[["Worksection", Parameters], list[Record]]:
    def action(ws: "Worksection", given: Parameters) -> list[Record]:
        found = list(ws.company.tags[of].values())
        if group := given.get("group"):
            found = [t for t in found if group in (str(t["group"]["id"]), t["group"]["title"])]
        for name in ("type", "access"):
            if name in given:
                found = [t for t in found if t["group"][name] == given[name]]
        return found

    return action


def _day(text: str) -> str:
    try:
        return f"{datetime.strptime(text, '%d.%m.%Y'):%Y-%m-%d}"  # noqa: DTZ007
    except ValueError as error:
        raise FailureError(11, "Invalid date", text) from error


def _fields(ws: "Worksection", given: Parameters) -> Record:
    fields: Record = {name: given[name] for name in ("priority", "text") if name in given}
    if "title" in given:
        fields["name"] = given["title"]
    for name, field in (("datestart", "date_start"), ("dateend", "date_end")):
        if name in given:
            fields[field] = _day(given[name])
    if email := given.get("email_user_to"):
        found = next((id for id, user in ws.company.users.items() if user["email"] == email), None)
        if found is None:
            raise FailureError(11, "Invalid email", "email_user_to")
        fields["user_to"] = ws.company.person(found)
    return fields


def _tag_ids(ws: "Worksection", text: str) -> list[int]:
    known = ws.company.tags["task"]
    found = [
        next((id for id, t in known.items() if part in (str(id), t["title"])), 0) for part in text.split(",") if part
    ]
    if 0 in found:
        raise FailureError(16, "Tag is invalid")
    return found


def post_task(ws: "Worksection", given: Parameters) -> Record:
    project, _ = _project(ws, given), _need(given, "title")
    parent = given.get("id_parent") or None
    if parent and parent not in ws.company.tasks:
        raise FailureError(5, "Task is invalid")
    if parent and not ws.company.tasks[parent].active:
        raise FailureError(14, "Parent task is done")
    tags = _tag_ids(ws, given.get("tags", ""))
    id = ws.company.create_task(project, parent, tags=tags, **_fields(ws, given))
    return ws.views.single(ws.company.tasks[id], {"text"})


def update_task(ws: "Worksection", given: Parameters) -> Record:
    task = _task(ws, given)
    if not task.active:
        raise FailureError(8, "Task is closed")
    if fields := _fields(ws, given):
        ws.company.update_task(task.id, **fields)
    if "tags" in given:
        ws.company.set_tags(task.id, _tag_ids(ws, given["tags"]))
    return ws.views.single(task, {"text"})


def update_task_tags(ws: "Worksection", given: Parameters) -> None:
    task = _task(ws, given)
    minus = _tag_ids(ws, given.get("minus", ""))
    kept = [tag for tag in task.tags if tag not in minus]
    ws.company.set_tags(task.id, [*kept, *(t for t in _tag_ids(ws, given.get("plus", "")) if t not in kept)])


def complete_task(ws: "Worksection", given: Parameters) -> None:
    task = _task(ws, given)
    if not task.active:
        raise FailureError(12, "Task is already closed")
    if any(ws.company.tasks[child].active for child in task.children):
        raise FailureError(13, "Task has children")
    ws.company.close_task(task.id)


def reopen_task(ws: "Worksection", given: Parameters) -> None:
    task = _task(ws, given)
    if task.active:
        raise FailureError(12, "Task is already active")
    if task.parent and not ws.company.tasks[task.parent].active:
        raise FailureError(14, "Parent task is done")
    ws.company.reopen_task(task.id)


ACTIONS: dict[str, Callable[["Worksection", Parameters], Any]] = {
    "get_projects": get_projects,
    "get_project": get_project,
    "get_project_groups": lambda ws, _: ws.company.project_groups,
    "get_all_tasks": get_all_tasks,
    "get_tasks": get_tasks,
    "get_task": get_task,
    "search_tasks": search_tasks,
    "get_users": lambda ws, _: list(ws.company.users.values()),
    "get_user_groups": lambda ws, _: ws.company.user_groups,
    "get_task_tags": _tags("task"),
    "get_project_tags": _tags("project"),
    "get_task_tag_groups": lambda ws, _: ws.company.tag_groups["task"],
    "get_project_tag_groups": lambda ws, _: ws.company.tag_groups["project"],
    "get_events": get_events,
    "me": lambda ws, _: next(iter(ws.company.users.values())),
    "post_task": post_task,
    "update_task": update_task,
    "update_task_tags": update_task_tags,
    "complete_task": complete_task,
    "reopen_task": reopen_task,
    **WEBHOOK_ACTIONS,
}
