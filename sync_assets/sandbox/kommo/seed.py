"""The company's Kommo on its first day.

The non-obvious decision: every table has the awkward few among the many: records nobody owns any more, values without
a known shape, leads in an archived pipeline, tasks of nothing, and stamps that dozens of records share.
"""

import random
from datetime import UTC, datetime, timedelta

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import FOUNDED
from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kommo import fields, shapes
from sync_assets.sandbox.kommo.auth import ADMIN
from sync_assets.sandbox.kommo.company import KommoCompany
from sync_assets.sandbox.kommo.shapes import KINDS, LOST, WITH, WON

HISTORY = 540 * 86_400.0
SIZES = {"tiny": 120, "demo": 1000, "bench": 10_000}
STAGES = ("Первичный контакт", "Замер", "Смета", "Принимают решение", "Договор")
REASONS = ("Слишком дорого", "Пропала потребность", "Не устроили условия", "Выбрали других", "Спам")
RIGHTS = ("A", "G", "M", "D")


def found(company: KommoCompany, size: str) -> None:
    company.founding = True
    leads = int(company.switches["kommo.leads"] or SIZES[size])
    dice = company.dice
    _staff(company, dice)
    _pipelines(company)
    for entity, known in fields.DEFINED.items():
        for name, type, code, enums, _ in known:
            company.define(entity, name, type, code, enums)
    firms = [_firm(company, dice) for _ in range(leads // 5)]
    people = [_person(company, dice, firms) for _ in range(leads + leads // 5)]
    thrown_away = leads // 40
    for n in range(leads + thrown_away):
        _lead(company, dice, n, people, firms)
    _tasks(company, dice, leads // 2)
    for id in dice.sample(list(company.living["leads"]), thrown_away):
        since = datetime.fromtimestamp(company.living["leads"][id].fields["updated_at"], UTC)
        company.delete("leads", id, at=since + (FOUNDED - since) * dice.random())
    company.settle()
    if size == "bench":
        for kind in KINDS:
            for thing in company.living[kind].values():
                for asked in {frozenset[str](), WITH[kind]}:
                    shapes.row(company, kind, thing, asked)


def _staff(company: KommoCompany, dice: random.Random) -> None:
    company.groups = {267_688: {"id": 267_688, "name": "Менеджеры"}, 267_690: {"id": 267_690, "name": "Export"}}
    company.roles = {3141: {"id": 3141, "name": "Менеджер"}}
    for n in range(7):
        admin, id = n == 0, ADMIN + 17 * n
        verbs = ("view", "edit", "add", "delete", "export")
        rights: Record = {
            kind: {verb: "A" if admin else dice.choice(RIGHTS) for verb in verbs}
            for kind in ("leads", "contacts", "companies")
        }
        rights |= {"tasks": {"edit": "A", "delete": "A"}, "mail_access": admin, "catalog_access": admin}
        rights |= {"status_rights": None, "is_admin": admin, "is_free": n == 5, "is_active": n != 6}
        rights |= {"group_id": 267_688 if n % 2 else None, "role_id": None if admin or n == 5 else 3141}
        company.users[id] = {
            "id": id, "name": f"{dice.choice(words.FIRST)} {dice.choice(words.LAST)}",
            "email": f"manager{n}@example.test", "lang": ("ru", "en", "es")[n % 3], "rights": rights,
            "uuid": words.uid(dice), "amojo_id": words.uid(dice), "user_rank": "newbie" if n % 2 else None,
            "phone_number": f"+7916{dice.randrange(10**7):07d}" if n % 2 else None,
        }  # fmt: skip


def _pipelines(company: KommoCompany) -> None:
    main = company.create_pipeline("Продажи", STAGES, is_main=True)
    company.create_pipeline("Retention", STAGES[3:])
    old = company.create_pipeline("Старая воронка", STAGES[:2])
    company.update_pipeline(old, is_archive=True)
    own = [status for pipeline, status in company.statuses if pipeline == main]
    stage = {"entity_type": "leads", "pipeline_id": main, "status_id": own[1]}
    limited = stage | {"rights": {"view": "A", "edit": "D", "delete": "D"}}
    company.update_user(list(company.users)[1], status_rights=[limited])
    for reason in REASONS:
        company.create_loss_reason(reason, int(FOUNDED.timestamp()) - int(HISTORY))


def _past(dice: random.Random) -> tuple[datetime, datetime]:
    """When it was made and when last changed; one in thirty was made by an import, all in one second."""
    span = timedelta(seconds=HISTORY if dice.random() < 0.03 else dice.random() * HISTORY)
    created = (FOUNDED - span).replace(microsecond=0)
    return created, created + (FOUNDED - created) * dice.random() ** 2


def values(company: KommoCompany, dice: random.Random, entity: str) -> dict[int, list[Record]]:
    numbers = company.switches["kommo.numeric"]
    return {
        id: fields.drawn(dice, known, numbers)
        for id, known in company.definitions[entity].items()
        if dice.random() < fields.SHARES.get((entity, known["name"]), 0.1)
    }


def price(dice: random.Random) -> int:
    return dice.choice((0, dice.randrange(1, 999), 1000 * dice.randrange(1, 900), dice.randrange(10**6, 5 * 10**7)))


def person(dice: random.Random) -> Record:
    """Most people have a first and a last name; some are just what the call centre typed."""
    first, last = dice.choice(words.FIRST), dice.choice(words.LAST)
    if dice.random() < 0.15:
        return {"name": dice.choice((f"{first} (сайт)", f"+7916{dice.randrange(10**7):07d}", "Без имени"))}
    return {"first_name": first, "last_name": last}


def _user(dice: random.Random, company: KommoCompany) -> int:
    return dice.choice(list(company.users))


def _firm(company: KommoCompany, dice: random.Random) -> int:
    name = (
        f"ООО «{dice.choice(words.PLACES)} {dice.randrange(100)}»"
        if dice.random() < 0.7
        else f"{words.title(dice)} Ltd"
    )
    return _aged(company, dice, "companies", {"name": name}, [])


def _person(company: KommoCompany, dice: random.Random, firms: list[int]) -> int:
    links = [("companies", dice.choice(firms))] if firms and dice.random() < 0.5 else []
    return _aged(company, dice, "contacts", person(dice), links)


def _lead(company: KommoCompany, dice: random.Random, n: int, people: list[int], firms: list[int]) -> None:
    stages = [stage for stage, own in company.statuses.items() if own["type"] == 0]
    pipeline, status = dice.choice(stages)
    own = {"name": words.title(dice), "price": price(dice), "pipeline_id": pipeline, "status_id": status}
    if status == LOST and dice.random() < 0.8:
        own["loss_reason_id"] = dice.choice(list(company.loss_reasons))
    if n % 11 == 0:
        own |= {"source_id": 9_100_000 + n % 3, "score": n % 100, "labor_cost": 60 * n}
    own["is_price_modified_by_robot"] = n % 13 == 0
    links = [("contacts", id) for id in dice.sample(people, min(len(people), (1, 1, 2, 0, 1, 3)[n % 6]))]
    if firms and dice.random() < 0.5:
        links.append(("companies", dice.choice(firms)))
    id = _aged(company, dice, "leads", own, links)
    lead = company.living["leads"][id].fields
    if status in (WON, LOST):
        lead["closed_at"] = lead["updated_at"]
        opened = next(s for p, s in stages if p == pipeline)
        both = ([{"lead_status": {"id": stage, "pipeline_id": pipeline}}] for stage in (opened, status))
        company.journal.write("lead_status_changed", "leads", id, 1000 * lead["updated_at"], lead["updated_by"], *both)


def _aged(company: KommoCompany, dice: random.Random, kind: str, own: Record, links: list[tuple[str, int]]) -> int:
    created, updated = _past(dice)
    by = 0 if dice.random() < 0.1 else _user(dice, company)
    stamps = {"updated_at": int(updated.timestamp()), "responsible_user_id": _user(dice, company)}
    tags = dice.sample(words.TAGS, dice.choice((0, 0, 1, 2)))
    own = own | stamps
    return company.create(kind, at=created, by=by, values=values(company, dice, kind), tags=tags, links=links, **own)


def _tasks(company: KommoCompany, dice: random.Random, count: int) -> None:
    known = {kind: list(company.living[kind]) for kind in KINDS}
    for n in range(count):
        created, updated = _past(dice)
        kind = (None, "leads", "leads", "leads", "contacts", "companies")[n % 6]
        living = known[kind] if kind else []
        done = dice.random() < 0.6
        company.create(
            "tasks",
            at=created,
            by=_user(dice, company),
            updated_at=int(updated.timestamp()),
            entity_type=kind if living else None,
            entity_id=dice.choice(living) if living else None,
            task_type_id=dice.choice((1, 2, 2, 31_415)),
            text=words.title(dice),
            is_completed=done,
            result={"text": words.prose(dice, 1)} if done and dice.random() < 0.5 else [],
            complete_till=int(updated.timestamp()) + dice.randrange(90 * 86_400),
            duration=dice.choice((0, 0, 1800)),
        )
