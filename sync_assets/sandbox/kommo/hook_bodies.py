"""What a webhook of Kommo says of a record: other names, other types and another order than the API's.

Promise: keys and their order as recorded. The non-obvious decision: a record is nested values in the order of the wire
and only written as a form when it is known with whom it travels.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID, SINGULAR, Thing

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.company import KommoCompany

ELEMENTS = {"contacts": 1, "leads": 2, "companies": 3}
NOTE_TYPES = {"common": 4, "service_message": 25}
BARE = ("date", "birthday", "date_time")


def whole(company: "KommoCompany", kind: str, thing: Thing, more: Record | None = None) -> Record:
    """`more` is what the record was before; it comes behind all that a form of 2016 had."""
    if kind == "tasks":
        return _task(thing) | (more or {})
    return _lead(company, thing, more or {}) if kind == "leads" else _contact(company, kind, thing, more or {})


def updated(company: "KommoCompany", kind: str, before: Thing, after: Thing) -> Record:
    return _edited_task(before, after) if kind == "tasks" else whole(company, kind, after)


def deleted(company: "KommoCompany", kind: str, thing: Thing) -> Record:
    if kind == "leads" and _modern(company):
        return {name: thing.fields[name] for name in ("id", "status_id", "pipeline_id")}
    return {"id": thing.id} | ({} if kind == "tasks" else {"type": SINGULAR[kind]})


def note(kind: str, note: Record) -> Record:
    """One level deeper than any other."""
    own = {
        "note_type": NOTE_TYPES.get(note["note_type"], 25),
        "element_type": ELEMENTS[kind],
        "element_id": note["entity_id"],
        "text": note["params"].get("text", ""),
        "date_create": _clock(note["created_at"]),
        "id": note["id"],
    }
    return {"note": own | {name: note[name] for name in ("created_at", "updated_at")}}


def _modern(company: "KommoCompany") -> bool:
    return company.switches["kommo.hook_era"] == "now"


def _lead(company: "KommoCompany", thing: Thing, more: Record) -> Record:
    own = thing.fields
    body: Record = {name: own[name] for name in ("id", "name", "status_id")}
    body |= {"price": "" if own["price"] is None else own["price"], "responsible_user_id": own["responsible_user_id"]}
    body |= {"last_modified": own["updated_at"], "modified_user_id": own["updated_by"]}
    body |= {"created_user_id": own["created_by"], "date_create": own["created_at"]}
    body |= {"pipeline_id": own["pipeline_id"], "account_id": ACCOUNT_ID, **_marked(company, "leads", thing)}
    if _modern(company):
        return body | more | {name: own[name] for name in ("created_at", "updated_at")}
    return body | {name: value for name, value in more.items() if name != "old_pipeline_id"}


def _contact(company: "KommoCompany", kind: str, thing: Thing, more: Record) -> Record:
    """Companies travel as contacts, too."""
    own = thing.fields
    body: Record = {name: own[name] for name in ("id", "name", "responsible_user_id")}
    body |= {"date_create": own["created_at"], "last_modified": own["updated_at"]}
    body |= {"created_user_id": own["created_by"], "modified_user_id": own["updated_by"]}
    for one in company.links.of(kind, thing.id, "companies"):
        if one in company.living["companies"]:
            name = company.living["companies"][one].fields["name"]
            body |= {"company_name": name, "linked_company_id": one}
    leads = [one for one in company.links.of(kind, thing.id, "leads") if one in company.living["leads"]]
    if leads:
        body["linked_leads_id"] = {str(one): {"ID": one} for one in leads}
    return body | _marked(company, kind, thing) | {"type": SINGULAR[kind]} | more


def _marked(company: "KommoCompany", kind: str, thing: Thing) -> Record:
    """Tags and custom fields, where there are any."""
    known, fields = company.tags[kind], []
    for id, definition in company.definitions[kind].items():
        if values := thing.values.get(id):
            head = {"id": id, "name": definition["name"], "code": definition["code"]}
            fields.append(head | {"values": [_value(definition["type"], value) for value in values]})
    tags = [{"id": tag, "name": known[tag]["name"]} for tag in thing.tags if tag in known]
    return ({"tags": tags} if tags else {}) | ({"custom_fields": fields} if fields else {})


def _value(type: str, value: Record) -> Any:
    """Dates come without a key."""
    if type in BARE:
        return value["value"]
    return {"value": value["value"], "enum": value.get("enum_id")}


def _task(thing: Thing) -> Record:
    own = thing.fields
    return _place(own) | {
        "date_create": _clock(own["created_at"]),
        "text": own["text"],
        "status": int(own["is_completed"]),
        "account_id": ACCOUNT_ID,
        "created_user_id": own["created_by"],
        "last_modified": _clock(own["updated_at"]),
        "responsible_user_id": own["responsible_user_id"],
        "complete_till": _clock(own["complete_till"]),
        "created_at": own["created_at"],
        "updated_at": own["updated_at"],
        "complete_before": own["complete_till"],
    }


def _edited_task(before: Thing, after: Thing) -> Record:
    own, closed = after.fields, after.fields["is_completed"] and not before.fields["is_completed"]
    return _place(own) | {
        "text": own["text"],
        "status": int(own["is_completed"]),
        "action_close": 1 if closed else None,
        "old_text": before.fields["text"],
        "responsible_user_id": own["responsible_user_id"],
        "updated_at": own["updated_at"],
    }


def _place(own: Record) -> Record:
    element = ELEMENTS.get(own["entity_type"] or "")
    return {
        "id": own["id"],
        "element_id": own["entity_id"] or 0,
        "element_type": element or 0,
        "task_type": own["task_type_id"],
    }


def _clock(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
