"""Jobs over all accounts and per account, and their schedules, which are off until somebody switches them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from sync_assets.account import Account
from sync_assets.orchestration.report import REPORT

Job: TypeAlias = dg.JobDefinition | UnresolvedAssetJobDefinition

STAGGER_MINUTES = 7
"""Accounts start this far apart: they share a database and, in a small firm, a machine."""


def sync_jobs(accounts: Sequence[Account]) -> list[Job]:
    groups = [a.name for a in accounts]
    jobs: list[Job] = []
    for name, selected in [("", groups), *((f"{g}_", [g]) for g in groups)]:
        whom = ", ".join(selected)
        jobs.append(_job(f"{name}full_sync", selected, "full", f"Reads everything of {whom} and checks it."))
        jobs.append(
            _job(f"{name}incremental_sync", selected, "incremental", f"Reads what changed in {whom} and checks it.")
        )
    jobs.append(
        dg.define_asset_job(
            "integrity_checks",
            selection=dg.AssetSelection.all_asset_checks() | dg.AssetSelection.assets(REPORT),
            description="Checks the whole of every table, not only what a sync has written.",
        )
    )
    return jobs


def sync_schedules(accounts: Sequence[Account]) -> list[dg.ScheduleDefinition]:
    schedules = []
    for i, account in enumerate(accounts):
        minute = i * STAGGER_MINUTES % 60
        schedules += [
            dg.ScheduleDefinition(
                name=f"{account.name}_incremental_every_6_hours",
                job_name=f"{account.name}_incremental_sync",
                cron_schedule=f"{minute} */6 * * *",
            ),
            dg.ScheduleDefinition(
                name=f"{account.name}_full_weekly",
                job_name=f"{account.name}_full_sync",
                cron_schedule=f"{minute} 3 * * 0",
            ),
        ]
    return schedules


def _job(name: str, groups: Sequence[str], mode: str, description: str) -> Job:
    selection = dg.AssetSelection.groups(*groups) | dg.AssetSelection.assets(REPORT)
    return dg.define_asset_job(
        name,
        selection=selection,
        description=description,
        config={"resources": {"sync": {"config": {"mode": mode}}}},
        tags={"sync_assets/mode": mode},
    )
