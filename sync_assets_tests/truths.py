"""What a sandbox's world says is true, in the product's words, for systems whose mirror is spelled differently."""

from collections.abc import Callable, Container
from functools import lru_cache
from typing import Any

import msgspec

from sync_assets.sandbox.bitrix.shapes import LIST_ONLY
from sync_assets.systems.bitrix.numbered import ALLOWED

Record = dict[str, Any]

Told = Callable[[str], list[Record]]
"""The records of one of the world's entities."""


@lru_cache(20_000)
def remembered(record: bytes | str) -> Record:
    """For who only compares: most records are the same in every test, and to read them was a tenth of it."""
    read: Record = msgspec.json.decode(record)
    return read


IDS: dict[str, Any] = dict.fromkeys(("pipelines", "stages", "property_definitions"), str)
"""How HubSpot's ids are spelled where they are no numbers."""


def hubspot(told: Told, entity: str) -> list[Record]:
    """The portal's books in the product's words: associations are one record per source and target type."""
    if not entity.endswith("_associations"):
        found = told(entity)
        mirrored = ("contacts", "deals", "calls")
        return [r for r in found if entity != "property_definitions" or r["object_type"] in mirrored]
    sets: dict[tuple[str, str], dict[int, list[Record]]] = {}
    for row in told("associations"):
        if row["from_type"] == f"{entity.removesuffix('_associations')}s" and row["to_type"] != "companies":
            kind = {"category": row["category"], "typeId": row["type_id"], "label": row["label"]}
            targets = sets.setdefault((row["to_type"], row["from_id"]), {})
            targets.setdefault(int(row["to_id"]), []).append(kind)
    return [
        {
            "id": id,
            "to_type": to,
            "to": [
                {"toObjectId": target, "associationTypes": sorted(kinds, key=lambda k: int(k["typeId"]))}
                for target, kinds in sorted(targets.items())
            ],
        }
        for (to, id), targets in sets.items()
    ]


FIELDS = {"status_langs": ("statusId", "lid"), "users": ("ID",), "catalogs": ("iblockId",)}
"""The fields that Bitrix's keys come from, where their columns have other names."""


def bitrix(told: Told, entity: str, held: Container[int]) -> list[Record]:
    """People by the parts that are mirrored; of goods that no list shows those that orders name, and those `held`."""
    found = told(entity)
    if entity == "users":
        return [{name: value for name, value in row.items() if name in ALLOWED} for row in found]
    if entity != "products":
        return found
    named = {item["productId"] for item in told("order_items")}
    for product in told("unlisted"):
        if product["id"] in named or product["id"] in held:
            # Read one by one they have fewer fields, and their cost as text.
            shown = {name: value for name, value in product.items() if name not in LIST_ONLY}
            found.append(shown | {"purchasingPrice": f"{shown['purchasingPrice']:.6f}"})
    return found


def number(value: Any) -> Any:
    return int(value) if str(value).isdigit() else value
