"""One asset per derived table: its frames come through `load_input`, its rows go through the IO manager."""

from typing import Any

import dagster as dg

from sync_assets.account import Account
from sync_assets.entity import Derived
from sync_assets.freshness import freshness
from sync_assets.orchestration.assets import OWNERS, policy
from sync_assets.orchestration.io_manager import DerivedTable
from sync_assets.orchestration.resources import Sync
from sync_assets.settings import SyncSettings


def derived_assets(account: Account, settings: SyncSettings) -> list[dg.AssetsDefinition]:
    return [_asset(account, derived, settings) for derived in account.system.derived]


def derived_checks(account: Account) -> list[dg.AssetChecksDefinition]:
    return [_check(account, derived) for derived in account.system.derived]


def _asset(account: Account, derived: Derived, settings: SyncSettings) -> dg.AssetsDefinition:
    ins = {
        source.entity: dg.AssetIn(
            key=dg.AssetKey([account.name, source.entity]),
            metadata={"frames": {name: [table, *columns] for name, (table, columns) in source.frames.items()}},
        )
        for source in derived.sources
    }

    @dg.asset(
        key=[account.name, derived.name],
        ins=ins,
        group_name=account.name,
        kinds={"pandas", "postgres"},
        owners=OWNERS,
        description=derived.doc,
        metadata={"dagster/table_name": f"{account.schema}.{derived.name}"},
        io_manager_key="postgres",
        freshness_policy=policy(freshness(account, settings, derived.name)),
    )
    def derived_asset(sync: Sync, **sources: Any) -> dg.MaterializeResult[DerivedTable]:
        frames = {name: frame for source in sources.values() for name, frame in source.items()}
        frame = derived.compute(account.settings, **frames)
        return dg.MaterializeResult(value=DerivedTable(sync.connection(account), derived, frame))

    return derived_asset


def _check(account: Account, derived: Derived) -> dg.AssetChecksDefinition:
    name = f"one_row_for_each_of_{derived.covers}"

    @dg.asset_check(
        asset=dg.AssetKey([account.name, derived.name]),
        name=name,
        description=f"Each of the {derived.covers} has one row, and no row is of anything else.",
    )
    def check(sync: Sync) -> dg.AssetCheckResult:
        covered = sync.connection(account).target(derived.covers)
        table = f'"{account.schema}"."{derived.name}"'
        query = (
            f"select count(*) filter (where c.id is null), count(*) filter (where d.{derived.key} is null)"  # noqa: S608  our own names
            f' from "{account.schema}"."{derived.covers}" c'
            f" full join {table} d on d.{derived.key} = c.{covered.entity.keys[0]}"
        )
        strange, lacking = sync.connection(account).database.query(query)
        return dg.AssetCheckResult(
            passed=not strange and not lacking,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{lacking} {derived.covers} without a row, {strange} rows of nobody",
            metadata={"count": strange + lacking, "query": query},
        )

    return check
