"""`sync-assets`: what a person runs at a terminal. Each command's help says what it needs and what it changes."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_assets.cli.accounts import accounts
from sync_assets.cli.alerts import alerts
from sync_assets.cli.inbox import inbox
from sync_assets.cli.outbox import outbox
from sync_assets.cli.receiver import receive
from sync_assets.cli.report import report
from sync_assets.cli.roles import roles
from sync_assets.cli.rules import rules
from sync_assets.cli.sequences import sequences
from sync_assets.cli.terminal import opened
from sync_assets.cli.upkeep import forget, upkeep
from sync_assets.cli.webhooks import webhooks
from sync_assets.errors import FixConfig, MissingSetting, SyncError

if TYPE_CHECKING:
    from sync_assets.account import Account
    from sync_assets.entity import QueuedJob
    from sync_assets.load.database import Database

app = typer.Typer(
    help="Keeps a company's SaaS data in its own Postgres, true to the source.\n\n"
    "Settings come from the environment or from a file .env in the working folder; .env.example names them all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(receive)
app.add_typer(alerts, name="alerts")
app.add_typer(accounts, name="accounts")
app.add_typer(inbox, name="inbox")
app.add_typer(outbox, name="outbox")
app.add_typer(rules, name="rules")
app.add_typer(sequences, name="sequences")


@app.command()
def demo() -> None:
    """Shows the whole product against the sandbox, in under a minute.

    Brings a Postgres and a sandbox of its own, syncs everything, lets the sandbox's company move, syncs what changed,
    and once more to show that nothing is written. Uses none of your accounts and leaves no process behind.
    """
    from sync_assets.demo import demo as run

    raise typer.Exit(run())


@app.command()
def up() -> None:
    """Runs Dagster's UI and daemon until Ctrl-C.

    With the accounts and the DATABASE_URL of the environment; without accounts against the sandbox, and without
    DATABASE_URL on a Postgres of its own.
    """
    from sync_assets.demo import up as run

    raise typer.Exit(run())


@app.command()
def migrate() -> None:
    """Applies the files of sql/ that the database lacks, each in a transaction of its own.

    Works at SYNC_OWNER_DATABASE_URL, or at DATABASE_URL; the roles (sync-assets roles) get their rights to what is new.
    """
    from sync_assets.account import connected_accounts
    from sync_assets.cli.roles import made_for_dagster
    from sync_assets.load import migrations
    from sync_assets.load.roles import who
    from sync_assets.systems import SYSTEMS

    accounts, left_out = connected_accounts(SYSTEMS)
    for line in left_out:
        typer.echo(line)
    with opened("cli", owner=True) as database:
        applied = migrations.migrate(database, accounts)
        if who(database).made:
            made_for_dagster(database)
    for migration in applied:
        typer.echo(f"applied {migration.file}{f' to {migration.account}' if migration.account else ''}")
    typer.echo("the database is up to date")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def sandbox(context: typer.Context) -> None:
    """Runs the sandbox: a living company behind the APIs. `sync-assets sandbox --help` names its faults and sizes."""
    command = [sys.executable, "-m", "sync_assets.sandbox", *context.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command("crm-sync-pipelines")
def crm_sync_pipelines(
    requested_by: Annotated[str, typer.Option(help="Who asks; the user of this shell if not said.")] = "",
    account: Annotated[str, typer.Option(help="Which Kommo account, where there are several: kommo_emea.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job has ended.")] = False,
) -> None:
    """Queues the sync of Kommo's pipelines and statuses; prints its job_id, which is the id of the Dagster run.

    Where one is queued or running already, prints the id of that one. Standard output is the id and nothing else.
    Needs DATABASE_URL and DAGSTER_HOME as Dagster's daemon has them, which starts what is queued.

    Exit codes: 0 it is queued or running, with --wait it has succeeded; 1 nothing was queued, and standard error says
    why; 2 wrong usage; 3 with --wait it ended without success, and `sync-assets status --job ID` says why.
    """
    of, job = _queued_job("crm_sync_pipelines", account)
    with opened("cli") as database:
        database.query("select 1")  # a server that is away is told in five seconds; Dagster's storage waits a minute
        from sync_assets.definitions import defs
        from sync_assets.orchestration import queue
        from sync_assets.status import job_row

        with queue.dagster_instance() as instance:
            job_id, is_new = queue.ask_for(
                job, of, requested_by=requested_by.strip() or _this_user(),
                definitions=defs, instance=instance, database=database,
            )  # fmt: skip
            typer.echo(job_id)
            row = job_row(database, job_id)
            if not is_new:
                typer.echo(f"{row['status']} already, asked for by {row['requested_by']}", err=True)
            if row["status"] == "queued" and (said := queue.silence(instance)):
                typer.echo(said, err=True)
        if wait and _waited_for(database, job_id)["status"] != "succeeded":
            raise typer.Exit(3)


@app.command()
def status(
    job: Annotated[str, typer.Option(help="Show this job instead, by the id that queueing printed.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Shows per entity the last full and incremental sync, the rows, and the last error; with --job how one job is.

    Exit codes: 0; 1 where the database cannot be read or no job has this id.
    """
    from sync_assets.account import connected_accounts
    from sync_assets.settings import sync_settings
    from sync_assets.status import job_table, status_rows, status_table
    from sync_assets.systems import SYSTEMS
    from sync_assets.tables import console

    with opened("cli") as database:
        rows: Any = (
            _job(database, job) if job else status_rows(database, connected_accounts(SYSTEMS)[0], sync_settings())
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif job:
        console().print(job_table(rows))
    elif rows:
        console().print(status_table(rows))
    else:
        typer.echo("nothing was synced yet; run a job: dagster job execute -m sync_assets.definitions -j full_sync")


@app.command()
def doctor() -> None:
    """Checks settings, what lies open, database and pooler, APIs, tokens, clocks; exits with 1 where a line is red."""
    from sync_assets.doctor import diagnose, table
    from sync_assets.tables import console

    lines = list(diagnose())
    console().print(table(lines))
    raise typer.Exit(1 if any(line.state == "bad" for line in lines) else 0)


app.command()(report)
app.command()(webhooks)
app.command()(roles)
app.command()(upkeep)
app.command()(forget)


def _queued_job(name: str, account: str) -> tuple[Account, QueuedJob]:
    """The account whose job is meant. Raises MissingSetting where its system is not connected."""
    from sync_assets.account import connected_accounts
    from sync_assets.systems import SYSTEMS

    system, job = next((s, j) for s in SYSTEMS for j in s.jobs if j.name == name)
    accounts, left_out = connected_accounts(SYSTEMS)
    own = {a.name: a for a in accounts if a.system is system}
    if not own:
        said = next(line for line in left_out if line.startswith(system.title))
        raise MissingSetting(said, next_step="set its variables; .env.example says where their values are")
    wanted = account or (next(iter(own)) if len(own) == 1 else system.name)
    if wanted not in own:
        raise FixConfig(f"no account {wanted}", next_step=f"choose one of {', '.join(own)}")
    return own[wanted], job


def _job(database: Database, job_id: str) -> dict[str, Any]:
    """The job's row, after a look at whether a job that calls itself active still is."""
    from sync_assets.load import jobs
    from sync_assets.status import job_row

    row = next((a for a in jobs.active(database) if a.job_id == job_id), None)
    if row and (row.status == "queued" or row.alone):
        from sync_assets.orchestration import queue

        # Without Dagster at hand, what stands there is the best that is known.
        with suppress(FixConfig), queue.dagster_instance() as instance:
            queue.settle(database, instance)
    return job_row(database, job_id)


def _waited_for(database: Database, job_id: str) -> dict[str, Any]:
    from sync_assets.status import job_row

    looks = 0
    while (row := job_row(database, job_id))["status"] in ("queued", "running"):
        time.sleep(0.5)
        looks += 1
        if looks % 20 == 0:
            _job(database, job_id)
    return row


def _this_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container's user without a name


def main() -> None:
    from sync_assets.processes import ChildDiedError, NotReadyError, Stopped, exit_code

    try:
        app()
    except SyncError as e:
        typer.secho(str(e), fg="red", err=True)
        sys.exit(1)
    except (ChildDiedError, NotReadyError) as e:
        typer.secho(str(e), fg="red", err=True)
        sys.exit(1)
    except Stopped as e:
        typer.echo(f"\n{e}; everything was ended", err=True)
        sys.exit(exit_code(e.signum))
