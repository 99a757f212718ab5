"""What is worked out of HubSpot's tables: whose each call is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync_assets.entity import Derived, Source
from sync_assets.systems.hubspot.call_contacts import resolve

if TYPE_CHECKING:
    import pandas as pd

    from sync_assets.systems.hubspot.api import HubSpotSettings


def whose(settings: HubSpotSettings, **frames: pd.DataFrame) -> pd.DataFrame:
    return resolve(**frames, region=settings.phone_region)


DIALLED = (("calls", "direction"), ("calls", "from_number"), ("calls", "to_number"))
DECIDES = (
    ("calls", "callee_id"),
    ("calls", "callee_type"),
    *DIALLED,
    ("contacts", "phone"),
    ("contacts", "mobile_phone"),
)

CALL_CONTACTS = Derived(
    "call_contacts",
    key="call_id",
    covers="calls",
    sources=(
        Source(
            "calls",
            {"calls": ("calls", ("id", "direction", "from_number", "to_number", "callee_id", "callee_type"))},
        ),
        Source(
            "contacts",
            {
                "contacts": ("contacts", ("id", "phone", "mobile_phone")),
                "aliases": ("contact_aliases", ("old_id", "id")),
            },
        ),
        Source("call_associations", {"links": ("contact_calls", ("call_id", "contact_id"))}),
    ),
    compute=whose,
    tally="how",
    lineage={
        "call_id": (("calls", "id"),),
        "contact_id": (("call_associations", "raw_json"), ("contacts", "id"), *DECIDES),
        "how": (("call_associations", "raw_json"), *DECIDES),
        "reason": (("call_associations", "raw_json"), *DECIDES),
        "number": DIALLED,
    },
    doc="Which contact each call belongs to, and why: association, callee, the external party's number, or the reason"
    " why nobody can say.",
)
