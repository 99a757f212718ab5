"""What a run is asked to do, from the Launchpad, and the connections that it shares among its entities.

No field holds a secret: those come from the environment when the run starts, and Dagster never sees them.
"""

from datetime import datetime
from typing import Literal

import dagster as dg
from pydantic import Field, PrivateAttr

from sync_assets.account import Account
from sync_assets.errors import FixConfig
from sync_assets.settings import sync_settings
from sync_assets.sync import Connected, Request


class Sync(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only for Dagster's own IO managers
    """How much to read. Incremental is the safe default: it reads all where it must."""

    mode: Literal["incremental", "full"] = Field(
        default="incremental", description="incremental reads what changed since the last sync; full reads everything."
    )
    since: str | None = Field(
        default=None, description="Read what changed since this time instead, for example 2026-11-01T00:00:00Z."
    )
    ids: list[str] = Field(default=[], description="Read only these records, by id; for one entity with a read by id.")
    allow_deletions: int | None = Field(
        default=None, description="Lets this one run delete up to so many records of an entity, past the fuse."
    )

    _open: dict[str, Connected] = PrivateAttr(default_factory=dict)

    def request(self, run_id: str) -> Request:
        """Raises FixConfig where `since` is no time with a zone."""
        since = None
        if self.since:
            try:
                since = datetime.fromisoformat(self.since)
            except ValueError:
                since = None
            if since is None or since.tzinfo is None:
                raise FixConfig("since is no time with a zone", next_step="write it as 2026-11-01T00:00:00Z")
        return Request(
            kind="selective" if self.ids or since else self.mode,
            since=since,
            ids=tuple(self.ids),
            allow_deletions=self.allow_deletions,
            run_id=run_id,
        )

    def connection(self, account: Account) -> Connected:
        """One per account and run."""
        if account.name not in self._open:
            self._open[account.name] = Connected(account, sync_settings())
        return self._open[account.name]

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        for connection in self._open.values():
            connection.close()
        self._open.clear()
