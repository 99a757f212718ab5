"""A Kaiten account rebuilt from recorded answers (a folder tree with cli/ and client/ inside).

The union, per id: records are overlaid from the oldest to the newest `updated`, then the lowest to the
highest `version`, then the fewest to the most keys, so the newest value of every key ever recorded wins and
nothing is lost. The non-obvious decision: nothing is filled in except what an endpoint cannot be without:
`columns` and `lanes` lists on boards (empty when unrecorded), and a board outside any recorded space is
readable by id only.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sync_assets.sandbox.dialect import Record, RefusedError, decode
from sync_assets.sandbox.kaiten.company import KaitenCompany
from sync_assets.sandbox.kaiten.shapes import ONLY_SINGLE

FILES = {
    "spaces": ("spaces_list",),
    "users": ("users_list", "member_users", "users_current", "user_current"),
    "card_types": ("card_types_list", "card_types"),
    "tags": ("tags_list",),
    "boards": ("boards_list", "board_get"),
    "cards": ("cards_list", "card_get_full"),
}


def load(company: KaitenCompany, folder: Path) -> None:
    if not folder.is_dir():
        raise RefusedError(f"no folder {folder} to replay")
    found = {entity: union(_recorded(folder, names)) for entity, names in FILES.items()}
    boards = found.pop("boards")
    cards = found.pop("cards")
    for entity, records in found.items():
        company.tables[entity].update(records)
    for inner in ("columns", "lanes"):
        nested = (record for board in boards.values() for record in board.get(inner) or ())
        company.tables[inner].update(union(nested))
    for id, board in boards.items():
        company.tables["boards"][id] = {k: v for k, v in board.items() if k not in ("columns", "lanes")}
    for card in cards.values():
        flat = {name: value for name, value in card.items() if name not in ONLY_SINGLE}
        single = {k: v for k, v in card.items() if k in ONLY_SINGLE and k != "description"}
        company.shelf.put(flat, description=card.get("description"), single=single)


def _recorded(folder: Path, names: Iterable[str]) -> Iterable[Record]:
    for name in names:
        for file in sorted(folder.rglob(f"{name}.json")):
            content: Any = decode(file.read_bytes())
            yield from content if isinstance(content, list) else [content]


def union(records: Iterable[Record]) -> dict[int, Record]:
    """One record per id; nested lists of columns and lanes are united as well, as recordings trim them."""
    merged: dict[int, Record] = {}
    aged = sorted(records, key=lambda r: (r.get("updated") or "", r.get("version") or 0, len(r)))
    for record in aged:
        before = merged.get(record["id"], {})
        merged[record["id"]] = before | record
        for inner in ("columns", "lanes"):
            if inner in before and inner in record:
                merged[record["id"]][inner] = list(union([*before[inner], *record[inner]]).values())
    return merged
