"""Kaiten's external webhooks: one address per space, an envelope without id, time or signature.

Promise: keys of all eleven events that this company produces as documented; nothing is sent about lanes, columns,
people, types and properties, nor about anything that was deleted, as the vendor sends nothing. The non-obvious
decision: whether a tag put on a card is a `card:update` too is not documented; by default it is not, which is harder
for a reader.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, Record, RefusedError, Request, decode, encode, of_json
from sync_assets.sandbox.kaiten.shapes import only, stamp
from sync_assets.sandbox.webhooks.news import Heard
from sync_assets.sandbox.webhooks.vendor import Event, Hook, Letter, Said, Vendor

if TYPE_CHECKING:
    from sync_assets.sandbox.kaiten.api import Kaiten

MOST_URL = 4096

# The keys of the documented examples.
_CARD = """type_id sprint_id planned_end ignore_planned_dates_recalculation size goals_done expires_later
    last_moved_to_done_at asap children_done size_unit archived share_settings column_id goals_total service_id
    description_filled time_blocked_sum owner_id planned_start column_changed_at completed_at last_moved_at
    time_spent_sum created public parent_checklist_ids size_text blocked sort_order lane_id due_date_time_present
    external_id children_count updater_id state lane_changed_at sd_new_comment properties board_id
    first_moved_to_in_progress_at children_number_properties_sum external_user_emails version title
    counters_recalculated_at comments_total parents_count due_date completed_on_time blocking_card updated id condition
    share_id comment_last_added_at fifo_order description"""
CARD = tuple(_CARD.split())
ADDED_CARD = (*CARD, "external_links", "checklists", "files", "owner", "type")
_OLD = """sd_external_recipients project_id parents_ids calculated_planned_start parent_link_ids milestone_id tag_ids
    import_id has_blocked_children children_ids calculated_planned_end"""
OLD_CARD = (*CARD, *_OLD.split())
_BOARD = """reset_lane_spent_time move_parents_to_done automove_cards left hide_done_policies_in_done_column created
    backward_moves_enabled sort_order external_id default_card_type_id hide_done_policies first_image_is_cover top
    cell_wip_limits default_tags title updated id description"""
BOARD = tuple(_BOARD.split())
_SPACE = """archived settings private subspace created allowed_card_type_ids hidden_card_type_uids external_id title
    updated id"""
OLD = {
    "cards": OLD_CARD,
    "boards": BOARD,
    "spaces": tuple(_SPACE.split()),
    "tags": ("created", "updated", "archived", "id", "name", "company_id", "color"),
}
_MEMBER = """id full_name email username avatar_initials_url avatar_uploaded_url initials avatar_type lng timezone
    theme"""
# What recordings of flat records lack and these bodies have.
ABSENT: Record = {"ignore_planned_dates_recalculation": False, "private": False, "subspace": False}


def _shown(record: Record, names: Iterable[str]) -> Record:
    return {name: record.get(name, ABSENT.get(name)) for name in names}


class KaitenWebhooks(Vendor):
    name = "kaiten"
    timeout = 10.0

    def __init__(self, api: "Kaiten", switches: dict[str, str]) -> None:
        super().__init__(switches, api.clock, api.lock)
        self._api = api

    # Events.

    def events(self, heard: list[Heard]) -> Iterable[Event]:
        around: int | None = None
        for name, *what in heard:
            if name == "update" and what[0] == "cards" and what[1] == around:
                around = None
                if self.switches["kaiten.tag_updates"] == "no":
                    continue
            around = None
            if name in ("add", "update"):
                if (event := self._of_record(name, *what)) is not None:
                    yield event
            else:
                card, *rest = what
                around = card
                yield self._event(name, "cards", card, self._space_of_card(card), self._part(name, card, *rest))

    def _of_record(self, name: str, entity: str, id: int, *versions: Record) -> Event | None:
        tables = self._api.company.tables
        if name == "update" and entity in OLD:
            return self._event(
                f"{entity[:-1]}:update", entity, id, self._space(entity, id), self._update(entity, *versions)
            )
        if entity == "boards" and id in tables["boards"]:
            return self._event("board:add", entity, id, self._space_of_board(id), lambda: self._board(id))
        if entity == "cards" and id in self._api.company.cards:
            return self._event("card:add", entity, id, self._space_of_card(id), lambda: self._card(id))
        return None

    def _event(self, name: str, entity: str, id: int, space: int | None, body: Callable[[], Record]) -> Event:
        return Event(name, entity, str(id), lambda: {"event": name, "data": body() | {"author": self._author()}}, space)

    def _author(self) -> Record:
        first = next(iter(self._api.company.tables["users"].values()), {})
        return _shown(first, ("id", "full_name", "username", "email"))

    def _space(self, entity: str, id: int) -> int | None:
        """A tag is of no space: everybody hears of it."""
        match entity:
            case "spaces":
                return id
            case "boards":
                return self._space_of_board(id)
            case "cards":
                return self._space_of_card(id)
        return None

    def _space_of_board(self, id: int) -> int | None:
        board = self._api.company.tables["boards"].get(id)
        return board["space_id"] if board else None

    def _space_of_card(self, id: int) -> int | None:
        card = self._api.company.cards.get(id)
        return self._space_of_board(card.board_id) if card else None

    def _update(self, entity: str, old: Record, changes: Record) -> Callable[[], Record]:
        moved = {name: value for name, value in changes.items() if name in OLD[entity] and old.get(name) != value}
        if entity == "cards":
            moved["counters_recalculated_at"] = old.get("counters_recalculated_at")
        return lambda: {"old": _shown(old, OLD[entity]), "changes": moved}

    def _board(self, id: int) -> Record:
        tables = self._api.company.tables
        inside = {
            name: [row for row in tables[name].values() if row["board_id"] == id] for name in ("lanes", "columns")
        }
        return _shown(tables["boards"][id], (*BOARD, "space_id")) | inside

    def _card(self, id: int) -> Record:
        shelf = self._api.company.shelf
        return _shown(decode(shelf.full(self._api.company.cards[id])), ADDED_CARD)

    def _part(self, name: str, card: int, id: int, role: int = 1, before: int = 1) -> Callable[[], Record]:
        tables = self._api.company.tables
        keys = {"card_id": card, "user_id": id}
        match name:
            case "tag:add":
                return lambda: _shown(tables["tags"].get(id, {"id": id}), OLD["tags"]) | {"card_id": card}
            case "tag:remove":
                return lambda: {"id": id, "card_id": card}
            case "card_member:add":
                own = tables["users"].get(id, {"id": id})
                return lambda: _shown(own, _MEMBER.split()) | {"type": role, "card_id": card}
            case "card_member:update":
                return lambda: {"old": keys | {"type": before}, "changes": keys | {"type": role}}
        return lambda: keys

    def invented(self, name: str, entity: str, key: str) -> Event:
        return self._event(name, entity, int(key), None, lambda: {"id": int(key)})

    # Letters.

    def letter(self, hook: Hook, said: Sequence[Said], attempt: int, moment: float) -> Letter:
        return Letter(hook.url, encode(said[0].body), {"Content-Type": "application/json", "Accept": "*/*"})

    def waits(self, attempt: int, status: int) -> float | None:
        """Undocumented; those who receive them believe in some."""
        return 30.0 * 2**attempt if attempt < int(self.switches["kaiten.hook_retries"]) else None

    # The API: /spaces/{id}/external-webhooks.

    def listed(self, space: int) -> list[Record]:
        return [hook.row for hook in self.hooks.values() if hook.place == space and hook.row]

    def post(self, space: int, given: Record) -> Record:
        url = str(given.get("url") or "")
        if not 0 < len(url) <= MOST_URL:
            raise ValueError("url is required, of at most 4096 characters")
        if self.listed(space):
            raise ValueError("a space has one external webhook at most")
        hook, now = self.register(url, place=space), stamp(self.clock.now())
        hook.row = {"id": hook.id, "space_id": space, "url": url, "enabled": True, "created": now, "updated": now}
        return hook.row

    def patch(self, space: int, id: int, given: Record) -> Record:
        hook = self.hooks.get(id)
        if hook is None or hook.place != space or not hook.row:
            raise RefusedError("Not found")
        hook.row |= only(given, ("url", "enabled")) | {"updated": stamp(self.clock.now())}
        hook.url, hook.status = hook.row["url"], "active" if hook.row["enabled"] else "disabled"
        return hook.row


def _space(kaiten: "Kaiten", id: int) -> int:
    if id not in kaiten.company.tables["spaces"]:
        raise RefusedError("Space not found")
    return id


def _given(request: Request) -> Record:
    return decode(request.body, type=dict[str, Any]) if request.body else {}


def _get(kaiten: "Kaiten", _request: Request, id: int) -> Answer:
    return of_json(kaiten.webhooks.listed(_space(kaiten, id)))


def _post(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    return of_json(kaiten.webhooks.post(_space(kaiten, id), _given(request)))


def _patch(kaiten: "Kaiten", request: Request, id: int, hook: int) -> Answer:
    return of_json(kaiten.webhooks.patch(_space(kaiten, id), hook, _given(request)))


# A single one can neither be read nor deleted, as tried live.
ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", "/spaces/{id}/external-webhooks", _get),
    ("POST", "/spaces/{id}/external-webhooks", _post),
    ("PATCH", "/spaces/{id}/external-webhooks/{hook}", _patch),
]
