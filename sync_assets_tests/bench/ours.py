"""What the bench measures of ours: a sync as the product carries it out."""

from sync_assets.account import connected_accounts
from sync_assets.entity import in_sync_order
from sync_assets.settings import sync_settings
from sync_assets.sync import Kind, Request, connected, sync_entity
from sync_assets.systems import SYSTEMS
from sync_assets_tests.bench.client import COUNTS


def sync(system: str, kind: Kind, only: str | None) -> dict[str, int]:
    """The whole account, or some of its entities, whose parents are there already."""
    account = next(a for a in connected_accounts(SYSTEMS)[0] if a.name == system)
    totals = dict.fromkeys(COUNTS, 0)
    with connected(account, sync_settings()) as connection:
        chosen = [e for e in in_sync_order(account.entities) if only is None or e.name in only.split(",")]
        for place, entity in enumerate(chosen, 1):
            done = sync_entity(connection, entity, Request(kind), following=chosen[place:]).totals
            totals = {name: totals[name] + done[name] for name in COUNTS}
    return totals
