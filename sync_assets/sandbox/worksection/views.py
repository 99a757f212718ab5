"""How Worksection shows its records: the same task differs by method and by `extra`.

The non-obvious decision: lists give children in full while `get_task` gives stubs, as live, so a reader
that treats both alike is caught here.
"""

from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.founding import FoundedLate
from sync_assets.sandbox.worksection.company import Task, WorksectionCompany
from sync_assets.sandbox.worksection.seed import OPTIONS

TEXTS = {"text", "html"}


class Views:
    def __init__(self, api: FoundedLate[WorksectionCompany], *, child_tags: bool) -> None:
        self._api, self._child_tags = api, child_tags

    def project(self, id: str, extra: set[str]) -> Record:
        company = self._api.company
        shown = _without_text(company.projects[id], extra)
        shown |= self._tags("project", company.project_tags[id])
        if "options" in extra:
            shown["options"] = dict.fromkeys(OPTIONS, 0) | {"allow_close": 1}
        if "users" in extra:
            shown["users"] = [company.person(user) for user in company.users]
        return shown

    def _tags(self, of: str, ids: list[int]) -> Record:
        known = self._api.company.tags[of]
        tags = {str(id): known[id]["title"] for id in ids if id in known}
        return {"tags": tags} if tags else {}

    def task(self, task: Task, extra: set[str], *, active: bool = False) -> Record:
        company = self._api.company
        fields = _without_text(task.fields, extra)
        project = company.projects[task.project]
        shown: Record = {"id": task.id, "name": fields.pop("name"), "page": company.page(task), **fields}
        shown["project"] = {name: project[name] for name in ("id", "name", "page")}
        if task.parent is None or self._child_tags:
            shown |= self._tags("task", task.tags)
        children = [company.tasks[c] for c in task.children]
        children = [c for c in children if c.active or not active]
        if "subtasks" in extra and children:
            shown["child"] = [self.task(child, extra, active=active) for child in children]
        return shown

    def single(self, task: Task, extra: set[str], *, active: bool = False) -> Record:
        """The answer of get_task: children as stubs, and the chain of parents."""
        shown = self.task(task, extra - {"subtasks"}) | self._tags("task", task.tags)
        if task.parent is not None:
            shown["parent"] = self._chain(self._api.company.tasks[task.parent])
        if "subtasks" in extra and (children := self._stubs(task, active=active)):
            shown["child"] = children
        return shown

    def _chain(self, task: Task) -> Record:
        shown: Record = {"id": task.id, "name": task.fields["name"], "page": self._api.company.page(task)}
        return shown | ({"parent": self._chain(self._api.company.tasks[task.parent])} if task.parent else {})

    def _stubs(self, task: Task, *, active: bool) -> list[Record]:
        stubs = []
        for child in (self._api.company.tasks[c] for c in task.children):
            if active and not child.active:
                continue
            stub = {"id": child.id, "name": child.fields["name"], "page": self._api.company.page(child)}
            stub |= {name: child.fields[name] for name in ("status", "priority")}
            nested = self._stubs(child, active=active)
            stubs.append(stub | ({"child": nested} if nested else {}))
        return stubs

    def project_tasks(self, project: str, extra: set[str], *, active: bool) -> list[Record]:
        tops = (self._api.company.tasks[id] for id in self._api.company.tops[project])
        return [self.task(top, extra, active=active) for top in tops if top.active or not active]

    def all_tasks(self, extra: set[str], *, active: bool) -> list[Record]:
        projects = self._api.company.projects.items()
        shown = (id for id, p in projects if p["status"] != "archive" or "archive" in extra)
        return [row for id in shown for row in self.project_tasks(id, extra, active=active)]


def _without_text(fields: Record, extra: set[str]) -> Record:
    return {name: value for name, value in fields.items() if name != "text" or extra & TEXTS}
