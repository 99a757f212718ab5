"""`sync-assets alerts`: what is wrong now, who was told of it, and whether anybody can be told at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from sync_assets.cli.terminal import Json, opened, show_rows
from sync_assets.errors import MissingSetting, SyncError

alerts = typer.Typer(
    help="Alerts: what went wrong, once for each cause, and through whom it is told.",
    invoke_without_command=True,
)

SILENCE = timedelta(minutes=5)
"""The sensor looks every half minute."""


@alerts.callback()
def list_(
    context: typer.Context,
    days: Annotated[float, typer.Option(help="Show what was over within so many days too.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Shows every cause that is open: where, since when, what to do, and which notifier has not told it yet.

    Needs DATABASE_URL. The sensor `alerts` of Dagster finds them; when it last looked is on standard error.
    """
    if context.invoked_subcommand:
        return
    from sync_assets.notify.alerts import last_look, listed, troubled

    now = datetime.now(UTC)
    with opened("alerts") as database:
        rows = listed(database, over_since=now - timedelta(days=days) if days > 0 else None)
        looked, trouble = last_look(database), troubled(database)
    show_rows([_shown(row, as_json) for row in rows], "nothing is wrong, as far as is known", as_json=as_json)
    for name, reason in trouble:
        typer.echo(f"{name} does not take messages: {reason}", err=True)
    if looked is None or now - looked > SILENCE:
        when = f"since {looked:%Y-%m-%d %H:%M} UTC" if looked else "yet"
        typer.echo(f"nobody has looked {when}. Next: run Dagster's daemon, with the sensor `alerts` on", err=True)


@alerts.command()
def test() -> None:
    """Sends a message through every notifier, and says what came back.

    Exit codes: 0 all took it; 1 one did not, or there is none.
    """
    from sync_assets.notify.message import Message
    from sync_assets.notify.notifiers import notifiers
    from sync_assets.settings import sync_settings

    found = notifiers(sync_settings())
    if not found:
        raise MissingSetting(
            "there is no notifier",
            next_step="set SYNC_ALERT_SLACK_URL, or SYNC_ALERT_TELEGRAM_TOKEN and SYNC_ALERT_TELEGRAM_CHAT",
        )
    message = Message("sync_assets: a test", ("Alerts will come here.", "Next: nothing to do."))
    failed = False
    for notifier in found:
        try:
            notifier.send(message)
            typer.echo(f"{notifier.name}: took it")
        except SyncError as e:
            failed = True
            typer.secho(f"{notifier.name}: {e}", fg="red", err=True)
    raise typer.Exit(1 if failed else 0)


def _shown(row: dict[str, Any], as_json: bool) -> dict[str, Any]:
    if as_json:
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
    return {
        "where": "/".join(filter(None, (row["account"], row["entity"]))) or "everything",
        "what": row["cause"],
        "": row["severity"],
        "since (UTC)": f"{row['opened_at'].astimezone(UTC):%Y-%m-%d %H:%M}"
        + (f" to {row['recovered_at'].astimezone(UTC):%Y-%m-%d %H:%M}" if row["recovered_at"] else ""),
        "says": row["says"] + (f"; also stopped: {', '.join(row['stopped'])}" if row["stopped"] else ""),
        "next": row["next_step"],
        "not told by": row["not_told_by"],
    }
