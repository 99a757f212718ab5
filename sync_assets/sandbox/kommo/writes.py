"""Kommo's writes: batches that are taken or refused as a whole, and answered with next to nothing.

The non-obvious decision: every object is checked before the first is written, so an answer 400 means that nothing
happened; `request_id` is only echoed and protects nobody from writing twice.
"""

from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, Record, RefusedError, Request, decode, encode
from sync_assets.sandbox.kommo import errors, fields, reads, shapes
from sync_assets.sandbox.kommo.errors import HAL, ApiError, Invalid

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.api import Kommo

MOST, MOST_COMPLEX = 250, 50
_STAMPS = {"created_by": int, "updated_by": int, "created_at": int, "updated_at": int, "responsible_user_id": int}
# What a write may set of a record's own fields; anything else is ignored without a word.
WRITABLE: dict[str, dict[str, Any]] = {
    "leads": {"name": str, "price": int, "status_id": int, "pipeline_id": int, "loss_reason_id": int, "closed_at": int}
    | _STAMPS,
    "contacts": {"name": str, "first_name": str, "last_name": str} | _STAMPS,
    "companies": {"name": str} | _STAMPS,
    "tasks": {
        "text": str, "entity_id": int, "entity_type": str, "is_completed": bool, "task_type_id": int, "duration": int,
        "complete_till": int, "result": (dict, list),
    } | _STAMPS,
}  # fmt: skip


def given(request: Request) -> Any:
    return decode(request.body) if request.body else None


def batch(request: Request, most: int) -> list[Record]:
    body = given(request)
    if not isinstance(body, list) or not all(isinstance(one, dict) for one in body):
        raise ApiError(400, "Request body is not an array of objects")
    if len(body) > most:
        raise TooLarge
    return body


class TooLarge(Exception):
    """More objects than the server can take before the proxy loses patience: 504."""


def _prepared(api: "Kommo", kind: str, bodies: list[Record], ids: list[int | None]) -> list[Record]:
    """What each object asks for, or a refusal of all of them."""
    ready, wrong = [], []
    for n, (body, id) in enumerate(zip(bodies, ids, strict=True)):
        try:
            ready.append(_asked(api, kind, body, id))
        except Invalid as error:
            wrong.append((str(body.get("request_id", n)), error.error))
    if wrong:
        raise errors.invalid(wrong)
    return ready


def _asked(api: "Kommo", kind: str, body: Record, id: int | None) -> Record:
    company, own = api.company, {}
    for name, wanted in WRITABLE[kind].items():
        if name in body:
            value = body[name]
            if value is not None and (not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool)):
                raise errors.wrong_type(name, wanted.__name__ if isinstance(wanted, type) else "array")
            own[name] = value
    if id is None and kind == "tasks":
        for name in ("text", "complete_till"):
            if name not in own:
                raise Invalid("FieldMissing", name, "This field is missing.")
    if own.get("responsible_user_id") and own["responsible_user_id"] not in company.users:
        raise errors.no_choice("responsible_user_id")
    if kind == "leads" and own.keys() & {"status_id", "pipeline_id"}:
        _stage(api, own, id)
    asked: Record = {"fields": own, "values": {}, "tags": None, "add": [], "drop": [], "links": []}
    for n, one in enumerate(body.get("custom_fields_values") or ()):
        path = f"custom_fields_values.{n}"
        known = company.definitions.get(kind, {})
        code = one.get("field_code")
        field = one.get("field_id") or next((i for i, d in known.items() if code and d["code"] == code), None)
        if field not in known:
            raise errors.no_choice(f"{path}.field_id")
        asked["values"][field] = fields.checked(known[field], one.get("values"), path)
    inside = body.get("_embedded") or {}
    if "tags" in inside:
        asked["tags"] = _names(api, kind, inside["tags"] or ())
    asked["add"], asked["drop"] = (
        _names(api, kind, body.get(name) or ()) for name in ("tags_to_add", "tags_to_delete")
    )
    for other in ("contacts", "companies"):
        for n, one in enumerate(inside.get(other) or ()):
            if one.get("id") is not None and one["id"] not in company.living[other]:
                raise errors.no_choice(f"_embedded.{other}.{n}.id")
            if one.get("id") is not None:
                asked["links"].append((other, one["id"]))
    return asked


def _stage(api: "Kommo", own: Record, id: int | None) -> None:
    company = api.company
    before = company.living["leads"][id].fields if id is not None else {}
    pipeline = own.get("pipeline_id") or before.get("pipeline_id")
    if "status_id" in own:
        pipeline = pipeline or next(p for p, one in company.pipelines.items() if one["is_main"])
        if (pipeline, own["status_id"]) not in company.statuses:
            raise errors.no_choice("status_id")
    elif pipeline not in company.pipelines:
        raise errors.no_choice("pipeline_id")
    else:
        # Another pipeline and no status: its first one.
        first = (s for (p, s), one in company.statuses.items() if p == pipeline and one["type"] == 0)
        own["status_id"] = next(first)
    own["pipeline_id"] = pipeline


def _names(api: "Kommo", kind: str, tags: Any) -> list[str]:
    known = api.company.tags.get(kind, {})
    return [str(tag["name"] if "name" in tag else known[tag["id"]]["name"]) for tag in tags]


def _create(api: "Kommo", kind: str, asked: Record) -> int:
    tags = [*(asked["tags"] or ()), *asked["add"]]
    return api.company.create(kind, values=asked["values"], tags=tags, links=asked["links"], **asked["fields"])


def _update(api: "Kommo", kind: str, id: int, asked: Record) -> None:
    company = api.company
    company.update(kind, id, values=asked["values"], **asked["fields"])
    if asked["tags"] is not None:
        company.tag(kind, id, *asked["tags"], only=True)
    if asked["add"]:
        company.tag(kind, id, *asked["add"])
    for name in asked["drop"]:
        company.untag(kind, id, name)


def _thin(api: "Kommo", kind: str, id: int, request_id: str | None, updated: bool) -> Record:
    """What a write answers: no field that was written, and no way to see what became of it."""
    record = api.company.living[kind][id].fields
    shown: Record = {"id": id}
    if updated and kind in ("contacts", "companies"):
        shown["name"] = record["name"]
    if updated or kind == "tasks":
        shown["updated_at"] = record["updated_at"]
    if request_id is not None:
        shown["request_id"] = request_id
    return shown | {"_links": shapes.self_link(f"{kind}/{id}")}


def written(request: Request, kind: str, rows: list[Record]) -> Answer:
    self_link = {"self": {"href": f"{reads.base(request)}{request.path}"}}
    return Answer(200, encode({"_links": self_link, "_embedded": {kind: rows}}), content_type=HAL)


def create(api: "Kommo", request: Request, kind: str) -> Answer:
    bodies = batch(request, MOST)
    ready = _prepared(api, kind, bodies, [None] * len(bodies))
    ids = [_create(api, kind, asked) for asked in ready]
    named = [str(body.get("request_id", n)) for n, body in enumerate(bodies)]
    return written(request, kind, [_thin(api, kind, id, n, False) for id, n in zip(ids, named, strict=True)])


def update(api: "Kommo", request: Request, kind: str) -> Answer:
    bodies = batch(request, MOST)
    wrong = [
        (str(body.get("request_id", n)), errors.no_choice("id").error)
        for n, body in enumerate(bodies)
        if body.get("id") not in api.company.living[kind]
    ]
    if wrong:
        raise errors.invalid(wrong)
    ids = [int(body["id"]) for body in bodies]
    rows = []
    for n, (id, asked) in enumerate(zip(ids, _prepared(api, kind, bodies, [*ids]), strict=True)):
        _update(api, kind, id, asked)
        rows.append(_thin(api, kind, id, str(bodies[n].get("request_id", n)), True))
    return written(request, kind, rows)


def update_one(api: "Kommo", request: Request, kind: str, id: str) -> Answer:
    body, number = given(request), int(id)
    if not isinstance(body, dict):
        raise ApiError(400, "Request body is not an object")
    if number not in api.company.living[kind]:
        raise ApiError(404, "Entity not found")
    _update(api, kind, number, _prepared(api, kind, [body], [number])[0])
    return reads.single(encode(_thin(api, kind, number, None, True)))


def complex(api: "Kommo", request: Request) -> Answer:
    """Leads with a contact and a company that are made on the way."""
    bodies = batch(request, MOST_COMPLEX)
    ready = _prepared(api, "leads", bodies, [None] * len(bodies))
    made: dict[str, list[Record | None]] = {}
    for other in ("contacts", "companies"):
        inner = [next(iter((body.get("_embedded") or {}).get(other) or ()), None) for body in bodies]
        fresh = [None if one is None or one.get("id") else one for one in inner]
        known = iter(_prepared(api, other, [one for one in fresh if one is not None], [None] * sum(map(bool, fresh))))
        made[other] = [None if one is None else next(known) for one in fresh]
    rows = []
    for n, asked in enumerate(ready):
        ids = {other: next((id for kind, id in asked["links"] if kind == other), None) for other in made}
        for other, prepared in made.items():
            if (one := prepared[n]) is not None:
                ids[other] = _create(api, other, one)
                asked["links"].append((other, ids[other]))
        row = {"id": _create(api, "leads", asked), "contact_id": ids["contacts"], "company_id": ids["companies"]}
        rows.append(row | {"request_id": [str(bodies[n].get("request_id", n))], "merged": False})
    return Answer(200, encode(rows), content_type=HAL)


def link(api: "Kommo", request: Request, kind: str, id: str, verb: str) -> Answer:
    number = int(id)
    if number not in api.company.living[kind]:
        raise ApiError(404, "Entity not found")
    for one in batch(request, MOST):
        other, far = one.get("to_entity_type"), one.get("to_entity_id")
        if other not in ("leads", "contacts", "companies") or other == kind or far not in api.company.living[other]:
            raise RefusedError(f"no {other} {far} to {verb}")
        if verb == "unlink":
            api.company.unlink(kind, number, other, int(far))
        else:
            main = (one.get("metadata") or {}).get("is_main")
            api.company.link(kind, number, other, int(far), main=main)
    if verb == "unlink":
        return Answer(204, b"")
    rows = [row | {"entity_id": number, "entity_type": kind} for row in reads.linked(api, kind, number)]
    return written(request, "links", rows)
