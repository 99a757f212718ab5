"""`sync-assets accounts`: which are connected, to which host each secret belongs, and the word that lets one move."""

from __future__ import annotations

from typing import Annotated

import typer

from sync_assets.cli.terminal import By, Json, opened, show_rows, signed
from sync_assets.errors import FixConfig

accounts = typer.Typer(help="The connected accounts, and the hosts that their secrets belong to.", no_args_is_help=True)


@accounts.command("list")
def list_(as_json: Json = False) -> None:
    """Shows each connected account, its secrets by name, and the host that each belongs to since its first use."""
    from sync_assets.account import connected_accounts
    from sync_assets.load import trust
    from sync_assets.systems import SYSTEMS

    rows = []
    with opened("accounts") as database:
        for account in connected_accounts(SYSTEMS)[0]:
            known = trust.hosts(database, account.name)
            for setting, (host, secret) in account.settings.sent().items():
                if secret:
                    belongs, by = known.get(setting, ("not used yet", None))
                    rows.append(
                        {
                            "account": account.name,
                            "secret": f"{account.name}_{setting}".upper(),
                            "is sent to": host,
                            "belongs to": belongs,
                            "trusted by": by,
                        }
                    )
    show_rows(rows, "no account is connected", as_json=as_json)


@accounts.command("trust")
def trust_(
    name: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account, as sync-assets accounts list has it.")],
    by: By,
) -> None:
    """Lets the secrets of an account go to the host that is set now, though they belonged to another one.

    Only for a move that you know of: whoever runs that host gets the secrets.
    """
    from sync_assets.account import connected_accounts
    from sync_assets.load import trust
    from sync_assets.systems import SYSTEMS

    found = {a.name: a for a in connected_accounts(SYSTEMS)[0]}
    if name not in found:
        raise FixConfig(f"no account {name[:60]!r} is connected", next_step="see sync-assets accounts list")
    sent = found[name].settings.sent()
    with opened("accounts") as database:
        trust.trust(database, name, sent, by=signed(by))
    for host in sorted({host for host, secret in sent.values() if secret}):
        typer.echo(f"the secrets of {name} belong to {host}")
