"""The Kaiten side of the company: its records and the edits that people make to them.

Promise: each edit moves `updated` (and a card's `version`), follows Kaiten's own rules (state follows the
column's type, a deleted board takes its cards along), and is seen by the next request. The non-obvious
decision: a deleted lane stays in its table with condition 3, because Kaiten goes on listing it; all else
that is deleted is gone.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.kaiten import shapes
from sync_assets.sandbox.kaiten.cards import Card, Cards
from sync_assets.sandbox.kaiten.shapes import stamp
from sync_assets.sandbox.webhooks.news import News

FIRST_IDS = {
    "spaces": 810_660, "users": 1_068_500, "card_types": 692_700, "tags": 1_110_700, "boards": 1_826_100,
    "property_definitions": 19, "property_values": 4_400, "catalog_values": 71_000, "columns": 6_308_500,
    "lanes": 2_293_500, "cards": 67_089_400,
}  # fmt: skip
ACTIVE, ARCHIVED, DELETED = 1, 2, 3
DONE, IN_PROGRESS = 3, 2


class KaitenCompany:
    def __init__(self, dice: random.Random, clock: Clock, lock: threading.RLock, *, bare: bool = False) -> None:
        self.dice, self.clock, self.lock, self.bare = dice, clock, lock, bare
        self.revision, self.news = 0, News()
        self.tables: dict[str, dict[int, Record]] = {entity: {} for entity in shapes.SHAPES}
        self.shelf = Cards(self, bare=bare)
        self._last_ids = dict(FIRST_IDS)

    @contextmanager
    def changing(self, *, cards_only: bool = False) -> Iterator[None]:
        with self.lock, self.news.scope():
            yield
            self.revision += 1
            self.shelf.forget_found()
            if not cards_only:
                self.shelf.forget_joined()

    @property
    def cards(self) -> dict[int, Card]:
        return self.shelf.by_id

    def new_id(self, entity: str) -> int:
        self._last_ids[entity] += self.dice.randint(1, 3)
        return self._last_ids[entity]

    def table(self, entity: str) -> dict[int, Record]:
        if entity not in self.tables:
            raise RefusedError(f"no Kaiten entity {entity!r}; known: {', '.join(self.tables)}, cards")
        return self.tables[entity]

    def create(self, entity: str, *, at: datetime | None = None, **fields: Any) -> int:
        """A new space, user, tag, board, column, lane, ...; `at` is for seeded history."""
        with self.changing():
            now = stamp(at or self.clock.now())
            record: Record = {"id": self.new_id(entity), "uid": words.uid(self.dice)}
            record |= {"created": now, "updated": now, **self._own_shape(entity, record), **fields}
            self.table(entity)[record["id"]] = record
            self.news.tell("add", entity, record["id"])
            return int(record["id"])

    def _own_shape(self, entity: str, record: Record) -> Record:
        own = dict(shapes.SHAPES[entity])
        if entity == "spaces":
            own["entity_uid"] = record["uid"]
        elif entity == "users":
            own["user_id"] = record["id"]
        elif entity == "boards":
            own["email_key"] = f"{self.dice.getrandbits(64):016x}"
        return own

    def update(self, entity: str, id: int, **fields: Any) -> None:
        with self.changing():
            record, changes = self._known(entity, id), {"updated": stamp(self.clock.now()), **fields}
            self.news.tell("update", entity, id, dict(record), changes)
            record.update(changes)

    def delete(self, entity: str, id: int) -> None:
        with self.changing():
            self._known(entity, id)
            if entity == "spaces":
                self._delete_all("boards", "space_id", id)
            elif entity == "boards":
                self._delete_cards("board_id", id)
                for inner in ("columns", "lanes"):
                    table = self.tables[inner]
                    self.tables[inner] = {k: v for k, v in table.items() if v["board_id"] != id}
            elif entity == "columns":
                self._delete_all("columns", "column_id", id)
                self._delete_cards("column_id", id)
            elif entity == "property_definitions":
                self._delete_all("property_values", "custom_property_id", id)
                self._delete_all("catalog_values", "custom_property_id", id)
            elif entity == "tags":
                for card in self.cards.values():
                    if any(tag == id for tag, _ in card.tags):
                        self.remove_tag(card.id, id)
            if entity == "lanes":
                self._delete_cards("lane_id", id)
                self.update("lanes", id, condition=DELETED)
            else:
                del self.table(entity)[id]

    def _delete_all(self, entity: str, field: str, value: int) -> None:
        for id in [id for id, record in self.tables[entity].items() if record[field] == value]:
            self.delete(entity, id)

    def _delete_cards(self, field: str, value: int) -> None:
        for id in [id for id, card in self.cards.items() if getattr(card, field) == value]:
            self.delete_card(id)

    def _known(self, entity: str, id: int) -> Record:
        record = self.table(entity).get(id)
        if record is None:
            raise RefusedError(f"no {entity} {id}")
        return record

    def create_board(self, space_id: int, *, title: str = "New board", **fields: Any) -> int:
        """A board as Kaiten makes it: three columns and a lane are there at once."""
        self._known("spaces", space_id)
        with self.changing():
            board = self.create("boards", space_id=space_id, title=title, **fields)
            for kind, name in enumerate(("Очередь", "В работе", "Готово"), 1):
                self.create("columns", board_id=board, title=name, type=kind, sort_order=float(kind))
            self.create("lanes", board_id=board, title="Default lane")
        return board

    def create_tag(self, name: str, **fields: Any) -> int:
        return self.create("tags", name=name, **fields)

    def delete_tag(self, id: int) -> None:
        self.delete("tags", id)

    def archive_lane(self, id: int) -> None:
        self.update("lanes", id, condition=ARCHIVED)

    def delete_lane(self, id: int) -> None:
        self.delete("lanes", id)

    def delete_board(self, id: int) -> None:
        self.delete("boards", id)

    def deactivate_user(self, id: int) -> None:
        self.update("users", id, activated=False, role=3)

    def card(self, id: int) -> Card:
        card = self.cards.get(id)
        if card is None:
            raise RefusedError(f"no card {id}")
        return card

    def create_card(self, *, at: datetime | None = None, **fields: Any) -> int:
        """A new card; without `board_id` it lands in the first board's first column and live lane."""
        with self.changing(cards_only=True):
            board = fields.setdefault("board_id", next(iter(self.tables["boards"]), 0))
            self._known("boards", board)
            column = fields.setdefault("column_id", next(self._inside("columns", board), 0))
            self._known("columns", column)
            lanes = (i for i in self._inside("lanes", board) if self.tables["lanes"][i]["condition"] == ACTIVE)
            fields.setdefault("lane_id", next(lanes, None))
            fields.setdefault("owner_id", next(iter(self.tables["users"]), 0))
            now = stamp(at or self.clock.now())
            description = fields.pop("description", None)
            members, tags = fields.pop("members", []), fields.pop("tags", [])
            flat = {"id": self.new_id("cards"), "uid": words.uid(self.dice)} | shapes.CARD
            flat |= {"created": now, "updated": now, "counters_recalculated_at": now, "last_moved_at": now}
            flat |= {"sort_order": self.dice.uniform(0.5, 900), "state": self.tables["columns"][column]["type"]}
            flat |= {"updater_id": fields["owner_id"], "description_filled": description is not None, **fields}
            if tags:
                flat["tag_ids"] = list(tags)
            pinned = [(tag, now) for tag in tags]
            self.news.tell("add", "cards", flat["id"])
            return self.shelf.put(flat, description=description, members=members, tags=pinned).id

    def _inside(self, entity: str, board_id: int) -> Iterator[int]:
        return (id for id, record in self.tables[entity].items() if record["board_id"] == board_id)

    def update_card(self, id: int, **fields: Any) -> None:
        with self.changing(cards_only=True):
            card = self.card(id)
            flat = card.fields()
            before = flat | {"description": card.description}
            changes: Record = {"updated": stamp(self.clock.now()), "version": flat.get("version", 0) + 1, **fields}
            told = dict(changes)
            if "description" in changes:
                card.description = changes.pop("description")
                changes["description_filled"] = card.description is not None
            if changes.get("properties"):
                merged = (flat.get("properties") or {}) | changes["properties"]
                changes["properties"] = {k: v for k, v in merged.items() if v is not None} or None
            self.news.tell("update", "cards", id, before, told | changes)
            self.shelf.rewrite(card, changes)

    def move_card(
        self, id: int, *, column_id: int | None = None, lane_id: int | None = None, board_id: int | None = None
    ) -> None:
        card, now = self.card(id), stamp(self.clock.now())
        if board_id is not None and column_id is None:
            column_id = next(self._inside("columns", board_id))
            lane_id = lane_id or next(self._inside("lanes", board_id), None)
        changes: Record = {"last_moved_at": now, "board_id": board_id or card.board_id}
        if column_id is not None and column_id != card.column_id:
            state = self._known("columns", column_id)["type"]
            changes |= {"column_id": column_id, "column_changed_at": now, "state": state}
            changes["board_id"] = self.tables["columns"][column_id]["board_id"]
            if state == IN_PROGRESS:
                changes["first_moved_to_in_progress_at"] = card.fields()["first_moved_to_in_progress_at"] or now
            if state == DONE:
                changes |= {"last_moved_to_done_at": now, "completed_at": now}
        if lane_id is not None and lane_id != card.lane_id:
            changes |= {"lane_id": lane_id, "lane_changed_at": now}
        self.update_card(id, **changes)

    def archive_card(self, id: int) -> None:
        self.update_card(id, archived=True, condition=ARCHIVED)

    def restore_card(self, id: int) -> None:
        self.update_card(id, archived=False, condition=ACTIVE)

    def delete_card(self, id: int) -> Card:
        with self.changing(cards_only=True):
            card = self.card(id)
            for relative in self._relatives(card):
                self._unlink(relative, id)
            self.shelf.rewrite(card, {"condition": DELETED})
            return self.cards.pop(id)

    def _relatives(self, card: Card) -> list[int]:
        flat = card.fields()
        related = [*(flat.get("children_ids") or ()), *(flat.get("parents_ids") or ())]
        return [id for id in related if id != card.id and id in self.cards]

    def _unlink(self, id: int, gone: int) -> None:
        flat = self.card(id).fields()
        changes: Record = {}
        for side in ("children", "parents"):
            left = [other for other in flat[f"{side}_ids"] or () if other != gone]
            changes |= {f"{side}_ids": left or None, f"{side}_count": len(left)}
        self.update_card(id, **changes)

    def link_cards(self, parent: int, child: int) -> None:
        """Make one card the child of another; rings and self-parents are allowed, as they exist live."""
        for id, other, side in ((parent, child, "children"), (child, parent, "parents")):
            ids = list(dict.fromkeys([*(self.card(id).fields()[f"{side}_ids"] or ()), other]))
            self.update_card(id, **{f"{side}_ids": ids, f"{side}_count": len(ids)})

    def add_tag(self, card_id: int, tag_id: int) -> None:
        card, now = self.card(card_id), stamp(self.clock.now())
        with self.changing(cards_only=True):
            if all(tag != tag_id for tag, _ in card.tags):
                card.tags = [*card.tags, (tag_id, now)]
                self.news.tell("tag:add", card_id, tag_id)
            self.update_card(card_id, tag_ids=[tag for tag, _ in card.tags])

    def remove_tag(self, card_id: int, tag_id: int) -> None:
        card = self.card(card_id)
        with self.changing(cards_only=True):
            if any(tag == tag_id for tag, _ in card.tags):
                card.tags = [(tag, at) for tag, at in card.tags if tag != tag_id]
                self.news.tell("tag:remove", card_id, tag_id)
            self.update_card(card_id, tag_ids=[tag for tag, _ in card.tags])

    def add_member(self, card_id: int, user_id: int, *, responsible: bool = False) -> None:
        card, role = self.card(card_id), 2 if responsible else 1
        with self.changing(cards_only=True):
            before = dict(card.members).get(user_id)
            card.members = [*((u, t) for u, t in card.members if u != user_id), (user_id, role)]
            if before is None:
                self.news.tell("card_member:add", card_id, user_id, role)
            elif before != role:
                self.news.tell("card_member:update", card_id, user_id, role, before)
            self.update_card(card_id)

    def remove_member(self, card_id: int, user_id: int) -> None:
        card = self.card(card_id)
        with self.changing(cards_only=True):
            if user_id in dict(card.members):
                card.members = [(user, role) for user, role in card.members if user != user_id]
                self.news.tell("card_member:remove", card_id, user_id)
            self.update_card(card_id)
