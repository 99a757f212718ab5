"""One asset per entity of every connected account; the asset graph is the order of the structural links."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from sync_assets.account import Account
from sync_assets.entity import Entity, in_sync_order
from sync_assets.freshness import Freshness, freshness
from sync_assets.orchestration.io_manager import RecordStream, table_of
from sync_assets.orchestration.resources import Sync
from sync_assets.settings import SyncSettings

OWNERS = ["team:data"]


def entity_assets(account: Account, settings: SyncSettings) -> list[dg.AssetsDefinition]:
    """Raises ValueError for links that form a ring or name no entity: Dagster would take the latter in silence."""
    ordered = in_sync_order(account.entities)
    return [
        _asset(account, entity, settings, position, ordered[position + 1 :]) for position, entity in enumerate(ordered)
    ]


def _asset(
    account: Account, entity: Entity, settings: SyncSettings, position: int, later: Sequence[Entity]
) -> dg.AssetsDefinition:
    links = "".join(f"\n- `{', '.join(link.names)}` leads to `{link.to}`" for link in entity.links)

    @dg.asset(
        key=[account.name, entity.name],
        deps=[dg.AssetKey([account.name, parent]) for parent in entity.structural_parents()],
        group_name=account.name,
        kinds={account.system.name, "postgres"},
        owners=OWNERS,
        description=f"{entity.doc}{chr(10) + links if links else ''}",
        metadata={
            "dagster/table_name": table_of(account, entity),
            "api": dg.MetadataValue.url(entity.url or account.system.docs),
            "read_by": ", ".join(_describe(read) for read in entity.reads),
        },
        io_manager_key="postgres",
        # An optional parent goes first without being a dependency, whose failure would stop its children.
        op_tags={"dagster/priority": str(-position)},
        freshness_policy=policy(freshness(account, settings, entity.name)),
    )
    def entity_asset(context: dg.AssetExecutionContext, sync: Sync) -> dg.MaterializeResult[RecordStream]:
        chosen = context.job_def.asset_layer.selected_asset_keys
        following = [other for other in later if dg.AssetKey([account.name, other.name]) in chosen]
        stream = RecordStream(sync.connection(account), entity, sync.request(context.run.run_id), following)
        return dg.MaterializeResult(value=stream)

    return entity_asset


def policy(allowed: Freshness) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=allowed.hours), warn_window=timedelta(hours=allowed.late_hours)
    )


def _describe(read: object) -> str:
    path = getattr(read, "path", None) or getattr(getattr(read, "read", None), "path", "")
    parent = getattr(read, "parent", "")
    if path and parent:
        return f"{path} for each of {parent}"
    return path or f"what came inside {parent}"
