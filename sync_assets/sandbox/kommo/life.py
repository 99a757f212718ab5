"""A day of the sales team: leads come and move, people merge, tasks are done, something is thrown away or comes back.

The non-obvious decision: on most days something changes that moves no stamp (a task's deadline above all, a renamed
status now and then), as that is what reading by `updated_at` misses.
"""

import random

from sync_assets.sandbox import words
from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kommo import seed
from sync_assets.sandbox.kommo.company import KommoCompany
from sync_assets.sandbox.kommo.shapes import LOST

FEW = 20


def step(company: KommoCompany, dice: random.Random) -> None:
    users = list(company.users)
    people = company.living["contacts"]
    contact = company.create("contacts", **seed.person(dice), values=seed.values(company, dice, "contacts"))
    links = [("contacts", contact)]
    if company.living["companies"]:
        links.append(("companies", dice.choice(list(company.living["companies"]))))
    lead = company.create("leads", name=words.title(dice), price=seed.price(dice), links=links, by=dice.choice(users))
    till = company.now() // 1000 + 3600 * dice.randint(1, 200)
    company.create("tasks", entity_type="leads", entity_id=lead, text=words.title(dice), complete_till=till)
    _move(company, dice, _any(company, dice, "leads"))
    touched = _any(company, dice, "leads")
    company.update("leads", touched, price=seed.price(dice), values=seed.values(company, dice, "leads"))
    company.update("leads", touched, responsible_user_id=dice.choice(users), by=0)
    company.tag("leads", _any(company, dice, "leads"), dice.choice(words.TAGS))
    company.update("contacts", _any(company, dice, "contacts"), first_name=dice.choice(words.FIRST))
    if open := [id for id, task in company.living["tasks"].items() if not task.fields["is_completed"]]:
        company.complete(dice.choice(open), dice.choice(("", "Договорились")))
    _unlink(company, dice)
    if len(company.living["leads"]) > FEW and len(people) > FEW:
        _leave(company, dice)
    if dice.random() < 0.1:
        (pipeline, status), _ = dice.choice([pair for pair in company.statuses.items() if pair[1]["is_editable"]])
        company.update_status(pipeline, status, name=f"{words.title(dice)}")


def _any(company: KommoCompany, dice: random.Random, kind: str) -> int:
    return dice.choice(list(company.living[kind]))


def _move(company: KommoCompany, dice: random.Random, lead: int) -> None:
    pipeline, status = dice.choice([stage for stage, own in company.statuses.items() if own["type"] == 0])
    more = {"loss_reason_id": dice.choice(list(company.loss_reasons))} if status == LOST else {}
    company.move(lead, status, pipeline, **more)


def _unlink(company: KommoCompany, dice: random.Random) -> None:
    lead = _any(company, dice, "leads")
    contacts = company.links.of("leads", lead, "contacts")
    if len(contacts) > 1:
        company.unlink("leads", lead, "contacts", dice.choice(list(contacts)))
    else:
        company.link("leads", lead, "contacts", _any(company, dice, "contacts"))


def _leave(company: KommoCompany, dice: random.Random) -> None:
    company.delete("leads", _any(company, dice, "leads"))
    bin = company.binned["leads"]
    match dice.randrange(6):
        case 0:
            primary, other = dice.sample(list(company.living["contacts"]), 2)
            company.merge("contacts", primary, other)
        case 1:
            company.restore("leads", dice.choice(list(bin)))
        case 2:
            company.purge("leads", dice.choice(list(bin)))
        case 3:
            company.delete("contacts", _any(company, dice, "contacts"))
        case 4 if len(company.living["companies"]) > FEW:
            company.delete("companies", _any(company, dice, "companies"))
        case 5:
            company.delete("tasks", _any(company, dice, "tasks"))


def afflict(company: KommoCompany, fault: str, options: Record) -> None:
    """L4, P6, S3 and S7 as facts of this world; an entity of another vendor's is not meant for us."""
    kind = str(options.get("entity", "contacts" if fault == "L4" else "leads"))
    if kind not in company.living:
        return
    ids = sorted(company.living[kind])
    match fault:
        case "L4":
            for n in range(int(options.get("count", 1))):
                company.merge(kind, ids[n], ids[-1 - n])
        case "P6":
            count = int(options.get("count", 0))
            company.stamp_all(kind, ids[:count] if count else None)
        case "S3":
            _rename(company, ['x"; drop table leads; --', "'); delete from sync.logs; --"])
            for tail in ("one", "two"):
                company.define("leads", "x" * 64 + tail)
        case "S7":
            _rename(company, ["![x](http://trap.test/x.png)", "<script>alert(1)</script>"])


def _rename(company: KommoCompany, names: list[str]) -> None:
    for n, name in enumerate(names):
        for kind in ("leads", "contacts", "companies"):
            company.update(kind, sorted(company.living[kind])[n], name=name)
        company.redefine("leads", list(company.definitions["leads"])[n], name=name)
        company.update_status(*list(company.statuses)[n], name=name)
        company.tag("leads", min(company.living["leads"]), name)


def disturb(company: KommoCompany, kind: str, given: list[int], insert: int, delete: int) -> None:
    """Between two pages: throw away some of what was already read, make something new."""
    for id in [id for id in given if id in company.living[kind]][:delete]:
        company.delete(kind, id)
    fields: Record = {"text" if kind == "tasks" else "name": "Appeared between two pages"}
    for _ in range(insert):
        company.create(kind, **fields)


def edit(company: KommoCompany, kind: str, given: list[int], count: int, which: str) -> None:
    """P4: records change between two pages, those just read or (`ahead`) those still to come."""
    living = company.living[kind]
    if which == "ahead":
        last = max((living[id].fields["updated_at"] for id in given if id in living), default=0)
        oldest = sorted(living.values(), key=lambda thing: (thing.fields["updated_at"], thing.id))
        given = [thing.id for thing in oldest if thing.fields["updated_at"] > last]
    for id in [id for id in given if id in living][:count]:
        company.update(kind, id)
