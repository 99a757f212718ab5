"""Bitrix: a shop's orders, goods and people; https://apidocs.bitrix24.com."""

from sync_assets.account import System
from sync_assets.entity import Bucket
from sync_assets.systems.bitrix import shop, webhooks
from sync_assets.systems.bitrix.api import BitrixApi, BitrixSettings, rights
from sync_assets.systems.bitrix.entities import ENTITIES
from sync_assets.systems.bitrix.writes import OUTBOUND

BITRIX = System(
    "bitrix",
    title="Bitrix",
    settings=BitrixSettings,
    api=BitrixApi,
    entities=lambda _: ENTITIES,
    buckets=(Bucket("api", rate=2, burst=45),),  # a leaky bucket of 50, which our own slots fill a little unevenly
    preflight=("profile", {}),
    rights=rights,
    endpoints=lambda settings: (*webhooks.endpoints(settings), *shop.endpoints(settings)),
    registration=webhooks.REGISTRATION,
    outbound=OUTBOUND,
    docs="https://apidocs.bitrix24.com",
)
