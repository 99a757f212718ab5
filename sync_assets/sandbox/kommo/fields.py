"""Custom fields: what this account defines, what people put into them, and what a write may.

The non-obvious decision: a record keeps values by the field's id alone. Name, code and type are joined on when it is
read, so renaming a field reaches every record at once and moves no stamp, as it does live.
"""

import random
from typing import Any

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import FOUNDED
from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kommo.errors import Invalid, no_choice, wrong_type
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID

PHONE, EMAIL = ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER"), ("WORK", "PRIV", "OTHER")
# name, type, code, enums, and the share of records that have it
DEFINED: dict[str, tuple[tuple[str, str, str | None, tuple[str, ...], float], ...]] = {
    "leads": (
        ("Адрес объекта", "text", None, (), 0.5), ("Площадь, м²", "numeric", None, (), 0.6),
        ("Договор подписан", "checkbox", None, (), 0.4), ("Канал", "select", None, ("Сайт", "Звонок", "Referral"), 0.7),
        ("Работы", "multiselect", None, ("Фасад", "Кровля", "HVAC", "Отделка"), 0.5),
        ("Дата замера", "date", None, (), 0.3), ("Встреча", "date_time", None, (), 0.2),
        ("Смета", "url", None, (), 0.2), ("Пожелания", "textarea", None, (), 0.3),
        ("НДС", "radiobutton", None, ("С НДС", "Без НДС"), 0.4), ("Аванс", "monetary", None, (), 0.3),
        ("utm_source", "tracking_data", "UTM_SOURCE", (), 0.3), ("Договор", "file", None, (), 0.1),
    ),
    "contacts": (
        ("Телефон", "multitext", "PHONE", PHONE, 0.9), ("Email", "multitext", "EMAIL", EMAIL, 0.7),
        ("Должность", "text", "POSITION", (), 0.4), ("День рождения", "birthday", None, (), 0.2),
        ("Адрес", "smart_address", None, (), 0.2),
    ),
    "companies": (
        ("Телефон", "multitext", "PHONE", PHONE, 0.8), ("Email", "multitext", "EMAIL", EMAIL, 0.5),
        ("Web", "url", "WEB", (), 0.5), ("Адрес", "streetaddress", "ADDRESS", (), 0.5),
        ("Реквизиты", "legal_entity", None, (), 0.4),
    ),
}  # fmt: skip
SHARES = {(entity, name): share for entity, known in DEFINED.items() for name, _, _, _, share in known}
CHOICES = ("select", "multiselect", "radiobutton", "multitext")


def definition(
    entity: str, id: int, name: str, type: str, code: str | None = None, enums: tuple[str, ...] = ()
) -> Record:
    listed = [{"id": id * 100 + n, "value": value, "sort": 2 * n} for n, value in enumerate(enums, 1)]
    return {
        "id": id, "name": name, "type": type, "account_id": ACCOUNT_ID, "code": code, "sort": 500 + id % 100,
        "is_api_only": False, "enums": listed or None, "group_id": None, "required_statuses": [],
        "is_deletable": code is None, "is_predefined": code is not None, "entity_type": entity, "remind": None,
    }  # fmt: skip


def drawn(dice: random.Random, definition: Record, numbers: str) -> list[Record]:
    """What somebody typed; `numbers` says whether a numeric field holds strings, numbers, or either."""
    enums = definition["enums"] or ()
    value: Any
    match definition["type"]:
        case "numeric":
            amount = dice.choice((dice.randrange(10_000), dice.randrange(1_000_000) / 100))
            spell = numbers == "string" or (numbers == "mixed" and dice.random() < 0.8)
            value = str(amount) if spell else amount
        case "monetary":
            value = f"{dice.randrange(10**7)}.{dice.randrange(100):02d}"
        case "checkbox":
            value = True
        case "date" | "birthday":
            value = int(FOUNDED.timestamp()) // 86_400 * 86_400 - 10_800 + 86_400 * dice.randrange(-9000, 90)
        case "date_time":
            value = int(FOUNDED.timestamp()) + 900 * dice.randrange(-9000, 9000)
        case "url":
            value = f"https://example.test/{dice.randrange(10_000)}"
        case "textarea":
            value = words.prose(dice, 3)
        case "tracking_data":
            value = dice.choice(("yandex", "google", "tg", "{source}"))
        case "file":
            own = {"file_uuid": words.uid(dice), "version_uuid": words.uid(dice), "file_name": "Договор №17.pdf"}
            value = own | {"file_size": dice.randrange(10**7), "is_deleted": False}
        case "legal_entity":
            firm: Record = {
                "name": f"ООО «{dice.choice(words.PLACES)}»",
                "entity_type": 1,
                "vat_id": f"77{dice.randrange(10**8):08d}",
            }
            value = firm | {"kpp": "770101001", "external_uid": None}
        case "smart_address":
            parts = (("address_line_1", f"ул. Ленина, {dice.randrange(1, 99)}"), ("city", "Тверь"), ("country", "RU"))
            return [{"value": text, "enum_id": n, "enum_code": code} for n, (code, text) in enumerate(parts, 1)]
        case "multitext":
            count = 2 if dice.random() < 0.15 else 1
            return [_multitext(dice, definition, enum) for enum in dice.sample(enums, count)]
        case "multiselect":
            chosen = dice.sample(enums, dice.randint(1, len(enums)))
            return [_chosen(enum) for enum in sorted(chosen, key=lambda enum: int(enum["id"]))]
        case "select" | "radiobutton":
            return [_chosen(dice.choice(enums))]
        case _:
            value = f"{dice.choice(words.PLACES)} {dice.randrange(1, 200)}"
    return [{"value": value}]


def _chosen(enum: Record) -> Record:
    return {"value": enum["value"], "enum_id": enum["id"], "enum_code": None}


def _multitext(dice: random.Random, definition: Record, enum: Record) -> Record:
    if definition["code"] == "EMAIL":
        text = f"person{dice.randrange(10**6)}@example.test"
    else:
        digits = f"{dice.randrange(10**9):09d}"
        spelling = dice.choice(("+79{}", "89{}", "+7 (9{1}) {2}-{3}", "79{}", "+7 9{1} {2} {3}"))
        text = spelling.format(digits, digits[:2], digits[2:5], digits[5:])
    return {"value": text, "enum_id": enum["id"], "enum_code": enum["value"]}


def checked(definition: Record, given: Any, path: str) -> list[Record]:
    """Values as a write gives them, completed as a read shows them; no values at all empty the field."""
    kept = []
    if given is not None and not isinstance(given, list):
        raise wrong_type(f"{path}.values", "array")
    for n, value in enumerate(given or ()):
        if not isinstance(value, dict) or not value.keys() & {"value", "enum_id", "enum_code"}:
            raise Invalid("FieldMissing", f"{path}.values.{n}.value", "This field is missing.")
        if any(part is not None for part in value.values()):
            kept.append(_checked(definition, value, f"{path}.values.{n}"))
    return kept


def _checked(definition: Record, value: Record, path: str) -> Record:
    kind = definition["type"]
    if kind in CHOICES:
        wanted, own = {"id": value.get("enum_id"), "value": value.get("enum_code")}, definition["code"] is not None
        if not own and wanted["id"] is None:
            wanted["value"] = value.get("value")
        found = next((e for e in definition["enums"] if e["id"] == wanted["id"] or e["value"] == wanted["value"]), None)
        if found is None and own and wanted == {"id": None, "value": None}:
            found = definition["enums"][0]
        if found is None:
            raise no_choice(f"{path}.{'enum_id' if wanted['id'] is not None else 'value'}")
        if own:
            return {"value": str(value.get("value", "")), "enum_id": found["id"], "enum_code": found["value"]}
        return _chosen(found)
    if kind in ("date", "birthday", "date_time") and not isinstance(value.get("value"), int):
        raise wrong_type(f"{path}.value", "int")
    if kind == "numeric":
        try:
            float(value.get("value") or 0)
        except (TypeError, ValueError):
            raise wrong_type(f"{path}.value", "numeric") from None
        return {"value": str(value["value"])}
    return {"value": value.get("value")}
