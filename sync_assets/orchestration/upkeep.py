"""Upkeep in Dagster: three assets with a job and a schedule each. None removes anything unless it was told to.

SYNC_UPKEEP says what the schedules do; the Launchpad's `apply` says it for one run, whatever the setting is.
"""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from sync_assets.account import Account
from sync_assets.errors import MissingSetting, SyncError
from sync_assets.load.database import Database
from sync_assets.load.migrations import require_migrated
from sync_assets.orchestration.assets import OWNERS
from sync_assets.orchestration.io_manager import failure
from sync_assets.orchestration.jobs import Job
from sync_assets.orchestration.report import REPORT
from sync_assets.orchestration.run_retention import retain
from sync_assets.send.http_post import http_accounts
from sync_assets.settings import SyncSettings, sync_settings
from sync_assets.tables import console
from sync_assets.upkeep.clean_up import Tidied, clean_up
from sync_assets.upkeep.orphans import Report, report
from sync_assets.upkeep.tables import markdown, orphan_rows, table, tidied_rows, unknown_rows

GROUP = "upkeep"

SCHEDULES = {"orphan_report": "0 6 * * 1", "clean_up": "0 5 1 * *", "run_retention": "30 5 * * 6"}
"""By job: Monday before work, the first of each month, Saturday."""


class Upkeep(dg.Config):
    """What a person may say in the Launchpad."""

    apply: bool | None = Field(
        default=None,
        description="true removes what has expired, false only says what would go; else as SYNC_UPKEEP says.",
    )

    def applies(self, settings: SyncSettings) -> bool:
        return settings.sync_upkeep == "on" if self.apply is None else self.apply


def upkeep_assets(accounts: Sequence[Account]) -> list[dg.AssetsDefinition]:
    if not accounts:
        return []

    @dg.asset(
        key=_key("orphan_report"),
        group_name=GROUP,
        kinds={"postgres"},
        owners=OWNERS,
        description="Rows whose links lead nowhere, and what is left of accounts and entities that nobody knows."
        " Deletes nothing.",
    )
    def orphan_report() -> dg.MaterializeResult[None]:
        found = orphans(accounts, sync_settings())
        links, unknown = orphan_rows(found), unknown_rows(found)
        show("Links that lead nowhere", links, "every link leads somewhere")
        show("What nobody knows any more", unknown, "all accounts and entities are known")
        return dg.MaterializeResult(
            metadata={
                **found.counts,
                "links": dg.MetadataValue.md(markdown(links, "Every link leads somewhere.")),
                "unknown": dg.MetadataValue.md(markdown(unknown, "All accounts and entities are known.")),
            }
        )

    @dg.asset(
        key=_key("clean_up"),
        group_name=GROUP,
        kinds={"postgres"},
        owners=OWNERS,
        description="Takes away what has expired: payloads, evidence, tombstones, letters, logs. Dry unless told.",
    )
    def clean_up_(config: Upkeep) -> dg.MaterializeResult[None]:
        settings = sync_settings()
        apply = config.applies(settings)
        return _told("Clean-up", cleaned_up(accounts, settings, apply=apply), apply=apply)

    @dg.asset(
        key=_key("run_retention"),
        group_name=GROUP,
        kinds={"dagster"},
        owners=OWNERS,
        description="How long Dagster remembers runs, events and what steps printed. Dry unless told.",
    )
    def run_retention(context: dg.AssetExecutionContext, config: Upkeep) -> dg.MaterializeResult[None]:
        settings = sync_settings()
        apply = config.applies(settings)
        return _told("Dagster", list(retain(context.instance, settings, apply=apply)), apply=apply)

    return [orphan_report, clean_up_, run_retention]


def upkeep_jobs(accounts: Sequence[Account]) -> list[Job]:
    docs = {
        "orphan_report": "Reports links that lead nowhere, and what nobody knows any more.",
        "clean_up": "Takes away what has expired, or says what would go.",
        "run_retention": "Has Dagster forget old runs and events, or says which.",
    }
    return [
        dg.define_asset_job(name, selection=dg.AssetSelection.assets(_key(name), REPORT), description=docs[name])
        for name in (SCHEDULES if accounts else ())
    ]


def upkeep_schedules(accounts: Sequence[Account], settings: SyncSettings) -> list[dg.ScheduleDefinition]:
    running = dg.DefaultScheduleStatus.RUNNING if settings.sync_upkeep == "on" else dg.DefaultScheduleStatus.STOPPED
    often = {"orphan_report": "weekly", "clean_up": "monthly", "run_retention": "weekly"}
    return [
        dg.ScheduleDefinition(name=f"{name}_{often[name]}", job_name=name, cron_schedule=cron, default_status=running)
        for name, cron in (SCHEDULES.items() if accounts and settings.sync_upkeep != "off" else ())
    ]


def orphans(accounts: Sequence[Account], settings: SyncSettings) -> Report:
    """Raises dagster.Failure."""
    also = [account.name for account in http_accounts(settings)]
    database = _database(settings)
    try:
        require_migrated(database, accounts)
        return report(database, accounts, also)
    except SyncError as e:
        raise failure(e) from None
    finally:
        database.close()


def cleaned_up(accounts: Sequence[Account], settings: SyncSettings, *, apply: bool) -> list[Tidied]:
    """Raises dagster.Failure."""
    database = _database(settings)
    try:
        require_migrated(database, accounts)
        return list(clean_up(database, settings, apply=apply))
    except SyncError as e:
        raise failure(e) from None
    finally:
        database.close()


def show(title: str, rows: Sequence[dict[str, object]], nothing: str) -> None:
    console().print(table(title, rows) if rows else f"{title}: {nothing}")


def _told(title: str, tidied: list[Tidied], *, apply: bool) -> dg.MaterializeResult[None]:
    rows = tidied_rows(tidied, apply=apply)
    show(title if apply else f"{title}, a dry run", rows, "nothing expires")
    counts = {f"{t.table} {t.what}": t.gone for t in tidied}
    return dg.MaterializeResult(
        metadata={
            "applied": apply,
            "gone" if apply else "would_go": sum(counts.values()),
            **counts,
            "table": dg.MetadataValue.md(markdown(rows, "Nothing expires.")),
        }
    )


def _key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["sync", name])


def _database(settings: SyncSettings) -> Database:
    if settings.database_url is None:
        raise failure(MissingSetting("DATABASE_URL is not set", next_step="set it, or use make up"))
    return Database(settings.database_url.get_secret_value(), name="sync_assets upkeep")
