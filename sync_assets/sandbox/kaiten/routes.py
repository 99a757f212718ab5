"""Kaiten's paths, read and write, in one table.

The non-obvious decision: the table is kept apart from the dialect, so that what this copy answers can be laid beside
the vendor's documentation line by line.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, RefusedError, Request
from sync_assets.sandbox.kaiten import webhooks, writes
from sync_assets.sandbox.kaiten.company import ACTIVE, ARCHIVED, DELETED

if TYPE_CHECKING:
    from sync_assets.sandbox.kaiten.api import Kaiten

Handler = Callable[..., Answer]


def _definitions(kaiten: "Kaiten", request: Request) -> Answer:
    # Documented: paged only when both are there.
    both = "limit" in request.query and "offset" in request.query
    return kaiten.listed(request, "property_definitions", paged=both)


def _select_values(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    v2 = request.query.get("v2_select_search") == "true"
    return kaiten.listed(request, "property_values", paged=v2, custom_property_id=id)


def _lanes(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    condition = int(request.query.get("condition") or ACTIVE)
    if condition not in (ACTIVE, ARCHIVED, DELETED):
        raise ValueError(f"condition {condition}")
    where: dict[str, Any] = {"board_id": id}
    if not kaiten.company.bare:
        where["condition"] = condition
    return kaiten.listed(request, "lanes", **where)


def _columns(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    return kaiten.listed(request, "columns", board_id=id, column_id=None)


def _boards(kaiten: "Kaiten", request: Request, id: int) -> Answer:
    if id not in kaiten.company.tables["spaces"]:
        raise RefusedError("Space not found")
    return kaiten.listed(request, "boards", space_id=id)


def _current(kaiten: "Kaiten", _request: Request) -> Answer:
    users = kaiten.company.tables["users"]
    return kaiten.one("users", next(iter(users), -1))


def _read(pattern: str, handler: Handler, method: str = "GET") -> tuple[str, re.Pattern[str], Handler]:
    return method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>\\d+)", pattern)), handler


ROUTES: list[tuple[str, re.Pattern[str], Handler]] = [
    _read("/cards", lambda k, r: k.card_list(r)),
    _read("/cards/{id}", lambda k, r, id: k.card(r, id)),
    *(
        _read(f"/cards/{{id}}/{part}", lambda k, r, id, part=part: k.card_part(r, id, part))
        for part in ("children", "tags", "members", "checklists", "files", "blockers")
    ),
    _read("/spaces", lambda k, r: k.listed(r, "spaces")),
    _read("/spaces/{id}", lambda k, _r, id: k.one("spaces", id)),
    _read("/spaces/{id}/boards", _boards),
    _read("/spaces/{space}/boards/{id}", lambda k, _r, id, **_: k.one("boards", id)),
    _read("/boards/{id}", lambda k, _r, id: k.one("boards", id)),
    _read("/boards/{id}/columns", _columns),
    _read("/columns/{id}/subcolumns", lambda k, r, id: k.listed(r, "columns", column_id=id)),
    _read("/boards/{id}/lanes", _lanes),
    _read("/users", lambda k, r: k.listed(r, "users", paged=True)),
    _read("/users/current", _current),
    _read("/company/users", lambda k, _r: k.denied(403)),
    _read("/card-types", lambda k, r: k.listed(r, "card_types", paged=True)),
    _read("/tags", lambda k, r: k.listed(r, "tags", paged=True)),
    _read("/company/custom-properties", _definitions),
    _read("/company/custom-properties/{id}", lambda k, _r, id: k.one("property_definitions", id)),
    _read("/company/custom-properties/{id}/select-values", _select_values),
    _read(
        "/company/custom-properties/{id}/catalog-values",
        lambda k, r, id: k.listed(r, "catalog_values", paged=True, custom_property_id=id),
    ),
    *(_read(pattern, handler, method) for method, pattern, handler in (*webhooks.ROUTES, *writes.ROUTES)),
]
