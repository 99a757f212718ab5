"""What each record looks like when it is read: its own fields, then `_links`, then whatever `with` asked for.

The non-obvious decision: a record's own links name the account's domain whoever asks (as recorded, some even name a
shard), so its bytes are the same behind any port and can be remembered; only a page's links follow the Host header.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from sync_assets.sandbox.dialect import Record, encode

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.company import KommoCompany

ACCOUNT_ID, SUBDOMAIN = 31_415_926, "stroika"
DOMAIN = f"{SUBDOMAIN}.kommo.test"
ROOT = f"https://{DOMAIN}/api/v4"

SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company", "tasks": "task"}
KINDS = tuple(SINGULAR)
WON, LOST = 142, 143

WITH = {
    "leads": frozenset({"contacts", "catalog_elements", "loss_reason", "is_price_modified_by_robot", "source_id"}),
    "contacts": frozenset({"leads", "customers", "catalog_elements"}),
    "companies": frozenset({"leads", "contacts", "customers", "catalog_elements"}),
    "tasks": frozenset[str](),
    "users": frozenset({"role", "group", "uuid", "amojo_id", "user_rank", "phone_number"}),
}

_WHO = {"responsible_user_id": 0, "group_id": 0}
_WHEN = {"created_by": 0, "updated_by": 0, "created_at": 0, "updated_at": 0}
# A record's own fields in the order of the wire, with the value a fresh one has.
FRESH: dict[str, Record] = {
    "leads": {
        "id": 0, "name": "", "price": 0, **_WHO, "status_id": 0, "pipeline_id": 0, "loss_reason_id": None,
        "source_id": None, **_WHEN, "closed_at": None, "closest_task_at": None, "is_deleted": False,
        "custom_fields_values": None, "score": None, "account_id": ACCOUNT_ID, "labor_cost": None,
        "is_price_computed": False, "is_price_modified_by_robot": False,
    },
    "contacts": {
        "id": 0, "name": "", "first_name": "", "last_name": "", **_WHO, **_WHEN, "closest_task_at": None,
        "is_deleted": False, "is_unsorted": False, "custom_fields_values": None, "account_id": ACCOUNT_ID,
    },
    "companies": {
        "id": 0, "name": "", **_WHO, **_WHEN, "closest_task_at": None, "is_deleted": False,
        "custom_fields_values": None, "account_id": ACCOUNT_ID,
    },
    "tasks": {
        "id": 0, **_WHEN, **_WHO, "entity_id": None, "entity_type": None, "duration": 0, "is_completed": False,
        "task_type_id": 1, "text": "", "result": [], "complete_till": 0, "account_id": ACCOUNT_ID,
    },
}  # fmt: skip
# Keys that recordings of 2020 do not have.
SINCE_2020 = {
    "leads": ("labor_cost", "is_price_computed"), "contacts": ("is_deleted", "is_unsorted"),
    "companies": ("is_deleted",), "tasks": (),
}  # fmt: skip


class Thing(msgspec.Struct, gc=False):
    """A lead, contact, company, task or event; never changed, only replaced."""

    id: Any
    fields: Record
    # Custom field -> its values; the field's name and type are joined on when it is served.
    values: dict[int, list[Record]] = {}
    tags: tuple[int, ...] = ()
    # The row as served, by what was asked for with it.
    rows: dict[frozenset[str], bytes] = {}


def self_link(path: str) -> Record:
    return {"self": {"href": f"{ROOT}/{path}"}}


def row(company: "KommoCompany", kind: str, thing: Thing, asked: frozenset[str]) -> bytes:
    if asked not in thing.rows:
        shown = _event(thing) if kind == "events" else _record(company, kind, thing, asked)
        thing.rows[asked] = encode(shown)
    return thing.rows[asked]


def _record(company: "KommoCompany", kind: str, thing: Thing, asked: frozenset[str]) -> Record:
    old = company.switches["kommo.era"] == "2020"
    shown = dict(thing.fields)
    if kind == "leads":
        if not old and "source_id" not in asked:
            del shown["source_id"]
        if "is_price_modified_by_robot" not in asked:
            del shown["is_price_modified_by_robot"]
    for name in SINCE_2020[kind] if old else ():
        del shown[name]
    shown["_links"] = self_link(f"{kind}/{thing.id}")
    if kind == "tasks":
        return shown
    shown["custom_fields_values"] = _values(company, kind, thing, "enum" if old else "enum_code")
    tags, names = company.tags[kind], ("id", "name") if old else ("id", "name", "color")
    inside: Record = {"tags": [{n: tags[id][n] for n in names} for id in thing.tags if id in tags]}
    inside |= {name: [] for name in ("catalog_elements", "customers") if name in asked}
    if "loss_reason" in asked:
        reason = company.loss_reasons.get(thing.fields["loss_reason_id"])
        inside["loss_reason"] = [loss_reason(reason)] if reason else []
    for other in ("leads", "companies", "contacts"):
        if other in asked or (other == "companies" and kind != "companies"):
            inside[other] = _linked(company, kind, thing.id, other)
    shown["_embedded"] = inside
    return shown


def _values(company: "KommoCompany", kind: str, thing: Thing, enum_key: str) -> list[Record] | None:
    """Empty is null, as seen live."""
    shown = []
    for id, known in company.definitions[kind].items():
        if values := thing.values.get(id):
            if enum_key != "enum_code":
                values = [{("enum" if k == "enum_code" else k): v for k, v in value.items()} for value in values]
            head = {"field_id": id, "field_name": known["name"], "field_code": known["code"]}
            shown.append(head | {"field_type": known["type"], "values": values})
    return shown or None


def _linked(company: "KommoCompany", kind: str, id: int, other: str) -> list[Record]:
    shown = []
    for one, main in company.links.of(kind, id, other).items():
        if one in company.living[other]:
            own: Record = {"id": one, "is_main": main} if (kind, other) == ("leads", "contacts") else {"id": one}
            shown.append(own | {"_links": self_link(f"{other}/{one}")})
    return shown


def _event(thing: Thing) -> Record:
    event = thing.fields
    plural = {single: kind for kind, single in SINGULAR.items()}[event["entity_type"]]
    entity = {"id": event["entity_id"], "_links": self_link(f"{plural}/{event['entity_id']}")}
    return event | {"_links": self_link(f"events/{thing.id}"), "_embedded": {"entity": entity}}


def deleted(company: "KommoCompany", thing: Thing) -> bytes:
    """A lead out of the recycle bin's list: next to nothing of it, or (seen through an SDK) all of it as nulls."""
    kept = {name: thing.fields[name] for name in ("id", "updated_at", "is_deleted")}
    if company.switches["kommo.deleted_row"] == "nulls":
        kept = dict.fromkeys(FRESH["leads"]) | kept | {"updated_by": thing.fields["updated_by"]}
        kept["account_id"] = ACCOUNT_ID
    return encode(kept | {"_links": self_link(f"leads/{thing.id}")})


# What is few, and is served from its record each time.


def loss_reason(reason: Record) -> Record:
    return reason | {"_links": self_link(f"leads/loss_reasons/{reason['id']}")}


def status(status: Record) -> Record:
    return status | {"_links": self_link(f"leads/pipelines/{status['pipeline_id']}/statuses/{status['id']}")}


def pipeline(company: "KommoCompany", pipeline: Record) -> Record:
    own = [status(s) for (id, _), s in company.statuses.items() if id == pipeline["id"]]
    own.sort(key=lambda s: s["sort"])
    return pipeline | {"_links": self_link(f"leads/pipelines/{pipeline['id']}"), "_embedded": {"statuses": own}}


def custom_field(definition: Record) -> Record:
    return definition | {"_links": self_link(f"{definition['entity_type']}/custom_fields/{definition['id']}")}


def user(company: "KommoCompany", user: Record, asked: frozenset[str]) -> Record:
    extra = WITH["users"] - {"role", "group"} - asked
    shown = {name: value for name, value in user.items() if name not in extra}
    shown["_links"] = self_link(f"users/{user['id']}")
    inside: Record = {}
    if "role" in asked:
        role = company.roles.get(user["rights"]["role_id"])
        inside["roles"] = [role | {"_links": self_link(f"roles/{role['id']}")}] if role else []
    if "group" in asked:
        group = company.groups.get(user["rights"]["group_id"])
        inside["groups"] = [{"id": group["id"], "name": group["name"]}] if group else []
    return shown | ({"_embedded": inside} if inside else {})
