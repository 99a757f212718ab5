"""`sync-assets receive`: the process that vendors call. It opens its socket first and loads the rest afterwards."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Annotated

import typer


def receive(
    host: Annotated[str, typer.Option(help="Where to listen; SYNC_RECEIVER_HOST if not said.")] = "",
    port: Annotated[int, typer.Option(help="SYNC_RECEIVER_PORT if not said; 0 for a free one.")] = -1,
) -> None:
    """Receives webhooks until Ctrl-C or SIGTERM, and prints the addresses that vendors call, without their secrets.

    Needs DATABASE_URL, and the secret of at least one account's webhooks (sync-assets webhooks says which). While
    Postgres is away it keeps what comes in SYNC_SPOOL_FOLDER. GET /health shows how it is (503 where
    something needs somebody), GET /health/live only whether it takes webhooks.

    Exit codes: 0 it was asked to stop, and everything it took is kept; 1 it could not start.
    """
    from sync_assets.receive.listener import address_of, listen
    from sync_assets.settings import sync_settings

    settings = sync_settings()
    where = host or settings.sync_receiver_host, port if port >= 0 else settings.sync_receiver_port
    with closing(listen(*where)) as listener:
        # From here on callers wait for what is loaded now.
        from sync_assets.account import connected_accounts
        from sync_assets.receive.server import Receiver
        from sync_assets.systems import SYSTEMS

        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("sync_assets").setLevel(logging.INFO)
        receiver = Receiver(connected_accounts(SYSTEMS)[0], settings, listener)

        def ready() -> None:
            for address in receiver.addresses:
                typer.echo(address)
            typer.echo(f"listening on {address_of(listener)}")

        receiver.run(ready)
