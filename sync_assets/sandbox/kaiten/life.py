"""A day in the company's Kaiten: cards made, moved, closed, thrown away; now and then a tag or a lane too.

The non-obvious decision: which records change is drawn from the seed and the step, never from the clock, so
two worlds of one seed live the same life.
"""

import random

from sync_assets.sandbox import words
from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kaiten.company import ACTIVE, KaitenCompany

LONG = "x" * 64


def step(company: KaitenCompany, dice: random.Random) -> None:
    board = dice.choice(sorted({c["board_id"] for c in company.tables["columns"].values()}))
    company.create_card(title=words.title(dice), board_id=board, description=words.prose(dice))
    for _ in range(3):
        company.update_card(_any_card(company, dice), title=words.title(dice), asap=dice.random() < 0.2)
    card = company.card(_any_card(company, dice))
    columns = [i for i, c in company.tables["columns"].items() if c["board_id"] == card.board_id]
    company.move_card(card.id, column_id=dice.choice(columns))
    company.add_tag(_any_card(company, dice), dice.choice(list(company.tables["tags"])))
    company.add_member(_any_card(company, dice), dice.choice(list(company.tables["users"])), responsible=True)
    if (tagged := next((c for c in company.cards.values() if c.tags), None)) is not None:
        company.remove_tag(tagged.id, tagged.tags[0][0])
    company.archive_card(_any_card(company, dice))
    if len(company.cards) > 20:
        company.delete_card(_any_card(company, dice))
    match dice.randrange(6):
        case 0:
            company.create_tag(f"{dice.choice(words.TAGS)} {dice.randrange(10_000)}")
        case 1:
            company.update("tags", dice.choice(list(company.tables["tags"])), color=dice.randint(1, 17))
        case 2:
            company.update("spaces", dice.choice(list(company.tables["spaces"])), title=words.title(dice))
        case 3:
            company.create("lanes", board_id=board, title=words.title(dice), sort_order=dice.uniform(1, 9))
        case 4:
            live = [i for i, lane in company.tables["lanes"].items() if lane["condition"] == ACTIVE]
            if len(live) > len(company.tables["boards"]) + 2:
                company.archive_lane(live[-1])
        case 5:
            company.link_cards(_any_card(company, dice), _any_card(company, dice))


def _any_card(company: KaitenCompany, dice: random.Random) -> int:
    return dice.choice(list(company.cards))


def afflict(company: KaitenCompany, fault: str) -> None:
    """L3, S3 and S7 as facts of this world."""
    cards = list(company.cards)
    if fault == "L3":
        for parent, child in ((0, 1), (1, 2), (2, 0), (3, 3)):
            company.link_cards(cards[parent], cards[child])
    elif fault == "S3":
        _rename(company, ['x"; drop table cards; --', "'); delete from sync.logs; --", LONG + "one", LONG + "two"])
    elif fault == "S7":
        _rename(company, ["![x](http://trap.test/x.png)", "[click](javascript:alert(1))", "<script>alert(1)</script>"])


def _rename(company: KaitenCompany, names: list[str]) -> None:
    tables = company.tables
    for name, card, tag, kind, board in zip(
        names, company.cards, tables["tags"], tables["property_definitions"], list(tables["boards"]) * 2, strict=False
    ):
        named: Record = {"name": name}
        company.update_card(card, title=name)
        company.update("tags", tag, **named)
        company.update("property_definitions", kind, **named)
        company.update("boards", board, title=name)
