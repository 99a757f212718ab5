"""The last step of every job: prints what the run did and turns the run red where an ERROR check failed.

Dagster ends a run green when a check that blocks nothing fails. This asset depends on nothing, so that no failure skips
it, and has the lowest priority, so that it runs when all else has ended.
"""

import dagster as dg

from sync_assets import shown
from sync_assets.errors import SyncError
from sync_assets.load.database import Database
from sync_assets.settings import sync_settings
from sync_assets.tables import CheckRow, check_table, console, run_rows, run_table

REPORT = dg.AssetKey(["sync", "report"])


@dg.asset(
    key=REPORT,
    group_name="sync",
    kinds={"postgres"},
    owners=["team:data"],
    description="What a run did, entity by entity; red where an ERROR check failed.",
    op_tags={"dagster/priority": "-1000"},
)
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    checks = evaluated_checks(context.instance, context.run.run_id)
    url = sync_settings().database_url
    metadata: dict[str, int] = {}
    if url is not None:
        database = Database(url.get_secret_value(), name="sync_assets report")
        try:
            rows = run_rows(database, context.run.run_id)
            terminal = console()
            if rows:
                terminal.print(run_table(f"{context.job_name}, run {context.run.run_id[:8]}", rows))
            terminal.print(check_table(checks))
            metadata = {
                n: sum(int(r[n]) for r in rows) for n in ("fetched", "created", "updated", "deleted", "rejected")
            }
        except SyncError as e:
            context.log.error(str(e))
        finally:
            database.close()
    red = [c for c in checks if not c.passed and c.severity == "ERROR"]
    if red:
        raise dg.Failure(
            description=f"{len(red)} checks failed: "
            + "; ".join(f"{c.asset} {c.name}: {shown.linkless(c.says)}" for c in red),
            allow_retries=False,
        )
    return dg.MaterializeResult(metadata={**metadata, "checks": len(checks)})


def evaluated_checks(instance: dg.DagsterInstance, run_id: str) -> list[CheckRow]:
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    found = []
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        e = event.asset_check_evaluation_data
        found.append(
            CheckRow(
                "/".join(e.asset_key.path), e.check_name, e.passed, e.severity.value, shown.said(e.description or "")
            )
        )
    return found
