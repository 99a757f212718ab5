"""Kaiten's writes: enough of them for a client to move the company's state.

The non-obvious decision: removing a space, board, column or lane wants `{"force": true}`, as live, because
a cascade that a test did not ask for would look like lost data.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, Record, RefusedError, Request, decode, encode, of_json, of_record

if TYPE_CHECKING:
    from sync_assets.sandbox.kaiten.api import Kaiten

MOVES = ("board_id", "column_id", "lane_id")
PROTECTED = ("id", "uid", "created", "updated", "version")


def _given(request: Request) -> Record:
    body = decode(request.body) if request.body else {}
    if not isinstance(body, dict):
        raise TypeError("body must be an object")
    return {name: value for name, value in body.items() if name not in PROTECTED}


def post_card(kaiten: "Kaiten", request: Request) -> Answer:
    fields = _given(request)
    for name in ("title", "board_id"):
        if not fields.get(name):
            raise ValueError(f"{name} is required")
    id = kaiten.company.create_card(source="api", **fields)
    return kaiten.written(kaiten.company.shelf.full(kaiten.company.card(id)))


def patch_card(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    company = kaiten.company
    if id not in company.cards:
        return kaiten.missing()
    fields = _given(request)
    moves = {name: fields.pop(name) for name in MOVES if name in fields}
    if moves:
        company.move_card(id, **moves)
    match fields.pop("condition", None):
        case 2:
            company.archive_card(id)
        case 1:
            company.restore_card(id)
    if fields:
        company.update_card(id, **fields)
    return kaiten.written(company.shelf.full(company.card(id)))


def delete_card(kaiten: "Kaiten", _request: Request, id: int) -> Answer:
    if id not in kaiten.company.cards:
        return kaiten.missing()
    gone = kaiten.company.delete_card(id)
    return kaiten.written(kaiten.company.shelf.row(gone))


def tag_card(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    """Kaiten tags by name and makes the tag when there is none."""
    name = _given(request)["name"]
    tags = kaiten.company.tables["tags"]
    tag = next((t for t, record in tags.items() if record["name"] == name), None)
    tag = kaiten.company.create_tag(name) if tag is None else tag
    kaiten.company.add_tag(id, tag)
    return kaiten.written(tags[tag])


def untag_card(kaiten: "Kaiten", _request: Request, id: int, tag: int) -> Answer:
    kaiten.company.remove_tag(id, tag)
    return kaiten.written({"id": tag})


def add_member(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    fields = _given(request)
    kaiten.company.add_member(id, fields["user_id"], responsible=fields.get("type") == 2)
    return kaiten.written(kaiten.company.tables["users"][fields["user_id"]])


def remove_member(kaiten: "Kaiten", _request: Request, id: int, user: int) -> Answer:
    kaiten.company.remove_member(id, user)
    return kaiten.written({"id": user})


def add_child(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    kaiten.company.link_cards(id, int(_given(request)["card_id"]))
    return kaiten.written(kaiten.company.shelf.full(kaiten.company.card(id)))


def post_board(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    fields = _given(request)
    board = kaiten.company.create_board(id, **{k: v for k, v in fields.items() if k not in ("columns", "lanes")})
    return kaiten.written(kaiten.row("boards", kaiten.company.tables["boards"][board]))


def _post(entity: str, parent: str = "") -> Callable[..., Answer]:
    def handler(kaiten: "Kaiten", request: Request, **ids: int) -> Answer:
        fields: dict[str, Any] = _given(request)
        if parent:
            fields[parent] = ids["id"]
        if parent == "column_id":
            fields["board_id"] = kaiten.company.tables["columns"][ids["id"]]["board_id"]
        id = kaiten.company.create(entity, **fields)
        return kaiten.written(kaiten.row(entity, kaiten.company.tables[entity][id]))

    return handler


def _patch(entity: str) -> Callable[..., Answer]:
    def handler(kaiten: "Kaiten", request: Request, id: int, **_: int) -> Answer:
        kaiten.company.update(entity, id, **_given(request))
        return kaiten.written(kaiten.row(entity, kaiten.company.tables[entity][id]))

    return handler


def _delete(entity: str, *, force: bool = True) -> Callable[..., Answer]:
    def handler(kaiten: "Kaiten", request: Request, id: int, **_: int) -> Answer:
        if force and _given(request).get("force") is not True and request.query.get("force") != "true":
            return of_json({"message": "Entity is not empty, use force"}, 400)
        if id not in kaiten.company.tables[entity]:
            raise RefusedError("Not found")
        kaiten.company.delete(entity, id)
        return of_record(encode({"id": id}))

    return handler


def _all_of(path: str, entity: str) -> list[tuple[str, str, Callable[..., Answer]]]:
    return [("PATCH", path, _patch(entity)), ("DELETE", path, _delete(entity, force=entity != "tags"))]


ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("POST", "/cards", post_card),
    ("PATCH", "/cards/{id}", patch_card),
    ("DELETE", "/cards/{id}", delete_card),
    ("POST", "/cards/{id}/tags", tag_card),
    ("DELETE", "/cards/{id}/tags/{tag}", untag_card),
    ("POST", "/cards/{id}/members", add_member),
    ("DELETE", "/cards/{id}/members/{user}", remove_member),
    ("POST", "/cards/{id}/children", add_child),
    ("POST", "/spaces", _post("spaces")),
    *_all_of("/spaces/{id}", "spaces"),
    ("POST", "/spaces/{id}/boards", post_board),
    *_all_of("/spaces/{space}/boards/{id}", "boards"),
    ("POST", "/boards/{id}/columns", _post("columns", "board_id")),
    *_all_of("/boards/{board}/columns/{id}", "columns"),
    ("POST", "/columns/{id}/subcolumns", _post("columns", "column_id")),
    ("POST", "/boards/{id}/lanes", _post("lanes", "board_id")),
    *_all_of("/boards/{board}/lanes/{id}", "lanes"),
    ("POST", "/tags", _post("tags")),
    *_all_of("/company/tags/{id}", "tags"),
]
