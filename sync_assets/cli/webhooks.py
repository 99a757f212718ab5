"""`sync-assets webhooks`: what to set at each vendor, and whether it is set and on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_assets.errors import MissingSetting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sync_assets.account import Account
    from sync_assets.registration import Standing
    from sync_assets.settings import SyncSettings


def webhooks(
    create: Annotated[bool, typer.Option("--create", help="Set and switch on what is not, where an API can.")] = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Show addresses with their secrets.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Shows per account the address to set at the vendor, its events, where to set it, and whether it is on.

    States: on; off, the vendor switched it off; missing; foreign, the place is taken by another address; no secret,
    there is no address yet; unknown, nobody tells. Needs SYNC_PUBLIC_URL, and DATABASE_URL to ask within the limits.

    Exit codes: 0; 1 where one that the vendor tells of is not on, or could not be created.
    """
    from sync_assets.account import connected_accounts
    from sync_assets.registration import AMISS
    from sync_assets.settings import sync_settings
    from sync_assets.systems import SYSTEMS

    accounts, _ = connected_accounts(SYSTEMS)
    settings = sync_settings()
    if create and not (settings.sync_public_url and settings.database_url):
        name = "DATABASE_URL" if settings.sync_public_url else "SYNC_PUBLIC_URL"
        raise MissingSetting(f"{name} is not set", next_step=f"set {name}; .env.example says to what")
    found = list(_all(accounts, settings, create=create))
    if as_json:
        typer.echo(json.dumps([_told(standing, show_secrets=show_secrets) for standing in found], indent=2))
    elif found:
        _show(found, show_secrets=show_secrets)
    else:
        typer.echo("no account is connected; .env.example names the variables")
    raise typer.Exit(1 if any(standing.state in AMISS for standing in found) else 0)


def _all(accounts: Sequence[Account], settings: SyncSettings, *, create: bool) -> Iterator[Standing]:
    """What cannot be created is said at once and told by its state; it does not hold up the other accounts."""
    from sync_assets import registration
    from sync_assets.errors import SyncError
    from sync_assets.sync import connected

    for account in accounts:
        if settings.database_url is None or not registration.watched(account):
            yield from registration.standings(account, settings.sync_public_url, None)
            continue
        with connected(account, settings) as connection:
            if create:
                try:
                    registration.create(account, settings.sync_public_url, connection.door)
                except SyncError as e:
                    typer.secho(f"{account.name}: {e}", fg="red", err=True)
            yield from registration.standings(account, settings.sync_public_url, connection.door)


def _told(standing: Standing, *, show_secrets: bool) -> dict[str, Any]:
    told = asdict(standing)
    masked = told.pop("masked")
    return told if show_secrets else told | {"url": masked}


def _show(found: Sequence[Standing], *, show_secrets: bool) -> None:
    """One block per address, in lines that no terminal's width breaks: they are there to be copied."""
    from itertools import groupby

    colours = {"on": "green", "off": "red", "missing": "red", "foreign": "red"}
    for (account, url), group in groupby(found, lambda standing: (standing.account, standing.url)):
        places = list(group)
        for standing in places:
            said = " ".join(filter(None, (f"{account}:", standing.place, standing.state)))
            typer.secho(f"{said} ({standing.says})" if standing.says else said, fg=colours.get(standing.state))
        first = places[0]
        lines = {"address": url if show_secrets else first.masked, "events": " ".join(first.events), "set": first.where}
        for name, value in lines.items():
            if value:
                typer.echo(f"  {name:8} {value}")
