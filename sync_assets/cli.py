"""`sync-assets`: what a person runs at a terminal. Each command's help says what it needs and what it changes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sync_assets.errors import MissingSetting, SyncError

if TYPE_CHECKING:
    from sync_assets.load.database import Database

app = typer.Typer(
    help="Keeps a company's SaaS data in its own Postgres, true to the source.\n\n"
    "Settings come from the environment or from a file .env in the working folder; .env.example names them all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
    """Applies the files of sql/ that the database at DATABASE_URL lacks, each in a transaction of its own."""
    from sync_assets.account import connected_accounts
    from sync_assets.load import migrations
    from sync_assets.systems import SYSTEMS

    accounts, left_out = connected_accounts(SYSTEMS)
    for line in left_out:
        typer.echo(line)
    database = _database()
    try:
        applied = migrations.migrate(database, accounts)
    finally:
        database.close()
    for migration in applied:
        typer.echo(f"applied {migration.file}{f' to {migration.account}' if migration.account else ''}")
    typer.echo("the database is up to date")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def sandbox(context: typer.Context) -> None:
    """Runs the sandbox: a living company behind the APIs. `sync-assets sandbox --help` names its faults and sizes."""
    command = [sys.executable, "-m", "sync_assets.sandbox", *context.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Shows per entity the last full and incremental sync, the rows, and the last error."""
    from sync_assets.status import status_rows, status_table
    from sync_assets.tables import console

    database = _database()
    try:
        rows = status_rows(database)
    finally:
        database.close()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        console().print(status_table(rows))
    else:
        typer.echo("nothing was synced yet; run a job: dagster job execute -m sync_assets.definitions -j full_sync")


@app.command()
def doctor() -> None:
    """Checks settings, database and pooler, APIs, tokens, clocks and versions; exits with 1 where a line is red."""
    from sync_assets.doctor import diagnose, table
    from sync_assets.tables import console

    lines = list(diagnose())
    console().print(table(lines))
    raise typer.Exit(1 if any(line.state == "bad" for line in lines) else 0)


def _database() -> Database:
    from sync_assets.load.database import Database
    from sync_assets.settings import sync_settings

    url = sync_settings().database_url
    if url is None:
        raise MissingSetting("DATABASE_URL is not set", next_step="set it, or try make demo first")
    return Database(url.get_secret_value(), wait=5.0, name="sync_assets cli")


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
