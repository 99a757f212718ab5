"""What people type into a CRM: one phone number in a dozen spellings, amounts with fifty digits, and nothing at all.

The non-obvious decision: a number is drawn as digits that a phone library accepts and only then spelled, so the
world knows who called while the records show only what HubSpot would.
"""

import random
from dataclasses import dataclass

from sync_assets.sandbox import words
from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.hubspot.definitions import ANSWERS, OPTIONS

# The company's own lines; they stand on the other side of every call.
OWN_NUMBERS = ("+74951234567", "+78003334455")
# Spellings of a Russian number; x is each digit after the country code.
SPELLINGS = (
    "+7xxxxxxxxxx", "8xxxxxxxxxx", "+7 (xxx) xxx-xx-xx", "8 (xxx) xxx-xx-xx", "7xxxxxxxxxx", "xxx xxx xx xx",
    "+7 xxx xxxxxxx доб. 12", "8-xxx-xxx-xx-xx", " +7(xxx)xxxxxxx ",
)  # fmt: skip
ABROAD = ("+1-509-555-{:04d}", "+1 (415) 555-{:04d}", "+380 93 180 {:04d}", "+7 701 555 {:04d}", "+4930123{:04d}")
NO_NUMBER = ("", "n/a", "нет", "555-122-2323")
AMOUNTS = (
    "0.40000000000000002220446049250313080847263336181640625", "3000", "0.0", "0", "", "293.68326",
    "12345678901234567890.123456789012345678901234567890", "199.99", "1500000", "0.1000000000000000055511151231257827",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A phone line: its digits for the world, its spelling for the record."""

    number: str
    spelled: str | None


def line(dice: random.Random, n: int) -> Line:
    """The n-th person's number; one in twenty lives abroad, one in ten left the field empty or useless."""
    roll = dice.random()
    if roll < 0.05:
        spelled = ABROAD[n % len(ABROAD)].format(n % 10_000)
        return Line("".join(c for c in spelled if c.isdigit() or c == "+"), spelled)
    number = f"+79{(16_000_0000 + n * 37) % 1_000_000_000:09d}"
    if roll < 0.15:
        return Line(number, (*NO_NUMBER, None)[n % 5])
    return Line(number, spell(dice, number))


def spell(dice: random.Random, number: str) -> str:
    """A Russian number as somebody would write it; any other as it is."""
    if not number.startswith("+79") or len(number) != 12:
        return number
    digits = iter(number[2:])
    return "".join(next(digits) if c == "x" else c for c in dice.choice(SPELLINGS))


def contact(dice: random.Random, n: int, owners: list[str], own: Line) -> Record:
    """The n-th contact's properties, without those that are null."""
    roll = dice.random()
    values: Record = {
        "firstname": dice.choice(words.FIRST),
        "lastname": dice.choice(words.LAST),
        "lifecyclestage": dice.choice(OPTIONS["lifecyclestage"]),
        # The trap: contacts have it too, and it is not the one that moves.
        "hs_lastmodifieddate": "2020-01-01T00:00:00Z",
    }
    if own.spelled is not None:
        values["phone"] = own.spelled
        values["hs_searchable_calculated_phone_number"] = "".join(filter(str.isdigit, own.spelled))[-10:]
    if roll < 0.93:
        values["email"] = f"person{n}@example.test"
    if roll < 0.8:
        values["hubspot_owner_id"] = dice.choice(owners)
    if roll < 0.5:
        values["vsl_watched"] = ("true", "false", "")[n % 3]
        values["vsl_watch_duration"] = ("293.68326", "0", "3000", "0.0", "")[n % 5]
    if 0.3 < roll < 0.6:
        values |= {"interests": "drawings;courses", "city": dice.choice(words.PLACES), "notes": words.prose(dice, 2)}
    if roll > 0.95:
        values["total_revenue"] = dice.choice(AMOUNTS)
    return values


def deal(dice: random.Random, n: int, owners: list[str], stages: dict[str, list[str]], closed: str) -> Record:
    pipeline = dice.choice(list(stages))
    stage = dice.choice(stages[pipeline])
    values: Record = {
        "dealname": words.title(dice),
        "amount": dice.choice(AMOUNTS) if n % 3 else f"{dice.randrange(10**9)}.{dice.randrange(10**40)}",
        "pipeline": pipeline,
        "dealstage": stage,
        "deal_currency_code": dice.choice(OPTIONS["deal_currency_code"]),
        "hs_open_deal_create_date": str(1_743_685_150_726 + n),
        "hs_is_closed": "true" if stage.startswith("closed") else "false",
    }
    if n % 4:
        values["closedate"] = closed
        values["hubspot_owner_id"] = dice.choice(owners)
    for name in ("qualified_status", "trial_status", "payment_status"):
        if dice.random() < 0.7:
            values[name] = dice.choice(OPTIONS[name])
    return values


def filler(dice: random.Random, name: str, type: str) -> str:
    """A value of one of the further properties."""
    match type:
        case "number":
            return f"{dice.randrange(100_000)}.{dice.randrange(100)}"
        case "datetime":
            day = f"2025-0{dice.randint(1, 9)}-1{dice.randrange(10)}"
            return f"{day}T1{dice.randrange(10)}:41:08.{dice.randrange(100, 1000)}Z"
        case "date":
            return f"2025-0{dice.randint(1, 9)}-1{dice.randrange(10)}"
        case "enumeration":
            return dice.choice(ANSWERS)
        case "bool":
            return dice.choice(("true", "false"))
    return f"{words.title(dice)} ({name[-3:]})"
