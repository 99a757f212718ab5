"""Associations, inline in lists and over their own endpoints, in batches, pages, types and labels.

The non-obvious decision: whoever is merged away, archived or erased is in nobody's associations, though the links of
an archived record wait for its return.
"""

from typing import TYPE_CHECKING

from sync_assets.sandbox.dialect import Answer, Record, Request, encode
from sync_assets.sandbox.hubspot import objects, paging
from sync_assets.sandbox.hubspot.errors import invalid, not_found
from sync_assets.sandbox.hubspot.links import Types, name_of
from sync_assets.sandbox.hubspot.names import ASSOCIATIONS, LABELS, Kind, kind_of

if TYPE_CHECKING:
    from sync_assets.sandbox.hubspot.api import HubSpot

MOST_INPUTS, MOST_EACH = 1000, 500


def alive(api: "HubSpot", kind: str, id: int, to: str) -> list[tuple[int, Types]]:
    """Associations with living records, by id."""
    living = api.company.shelves[to].living
    return [(other, types) for other, types in sorted(api.company.links.of(kind, id, to).items()) if other in living]


def inline(api: "HubSpot", request: Request, kind: Kind, id: int, row: bytes, asked: tuple[str, ...]) -> bytes:
    """The row with the associations that were asked for; no key at all where there are none."""
    shown: Record = {}
    for spelling in asked:
        to = kind_of(spelling)
        if to is None or (kind.name, to.name) not in ASSOCIATIONS:
            raise invalid(f"{spelling} is not a valid association type")
        found = [
            {"id": str(other), "type": name_of(kind.name, to.name, label)}
            for other, types in alive(api, kind.name, id, to.name)
            for label in types.values()
        ]
        if not found:
            continue
        most = int(api.switches["hubspot.inline_associations"])
        fault = request.faults.get("L5")
        if fault is not None:
            most = int(fault.option("limit", 1))
        shown[to.name] = {"results": found[:most]}
        if len(found) > most:
            if fault is not None:
                fault.strikes += 1
            if fault is None or fault.option("variant", "paged") != "silent":
                token = found[most]["id"]
                link = f"{paging.base(request)}/crm/v3/objects/{kind.name}/{id}/associations/{to.name}?after={token}"
                shown[to.name]["paging"] = {"next": {"after": token, "link": link}}
    if not shown:
        return row
    return b"".join((row[:-1], b',"associations":', encode(shown), b"}"))


def batch_read(api: "HubSpot", request: Request, kind: Kind, to: Kind) -> Answer:
    inputs = objects.given(request).get("inputs") or []
    if len(inputs) > MOST_INPUTS:
        raise invalid(f"at most {MOST_INPUTS} inputs")
    rows: list[bytes] = []
    errors: list[Record] = []
    company, most = api.company, int(api.switches["hubspot.association_page"])
    merged, living = company.merged[kind.name], company.shelves[kind.name].living
    for one in inputs:
        text = str(one.get("id"))
        id = int(text) if text.isdigit() else 0
        if id in merged:
            continue
        if id not in living:
            message = f"No {kind.singular} with ID {text} exists"
            context = {"fromObjectId": [text]}
            errors.append({"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": context})
            continue
        # Most have none, and each sync asks for everybody's.
        if not company.links.of(kind.name, id, to.name):
            continue
        found, more = _page(api, request, kind, to, id, one.get("after"), most)
        if found:
            row: Record = {"from": {"id": text}, "to": found}
            rows.append(encode(row | ({"paging": paging.following(request, more)} if more else {})))
    return objects.completed(api, rows, errors)


def listed(api: "HubSpot", request: Request, kind: Kind, id: str, to: Kind, version: str | None) -> Answer:
    if not id.isdigit() or int(id) not in api.company.shelves[kind.name].living:
        raise not_found(id)
    limit = int(request.query.get("limit") or MOST_EACH)
    if limit > MOST_EACH:
        raise invalid(f"limit must be at most {MOST_EACH}")
    found, more = _page(api, request, kind, to, int(id), request.query.get("after"), limit)
    if version == "v3":
        found = [
            {"id": str(row["toObjectId"]), "type": name_of(kind.name, to.name, type["label"])}
            for row in found
            for type in row["associationTypes"]
        ]
    tail = b'],"paging":' + encode(paging.following(request, more)) if more else b"]"
    return Answer(rows=[encode(row) for row in found], head=b'{"results":[', tail=tail + b"}")


def labels(_api: "HubSpot", _request: Request, kind: Kind, to: Kind) -> Answer:
    pair = (kind.name, to.name)
    if pair not in ASSOCIATIONS:
        raise invalid(f"no associations from {kind.name} to {to.name}")
    found = [_type(ASSOCIATIONS[pair], None), *(_type(n, label) for label, n in LABELS.get(pair, {}).items())]
    return Answer(rows=[encode(row) for row in found], head=b'{"results":[', tail=b"]}")


def _type(number: int, label: str | None) -> Record:
    category = "HUBSPOT_DEFINED" if label is None else "USER_DEFINED"
    return {"category": category, "typeId": number, "label": label}


def _page(
    api: "HubSpot", request: Request, kind: Kind, to: Kind, id: int, after: object, limit: int
) -> tuple[list[Record], str | None]:
    first = int(str(after)) if after else 0
    everybody = [(other, types) for other, types in alive(api, kind.name, id, to.name) if other >= first]
    if (fault := request.faults.get("L5")) is not None:
        limit = int(fault.option("limit", 1))
        fault.strikes += len(everybody) > limit
    as_text = api.switches["hubspot.to_object_id"] == "string"
    found: list[Record] = [
        {
            "toObjectId": str(other) if as_text else other,
            "associationTypes": [_type(n, label) for n, label in sorted(types.items())],
        }
        for other, types in everybody[:limit]
    ]
    silent = fault is not None and fault.option("variant", "paged") == "silent"
    more = str(everybody[limit][0]) if len(everybody) > limit and not silent else None
    return found, more
