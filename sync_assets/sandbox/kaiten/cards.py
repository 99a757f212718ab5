"""The shelf of cards: a hundred thousand records that are served a page at a time without being decoded.

The non-obvious decision: a card is kept as the bytes of its own flat fields plus the few values that
queries ask for. Board, column, lane, type, owner, members and tags are joined on as ready-made bytes when
it is served, so renaming a board reaches all its cards at once (as it does live, where no `updated` moves)
and costs nothing.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from sync_assets.sandbox.dialect import Record, decode, encode
from sync_assets.sandbox.kaiten import shapes

if TYPE_CHECKING:
    from sync_assets.sandbox.kaiten.company import KaitenCompany

INDEXED = (
    "id", "created", "updated", "condition", "board_id", "column_id", "lane_id", "type_id", "owner_id",
    "sort_order",
)  # fmt: skip


class Card(msgspec.Struct, gc=False):
    id: int
    created: str
    updated: str
    condition: int
    board_id: int
    column_id: int
    lane_id: int | None
    type_id: int | None
    owner_id: int
    sort_order: float
    flat: bytes
    description: str | None
    members: list[tuple[int, int]]
    tags: list[tuple[int, str]]
    single: Record
    # The row as served, and the generation of what was joined on.
    served: tuple[int, bytes] | None = None

    def fields(self) -> Record:
        record: Record = decode(self.flat)
        return record


class Cards:
    def __init__(self, company: "KaitenCompany", *, bare: bool = False) -> None:
        self._company = company
        # Replayed cards are whole already: nothing is joined on to a recorded row.
        self._bare = bare
        self.by_id: dict[int, Card] = {}
        self._joined: dict[tuple[Any, ...], bytes] = {}
        self._found: dict[Any, list[Card]] = {}
        self._generation = 0

    def forget_joined(self) -> None:
        self._joined.clear()
        self._generation += 1

    def forget_found(self) -> None:
        self._found.clear()

    def put(self, flat: Record, **own: Any) -> Card:
        """Shelve a card from its flat fields; `own` = description, members, tags, single."""
        lane, kind = flat.get("lane_id"), flat.get("type_id")
        card = Card(
            flat["id"],
            flat.get("created", ""),
            flat.get("updated", ""),
            flat.get("condition", 1),
            flat.get("board_id", 0),
            flat.get("column_id", 0),
            lane,
            kind,
            flat.get("owner_id", 0),
            flat.get("sort_order", 0.0),
            encode(flat),
            own.get("description"),
            own.get("members", []),
            own.get("tags", []),
            own.get("single", {}),
        )
        self.by_id[card.id] = card
        return card

    def rewrite(self, card: Card, changes: Record) -> None:
        flat = card.fields() | changes
        for name in INDEXED:
            if name in changes:
                setattr(card, name, changes[name])
        card.flat, card.served = encode(flat), None

    def find(
        self, query: dict[str, str], wanted: Callable[[Card], bool], order: Iterable[tuple[str, bool]]
    ) -> list[Card]:
        """All cards that a query means, in its order; remembered until the company changes."""
        key = tuple(sorted((k, v) for k, v in query.items() if k not in ("limit", "offset")))
        if key not in self._found:
            found = sorted((card for card in self.by_id.values() if wanted(card)), key=attrgetter("id"))
            for name, descending in reversed(list(order)):
                found.sort(key=attrgetter(name), reverse=descending)
            self._found[key] = found
        return self._found[key]

    def row(self, card: Card, *, description: bool = False) -> bytes:
        if card.served is None or card.served[0] != self._generation:
            card.served = (self._generation, self._join(card))
        row = card.served[1]
        if description and (not self._bare or card.description is not None):
            return b"".join((row[:-1], b',"description":', encode(card.description), b"}"))
        return row

    def _join(self, card: Card) -> bytes:
        if self._bare:
            return card.flat
        return b"".join(
            (
                card.flat[:-1],
                self._place(card.board_id, card.column_id, card.lane_id),
                self._stub("card_types", "type", card.type_id, shapes.TYPE_STUB),
                self._stub("users", "owner", card.owner_id, shapes.USER_STUB),
                self._people(card),
                self._labels(card),
                b"}",
            )
        )

    def full(self, card: Card) -> bytes:
        """The by-id shape: the list's, with what lists omit."""
        more = dict(card.single)
        if not self._bare:
            flat = card.fields()
            more = shapes.SINGLE_CARD | more
            for side in ("parents", "children"):
                more[side] = [
                    self._relative(id) | {"card_id": card.id} for id in flat[f"{side}_ids"] or () if id in self.by_id
                ]
        row = self.row(card, description=True)
        return row[:-1] + b"," + encode(more)[1:] if more else row

    def _relative(self, card_id: int) -> Record:
        return shapes.only(self.by_id[card_id].fields(), shapes.CARD_STUB)

    def _people(self, card: Card) -> bytes:
        users = self._company.tables["users"]
        tail = b',"card_id":%d,"user_id":%d,"type":%d}'
        return b',"members":[%b]' % b",".join(
            self._part("member", user, lambda id: shapes.only(users[id], shapes.USER_STUB))[:-1]
            + tail % (card.id, user, role)
            for user, role in card.members
            if user in users
        )

    def _labels(self, card: Card) -> bytes:
        tags = self._company.tables["tags"]
        return b',"tags":[%b]' % b",".join(
            self._part("tag", tag, lambda id: shapes.only(tags[id], ("id", "name", "color")))[:-1]
            + b',"card_id":%d,"tag_id":%d,"created":"%b"}' % (card.id, tag, created.encode())
            for tag, created in card.tags
            if tag in tags
        )

    def _stub(self, table: str, label: str, key: int | None, names: tuple[str, ...]) -> bytes:
        records = self._company.tables[table]
        found = self._part(label, key, lambda id: shapes.only(records[id], names) if id in records else None)
        return b',"%b":' % label.encode() + found

    def _part(self, label: str, key: Any, build: Callable[[Any], Record | None]) -> bytes:
        part = self._joined.get((label, key))
        if part is None:
            part = self._joined[label, key] = encode(build(key))
        return part

    def _place(self, board_id: int, column_id: int, lane_id: int | None) -> bytes:
        key = ("place", board_id, column_id, lane_id)
        if key not in self._joined:
            self._joined[key] = b"," + encode(self._build_place(board_id, column_id, lane_id))[1:-1]
        return self._joined[key]

    def _build_place(self, board_id: int, column_id: int, lane_id: int | None) -> Record:
        tables = self._company.tables
        board = tables["boards"][board_id]
        column = tables["columns"].get(column_id)
        lane = tables["lanes"].get(lane_id) if lane_id is not None else None
        space = shapes.only(tables["spaces"][board["space_id"]], ("id", "uid", "title"))
        summary = shapes.only(board, ("id", "uid", "title", "external_id"))
        parent = tables["columns"].get(column["column_id"]) if column and column["column_id"] else None
        short = ("id", "title")
        return {
            "board": summary,
            "column": shapes.only(column, shapes.COLUMN_STUB) if column else None,
            "lane": shapes.only(lane, shapes.LANE_STUB) if lane else None,
            "path_data": {
                "space": space,
                "board": {**shapes.only(board, short), "spaces": [space]},
                "lane": shapes.only(lane, short) if lane else None,
                "column": shapes.only(parent or column or {}, short),
                "subcolumn": shapes.only(column, short) if parent and column else None,
            },
        }
