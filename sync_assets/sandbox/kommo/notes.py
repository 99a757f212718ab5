"""Notes in the feeds of leads, contacts and companies: added, listed, and told of by a webhook.

The non-obvious decision: a note moves no stamp of its record, so only the feed itself, the journal and the webhook know
of it; whoever wants to find one lists the record's feed.
"""

from typing import TYPE_CHECKING

from sync_assets.sandbox.dialect import Answer, Record, Request, encode
from sync_assets.sandbox.kommo import errors, queries, reads, shapes, writes
from sync_assets.sandbox.kommo.errors import ApiError, Invalid
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.api import Kommo

# What a note of each type must say.
TYPES = {"common": ("text",), "service_message": ("service", "text")}


def listed(api: "Kommo", request: Request, kind: str, id: str | None = None) -> Answer:
    """Of one record, or of all of a kind."""
    if id is not None and int(id) not in api.company.living[kind]:
        return api.missing()
    query = queries.parse(queries.without_page(request.raw_query))
    kept = [note for note in api.company.notes[kind].values() if id is None or note["entity_id"] == int(id)]
    for name in ("id", "note_type"):
        if wanted := {value for _, value in query.filters.get(name, ())}:
            kept = [note for note in kept if str(note[name]) in wanted]
    for inner, value in query.filters.get("updated_at", ()):
        edge = queries.whole(value, "updated_at")
        kept = [n for n in kept if (n["updated_at"] >= edge if inner[:1] == ("from",) else n["updated_at"] <= edge)]
    for name, descending in reversed(query.order):
        if name in ("id", "updated_at"):
            kept.sort(key=lambda note, name=name: note[name], reverse=descending)  # type: ignore[misc]
    return reads.paged(api, request, "notes", kept, lambda note: encode(_shown(kind, note)))


def add(api: "Kommo", request: Request, kind: str, id: str | None = None) -> Answer:
    bodies = writes.batch(request, writes.MOST)
    wrong, ready = [], []
    for n, body in enumerate(bodies):
        try:
            ready.append(_asked(api, kind, body, id))
        except Invalid as error:
            wrong.append((str(body.get("request_id", n)), error.error))
    if wrong:
        raise errors.invalid(wrong)
    rows = []
    for n, (entity, type, params) in enumerate(ready):
        note = api.company.note(kind, entity, type, params)
        row = {"id": note, "entity_id": entity, "request_id": str(bodies[n].get("request_id", n))}
        rows.append(row | {"_links": shapes.self_link(f"{kind}/{entity}/notes/{note}")})
    return writes.written(request, "notes", rows)


def _asked(api: "Kommo", kind: str, body: Record, id: str | None) -> tuple[int, str, Record]:
    entity = int(id) if id is not None else body.get("entity_id")
    if not isinstance(entity, int) or entity not in api.company.living[kind]:
        if id is not None:
            raise ApiError(404, "Entity not found")
        raise errors.no_choice("entity_id")
    type, params = body.get("note_type"), body.get("params")
    if type not in TYPES:
        raise errors.no_choice("note_type")
    for name in TYPES[type]:
        if not isinstance(params, dict) or not isinstance(params.get(name), str):
            raise Invalid("FieldMissing", f"params.{name}", "This field is missing.")
    return entity, type, {name: params[name] for name in TYPES[type]} if isinstance(params, dict) else {}


def _shown(kind: str, note: Record) -> Record:
    path = f"{kind}/{note['entity_id']}/notes/{note['id']}"
    return note | {"account_id": ACCOUNT_ID, "_links": shapes.self_link(path)}
