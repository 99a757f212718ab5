"""The company's Worksection account on its first day: 4 stages, 32 objects, 62 sections, and what must be
ignored.

The non-obvious decision: every kind of noise sits where a careless reader would count it: "!" tasks with
living children, closed tasks in synced projects, stage tags on projects that are not synced, an archived
project that is.
"""

import random
from datetime import datetime, timedelta
from typing import Any

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import FOUNDED
from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.worksection.company import ANYBODY, SYNC_TAG, WorksectionCompany

OBJECTS = (14, 10, 8)
SECTIONS = 62
NOISE_PROJECTS = {"tiny": 2, "demo": 6, "bench": 6}
_FLAGS = (
    "allow_close allow_give allow_term allow_limit require_term require_tag require_limit require_hidden "
    "deny_comments_edit deny_task_edit deny_task_delete time_require time_today timer_only"
)
OPTIONS = _FLAGS.split()


def found(company: WorksectionCompany, size: str) -> None:
    dice = company.dice
    _people(company)
    company.project_groups = [
        {"id": "17", "title": "Строительство", "type": "folder", "client": 0},
        {"id": "18", "title": "ООО Заказчик", "type": "company", "client": 1},
    ]
    sync = company.create_tag_group("project", "Sync")
    stages = company.create_tag_group("project", "Стадии")
    labels = company.create_tag_group("task", "Метки")
    statuses = company.create_tag_group("task", "Статусы", kind="status")
    company.synced_tag = company.create_tag("project", SYNC_TAG, sync)
    stage: list[int] = []
    for title in ("Стадия П", "Рабочая стадия РД", "Stage 1: Concept"):
        id = company.create_tag("project", title, stages, stage=True)
        company.create_tag("task", title, labels, id=id, stage=True)
        stage.append(id)
    company.create_tag("project", "inner", sync)
    others = [company.create_tag("task", title, labels) for title in words.TAGS[:5]]
    others += [company.create_tag("task", title, statuses) for title in ("В работе", "On review", "Готово")]

    used = ([stage[0], stage[1]], [stage[2]], [stage[0]])
    objects: list[str] = []
    synced: list[str] = []
    for count, own in zip(OBJECTS, used, strict=True):
        project = _project(company, dice, (company.synced_tag, *own))
        synced.append(project)
        objects += [_task(company, dice, project, tags=[dice.choice(own), *_few(dice, others)]) for _ in range(count)]
    # One object belongs to no stage.
    company.tasks[objects[5]].tags = []
    shares = [2] * (len(objects) - 1) + [SECTIONS - 2 * (len(objects) - 1)]
    for _ in range(12):
        giver, taker = dice.sample(range(len(shares)), 2)
        if shares[giver]:
            shares[giver], shares[taker] = shares[giver] - 1, shares[taker] + 1
    for object_id, share in zip(objects, shares, strict=True):
        for _ in range(share):
            section = _task(company, dice, company.tasks[object_id].project, object_id, tags=_few(dice, others))
            if dice.random() < 0.2:
                _task(company, dice, company.tasks[object_id].project, section)
    _noise(company, dice, synced, objects, stage)
    for _ in range(NOISE_PROJECTS[size]):
        project = _project(company, dice, (dice.choice(stage),))
        for _ in range(6):
            top = _task(company, dice, project, tags=[dice.choice(stage)])
            _task(company, dice, project, top)


def _past(dice: random.Random) -> datetime:
    return FOUNDED - timedelta(minutes=dice.randrange(500_000))


def _few(dice: random.Random, tags: list[int]) -> list[int]:
    return dice.sample(tags, dice.choice((0, 0, 1, 2)))


def _people(company: WorksectionCompany) -> None:
    dice = company.dice
    company.user_groups = [{"id": "3", "title": "Проектировщики", "type": "department", "client": 0}]
    for n in range(12):
        first, last = dice.choice(words.FIRST), dice.choice(words.LAST)
        id = str(company.new_id())
        user: Record = {"id": id, "first_name": first, "last_name": last, "name": f"{first} {last}"}
        user |= {"title": "ГИП" if n == 1 else "Инженер", "rate": "0.00", "avatar": f"/images/avatars/{n}.png"}
        user |= {"group": "Our company", "department": "Проектировщики"}
        user |= {"role": ("owner", "account admin")[n] if n < 2 else "user", "email": f"person{n}@example.test"}
        if n % 3 == 0:
            user["phone"] = f"+7 900 000-00-{n:02}"
        company.users[id] = user


def _project(company: WorksectionCompany, dice: random.Random, tags: tuple[int, ...], **own: Any) -> str:
    name = f"{dice.choice(words.PLACES)} {dice.randrange(100)}"
    own = {"text": words.prose(dice, 2), "max_time": 0, "max_money": dice.randrange(10**6), **own}
    if dice.random() < 0.7:
        own["user_to"] = company.person(dice.choice(list(company.users)))
    return company.create_project(name, tags=tags, at=_past(dice), **own)


def _task(
    company: WorksectionCompany,
    dice: random.Random,
    project: str,
    parent: str | None = None,
    *,
    prefix: str = "",
    tags: list[int] | None = None,
    done: bool = False,
) -> str:
    added = _past(dice)
    own: Record = {"priority": str(dice.randrange(11))}
    if dice.random() < 0.75:
        own["user_to"] = company.person(dice.choice(list(company.users)))
    elif dice.random() < 0.5:
        own["user_to"] = ANYBODY
    if dice.random() < 0.6:
        own["text"] = words.prose(dice, 3)
    if dice.random() < 0.5:
        own |= {"date_start": f"{added:%Y-%m-%d}", "date_end": f"{added + timedelta(days=40):%Y-%m-%d}"}
    if dice.random() < 0.3:
        own |= {"max_time": float(dice.randrange(1, 40)), "max_money": dice.randrange(1, 100_000)}
    if done:
        own |= {"status": "done", "date_closed": company.minute(added + timedelta(days=30))}
    return company.create_task(project, parent, name=prefix + words.title(dice), tags=tags or [], at=added, **own)


def _noise(
    company: WorksectionCompany, dice: random.Random, synced: list[str], objects: list[str], stage: list[int]
) -> None:
    for project in synced:
        hidden = _task(company, dice, project, prefix="! ", tags=stage[:1])
        _task(company, dice, project, hidden)
        closed = _task(company, dice, project, tags=stage[:1], done=True)
        _task(company, dice, project, closed)
    for object_id in objects[::4]:
        project = company.tasks[object_id].project
        _task(company, dice, project, object_id, done=True)
        _task(company, dice, project, object_id, prefix="!")
    for status, tags in (("archive", (company.synced_tag, stage[0])), ("pending", (stage[1],))):
        own = {"status": status} | ({"date_closed": company.minute(FOUNDED)} if status == "archive" else {})
        project = _project(company, dice, tags, **own)
        top = _task(company, dice, project, tags=[stage[0]])
        _task(company, dice, project, top)


def step(company: WorksectionCompany, dice: random.Random) -> None:
    """A day: tasks posted, renamed, tagged, closed, reopened, sometimes deleted."""
    living = [p for p, project in company.projects.items() if project["status"] == "active"]
    project = dice.choice(living)
    stages = [tag for tag in company.project_tags[project] if tag in company.stage_tags]
    top = company.create_task(project, name=words.title(dice), tags=stages[:1])
    company.create_task(project, top, name=words.title(dice), text=words.prose(dice, 2))
    tasks = [t for t in company.tasks.values() if t.project in living]
    company.rename_task(dice.choice(tasks).id, words.title(dice))
    company.update_task(dice.choice(tasks).id, user_to=company.person(dice.choice(list(company.users))), priority="7")
    company.set_tags(dice.choice(tasks).id, dice.sample(list(company.tags["task"]), 2))
    company.close_task(dice.choice([t for t in tasks if t.active and not t.children]).id)
    if done := [t for t in tasks if not t.active]:
        company.reopen_task(dice.choice(done).id)
    if len(tasks) > 40:
        company.delete_task(dice.choice([t for t in tasks if not t.children]).id)
    if dice.random() < 0.2:
        company.rename_project(project, f"{dice.choice(words.PLACES)} {dice.randrange(100)}")
