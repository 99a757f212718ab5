"""What goes back to the sources: an asset per account that has such a way, its checks, its schedule and its sensor.

The sensor waits inside its tick for Postgres to tell of a change, and delivers in the same tick: a run per change would
be four seconds late. It waits for no source: what is asked to wait gets its next try. Off until SYNC_WAY_BACK says so.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from sync_assets import shown
from sync_assets.account import Account
from sync_assets.check.way_back import CHECKS, WayBack
from sync_assets.errors import SyncError
from sync_assets.load.announcements import Announcements
from sync_assets.orchestration.assets import OWNERS
from sync_assets.orchestration.checks import as_result
from sync_assets.orchestration.io_manager import failure
from sync_assets.orchestration.jobs import Job
from sync_assets.orchestration.report import REPORT
from sync_assets.orchestration.resources import Sync
from sync_assets.orchestration.ticks import TICK_SECONDS
from sync_assets.send import outbox
from sync_assets.send.deliver import Delivered, deliver
from sync_assets.settings import SyncSettings, sync_settings
from sync_assets.sync import connected

GROUP = "way_back"
"""Not the account's own: a sync of everything reads, and does not write to the source."""

LOOK_SECONDS = 1.0
"""How often a tick looks by itself: some poolers let no notice through."""

PATIENCE_SECONDS = 2.0
"""What a tick waits for a source's limit at most."""


def push_assets(accounts: Sequence[Account]) -> list[dg.AssetsDefinition]:
    return [_asset(account) for account in _outbound(accounts)]


def push_checks(accounts: Sequence[Account]) -> list[dg.AssetChecksDefinition]:
    return [_checks(account) for account in _outbound(accounts)]


def push_jobs(accounts: Sequence[Account]) -> list[Job]:
    return [
        dg.define_asset_job(
            _name(account),
            selection=dg.AssetSelection.assets(_key(account), REPORT),
            description=f"{_doc(account)} Checks that nothing waits and nothing was given up.",
        )
        for account in _outbound(accounts)
    ]


def push_schedules(accounts: Sequence[Account], settings: SyncSettings) -> list[dg.ScheduleDefinition]:
    """Whatever the sensor did not deliver."""
    running = dg.DefaultScheduleStatus.RUNNING if settings.sync_way_back == "on" else dg.DefaultScheduleStatus.STOPPED
    return [
        dg.ScheduleDefinition(
            name=f"{_name(account)}_every_5_minutes",
            job_name=_name(account),
            cron_schedule="*/5 * * * *",
            default_status=running,
        )
        for account in _outbound(accounts)
    ]


def push_sensors(accounts: Sequence[Account], settings: SyncSettings) -> list[dg.SensorDefinition]:
    """None where the way back is off: each would keep a thread of the daemon for nothing."""
    return [_sensor(account) for account in _outbound(accounts)] if settings.sync_way_back != "off" else []


def _outbound(accounts: Sequence[Account]) -> list[Account]:
    return [account for account in accounts if account.system.outbound]


def _key(account: Account) -> dg.AssetKey:
    assert account.system.outbound is not None  # noqa: S101  chosen by it
    return dg.AssetKey([account.name, account.system.outbound.name])


def _name(account: Account) -> str:
    return "_".join(_key(account).path)


def _doc(account: Account) -> str:
    return account.system.outbound.doc if account.system.outbound else ""


def _asset(account: Account) -> dg.AssetsDefinition:
    parents = account.system.outbound.parents if account.system.outbound else ()

    @dg.asset(
        key=_key(account),
        deps=[dg.AssetKey([account.name, parent]) for parent in parents],
        group_name=GROUP,
        kinds={account.system.name, "postgres"},
        owners=OWNERS,
        description=_doc(account),
        metadata={"dagster/table_name": "sync.outbox"},
    )
    def push(context: dg.AssetExecutionContext, sync: Sync) -> dg.MaterializeResult[None]:
        connection = sync.connection(account)
        try:
            if account.entities:
                connection.preflight()
            done = deliver(connection, run_id=context.run.run_id)
            days = connection.settings.sync_outbox_days
            connection.database.transaction(partial(outbox.expire, account=account.name, days=days))
        except SyncError as e:
            raise failure(e.at(account=account.name)) from None
        print(f"  {_key(account).to_user_string():<30}{done}", flush=True)
        return dg.MaterializeResult(metadata=_metadata(connection.settings, done))

    return push


def _checks(account: Account) -> dg.AssetChecksDefinition:
    key = _key(account)
    specs = [
        dg.AssetCheckSpec(name, asset=key, description=(check.__doc__ or "").strip().splitlines()[0])
        for name, check in CHECKS.items()
    ]

    @dg.multi_asset_check(specs=specs, name=f"{_name(account)}__checks", can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, sync: Sync) -> Iterator[dg.AssetCheckResult]:
        connection = sync.connection(account)
        scope = WayBack(connection.database, connection.settings, account)
        try:
            findings = [CHECKS[k.name](scope) for k in context.selected_asset_check_keys]
        except SyncError as e:
            raise failure(e) from None
        for finding in findings:
            yield as_result(key, finding)

    return checks


def _sensor(account: Account) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{_name(account)}_within_seconds",
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"{_doc(account)} As soon as Postgres tells of a change.",
    )
    def sensor(_context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings = sync_settings()
        try:
            done = tick(account, settings, seconds=TICK_SECONDS)
        except SyncError as e:
            return dg.SensorResult(skip_reason=str(e))
        events = [dg.AssetMaterialization(_key(account), metadata=_metadata(settings, done))] if done.states else []
        return dg.SensorResult(asset_events=events, skip_reason=str(done))

    return sensor


def tick(account: Account, settings: SyncSettings, *, seconds: float) -> Delivered:
    """Delivers what is due, and what becomes due within so many seconds. Raises the SyncErrors of the database."""
    until = time.monotonic() + seconds
    done = Delivered()
    if settings.database_url is None or settings.sync_way_back == "off" or account.system.outbound is None:
        return done
    operations = [operation.name for operation in account.system.outbound.operations]
    hasty = settings.model_copy(update={"sync_max_wait_seconds": PATIENCE_SECONDS})
    announcements = Announcements(
        settings.database_url.get_secret_value(),
        [account.name],
        name=f"sync_assets {account.name} way back",
        channel=outbox.CHANNEL,
        due=outbox.DUE,
        more={"operations": operations, "dry": settings.sync_way_back == "dry"},
    )
    try:
        while True:
            if announcements.due():
                with connected(account, hasty) as connection:
                    done += deliver(connection, seconds=max(1.0, until - time.monotonic()))
            heard = announcements.wait(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
            if not heard and time.monotonic() >= until:
                return done
    finally:
        announcements.close()


def _metadata(settings: SyncSettings, done: Delivered) -> dict[str, int | str]:
    states = ("confirmed", "noop", "conflict", "failed", "dead", "unknown")
    return {
        **{state: done.states[state] for state in states},
        "requests": done.requests,
        "mode": settings.sync_way_back,
        **({"closed": shown.linkless(done.closed)} if done.closed else {}),
    }
