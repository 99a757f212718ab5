"""A day of the company's sales team: contacts come, calls are logged, deals move, people merge and vanish.

The non-obvious decision: on most days something changes that moves no stamp (an association, a calculated value), as
that is what incremental reading misses.
"""

import random

from sync_assets.sandbox import words
from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.hubspot import people, seed
from sync_assets.sandbox.hubspot.company import HubSpotCompany
from sync_assets.sandbox.hubspot.definitions import OPTIONS
from sync_assets.sandbox.hubspot.names import millis

FEW = 20


def step(company: HubSpotCompany, dice: random.Random) -> None:
    owners = [id for id, owner in company.owners.items() if not owner["archived"]]
    contacts, deals = company.shelves["contacts"], company.shelves["deals"]
    n = 1_000_000 + company.revision
    line = people.line(dice, n)
    fresh = company.create("contacts", people.contact(dice, n, owners, line))
    for _ in range(3):
        company.update("contacts", dice.choice(contacts.ids), lifecyclestage=dice.choice(OPTIONS["lifecyclestage"]))
    log_call(company, dice, fresh, line, owners)
    if deals.ids:
        deal = dice.choice(deals.ids)
        stages = company.pipelines[deals.get(deal).properties().get("pipeline", "default")]["stages"]
        company.update("deals", deal, dealstage=dice.choice(stages)["id"], amount=dice.choice(people.AMOUNTS))
        company.associate("deals", deal, "contacts", fresh, dice.choice((None, "Decision maker")))
    _silently(company, dice)
    if len(contacts.ids) > FEW:
        _leave(company, dice)
    if dice.random() < 0.1:
        company.define("contacts", f"survey_{company.revision}", "number", "number")


def log_call(company: HubSpotCompany, dice: random.Random, contact: int, line: people.Line, owners: list[str]) -> int:
    lines = seed.Lines({contact: line}, set())
    values, via = seed.call(dice, contact, lines, owners, millis(company.clock.now()))
    if via == "phone" and (company.properties("contacts", contact).get("phone") != line.spelled):
        via = "unknown"
    call = company.create("calls", values)
    company.callers[call] = (contact if via in ("association", "callee", "phone") else None, via)
    if via == "association":
        company.associate("calls", call, "contacts", contact)
    return call


def _silently(company: HubSpotCompany, dice: random.Random) -> None:
    calls, contacts = company.shelves["calls"], company.shelves["contacts"]
    if calls.ids and dice.random() < 0.7:
        call, contact = dice.choice(calls.ids), dice.choice(contacts.ids)
        if not company.links.of("calls", call, "contacts"):
            company.associate("calls", call, "contacts", contact)
            company.callers[call] = (contact, "association")
    company.update("contacts", dice.choice(contacts.ids), touch=False, total_revenue=dice.choice(people.AMOUNTS))


def _leave(company: HubSpotCompany, dice: random.Random) -> None:
    contacts = company.shelves["contacts"]
    company.archive("contacts", dice.choice(contacts.ids))
    match dice.randrange(5):
        case 0:
            primary, other = dice.sample(contacts.ids, 2)
            company.merge("contacts", primary, other)
        case 1:
            company.gdpr_delete(dice.choice(contacts.ids))
        case 2:
            waiting = [id for id in company.binned("contacts") if id not in company.merged["contacts"]]
            company.restore("contacts", dice.choice(waiting))
        case 3:
            company.archive("calls", dice.choice(company.shelves["calls"].ids))
        case 4 if len(company.shelves["deals"].ids) > FEW:
            company.archive("deals", dice.choice(company.shelves["deals"].ids))


def afflict(company: HubSpotCompany, fault: str, options: Record) -> None:
    """L4, P6, S3 and S7 as facts of this world."""
    entity = str(options.get("entity", "contacts"))
    shelf = company.shelf(entity)
    match fault:
        case "L4":
            for _ in range(int(options.get("count", 1))):
                company.merge(entity, shelf.ids[0], shelf.ids[-1])
        case "P6":
            count = int(options.get("count", 0))
            company.stamp_all(entity, shelf.ids[:count] if count else None)
        case "S3":
            _rename(company, ['x"; drop table contacts; --', "'); delete from sync.logs; --"])
            for tail in ("one", "two"):
                company.define("contacts", "x" * 64 + tail)
        case "S7":
            _rename(company, ["![x](http://trap.test/x.png)", "<script>alert(1)</script>"])


def _rename(company: HubSpotCompany, names: list[str]) -> None:
    for name, contact, deal in zip(names, company.shelves["contacts"].ids, company.shelves["deals"].ids, strict=False):
        company.update("contacts", contact, firstname=name)
        company.update("deals", deal, dealname=name)
        company.update_stage("default", company.pipelines["default"]["stages"][names.index(name)]["id"], label=name)


def disturb(company: HubSpotCompany, kind: str, given: list[int], insert: int, delete: int) -> None:
    """Between two pages: throw away some of what was already read, make something new."""
    living = company.shelves[kind].living
    for id in [id for id in given if id in living][:delete]:
        company.archive(kind, id)
    title = {"contacts": "firstname", "deals": "dealname", "calls": "hs_call_title", "companies": "name"}[kind]
    for _ in range(insert):
        company.create(kind, {title: f"Appeared between two pages {words.TAGS[0]}"})


def edit(company: HubSpotCompany, kind: str, given: list[int], count: int, which: str) -> None:
    """P4: records change between two pages, those just read or (`ahead`) those still to come."""
    shelf = company.shelves[kind]
    if which == "ahead":
        oldest = sorted(shelf.living.values(), key=lambda t: (t.modified, t.id))
        last = max((shelf.living[id].modified for id in given if id in shelf.living), default=0)
        given = [thing.id for thing in oldest if thing.modified > last]
    for id in [id for id in given if id in shelf.living][:count]:
        company.update(kind, id, {})
