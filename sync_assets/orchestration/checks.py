"""The generated checks of each entity, as one op per entity: a failed sync skips its own checks and nobody else's."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from sync_assets import shown
from sync_assets.account import Account
from sync_assets.check import CHECKS, Finding, Scope, check_entity, checks_of
from sync_assets.check.inbox import inbox_is_worked_off
from sync_assets.entity import Entity
from sync_assets.errors import SyncError
from sync_assets.freshness import freshness
from sync_assets.orchestration.io_manager import failure
from sync_assets.orchestration.resources import Sync
from sync_assets.sync import Connected


def entity_checks(account: Account) -> list[dg.AssetChecksDefinition]:
    return [_checks(account, entity) for entity in account.entities]


def _checks(account: Account, entity: Entity) -> dg.AssetChecksDefinition:
    key = dg.AssetKey([account.name, entity.name])
    specs = [
        dg.AssetCheckSpec(name, asset=key, description=(CHECKS[name].__doc__ or "").strip().splitlines()[0])
        for name in checks_of(entity)
    ]

    @dg.multi_asset_check(specs=specs, name=f"{account.name}__{entity.name}__checks", can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, sync: Sync) -> Iterator[dg.AssetCheckResult]:
        connection = sync.connection(account)
        names = [k.name for k in context.selected_asset_check_keys]
        try:
            findings = check_entity(scope_of(connection, entity, context.run.run_id), names)
        except SyncError as e:
            raise failure(e) from None
        for finding in findings:
            yield as_result(key, finding)

    return checks


def inbox_checks(account: Account) -> list[dg.AssetChecksDefinition]:
    """One per account whose webhooks we receive, on the first entity that they tell of."""
    if not (account.endpoints and account.told_first):
        return []
    key = dg.AssetKey([account.name, account.told_first])
    doc = (inbox_is_worked_off.__doc__ or "").partition(". ")[0]

    @dg.asset_check(asset=key, name=inbox_is_worked_off.__name__, description=f"{doc}.")
    def check(sync: Sync) -> dg.AssetCheckResult:
        try:
            return as_result(key, inbox_is_worked_off(sync.connection(account).database, account.name))
        except SyncError as e:
            raise failure(e) from None

    return [check]


def scope_of(connection: Connected, entity: Entity, run_id: str) -> Scope:
    """The rows that this run's syncs wrote; the whole table where this run synced nothing."""
    found = connection.database.rows(
        "select id from sync.logs where run_id = %s and account = %s and entity = %s",
        (run_id, connection.account.name, entity.name),
    )
    return Scope(
        connection.database,
        connection.settings,
        entity,
        connection.target,
        tuple(log_id for (log_id,) in found),
        freshness(connection.account, connection.settings, entity.name),
    )


def as_result(key: dg.AssetKey, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=finding.passed,
        asset_key=key,
        check_name=finding.name,
        severity=dg.AssetCheckSeverity(finding.severity),
        description=shown.described(finding.says),
        # A count on every result, so that each check has a plot.
        metadata={name: _metadata(value) for name, value in ({"count": 0} | finding.facts).items()},
    )


def _metadata(value: Any) -> Any:
    if isinstance(value, list | dict):
        return dg.MetadataValue.json(shown.metadata(value))
    return shown.metadata(value)
