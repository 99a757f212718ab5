"""`sync-assets outbox`: what waits to be written to the sources, what was given up, and what a person does about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sync_assets.cli.terminal import By, Json, opened, signed
from sync_assets.errors import FixConfig

if TYPE_CHECKING:
    from sync_assets.send.letters import Which

outbox = typer.Typer(
    help="What is to be written back to the sources: what waits, what was given up, and why nothing leaves.\n\n"
    "Needs DATABASE_URL. SYNC_WAY_BACK says whether anything leaves at all.",
    no_args_is_help=True,
)

Ids = Annotated[list[int] | None, typer.Argument(help="Their ids, as list shows them.")]
All = Annotated[str, typer.Option("--account", help="All of this account instead: bitrix.")]


@outbox.command("list")
def list_(
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    key: Annotated[str, typer.Option(help="Only about this record, by its id.")] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only in state pending, sending, failed, unknown, dead; what is over: confirmed, noop,"
                          " conflict, superseded, dropped; any."),
    ] = None,
    most: Annotated[int, typer.Option(help="How many at most, the newest first.")] = 50,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Shows what is not done with yet, the newest first, and whether anything may leave."""
    from sync_assets.send import letters

    states = [] if state == ["any"] else state or letters.OPEN_STATES
    with opened("outbox") as database:
        rows = letters.listed(database, account=account, key=key, states=states, most=most)
        standing = letters.standing(database)
    if as_json:
        typer.echo(letters.as_json({"letters": rows, "delivery": standing}))
        return
    for way in standing:
        if way["fuse_reason"]:
            typer.secho(f"{way['account']}: the fuse is blown: {way['fuse_reason']}", fg="red")
        elif way["closed_until"]:
            typer.secho(
                f"{way['account']}: left alone until {way['closed_until']}: {way['closed_reason']}", fg="yellow"
            )
    _print("outbox", letters.COLUMNS, rows)


@outbox.command()
def show(id: Annotated[int, typer.Argument(help="Its id, as list shows it.")]) -> None:
    """Shows everything about one change: what was wanted and believed, what left, what came back, and conflicts."""
    from sync_assets.send import letters

    with opened("outbox") as database:
        typer.echo(letters.as_json(letters.shown(database, id)))


@outbox.command()
def requeue(by: By, ids: Ids = None, account: All = "") -> None:
    """Sends again what was given up, after its cause was mended. What the source holds is looked at first."""
    from sync_assets.send import letters

    with opened("outbox") as database:
        done = letters.requeue(database, _which(ids, account), by=signed(by))
    typer.echo(f"{len(done)} are due again")


@outbox.command()
def drop(by: By, ids: Ids = None, account: All = "") -> None:
    """Lets changes be that have not left, or were given up: their records show again what the source holds."""
    from sync_assets.account import connected_accounts
    from sync_assets.send import letters
    from sync_assets.systems import SYSTEMS

    accounts, _ = connected_accounts(SYSTEMS)
    with opened("outbox") as database:
        done = letters.drop(database, _which(ids, account), accounts, by=signed(by))
    typer.echo(f"{len(done)} were dropped")


@outbox.command()
def release(by: By, account: Annotated[str, typer.Option(help="The account whose fuse is blown: bitrix.")]) -> None:
    """Lets out what blew an account's fuse, in your name: more changes than plausible are meant as they are."""
    from functools import partial

    from sync_assets.send import gate

    with opened("outbox") as database:
        if not database.transaction(partial(gate.release, account=account, by=signed(by))):
            raise FixConfig(f"nothing was ever delivered for {account}", next_step="see sync-assets outbox list")
    typer.echo(f"released: the next delivery to {account} goes on")


def _which(ids: Sequence[int] | None, account: str) -> Which:
    from sync_assets.send.letters import Which

    if bool(ids) == bool(account):
        raise FixConfig("say which: their ids, or --account for all of it", next_step="see sync-assets outbox list")
    return Which(tuple(ids or ()), account)


def _print(title: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    from sync_assets.tables import console

    if not rows:
        typer.echo("nothing waits")
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        style = "red" if row["state"] in ("dead", "unknown") else ""
        table.add_row(*("" if row[name] is None else str(row[name]) for name in columns), style=style)
    console().print(table)
