"""HubSpot's writes: enough of them for a client to move the company's state.

The non-obvious decision: there is no restore, because HubSpot has none over the API; a test restores on the company.
"""

from typing import TYPE_CHECKING

from sync_assets.sandbox.dialect import Answer, Record, RefusedError, Request, decode, of_json, of_record
from sync_assets.sandbox.hubspot import errors, objects
from sync_assets.sandbox.hubspot.company import HubSpotCompany, UnknownPropertyError
from sync_assets.sandbox.hubspot.names import ASSOCIATIONS, LABELS, Kind

if TYPE_CHECKING:
    from sync_assets.sandbox.hubspot.api import HubSpot


def _row(api: "HubSpot", kind: Kind, id: int, given: Record) -> bytes:
    """A write answers with what it was given, not with the whole record."""
    shelf = api.company.shelves[kind.name]
    return shelf.row(shelf.get(id), shelf.selection(given))


def _create(company: HubSpotCompany, kind: Kind, body: Record) -> tuple[int, Record]:
    properties = dict(body.get("properties") or {})
    _sound(company, kind, properties)
    if kind.name == "companies" and properties.get("domain"):
        properties.setdefault("website", properties["domain"])
    id = company.create(kind.name, properties)
    for link in body.get("associations") or ():
        wanted = int(link["types"][0]["associationTypeId"])
        to = next((pair[1] for pair, number in ASSOCIATIONS.items() if pair[0] == kind.name and number == wanted), "")
        company.associate(kind.name, id, to, int(link["to"]["id"]))
    return id, properties


def _update(company: HubSpotCompany, kind: Kind, id: str, properties: Record) -> int:
    _sound(company, kind, properties)
    number = int(id) if id.isdigit() else 0
    if number not in company.shelves[kind.name].living:
        raise errors.not_found(id)
    # A value that was cleared over the API is read as an empty text ever after, not as null.
    company.update(kind.name, number, properties)
    return number


def _sound(company: HubSpotCompany, kind: Kind, properties: Record) -> None:
    known = company.definitions[kind.name]
    for name, value in properties.items():
        if name not in known:
            raise UnknownPropertyError(name)
        if known[name]["type"] == "number" and value:
            try:
                float(value)
            except ValueError:
                raise errors.invalid(
                    f"{value} was not a valid number.", "INVALID_INTEGER", propertyName=[name]
                ) from None


def create(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    id, properties = _create(api.company, kind, objects.given(request))
    answer = of_record(_row(api, kind, id, properties))
    answer.status = 201
    return answer


def update(api: "HubSpot", request: Request, kind: Kind, id: str) -> Answer:
    properties = objects.given(request).get("properties") or {}
    return of_record(_row(api, kind, _update(api.company, kind, id, properties), properties))


def archive(api: "HubSpot", _request: Request, kind: Kind, id: str) -> Answer:
    if id.isdigit() and int(id) in api.company.shelves[kind.name].living:
        api.company.archive(kind.name, int(id))
    return Answer(204, b"")


def batch_create(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    made = [_create(api.company, kind, one) for one in objects.given(request).get("inputs") or ()]
    return objects.completed(api, [_row(api, kind, id, properties) for id, properties in made], [], 201)


def batch_update(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    inputs = objects.given(request).get("inputs") or ()
    rows = []
    for one in inputs:
        given = one.get("properties") or {}
        rows.append(_row(api, kind, _update(api.company, kind, str(one["id"]), given), given))
    return objects.completed(api, rows, [])


def batch_archive(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    for one in objects.given(request).get("inputs") or ():
        archive(api, request, kind, str(one["id"]))
    return Answer(204, b"")


def merge(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    body = objects.given(request)
    id = api.company.merge(kind.name, int(body["primaryObjectId"]), int(body["objectIdToMerge"]))
    return of_record(_row(api, kind, id, dict(api.company.properties(kind.name, id))))


def gdpr_delete(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    body = objects.given(request)
    id = api.company.by_email(body["objectId"]) if body.get("idProperty") == "email" else int(body["objectId"])
    if kind.name != "contacts" or id is None:
        raise RefusedError("only contacts can be erased")
    api.company.gdpr_delete(id)
    return Answer(204, b"")


def associate(api: "HubSpot", _request: Request, kind: Kind, id: str, to: Kind, other: str) -> Answer:
    api.company.associate(kind.name, int(id), to.name, int(other))
    return of_json({"status": "COMPLETE", "results": []})


def label(api: "HubSpot", request: Request, kind: Kind, id: str, to: Kind, other: str) -> Answer:
    """PUT with a list of types: labels by their number."""
    names = {number: text for text, number in LABELS.get((kind.name, to.name), {}).items()}
    for one in decode(request.body):
        api.company.associate(kind.name, int(id), to.name, int(other), names.get(one["associationTypeId"]))
    return of_json({"fromObjectId": int(id), "toObjectId": int(other), "labels": list(names.values())}, 201)


def dissociate(api: "HubSpot", _request: Request, kind: Kind, id: str, to: Kind, other: str) -> Answer:
    api.company.dissociate(kind.name, int(id), to.name, int(other))
    return Answer(204, b"")
