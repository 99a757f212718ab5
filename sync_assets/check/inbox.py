"""The inbox of webhooks: what was given up, and what has waited for longer than any pause of a source should last."""

from __future__ import annotations

from sync_assets.check.finding import Finding
from sync_assets.load.database import Database

PATIENCE = 3600.0
"""Seconds after which an event that still waits is worth a look."""

STANDS = """
select count(*) filter (where state = 'dead'), count(*) filter (where state <> 'dead'),
       coalesce(extract(epoch from clock_timestamp() - min(received_at) filter (where state <> 'dead')), 0)::float8
  from sync.webhook_events where account = %s and (state in ('new', 'taken', 'waiting') or state = 'dead')
"""


def inbox_is_worked_off(database: Database, account: str) -> Finding:
    """No webhook's event was given up, and none waits for long. Raises the SyncErrors of the database."""
    dead, waiting, oldest = database.query(STANDS, (account,))
    late = oldest > PATIENCE
    says = [f"{dead} events were given up"] if dead else []
    says += [f"the oldest of {waiting} that wait came {oldest / 3600:.1f} hours ago"] if late else []
    next_step = "sync-assets inbox says why; sync-assets inbox replay tries again"
    return Finding(
        "inbox_is_worked_off",
        not says,
        f"{'; '.join(says)}; {next_step}" if says else f"{waiting} events wait, none for long; none was given up",
        "WARN",
        {"count": dead, "waiting": waiting, "oldest_seconds": round(oldest, 1)},
    )
