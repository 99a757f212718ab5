"""Worksection: projects and tasks in one answer each, without pages or change stamps; https://worksection.com/en/faq/api.html."""

from sync_assets.account import System
from sync_assets.entity import Bucket
from sync_assets.systems.worksection.api import WorksectionApi, WorksectionSettings
from sync_assets.systems.worksection.entities import entities
from sync_assets.systems.worksection.webhooks import REGISTRATION, endpoints

WORKSECTION = System(
    "worksection",
    title="Worksection",
    settings=WorksectionSettings,
    api=WorksectionApi,
    entities=entities,
    buckets=(Bucket("api", rate=1),),
    preflight=("get_project_groups", {}),
    endpoints=endpoints,
    registration=REGISTRATION,
    docs="https://worksection.com/en/faq/api.html",
)
