"""The only wiring: what the environment connects becomes assets, checks, jobs and schedules."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping

import dagster as dg

from sync_assets.account import connected_accounts, former_names
from sync_assets.orchestration.alerts import alert_sensors
from sync_assets.orchestration.assets import entity_assets
from sync_assets.orchestration.automation import automation_assets, automation_jobs, automation_sensors
from sync_assets.orchestration.checks import entity_checks, inbox_checks
from sync_assets.orchestration.derived import derived_assets, derived_checks
from sync_assets.orchestration.io_manager import PostgresIOManager
from sync_assets.orchestration.jobs import sync_jobs, sync_schedules
from sync_assets.orchestration.push import push_assets, push_checks, push_jobs, push_schedules, push_sensors
from sync_assets.orchestration.queue import died_sensor
from sync_assets.orchestration.queued_jobs import queued_jobs
from sync_assets.orchestration.report import report
from sync_assets.orchestration.resources import Sync
from sync_assets.orchestration.sensors import webhook_sensors
from sync_assets.orchestration.upkeep import upkeep_assets, upkeep_jobs, upkeep_schedules
from sync_assets.orchestration.webhook_checks import webhook_checks
from sync_assets.orchestration.workers import in_process, lost_sensor
from sync_assets.send.http_post import http_accounts
from sync_assets.settings import environment, sync_settings
from sync_assets.systems import SYSTEMS


def build_definitions(env: Mapping[str, str] | None = None) -> dg.Definitions:
    """Raises the errors of `settings` for an account that is half set or unsafe."""
    env = environment() if env is None else env
    accounts, left_out = connected_accounts(SYSTEMS, env)
    for line in [*left_out, *former_names(SYSTEMS, env)]:
        logging.getLogger("sync_assets").warning(line)
    settings = sync_settings(env)
    queued = queued_jobs(accounts)
    outward = [*accounts, *(http_accounts(settings) if accounts else [])]
    assets = [
        report,
        *(asset for account in accounts for asset in entity_assets(account, settings)),
        *(asset for account in accounts for asset in derived_assets(account, settings)),
        *push_assets(outward),
        *automation_assets(accounts),
        *upkeep_assets(accounts),
    ]
    checks = [
        *(check for account in accounts for check in entity_checks(account)),
        *(check for account in accounts for check in derived_checks(account)),
        *push_checks(outward),
        *webhook_checks(accounts, settings),
        *(check for account in accounts for check in inbox_checks(account)),
    ]
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=[*sync_jobs(accounts), *queued, *push_jobs(outward), *automation_jobs(accounts), *upkeep_jobs(accounts)]
        if accounts
        else [],
        schedules=[
            *sync_schedules(accounts),
            *push_schedules(outward, settings),
            *upkeep_schedules(accounts, settings),
        ],
        sensors=[
            *([lost_sensor] if accounts else []),
            *([died_sensor] if queued else []),
            *webhook_sensors(accounts, settings),
            *push_sensors(outward, settings),
            *automation_sensors(accounts, settings),
            *alert_sensors(outward, assets, checks, settings),
        ],
        resources={"sync": Sync(), "postgres": PostgresIOManager()},
        executor=in_process,
    )


defs = build_definitions()
gc.freeze()  # what was imported stays as long as the process
