"""Kaiten: boards and cards, a tree that is paged; https://developers.kaiten.ru."""

from sync_assets.account import System
from sync_assets.entity import Bucket
from sync_assets.systems.kaiten.api import KaitenApi, KaitenSettings
from sync_assets.systems.kaiten.entities import ENTITIES
from sync_assets.systems.kaiten.webhooks import REGISTRATION, endpoints

KAITEN = System(
    "kaiten",
    title="Kaiten",
    settings=KaitenSettings,
    api=KaitenApi,
    entities=lambda _: ENTITIES,
    buckets=(Bucket("api", rate=5),),
    preflight=("/users/current", {}),
    endpoints=endpoints,
    registration=REGISTRATION,
    docs="https://developers.kaiten.ru",
)
