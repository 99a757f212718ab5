"""`sync-assets inbox`: what webhooks told us, what became of it, and another try for what was given up."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from sync_assets.cli.terminal import Json, opened

inbox = typer.Typer(help="Shows what webhooks told us and what became of it; tries again what was given up.")

DAYS = 7
"""The time over which the delivery of webhooks is judged."""

Account = Annotated[str, typer.Option(help="Only of this account: hubspot, kaiten_emea.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="Of an event, as the list shows it.")]


@inbox.callback(invoke_without_command=True)
def overview(
    context: typer.Context,
    account: Account = "",
    state: Annotated[str, typer.Option(help="Only events in this state: new, waiting, dead, ...")] = "",
    last: Annotated[int, typer.Option(help="How many of the latest events.")] = 20,
    as_json: Json = False,
) -> None:
    """Counts events by account and state, tells how well webhooks are delivered, and lists the latest events."""
    if context.invoked_subcommand is not None:
        return
    from sync_assets.load import heard, inbox_rows
    from sync_assets.tables import console

    with opened("inbox") as database:
        found = {
            "states": inbox_rows.states(database, account),
            "delivery": [row for row in heard.quality(database, DAYS) if account in ("", row["account"])],
            "events": inbox_rows.latest(database, account, state, last),
        }
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    titles = {"states": "Events", "delivery": f"Delivery in the last {DAYS} days", "events": "The latest"}
    for name, rows in found.items():
        if rows:
            console().print(_table(titles[name], rows))
    if not any(found.values()):
        typer.echo("no webhook has come yet; sync-assets receive takes them in")


@inbox.command()
def show(event: Id, as_json: Json = False) -> None:
    """Shows one event with what the webhook sent, as far as that is still kept."""
    from sync_assets.load import inbox_rows
    from sync_assets.tables import console

    with opened("inbox") as database:
        row = inbox_rows.event(database, event)
    if as_json:
        typer.echo(json.dumps(row, indent=2))
        return
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in row.items():
        if value not in (None, ""):
            table.add_row(name.replace("_", " "), _cell(value), style="red" if name == "reason" else "")
    console().print(table)


@inbox.command()
def replay(
    event: Annotated[int | None, typer.Argument(metavar="[ID]", help="Of an event, as the list shows it.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
    account: Account = "",
) -> None:
    """Puts an event, or all that were given up, back in line: their records are looked at as if they had just come."""
    from sync_assets.load import inbox_rows

    if (event is None) is not dead:
        raise typer.BadParameter("name either an event or --dead")
    with opened("inbox") as database:
        count = inbox_rows.replay(database, event=event, account=account)
    typer.echo(f"{count:,} events are in line again")


@inbox.command()
def drop(event: Id) -> None:
    """Takes an event away for good. The record that it tells of stays as it is."""
    from sync_assets.load import inbox_rows

    with opened("inbox") as database:
        inbox_rows.drop(database, event)
    typer.echo(f"event {event} is gone")


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        style = {"dead": "red", "waiting": "yellow"}.get(str(row.get("state")), "")
        table.add_row(*(_cell(value) for value in row.values()), style=style)
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | float) else str(value)
