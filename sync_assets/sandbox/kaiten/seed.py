"""The company's Kaiten account on its first day in the sandbox.

The non-obvious decision: history ends at a fixed instant (`FOUNDED`), so that the same seed gives the same
bytes on any day, and later edits, stamped by the world's clock, are always newer.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import FOUNDED
from sync_assets.sandbox.kaiten.company import KaitenCompany
from sync_assets.sandbox.kaiten.shapes import GLOBAL_CARD_TYPE, stamp

HISTORY = timedelta(days=540)


@dataclass(frozen=True)
class Size:
    spaces: int
    boards: int
    users: int
    tags: int
    cards: int


SIZES = {
    "tiny": Size(spaces=2, boards=3, users=8, tags=12, cards=250),
    "demo": Size(spaces=5, boards=12, users=20, tags=130, cards=2000),
    "bench": Size(spaces=5, boards=12, users=20, tags=130, cards=1000),
}


def found(company: KaitenCompany, size: str, cards: int | None) -> None:
    plan = SIZES[size]
    dice = company.dice
    _people(company, plan.users)
    for n in range(plan.tags):
        name = words.TAGS[n] if n < len(words.TAGS) else f"{dice.choice(words.TAGS)} {n}"
        company.create("tags", at=_past(dice), name=name, color=dice.randint(1, 17))
    _card_types(company)
    _properties(company)
    _places(company, plan)
    _cards(company, plan.cards if cards is None else cards)
    if size == "bench":
        for card in company.cards.values():
            company.shelf.row(card)


def _past(dice: random.Random) -> datetime:
    return FOUNDED - timedelta(milliseconds=dice.randrange(int(HISTORY.total_seconds() * 1000)))


def _people(company: KaitenCompany, count: int) -> None:
    dice = company.dice
    for n in range(count):
        first, last = dice.choice(words.FIRST), dice.choice(words.LAST)
        names: dict[str, Any] = {
            "full_name": f"{first} {last}",
            "username": f"user{n}",
            "email": f"user{n}@example.test",
            "initials": first[0] + last[0],
            "role": 1 if n == 0 else 2,
        }
        id = company.create("users", at=_past(dice), **names)
        if n == count - 1:
            company.tables["users"][id].update(activated=False, role=3)
        elif n == count - 2:
            # A bot: live ones were seen without a name or an address.
            record = company.tables["users"][id]
            record.update(virtual=True, username="bot")
            del record["full_name"], record["email"]


def _card_types(company: KaitenCompany) -> None:
    dice, table = company.dice, company.tables["card_types"]
    for name, letter in (("Card", "C"), ("Feature", "F"), ("Bug", "B"), ("Задача", "З")):
        id = company.create("card_types", at=_past(dice), name=name, letter=letter, color=len(table) + 1)
        if len(table) == 1:
            born = "2014-11-13T22:20:14.374Z"
            table[GLOBAL_CARD_TYPE] = table.pop(id) | {"id": GLOBAL_CARD_TYPE, "company_id": None, "created": born}


def _properties(company: KaitenCompany) -> None:
    dice = company.dice
    author = next(iter(company.tables["users"]))
    for kind, name in (
        ("string", "Номер договора"), ("number", "Бюджет"), ("date", "Дата сдачи"), ("checkbox", "Оплачено"),
        ("select", "Приоритет"), ("select", "Disciplines"), ("url", "Drawing"), ("user", "ГИП"),
        ("catalog", "Поставщик"),
    ):  # fmt: skip
        multi = name == "Disciplines"
        fields: dict[str, Any] = {"name": name, "type": kind, "author_id": author, "multi_select": multi}
        property_id = company.create("property_definitions", at=_past(dice), **fields)
        for n in range(4 if kind == "select" else 0):
            own: dict[str, Any] = {"value": f"{name} {n}", "sort_order": n + dice.random(), "author_id": author}
            company.create("property_values", at=_past(dice), custom_property_id=property_id, **own)
        for n in range(3 if kind == "catalog" else 0):
            value = {words.uid(dice): f"ООО «{dice.choice(words.PLACES)}»"}
            named: dict[str, Any] = {"name": f"Поставщик {n}", "value": value, "author_id": author}
            company.create("catalog_values", at=_past(dice), custom_property_id=property_id, **named)


def _places(company: KaitenCompany, plan: Size) -> None:
    dice = company.dice
    owner = next(iter(company.tables["users"]))
    spaces = [
        company.create(
            "spaces",
            at=_past(dice),
            title=f"{dice.choice(words.PLACES)} {n + 1}",
            user_id=owner,
            sort_order=dice.uniform(1, 900),
            archived=n == 4,
        )
        for n in range(plan.spaces)
    ]
    for n in range(plan.boards):
        title = f"{dice.choice(words.PLACES)}: {dice.choice(words.THINGS)}"
        where: dict[str, Any] = {"space_id": spaces[n % len(spaces)], "sort_order": dice.uniform(1, 900), "top": n * 10}
        board = company.create("boards", at=_past(dice), title=title, **where)
        for position, (name, kind) in enumerate((("Очередь", 1), ("In progress", 2), ("Готово", 3)), 1):
            at = _past(dice)
            column = company.create("columns", at=at, board_id=board, title=name, type=kind, sort_order=float(position))
            for part in ("Делается", "Review") if n % 4 == 0 and kind == 2 else ():
                inner: dict[str, Any] = {"board_id": board, "column_id": column, "type": kind, "title": part}
                company.create("columns", at=at, sort_order=dice.random() + 1, **inner)
        for position, name in enumerate(("Default lane", "Срочное", "Прошлый год", "Ошибка")[: 4 if n % 4 == 0 else 2]):
            fields: dict[str, Any] = {"title": name, "sort_order": position + dice.random()}
            company.create("lanes", at=_past(dice), board_id=board, condition=(1, 1, 2, 3)[position], **fields)


def _cards(company: KaitenCompany, count: int) -> None:
    dice = company.dice
    tables = company.tables
    places = []
    for board in tables["boards"]:
        lanes = [i for i, lane in tables["lanes"].items() if lane["board_id"] == board and lane["condition"] < 3]
        parents = {c["column_id"] for c in tables["columns"].values()}
        columns = [i for i, c in tables["columns"].items() if c["board_id"] == board and i not in parents]
        places += [(board, column, lane) for column in columns for lane in lanes]
    users = [id for id, user in tables["users"].items() if not user["virtual"]]
    tags, types = list(tables["tags"]), list(tables["card_types"])
    choices = {d["id"]: d for d in tables["property_definitions"].values()}
    options: dict[int, list[int]] = {}
    for value in tables["property_values"].values():
        options.setdefault(value["custom_property_id"], []).append(value["id"])
    for n in range(count):
        board, column, lane = dice.choice(places)
        created = FOUNDED - HISTORY * ((count - n) / (count + 1))
        archived = dice.random() < 0.1
        own: dict[str, Any] = {
            "title": words.title(dice),
            "board_id": board,
            "column_id": column,
            "lane_id": lane,
            "owner_id": dice.choice(users),
            "type_id": dice.choice(types),
            "description": words.prose(dice) if dice.random() < 0.7 else None,
            "members": [(user, 2 if i == 0 else 1) for i, user in enumerate(dice.sample(users, dice.randrange(3)))],
            "tags": dice.sample(tags, dice.randrange(4)),
            "archived": archived,
            "condition": 2 if archived else 1,
            "version": dice.randint(1, 9),
            "due_date": stamp(created + timedelta(days=dice.randint(1, 90))) if dice.random() < 0.4 else None,
            "size": float(dice.randint(1, 8)) if dice.random() < 0.3 else None,
            "time_spent_sum": dice.randrange(600),
            "properties": _values(dice, choices, options, users) if dice.random() < 0.6 else None,
        }
        card_id = company.create_card(at=created, **own)
        later = created + (FOUNDED - created) * (dice.random() ** 2)
        company.shelf.rewrite(company.cards[card_id], {"updated": stamp(later)})
    known = list(company.cards)
    for parent, child in zip(known[: count // 50], known[count // 2 :], strict=False):
        seeded = company.cards[parent].updated, company.cards[child].updated
        company.link_cards(parent, child)
        for id, updated in zip((parent, child), seeded, strict=True):
            company.shelf.rewrite(company.cards[id], {"updated": updated})


def _values(dice: random.Random, known: dict[int, Any], options: dict[int, list[int]], users: list[int]) -> Any:
    values: dict[str, Any] = {}
    for id, definition in known.items():
        if dice.random() < 0.5:
            continue
        match definition["type"]:
            case "string":
                values[f"id_{id}"] = f"Д-{dice.randrange(1000)}/25"
            case "number":
                values[f"id_{id}"] = dice.randrange(10_000_000) / 100
            case "date":
                day = (FOUNDED + timedelta(days=dice.randrange(300))).date().isoformat()
                values[f"id_{id}"] = {"date": day, "time": None, "tzOffset": 180}
            case "checkbox":
                values[f"id_{id}"] = dice.random() < 0.5
            case "select":
                values[f"id_{id}"] = dice.sample(options[id], 2 if definition["multi_select"] else 1)
            case "url":
                values[f"id_{id}"] = f"https://example.test/drawings/{dice.randrange(1000)}"
            case "user":
                values[f"id_{id}"] = [dice.choice(users)]
    return values or None
