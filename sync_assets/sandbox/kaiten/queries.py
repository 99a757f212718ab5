"""What the query of GET /cards means.

The non-obvious decision: both ends of a time range are inclusive (`updated >= x` was seen live), and a
moment is compared in Kaiten's own spelling, so any ISO form of it finds the same cards.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from sync_assets.sandbox.kaiten.cards import Card
from sync_assets.sandbox.kaiten.company import ARCHIVED, KaitenCompany
from sync_assets.sandbox.kaiten.shapes import stamp

Wanted = Callable[[Card], bool]
ORDERS = ("id", "created", "updated", "sort_order")
# singular and plural parameter -> attribute
PLACES = {
    "board_id": "board_id", "column_id": "column_id", "column_ids": "column_id", "lane_id": "lane_id",
    "owner_id": "owner_id", "owner_ids": "owner_id", "type_id": "type_id", "type_ids": "type_id",
    "condition": "condition",
}  # fmt: skip


def _numbers(text: str) -> set[int]:
    return {int(part) for part in text.split(",") if part}


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    return stamp(moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC))


def wanted(query: dict[str, str], company: KaitenCompany) -> Wanted:
    tests: list[Wanted] = []
    for name, attribute in PLACES.items():
        if query.get(name):
            among = _numbers(query[name])
            tests.append(lambda card, a=attribute, among=among: getattr(card, a) in among)  # type: ignore[misc]
    for field in ("created", "updated"):
        if text := query.get(f"{field}_after"):
            moment = _moment(text)
            tests.append(lambda card, f=field, m=moment: getattr(card, f) >= m)  # type: ignore[misc]
        if text := query.get(f"{field}_before"):
            moment = _moment(text)
            tests.append(lambda card, f=field, m=moment: getattr(card, f) <= m)  # type: ignore[misc]
    if space := query.get("space_id"):
        boards = {id for id, board in company.tables["boards"].items() if board.get("space_id") == int(space)}
        tests.append(lambda card: card.board_id in boards)
    if archived := query.get("archived"):
        tests.append(lambda card: (card.condition == ARCHIVED) == (archived == "true"))
    if tags := query.get("tag_ids"):
        any_of = _numbers(tags)
        tests.append(lambda card: any(tag in any_of for tag, _ in card.tags))
    return lambda card: all(test(card) for test in tests)


def order(query: dict[str, str]) -> list[tuple[str, bool]]:
    """(attribute, descending) pairs; an unknown name is an error: silence would hide a client's typo."""
    names = [name for name in query.get("order_by", "").split(",") if name]
    directions = query.get("order_direction", "").split(",")
    if unknown := [name for name in names if name not in ORDERS]:
        raise ValueError(f"order_by {unknown}")
    pairs = zip(names, [*directions, *["asc"] * len(names)], strict=False)
    return [(name, direction.lower() == "desc") for name, direction in pairs]
