"""The sensor that tells people: every half minute it looks at failed runs, at checks and at what Postgres shows.

Not Dagster's own run failure sensor, which goes on to the next run when its handling of one fails: an alert would be
lost with every hiccup of Postgres, and nobody told of what is over. What was seen is in `sync.alerts`; a daemon that
was away finds it all when it comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from sync_assets.account import Account
from sync_assets.errors import SyncError
from sync_assets.load.database import Database
from sync_assets.notify.alerts import Look, Open, open_alerts, record, runs_since, unseen
from sync_assets.notify.cause import Cause, merged
from sync_assets.notify.notifiers import notifiers
from sync_assets.notify.states import LIVE, states
from sync_assets.notify.telling import Telling
from sync_assets.orchestration.failed_runs import Graph, causes_of, failed_runs, is_over
from sync_assets.settings import SyncSettings, sync_settings

SECONDS = 30
CHECK_STEP = "open the check in Dagster (the asset's Checks): it shows ids, and the query that finds the rest"


def alert_sensors(
    accounts: Sequence[Account],
    assets: Sequence[dg.AssetsDefinition],
    checks: Sequence[dg.AssetChecksDefinition],
    settings: SyncSettings,
) -> list[dg.SensorDefinition]:
    """Running where somebody can be told; `accounts` are all that something comes from or goes to."""
    if not accounts:
        return []
    can_tell = bool(notifiers(settings))

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if can_tell else dg.DefaultSensorStatus.STOPPED,
        description="Tells of failed and lost runs, red checks, webhooks and writes that wait: once for each cause.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            watch = Watch(accounts, assets, checks, sync_settings())
            try:
                return dg.SkipReason(watch.tick(context.instance, datetime.now(UTC)))
            finally:
                watch.close()
        except SyncError as e:
            return dg.SkipReason(str(e))

    return [sensor]


class Watch:
    """One tick, and what it needs."""

    def __init__(
        self,
        accounts: Sequence[Account],
        assets: Sequence[dg.AssetsDefinition],
        checks: Sequence[dg.AssetChecksDefinition],
        settings: SyncSettings,
    ) -> None:
        url = settings.database_url.get_secret_value() if settings.database_url else ""
        self._database = Database(url, wait=5.0, name="sync_assets alerts")
        self._accounts = accounts
        self._settings = settings
        self._graph = Graph(assets)
        self._checks = [key for check in checks for key in check.check_keys]
        self._notifiers = notifiers(settings)

    def close(self) -> None:
        self._database.close()

    def tick(self, instance: dg.DagsterInstance, now: datetime) -> str:
        """Looks, and tells what is due; answers how much of it. Raises the SyncErrors of the database."""
        record(self._database, self.look(instance, now), notifiers=[n.name for n in self._notifiers], now=now)
        sent = Telling(self._database, self._notifiers, self._settings).tell(now)
        return f"{len(open_alerts(self._database))} alerts are open; {sent}"

    def look(self, instance: dg.DagsterInstance, now: datetime) -> Look:
        runs = failed_runs(instance, runs_since(self._database, now))
        new = set(unseen(self._database, [run.dagster_run.run_id for run in runs]))
        failed = [
            cause for run in runs if run.dagster_run.run_id in new for cause in causes_of(instance, run, self._graph)
        ]
        red, unknown = self._red(instance, now)
        known = open_alerts(self._database)
        wrong = {cause.key for cause in red}
        return Look(
            failed=failed,
            runs=new,
            red=red,
            green=[
                a.key for a in known if a.kind in ("check", "state") and a.key not in wrong and a.key[0] not in unknown
            ],
            over=[a.id for a in known if a.kind in ("step", "run") and self._is_over(instance, a)],
        )

    def _is_over(self, instance: dg.DagsterInstance, alert: Open) -> bool:
        return is_over(instance, self._database, self._accounts, self._checks, alert)

    def _red(self, instance: dg.DagsterInstance, now: datetime) -> tuple[list[Cause], set[str]]:
        """What is wrong as it stands, and the accounts of which that could not be found out."""
        found, unknown = red_checks(instance, self._checks), set()
        for account in self._accounts:
            try:
                found += states(self._database, account, self._settings, now)
            except SyncError:
                unknown.add(account.name)
        return merged(found), unknown


def red_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[Cause]:
    """The checks whose last evaluation is an ERROR, but those that are looked up anew."""
    wanted = [key for key in keys if key.name not in LIVE]
    found = []
    for key, summary in instance.event_log_storage.get_asset_check_summary_records(wanted).items():
        record = summary.last_completed_check_execution_record
        event = record.event.dagster_event if record and record.event else None
        if record is None or record.event is None or event is None:
            continue
        data = event.asset_check_evaluation_data
        if data.passed or data.severity != dg.AssetCheckSeverity.ERROR:
            continue
        account, _, entity = key.asset_key.to_user_string().partition("/")
        says, _, step = (data.description or "it is red").partition(". Next: ")
        at = datetime.fromtimestamp(record.event.timestamp, UTC)
        found.append(
            Cause(account, entity, key.name, "check", says, step or CHECK_STEP, at, run_id=record.run_id or None)
        )
    return found
