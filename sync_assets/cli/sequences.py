"""`sync-assets sequences`: which there are, who is in them, and what a person does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sync_assets.cli.terminal import By, Json, opened, show_rows, signed
from sync_assets.errors import FixConfig

if TYPE_CHECKING:
    from sync_assets.automation.reactions import Book
    from sync_assets.load.database import Database

sequences = typer.Typer(
    help="Sequences: steps with delays between them. Their files are sequences/*.yaml in SYNC_AUTOMATION_FOLDER.",
    no_args_is_help=True,
)

Execution = Annotated[str, typer.Argument(help="The id of a run, as runs shows it.")]


@sequences.command("list")
def list_(as_json: Json = False) -> None:
    """Shows every sequence that there is or was, and how many are in it or have been."""
    from sync_assets.automation import enrolments

    with opened("sequences") as database:
        _registered(database)
        show_rows(enrolments.counted(database), "there is no sequence yet", as_json=as_json)


@sequences.command()
def runs(
    sequence: Annotated[str, typer.Option(help="Only of this sequence.")] = "",
    key: Annotated[str, typer.Option(help="Only of this record, by its id.")] = "",
    status: Annotated[str, typer.Option(help="Only active, completed, exited or failed.")] = "",
    most: Annotated[int, typer.Option(help="How many at most, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Shows who is in a sequence or was: at which step, and when the next one is due."""
    from sync_assets.automation import enrolments

    with opened("sequences") as database:
        rows = enrolments.listed(database, sequence=sequence, key=key, status=status, most=most)
    show_rows(rows, "nobody is in a sequence", as_json=as_json)


@sequences.command()
def show(execution: Execution) -> None:
    """Shows everything about one run: its steps, when each was due and done, and what became of its letter."""
    from sync_assets.automation import enrolments
    from sync_assets.send.letters import as_json

    with opened("sequences") as database:
        typer.echo(as_json(enrolments.shown(database, execution)))


@sequences.command()
def stop(execution: Execution, by: By) -> None:
    """Ends a run before its next step. What is in the outbox already still leaves: see sync-assets outbox."""
    from sync_assets.automation import enrolments

    with opened("sequences") as database:
        enrolments.stopped(database, execution, by=signed(by))
    typer.echo("it has ended")


@sequences.command()
def enrol(
    sequence: Annotated[str, typer.Argument(help="The key of the sequence.")],
    key: Annotated[str, typer.Argument(metavar="RECORD", help="The id of the record.")],
    by: By,
    account: Annotated[str, typer.Option(help="The account of the record, where there are several.")] = "",
) -> None:
    """Begins a sequence with a record, whatever its file says of whom it begins with. re_enrol still holds."""
    from sync_assets.account import connected_accounts
    from sync_assets.automation import enrolments
    from sync_assets.systems import SYSTEMS

    with opened("sequences") as database:
        found = _registered(database)
        definition = next((d for d in found.sequences if d.key == sequence), None)
        if definition is None:
            raise FixConfig(f"there is no sequence {sequence[:60]!r}", next_step="see sync-assets sequences list")
        system, entity = definition.subject.system, definition.subject.entity
        accounts = [a for a in connected_accounts(SYSTEMS)[0] if a.system.name == system and account in ("", a.name)]
        if len(accounts) != 1:
            said = ", ".join(a.name for a in accounts) or "none"
            raise FixConfig(f"the account is not clear: {said} of {system}", next_step="say which with --account")
        execution = enrolments.enrolled(database, accounts[0], sequence, key, entity=entity, by=signed(by))
    typer.echo(f"begun: {execution}" if execution else f"not begun: re_enrol is {definition.re_enrol}")


def _registered(database: Database) -> Book:
    """The folder as it is now, made known to Postgres: no daemon may run yet."""
    from functools import partial

    from sync_assets.automation import sequence_runs
    from sync_assets.automation.reactions import book
    from sync_assets.settings import sync_settings

    found = book(sync_settings())
    whole = not found.wrong_sequences
    database.transaction(partial(sequence_runs.register, found=found.sequences, whole=whole))
    return found
