"""The company's HubSpot portal on its first day.

The non-obvious decision: ids come in eras, as real ones do: small ones of old, then ten digits, then twelve, with
gaps that grow. Whoever splits the id range into equal parts gets very unequal ones.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import FOUNDED
from sync_assets.sandbox.dialect import Record, encode
from sync_assets.sandbox.hubspot import people
from sync_assets.sandbox.hubspot.company import HubSpotCompany
from sync_assets.sandbox.hubspot.names import DISPOSITIONS, millis, stamp
from sync_assets.sandbox.hubspot.shelf import Thing

HISTORY = 540 * 86_400_000
SIZES = {"tiny": (300, 40, 120), "demo": (1500, 150, 400), "bench": (29_000, 1000, 8100)}
# Share of the properties that are null where nobody says: a portal of this size or more is a wide one.
WIDE, WIDE_EMPTY, EMPTY = 100, 0.85, 0.4
BLOCKS = 29
STAGES = (
    ("appointmentscheduled", 0.2), ("qualifiedtobuy", 0.4), ("presentationscheduled", 0.6),
    ("decisionmakerboughtin", 0.8), ("contractsent", 0.9), ("closedwon", 1.0), ("closedlost", 0.0),
)  # fmt: skip


@dataclass
class Lines:
    """Who has which phone line."""

    of: dict[int, people.Line]
    shared: set[str]


def found(company: HubSpotCompany, size: str) -> None:
    switches = company.switches
    given = (switches["hubspot.contacts"], switches["hubspot.deals"], switches["hubspot.calls"])
    contacts, deals, calls = (int(own or usual) for own, usual in zip(given, SIZES[size], strict=True))
    owners = _owners(company)
    stages = _pipelines(company)
    dice = company.dice
    lines = _contacts(company, dice, contacts, owners)
    _deals(company, dice, deals, owners, stages, list(lines.of))
    _calls(company, dice, calls, owners, lines)
    if size == "bench":
        for shelf in company.shelves.values():
            everything = shelf.everything()
            for thing in shelf.living.values():
                shelf.row(thing, everything)


def ids(dice: random.Random, count: int, last: int, style: str) -> Iterator[int]:
    """Ascending ids below `last`: in eras, or evenly spread."""
    if style == "even":
        yield from range(last - 60 * count, last, 60)
        return
    old, middle = count // 20, count // 3
    yield from range(51, 51 + 50 * old, 50)
    for start, many, gap in ((5_968_422_000, middle, 900), (last - 3_000 * (count - old - middle), 0, 3_000)):
        for n in range(many or count - old - middle):
            yield start + n * gap + dice.randrange(gap)


def _past(dice: random.Random) -> tuple[int, int]:
    """When it was made and when last changed."""
    created = millis(FOUNDED) - int(dice.random() * HISTORY)
    if dice.random() < 0.03:
        created = created // 1000 * 1000
    return created, created + int((millis(FOUNDED) - created) * dice.random() ** 2)


def _owners(company: HubSpotCompany) -> list[str]:
    dice = company.dice
    for n in range(8):
        created, updated = _past(dice)
        id, user = 534_941 + 17 * n, 9_586_504 + n
        company.owners[str(id)] = {
            "id": str(id),
            "email": f"seller{n}@example.test",
            "type": "QUEUE" if n == 6 else "PERSON",
            "firstName": dice.choice(words.FIRST),
            "lastName": dice.choice(words.LAST),
            "userId": user,
            "userIdIncludingInactive": user,
            "createdAt": stamp(created),
            "updatedAt": stamp(updated),
            "archived": n == 7,
        }
        if n == 7:
            del company.owners[str(id)]["userId"]
        elif n % 2:
            company.owners[str(id)]["teams"] = [{"id": "178588", "name": "Продажи", "primary": True}]
    return list(company.owners)


def _pipelines(company: HubSpotCompany) -> dict[str, list[str]]:
    stages: dict[str, list[str]] = {}
    closing = {True: "true", False: "false"}
    for n, (id, label) in enumerate((("default", "Sales Pipeline"), ("8171034", "Продление"))):
        shown: list[Record] = []
        for order, (stage, probability) in enumerate(STAGES if n == 0 else STAGES[2:]):
            shown.append({
                "label": stage.capitalize(),
                "displayOrder": order,
                "metadata": {"isClosed": closing[stage.startswith("closed")], "probability": str(probability)},
                "id": stage if n == 0 else str(20_240_000 + order),
                "createdAt": "1970-01-01T00:00:00Z",
                "updatedAt": "1970-01-01T00:00:00Z",
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                "archived": False,
            })  # fmt: skip
        dates = {"createdAt": "1970-01-01T00:00:00Z", "updatedAt": "1970-01-01T00:00:00Z", "archived": False}
        company.pipelines[id] = {"label": label, "displayOrder": n, "id": id, "stages": shown, **dates}
        stages[id] = [stage["id"] for stage in shown]
    return stages


def blocks(company: HubSpotCompany, kind: str, dice: random.Random) -> list[Record]:
    """Ready-made values of the further properties, so that a wide contact costs no more dice than a narrow one."""
    known = company.definitions[kind]
    share = float(company.switches["hubspot.empty"] or (WIDE_EMPTY if len(known) >= WIDE else EMPTY))
    more = [(name, d["type"]) for name, d in known.items() if name[-3:].isdigit()]
    # The own properties of a contact are filled by people, a dozen or so of them.
    filled = max(0, min(len(more), round(len(known) * (1 - share)) - 12))
    return [{name: people.filler(dice, name, type) for name, type in dice.sample(more, filled)} for _ in range(BLOCKS)]


def _contacts(company: HubSpotCompany, dice: random.Random, count: int, owners: list[str]) -> Lines:
    shelf = company.shelves["contacts"]
    ready = blocks(company, "contacts", dice)
    lines = Lines({}, set())
    seen: set[str] = set()
    office = people.Line("+79161112233", "+7 916 111-22-33")
    for n, id in enumerate(ids(dice, count, 713_802_347_700, company.switches["hubspot.ids"])):
        # A few people share the office's number.
        line = office if n % 71 == 5 else people.line(dice, n)
        if line.number in seen:
            lines.shared.add(line.number)
        seen.add(line.number)
        lines.of[id] = line
        created, modified = _past(dice)
        values = people.contact(dice, n, owners, line) | ready[n % BLOCKS]
        shelf.put(Thing(id, created, modified, encode(values)))
    return lines


def _deals(
    company: HubSpotCompany,
    dice: random.Random,
    count: int,
    owners: list[str],
    stages: dict[str, list[str]],
    who: list[int],
) -> None:
    shelf, links = company.shelves["deals"], company.links
    for n, id in enumerate(ids(dice, count, 24_622_879_000, company.switches["hubspot.ids"])):
        created, modified = _past(dice)
        values = people.deal(dice, n, owners, stages, stamp(created + 30 * 86_400_000))
        shelf.put(Thing(id, created, modified, encode(values)))
        for contact in dice.sample(who, min(len(who), (1, 1, 2, 0)[n % 4])):
            links.add("deals", id, "contacts", contact, "Decision maker" if n % 5 == 0 else None)


def _calls(company: HubSpotCompany, dice: random.Random, count: int, owners: list[str], lines: Lines) -> None:
    shelf, known = company.shelves["calls"], list(lines.of)
    deals = list(company.shelves["deals"].living)
    for id in ids(dice, count, 190_232_235_000, company.switches["hubspot.ids"]):
        created, modified = _past(dice)
        contact = dice.choice(known) if known else None
        values, via = call(dice, contact, lines, owners, created)
        values["hs_obj_coords"] = f"0-48-{id}"
        shelf.put(Thing(id, created, modified, encode(values)))
        company.callers[id] = (contact if via in ("association", "callee", "phone") else None, via)
        if via == "association" and contact is not None:
            company.links.add("calls", id, "contacts", contact)
        if deals and dice.random() < 0.2:
            company.links.add("calls", id, "deals", dice.choice(deals))


def call(dice: random.Random, contact: int | None, lines: Lines, owners: list[str], at: int) -> tuple[Record, str]:
    """A call's properties, and what gives the caller away: association, callee, phone, shared, or unknown."""
    line = lines.of[contact] if contact is not None else people.Line("+79990000000", None)
    roll = dice.random()
    via = "association" if roll < 0.6 else "callee" if roll < 0.7 else "phone" if roll < 0.9 else "unknown"
    if via == "phone" and (line.spelled in (*people.NO_NUMBER, None) or line.number in lines.shared):
        via = "shared" if line.number in lines.shared else "unknown"
    outside = people.spell(dice, line.number)
    if via == "unknown":
        outside = dice.choice((f"+7999{dice.randrange(10**7):07d}", "(509) 999 9999", "anonymous", "", "sip:104"))
    inbound, own = dice.random() < 0.5, dice.choice(people.OWN_NUMBERS)
    values: Record = {
        "hs_timestamp": stamp(at // 1000 * 1000),
        "hs_call_title": words.title(dice),
        "hs_call_direction": "INBOUND" if inbound else "OUTBOUND",
        "hs_call_disposition": dice.choice(list(DISPOSITIONS.values())),
        "hs_call_duration": str(dice.choice((0, dice.randrange(1_800_000)))),
        "hs_call_from_number": outside if inbound else own,
        "hs_call_to_number": own if inbound else outside,
        "hs_call_status": "COMPLETED" if roll < 0.8 else "NO_ANSWER",
        "hs_call_source": "INTEGRATIONS_PLATFORM",
        "hubspot_owner_id": dice.choice(owners),
    }
    if via == "callee":
        values |= {"hs_call_callee_object_id": str(contact), "hs_call_callee_object_type": "CONTACT"}
    return values, via
