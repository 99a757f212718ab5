"""HubSpot: contacts, deals and calls of any portal's properties, and how they belong together; https://developers.hubspot.com."""

from sync_assets.account import System
from sync_assets.entity import Bucket
from sync_assets.systems.hubspot.api import HubSpotApi, HubSpotSettings, scopes
from sync_assets.systems.hubspot.derived import CALL_CONTACTS
from sync_assets.systems.hubspot.entities import entities
from sync_assets.systems.hubspot.webhooks import REGISTRATION, endpoints

HUBSPOT = System(
    "hubspot",
    title="HubSpot",
    settings=HubSpotSettings,
    api=HubSpotApi,
    entities=lambda settings: entities(settings.list_cursors),
    # The smallest tier's limits; what an answer's headers say of a bucket counts from then on.
    buckets=(Bucket("burst", rate=10), Bucket("search", rate=5), Bucket("associations", rate=10)),
    preflight=("/account-info/v3/details", {}),
    rights=scopes,
    derived=(CALL_CONTACTS,),
    endpoints=endpoints,
    registration=REGISTRATION,
    docs="https://developers.hubspot.com/docs",
)
