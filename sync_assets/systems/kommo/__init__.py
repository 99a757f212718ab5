"""Kommo (amoCRM): leads, people, tasks and what happened to them; https://developers.kommo.com."""

from sync_assets.account import System
from sync_assets.entity import Bucket, QueuedJob
from sync_assets.systems.kommo.api import KommoApi, KommoSettings
from sync_assets.systems.kommo.entities import ENTITIES
from sync_assets.systems.kommo.webhooks import REGISTRATION, endpoints
from sync_assets.systems.kommo.writes import OUTBOUND

KOMMO = System(
    "kommo",
    title="Kommo",
    settings=KommoSettings,
    api=KommoApi,
    entities=lambda _: ENTITIES,
    buckets=(Bucket("api", rate=5),),  # of the vendor's 7: who breaks that again and again is locked out
    preflight=("/account", {}),
    jobs=(
        QueuedJob(
            "crm_sync_pipelines",
            parts={"pipelines": "pipelines", "stages": "statuses"},
            doc="Reads the pipelines and their statuses.",
        ),
    ),
    endpoints=endpoints,
    registration=REGISTRATION,
    outbound=OUTBOUND,
    docs="https://developers.kommo.com",
)
