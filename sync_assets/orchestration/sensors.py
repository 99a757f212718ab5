"""One sensor per system whose webhooks we receive: what comes is worked off at once, without a run.

A tick looks at the inbox and tells what was done since the last. Between two ticks, which are five seconds apart, a
thread of this process watches on; it ends by itself when no more ticks come. What has to be remembered (connections,
rests) is kept in this process too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from sync_assets.account import Account, System
from sync_assets.errors import SyncError
from sync_assets.orchestration.io_manager import RecordStream, materialization_metadata
from sync_assets.settings import SyncSettings
from sync_assets.sync import Request
from sync_assets.sync.look import Work
from sync_assets.sync.watch import Watch

watches: dict[str, Watch] = {}
"""By system: kept from tick to tick, and at work between them."""


def webhook_sensors(accounts: Sequence[Account], settings: SyncSettings) -> list[dg.SensorDefinition]:
    """None for a system of which no account has an endpoint."""
    called = [account for account in accounts if account.endpoints]
    systems = {account.system.name: account.system for account in called}
    return [_sensor(s, [a for a in called if a.system.name == name], settings) for name, s in systems.items()]


def _sensor(system: System, accounts: Sequence[Account], settings: SyncSettings) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{system.name}_webhooks",
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reads afresh what {system.title}'s webhooks tell of, as soon as they come.",
    )
    def tick() -> dg.SensorResult:
        try:
            if system.name not in watches:
                watches[system.name] = Watch(accounts, settings)
            watch = watches[system.name]
            works = watch.look()
            events = [event for name, work in works.items() for event in _materializations(watch, name, work)]
        except SyncError as e:
            return dg.SensorResult(skip_reason=str(e))
        said = "; ".join(_said(name, work) for name, work in works.items())
        return dg.SensorResult(skip_reason=said, asset_events=events)

    return tick


def _materializations(watch: Watch, account: str, work: Work) -> Iterator[dg.AssetMaterialization]:
    """One per entity that was looked at, as a batch run has it."""
    connection = watch.workers[account].connection
    for name, outcome in work.outcomes.items():
        stream = RecordStream(connection, connection.account.entity(name), Request("webhook"))
        yield dg.AssetMaterialization([account, name], metadata=materialization_metadata(stream, outcome))


def _said(account: str, work: Work) -> str:
    done = [f"{work.events:,} events over {work.records:,} records"]
    for name, outcome in work.outcomes.items():
        parts = [f"{outcome.totals[n]:,} {n}" for n in ("created", "updated", "deleted") if outcome.totals[n]]
        done.append(f"{name} {', '.join(parts) or 'unchanged'}")
    left = [f"{count:,} {what}" for count, what in ((work.waiting, "waiting"), (work.dead, "dead")) if count]
    return f"{account}: {'; '.join([*done, *left, *work.problems])}"
