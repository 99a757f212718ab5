"""HubSpot's entities: three types of objects of one make, what belongs together, and what their codes mean."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sync_assets.entity import ById, Entity, Inside, Link, Named, Own, Tells, Whole
from sync_assets.errors import Forbidden
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page
from sync_assets.systems.hubspot.associations import Associations
from sync_assets.systems.hubspot.listing import ObjectList
from sync_assets.systems.hubspot.lookup import ObjectsById
from sync_assets.systems.hubspot.search import ObjectSearch

DOCS = "https://developers.hubspot.com/docs/api-reference"
TYPES = ("contacts", "deals", "calls")

DEPARTURES = ("deletion", "merge", "restore")
HEARD = ("creation", "propertyChange", *DEPARTURES)
"""What webhooks tell of records; of calls, and of the others too, as `object.*` with the number of the type."""

INDEX_LAG = 3600.0
"""Seconds by which the search may trail the records; an incremental read looks so far back each time."""


def crm_object(
    name: str,
    *,
    changed: str,
    cursors: int,
    links: tuple[Link, ...],
    doc: str,
    told: tuple[str, ...] = (),
    **more: Any,
) -> Entity:
    path = f"/crm/v3/objects/{name}"
    everything = ObjectList(path, cursors=cursors)
    return Entity(
        name,
        read=everything,
        one=ObjectsById(path),
        changes=lambda _ask, since, _now: [
            ObjectSearch(f"{path}/search", changed=changed, since=since, everything=everything)
        ],
        overlap=INDEX_LAG,
        links=links,
        sparse=("properties",),
        named=Named("properties", f"/crm/v3/properties/{name}"),
        bin=ObjectList(path, params={"archived": "true"}, named=False),
        merged="string_to_array(t.raw_json #>> '{properties,hs_merged_object_ids}', ';')",
        tells_totals=True,
        doc=doc,
        url=f"{DOCS}/crm-{name}-v3/guide",
        hints=tuple(f"{name[:-1]}.{action}" for action in HEARD) + told,
        **more,
    )


def associated(name: str, to: tuple[str, ...]) -> Entity:
    return Entity(
        f"{name[:-1]}_associations",
        key=("to_type", "id"),
        read=Associations(name, to=to),
        of_parents=lambda ids: [Associations(name, to=to, these=tuple(ids))],
        links=(Link("id", name),),
        doc=f"What each of the {name} is associated with; one row per pair and type is in the view associations.",
        url=f"{DOCS}/crm-associations-v4/guide",
        hints=tuple(f"{name[:-1]}.{action}" for action in ("associationChange", *DEPARTURES)),
    )


@dataclass(frozen=True)
class Definitions(Own):
    """The property definitions of some types, one request each."""

    types: tuple[str, ...] = ()

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        done = start.get("done", 0)
        for number, kind in enumerate(self.types[done:], done + 1):
            try:
                answer = fetch.ask(f"{self.path}/{kind}", {}, threading.Event())
            except Forbidden as e:
                if len(fetch.withheld) + 1 == len(self.types):
                    raise
                fetch.withheld.append(f"properties of {kind} ({e.what})")
                continue
            page = fetch.splitter.page(f"properties of {kind}", self, answer, f'"object_type":"{kind}"'.encode())
            page.after = {"done": number} if number < len(self.types) else {}
            yield page


CALL_STATUSES = (
    "BUSY", "CALLING_CRM_USER", "CANCELED", "COMPLETED", "CONNECTING", "FAILED", "IN_PROGRESS", "NO_ANSWER", "QUEUED",
    "RINGING", "missed",
)  # fmt: skip

OWNER = Link("owner_id", "owners", order=False)


@cache
def entities(cursors: int) -> tuple[Entity, ...]:
    """All of HubSpot's entities, whose long lists are read by up to so many cursors at once."""
    return (
        Entity(
            "owners",
            read=(
                ObjectList("/crm/v3/owners", named=False),
                ObjectList("/crm/v3/owners", params={"archived": "true"}, named=False),
            ),
            one=ById("/crm/v3/owners/{key}", shape="object", at=""),
            doc="Users and queues that records belong to, those that have left too.",
            url=f"{DOCS}/crm-crm-owners-v3/guide",
        ),
        Entity(
            "pipelines",
            read=Whole("/crm/v3/pipelines/deals"),
            doc="Deal pipelines.",
            url=f"{DOCS}/crm-pipelines-v3/guide",
        ),
        Entity(
            "stages",
            key=("pipeline_id", "id"),
            read=Inside(
                "pipelines",
                ("$.stages[*]",),
                record="item || jsonb_build_object('pipeline_id', parent.raw_json ->> 'id')",
            ),
            links=(Link("pipeline_id", "pipelines"),),
            doc="Stages of the deal pipelines.",
            url=f"{DOCS}/crm-pipelines-v3/guide",
        ),
        Entity(
            "property_definitions",
            key=("object_type", "name"),
            read=Definitions("/crm/v3/properties", types=TYPES),
            doc="Every property of contacts, deals and calls: type, label, options.",
            url=f"{DOCS}/crm-properties-v3/guide",
        ),
        crm_object(
            "contacts",
            cursors=cursors,
            changed="lastmodifieddate",  # they carry an hs_lastmodifieddate too, which is stale
            links=(OWNER,),
            erasable=True,
            told=("contact.privacyDeletion",),
            doc="Contacts with all properties of the portal.",
        ),
        crm_object(
            "deals",
            cursors=cursors,
            changed="hs_lastmodifieddate",
            links=(
                OWNER,
                Link("pipeline", "pipelines", order=False),
                Link(("pipeline", "dealstage"), "stages", order=False),
            ),
            tells=Tells(
                stage=("properties.dealstage", "properties.pipeline"),
                responsible="properties.hubspot_owner_id",
                along=("updatedAt",),
            ),
            doc="Deals with all properties of the portal; amounts to the last digit.",
        ),
        crm_object(
            "calls",
            cursors=cursors,
            changed="hs_lastmodifieddate",
            links=(OWNER, Link("callee_contact_id", "contacts", order=False)),
            codes={"direction": ("INBOUND", "OUTBOUND"), "status": CALL_STATUSES},
            doc="Calls; whose they are is in call_contacts.",
        ),
        associated("contacts", ("deals", "calls")),
        associated("deals", ("contacts", "calls")),
        associated("calls", ("contacts", "deals")),
    )
