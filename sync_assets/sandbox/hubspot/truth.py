"""What is true of the portal, told without its API: the oracle that Postgres is compared with.

The non-obvious decision: a record is told as a list would give it when every living property is asked for, nulls
included, so that a reader who stores no nulls has to say so.
"""

from sync_assets.sandbox.dialect import RefusedError, encode
from sync_assets.sandbox.hubspot.company import HubSpotCompany
from sync_assets.sandbox.hubspot.names import KINDS


def rows(company: HubSpotCompany, entity: str) -> list[bytes]:
    if entity in KINDS:
        shelf = company.shelves[entity]
        everything = shelf.everything()
        return [shelf.row(shelf.living[id], everything) for id in shelf.ids]
    match entity:
        case "owners":
            return [encode(owner) for owner in company.owners.values()]
        case "pipelines":
            return [encode(pipeline) for pipeline in company.pipelines.values()]
        case "stages":
            every = company.pipelines.values()
            return [encode(stage | {"pipeline_id": p["id"]}) for p in every for stage in p["stages"]]
        case "property_definitions":
            known = company.definitions.items()
            return [encode(row | {"object_type": kind}) for kind, own in known for row in own.values()]
        case "associations":
            return _associations(company)
        case "archived":
            return [encode({"object_type": kind, "id": str(id)}) for kind in KINDS for id in company.binned(kind)]
        case "merged":
            pairs = ((kind, old) for kind in KINDS for old in company.merged[kind])
            return [
                encode({"object_type": kind, "id": str(old), "into": str(company.survivor(kind, old))})
                for kind, old in pairs
            ]
        case "erased":
            return [encode({"id": str(id)}) for id in company.erased]
        case "callers":
            return _callers(company)
    raise RefusedError(f"no HubSpot entity {entity!r}")


def _associations(company: HubSpotCompany) -> list[bytes]:
    names = ("from_type", "from_id", "to_type", "to_id", "type_id", "label")
    found = []
    for kind, id, to, other, number, label in company.links.all():
        if id in company.shelves[kind].living and other in company.shelves[to].living:
            category = "HUBSPOT_DEFINED" if label is None else "USER_DEFINED"
            row = dict(zip(names, (kind, str(id), to, str(other), number, label), strict=True))
            found.append(encode(row | {"category": category}))
    return found


def _callers(company: HubSpotCompany) -> list[bytes]:
    """Who was really on each living call's line, under the id that they have today, and what gives it away.

    `gone`: they are archived or erased. `merged`: only their number said so, and the survivor may have another.
    """
    living = company.shelves["contacts"].living
    found = []
    for call, (contact, via) in company.callers.items():
        if call not in company.shelves["calls"].living:
            continue
        today = company.survivor("contacts", contact) if contact is not None else None
        known = str(today) if today in living else None
        if contact is not None and known is None:
            via = "gone"
        elif via == "phone" and today != contact:
            via = "merged"
        found.append(encode({"call_id": str(call), "contact_id": known, "via": via}))
    return found
