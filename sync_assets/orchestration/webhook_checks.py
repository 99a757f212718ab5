"""One check per account whose vendor can be asked whether it calls us; on the first entity that webhooks tell of."""

from collections.abc import Iterator, Sequence

import dagster as dg

from sync_assets.account import Account
from sync_assets.check.webhooks import webhook_is_on
from sync_assets.orchestration.checks import as_result
from sync_assets.orchestration.resources import Sync
from sync_assets.registration import watched
from sync_assets.settings import SyncSettings


def webhook_checks(accounts: Sequence[Account], settings: SyncSettings) -> Iterator[dg.AssetChecksDefinition]:
    """None where nobody has said where vendors reach us."""
    if settings.sync_public_url:
        yield from (_check(account, settings.sync_public_url) for account in accounts if watched(account))


def _check(account: Account, public_url: str) -> dg.AssetChecksDefinition:
    assert account.told_first is not None  # noqa: S101  a system that registers webhooks is told by them
    key = dg.AssetKey([account.name, account.told_first])

    @dg.asset_check(
        asset=key,
        name="webhook_is_on",
        description=(webhook_is_on.__doc__ or "").splitlines()[0],
    )
    def check(sync: Sync) -> dg.AssetCheckResult:
        return as_result(key, webhook_is_on(account, public_url, sync.connection(account).door))

    return check
