"""The small endpoints beside the records: owners, pipelines, property definitions, the account and its usage.

The non-obvious decision: `collectedAt` of the usage is a minute old, because the vendor's own counter trails too and
nobody should steer by it alone.
"""

from typing import TYPE_CHECKING

from sync_assets.sandbox.dialect import Answer, Record, Request, encode, of_json, of_record
from sync_assets.sandbox.hubspot import objects, paging
from sync_assets.sandbox.hubspot.company import APP, PORTAL, ZONE
from sync_assets.sandbox.hubspot.errors import ApiError, not_found, unauthenticated
from sync_assets.sandbox.hubspot.names import DISPOSITIONS, Kind, millis, stamp

if TYPE_CHECKING:
    from sync_assets.sandbox.hubspot.api import HubSpot


def results(rows: list[Record], paging_: Record | None = None) -> Answer:
    tail = b'],"paging":' + encode(paging_) + b"}" if paging_ else b"]}"
    return Answer(rows=[encode(row) for row in rows], head=b'{"results":[', tail=tail)


def owners(api: "HubSpot", request: Request) -> Answer:
    want = paging.asked(request)
    email = request.query.get("email")
    first = int(request.query.get("after") or 0)
    found = [
        owner
        for id, owner in sorted(api.company.owners.items(), key=lambda pair: int(pair[0]))
        if owner["archived"] is want.archived and email in (None, owner["email"]) and int(id) >= first
    ]
    if request.keep is not None:
        found = [owner for owner in found if request.keep(owner["id"])]
    limit = want.limit if "limit" in request.query else 100
    more = paging.following(request, found[limit]["id"]) if len(found) > limit else None
    return results(found[:limit], more)


def owner(api: "HubSpot", _request: Request, id: str) -> Answer:
    if id not in api.company.owners:
        raise not_found(id)
    return of_record(encode(api.company.owners[id]))


def pipelines(api: "HubSpot", _request: Request, kind: Kind) -> Answer:
    return results(list(api.company.pipelines.values()) if kind.name == "deals" else [])


def pipeline(api: "HubSpot", _request: Request, kind: Kind, id: str) -> Answer:
    if kind.name != "deals" or id not in api.company.pipelines:
        raise ApiError(404, f"No pipeline {id}", "OBJECT_NOT_FOUND")
    return of_record(encode(api.company.pipelines[id]))


def stages(api: "HubSpot", _request: Request, kind: Kind, id: str) -> Answer:
    if kind.name != "deals" or id not in api.company.pipelines:
        raise ApiError(404, f"No pipeline {id}", "OBJECT_NOT_FOUND")
    return results(api.company.pipelines[id]["stages"])


def properties(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    archived = paging.asked(request).archived
    known = api.company.retired[kind.name] if archived else api.company.definitions[kind.name]
    return results(list(known.values()))


def one_property(api: "HubSpot", request: Request, kind: Kind, name: str) -> Answer:
    archived = paging.asked(request).archived
    known = api.company.retired[kind.name] if archived else api.company.definitions[kind.name]
    if name not in known:
        raise ApiError(404, f"Property {name} does not exist", "OBJECT_NOT_FOUND")
    return of_record(encode(known[name]))


def details(_api: "HubSpot", _request: Request) -> Answer:
    return of_json(
        {
            "portalId": PORTAL,
            "accountType": "STANDARD",
            "timeZone": ZONE,
            "companyCurrency": "USD",
            "additionalCurrencies": ["EUR", "RUB"],
            "utcOffset": "+03:00",
            "utcOffsetMilliseconds": 10_800_000,
            "uiDomain": "app-eu1.hubspot.com",
            "dataHostingLocation": "eu1",
        }
    )


def usage(api: "HubSpot", _request: Request) -> Answer:
    spent = api.usage
    collected = millis(api.company.clock.peek()) - 60_000
    return results(
        [
            {
                "name": "private-apps-api-calls-daily",
                "usageLimit": spent.most,
                "currentUsage": spent.used,
                "collectedAt": stamp(collected),
                "fetchStatus": "SUCCESS",
                "resetsAt": stamp(int(spent.resets_at() * 1000)),
            }
        ]
    )


def token(api: "HubSpot", request: Request) -> Answer:
    """What a private app may do; known from the vendor's reference, not from the facts file."""
    if objects.given(request).get("tokenKey") != api.credentials()["token"]:
        return unauthenticated()
    return of_json({"userId": 9_586_504, "hubId": PORTAL, "appId": APP, "scopes": sorted(api.company.scopes)})


def dispositions(_api: "HubSpot", _request: Request) -> Answer:
    return of_json([{"id": id, "label": label, "deleted": False} for label, id in DISPOSITIONS.items()])
