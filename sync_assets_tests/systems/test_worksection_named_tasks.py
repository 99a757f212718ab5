"""Tasks that webhooks name: read with their project, found where they moved, buried only when they are gone."""

from typing import Any

import pytest

from sync_assets.sandbox.worksection.company import WorksectionCompany
from sync_assets_tests.company import Company


@pytest.fixture
def books(grown: Company) -> WorksectionCompany:
    company: WorksectionCompany = grown.sandbox.world.systems["worksection"].company  # type: ignore[attr-defined]
    grown.sandbox.requests.clear()
    return company


def look(company: Company, *tasks: str) -> tuple[int, dict[str, Any]]:
    """How many requests it took beside the preflight, and what became of the rows."""
    before = len(company.sandbox.requests)
    totals = company.synced("webhook", "worksection", "tasks", parents=tasks)["tasks"].totals
    return len(company.sandbox.requests) - before - 1, totals


def in_step(company: Company) -> None:
    company.synced("webhook", "worksection", ["stages", "objects", "sections"])
    company.assert_world_equals_postgres("worksection")
    company.assert_ledger_adds_up()


def a_task(books: WorksectionCompany, *, children: bool = True) -> str:
    return next(id for id, task in books.tasks.items() if not task.parent and bool(task.children) is children)


def test_a_task_that_is_here_takes_one_request(grown: Company, books: WorksectionCompany) -> None:
    task = a_task(books)
    books.rename_task(task, "renamed")
    asked, totals = look(grown, task, task)
    assert (asked, totals["updated"], totals["deleted"]) == (1, 1, 0)
    in_step(grown)


def test_so_does_a_subtask_by_its_own_id_and_all_that_changed_beside_it(
    grown: Company, books: WorksectionCompany
) -> None:
    task = a_task(books)
    books.rename_task(books.tasks[task].children[0], "renamed")
    books.set_tags(books.tasks[task].children[0], [])
    books.close_task(a_task(books, children=False))
    asked, totals = look(grown, books.tasks[task].children[0])
    assert asked == 1 and totals["updated"] >= 1
    look(grown, a_task(books, children=False))
    in_step(grown)


def test_a_new_one_is_asked_where_it_is(grown: Company, books: WorksectionCompany) -> None:
    project = books.tasks[a_task(books)].project
    task = books.create_task(project)
    sub = books.create_task(project, task)
    asked, totals = look(grown, sub)
    assert (asked, totals["created"]) == (2, 1), "one that says where, one that shows all"
    in_step(grown)


def test_one_that_is_gone_is_buried_and_no_other(grown: Company, books: WorksectionCompany) -> None:
    task = a_task(books)
    books.delete_task(task)
    asked, totals = look(grown, task)
    assert (asked, totals["deleted"]) == (2, 1)
    assert grown.query("select key from sync.tombstones where account = 'worksection' and entity = 'tasks'") == [
        (task,)
    ]
    in_step(grown)
    assert look(grown, task)[1]["deleted"] == 0, "told of once more"


def test_one_that_moved_is_found_in_its_new_project(grown: Company, books: WorksectionCompany) -> None:
    task = a_task(books)
    former = books.tasks[task].project
    other = next(id for id, tops in books.tops.items() if id != former and tops)
    with books.changing():
        books.tops[former].remove(task)
        books.tops[other].append(task)
        for id in (task, *books.tasks[task].children):
            books.tasks[id].project = other
    asked, totals = look(grown, task)
    assert (asked, totals["updated"], totals["deleted"]) == (3, 1, 0)
    in_step(grown)


def test_of_many_projects_everything_is_read_at_once(grown: Company, books: WorksectionCompany) -> None:
    first = {tops[0]: project for project, tops in books.tops.items() if tops}
    for task in first:
        books.rename_task(task, "renamed")
    asked, totals = look(grown, *first)
    assert len(first) > 4 and asked == 1 and totals["updated"] == len(first)
    in_step(grown)


def test_a_project_that_is_gone_takes_no_task_along(grown: Company, books: WorksectionCompany) -> None:
    task = a_task(books)
    grown.sandbox.faults.set("A12", system="worksection", status=404, path="get_tasks")
    grown.sync("webhook", "worksection", "tasks", parents=(task,))
    grown.sandbox.faults.clear()
    assert (task,) in grown.query("select id from worksection.tasks")


@pytest.mark.parametrize("key", ["0", "999999999", "x", "1' or true --", "١"])
def test_a_key_that_leads_nowhere_costs_nothing(grown: Company, books: WorksectionCompany, key: str) -> None:
    asked, totals = look(grown, key)
    assert asked <= 1 and (totals["deleted"], totals["created"]) == (0, 0)
    in_step(grown)
