"""`sync-assets report`: what a run did, how that compares with those before it, and what would help."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sync_assets.cli.terminal import Json, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync_assets.account import Account
    from sync_assets.report.report import Report


def report(
    run: Annotated[str, typer.Option(help="Of this run: its id in Dagster, or how it begins.")] = "",
    last: Annotated[int, typer.Option(min=0, help="The last so many runs instead, a line each.")] = 0,
    as_json: Json = False,
) -> None:
    """Shows what the last run did, entity by entity, what went wrong, and what would help.

    With --json one object, with --last a list of them: success, duration, summary, entities, performance, issues,
    recommendations. Needs DATABASE_URL; asks neither Dagster nor a source.

    Exit codes: 0, whatever became of the run, which success says; 1 where no run has this id.
    """
    from sync_assets.report.report import report_of
    from sync_assets.report.runs import latest, named
    from sync_assets.report.told import told
    from sync_assets.settings import sync_settings

    settings, accounts = sync_settings(), _accounts()
    with opened("report") as database:
        ids = [named(database, run)] if run else latest(database, last or 1)
        found = [report_of(database, run_id, accounts, settings) for run_id in ids]
    if as_json:
        reports = [told(each) for each in found]
        typer.echo(json.dumps(reports if last else next(iter(reports), None), indent=2, ensure_ascii=False))
    elif not found:
        typer.echo("nothing was synced yet; run a job: dagster job execute -m sync_assets.definitions -j full_sync")
    else:
        _show(found, each=not last)


def _accounts() -> Sequence[Account]:
    """What is declared of them makes advice better; settings that are wrong are no reason to show no figures."""
    from sync_assets.account import connected_accounts
    from sync_assets.errors import SyncError
    from sync_assets.systems import SYSTEMS

    try:
        return connected_accounts(SYSTEMS)[0]
    except SyncError as e:
        typer.secho(str(e), fg="yellow", err=True)
        return []


def _show(found: Sequence[Report], *, each: bool) -> None:
    from sync_assets.tables import advice, check_table, console, problems, run_table, runs_table, said_of

    terminal = console()
    if not each:
        terminal.print(runs_table(found))
        return
    for report in found:
        started = f", {report.started_at:%Y-%m-%d %H:%M:%S} UTC" if report.started_at else ""
        title = f"{report.job or 'run'} {report.run_id[:8]}{started}: {said_of(report)}, {report.duration:,.1f} s"
        terminal.print(run_table(title, report.syncs) if report.syncs else f"{title}; nothing was synced")
        if report.state == "finished":
            terminal.print(check_table(report.failed_checks, report.checks))
        for line in [*problems(report), *advice(report, most=len(report.recommendations))]:
            terminal.print(line)
