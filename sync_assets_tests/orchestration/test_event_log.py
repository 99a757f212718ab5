"""Our event log stores what Dagster's own stores, and outlives a restart of Postgres."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
)
from dagster._core.definitions.partitions.subset.default import DefaultPartitionsSubset
from dagster._core.events import DagsterEventType, HandledOutputData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance import InstanceRef, InstanceType
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage

from sync_assets.orchestration import held
from sync_assets.orchestration.event_log import BATCH, EventLog
from sync_assets.orchestration.storage import PostgresStorage, dagster_url
from sync_assets.postgres import EmbeddedPostgres
from sync_assets_tests.asking import answer, cut_others, let_go

EVENTS = "select dagster_event_type, step_key, asset_key, partition from dagster.event_logs order by id"
CHECKS = """
select c.asset_key, check_name, execution_status, c.partition, e.dagster_event_type, m.dagster_event_type
  from dagster.asset_check_executions c join dagster.event_logs e on e.id = c.evaluation_event_storage_id
  left join dagster.event_logs m on m.id = c.materialization_event_storage_id order by 1, 2
"""
ASSETS = """
select asset_key, last_materialization is not null, last_materialization_timestamp is not null, last_run_id is not null
  from dagster.asset_keys order by 1
"""
TAGS = "select asset_key, key, count(*) from dagster.asset_event_tags group by 1, 2 order by 1, 2"


@dg.asset
def first() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 1}, tags={"sync": "full"})


@dg.asset(deps=[first], partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def parts() -> None:
    """Of which one is asked for."""


@dg.asset(deps=[first])
def broken() -> None:
    raise dg.Failure("as it must")


@dg.asset_check(asset=first)
def passes() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=first)
def fails() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@pytest.fixture
def instance_of(
    tmp_path: Path, cluster: EmbeddedPostgres, dagster_template: str
) -> Iterator[Callable[..., tuple[dg.DagsterInstance, str]]]:
    """instance_of(storage) -> a Dagster instance with this storage, and the database that it lies in."""
    with ExitStack() as ends:

        def make(storage: Any) -> tuple[dg.DagsterInstance, str]:
            name = f"events_{storage.__name__.lower()}"
            url = cluster.create_database(name, dagster_template)
            ends.callback(cluster.drop_database, name)
            ends.callback(let_go, url)
            held, folder = storage(dagster_url(url)), str(tmp_path)
            instance = dg.DagsterInstance(
                InstanceType.EPHEMERAL, LocalArtifactStorage(folder), held.run_storage, held.event_log_storage,
                DefaultRunCoordinator(), NoOpComputeLogManager(), DefaultRunLauncher(),
                schedule_storage=held.schedule_storage, ref=InstanceRef.from_dir(folder),
            )  # fmt: skip
            return ends.enter_context(instance), url

        yield make


def run(instance: dg.DagsterInstance) -> None:
    definitions = dg.Definitions([first, broken], asset_checks=[passes, fails])
    job = definitions.resolve_implicit_global_asset_job_def()
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    job = dg.Definitions([first, parts]).resolve_implicit_job_def_def_for_assets([parts.key])
    assert job is not None and job.execute_in_process(instance=instance, partition_key="b").success


def stored(url: str) -> list[list[Any]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        found = []
        for query in (EVENTS, CHECKS, ASSETS, TAGS):
            cursor.execute(query)
            found.append(cursor.fetchall())
        return found


def test_what_is_stored_is_what_dagster_stores(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BATCH, raising=False)
    theirs, their_url = instance_of(DagsterPostgresStorage)
    run(theirs)
    monkeypatch.setenv(BATCH, "1000")
    ours, our_url = instance_of(PostgresStorage)
    assert isinstance(ours.event_log_storage, EventLog)
    run(ours)
    found = stored(our_url)
    assert found == stored(their_url)
    events, checks, *_ = found
    assert [status for _, _, status, *_ in checks] == ["FAILED", "SUCCEEDED"] and len(events) > 20


def test_what_is_planned_is_stored_in_one_piece(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BATCH, raising=False)
    instance, _ = instance_of(PostgresStorage)
    monkeypatch.setattr(PostgresEventLogStorage, "store_event_batch", lambda *_: pytest.fail("one after another"))
    one = EventLog.store_event
    alone: list[str] = []
    monkeypatch.setattr(
        EventLog, "store_event", lambda self, event: (alone.append(str(event.dagster_event_type)), one(self, event))[1]
    )
    job = dg.Definitions([first], asset_checks=[passes, fails]).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance).success
    assert alone and not [kind for kind in alone if "PLANNED" in kind]


@pytest.mark.parametrize("unsure", [0.0, 3600.0])
def test_d3_an_event_after_its_connection_was_lost_is_stored(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]], monkeypatch: pytest.MonkeyPatch, unsure: float
) -> None:
    """Be the loss seen before it is stored or only by storing it; and it can be read after another loss."""
    monkeypatch.setattr("sync_assets.orchestration.kept_connections.UNSURE_SECONDS", unsure)
    instance, url = instance_of(PostgresStorage)
    for _ in range(2):
        instance.report_engine_event("something", run_id="1", job_name="x")
        assert cut_others(url) >= 1
    assert len(instance.all_logs("1")) == len(stored(url)[0]) == 2


def told(kind: DagsterEventType, at: float, run_id: str = "r", **data: Any) -> EventLogEntry:
    """Something that a step says."""
    event = dg.DagsterEvent(kind.value, "job", step_key="step", **data)
    return EventLogEntry(
        error_info=None, level=20, user_message="", run_id=run_id, timestamp=at, step_key="step", job_name="job",
        dagster_event=event,
    )  # fmt: skip


def evaluated(check: str, *, passed: bool, partition: str | None = None, run_id: str = "r") -> EventLogEntry:
    data = AssetCheckEvaluation(asset_key=first.key, check_name=check, passed=passed, metadata={}, partition=partition)
    return told(DagsterEventType.ASSET_CHECK_EVALUATION, 1.0, run_id, event_specific_data=data)


def handled(at: float) -> EventLogEntry:
    return told(HANDLED, at, event_specific_data=HandledOutputData("result", "io_manager", {}))


def start(at: float) -> EventLogEntry:
    """The one kind that nothing more is said of; it waits for nothing."""
    return told(START, at)


def planned(check: str, *partitions: str) -> EventLogEntry:
    subset = DefaultPartitionsSubset(set(partitions)) if partitions else None
    data = AssetCheckEvaluationPlanned(asset_key=first.key, check_name=check, partitions_subset=subset)
    return told(DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, 1.0, event_specific_data=data)


START = DagsterEventType.STEP_START
HANDLED = DagsterEventType.HANDLED_OUTPUT
HOW = """
select check_name, partition, execution_status, run_id, evaluation_event from dagster.asset_check_executions
 order by check_name, partition, id
"""


def test_what_a_step_says_on_its_way_is_stored_when_it_ends_or_somebody_reads(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "LONGEST_SECONDS", 3600.0)
    instance, url = instance_of(PostgresStorage)
    log = instance.event_log_storage
    log.store_event(handled(1.0))
    log.store_event(evaluated("passes", passed=True))
    assert stored(url)[0] == []
    assert [e.dagster_event_type for e in instance.all_logs("r")] == [HANDLED, DagsterEventType.ASSET_CHECK_EVALUATION]
    log.store_event(handled(2.0))
    assert len(stored(url)[0]) == 2
    log.store_event(start(3.0))
    assert [kind for kind, *_ in stored(url)[0]][2:] == ["HANDLED_OUTPUT", "STEP_START"]
    log.store_event(handled(4.0))
    log.dispose()
    assert len(stored(url)[0]) == 5


@pytest.mark.parametrize("plans", [0, 1])
def test_a_check_is_told_of_once_however_often_it_is_evaluated(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]], plans: int
) -> None:
    """And whether it was planned or not. What Dagster's own storage holds after the same events is the measure."""
    found = []
    for storage in (DagsterPostgresStorage, PostgresStorage):
        instance, url = instance_of(storage)
        for event in (*[planned("passes")] * plans, evaluated("passes", passed=False), evaluated("passes", passed=True),
                      evaluated("fails", passed=False), start(2.0)):  # fmt: skip
            instance.event_log_storage.store_event(event)
        found.append((stored(url), answer(url, HOW, ())))
    assert found[0] == found[1]
    assert [(name, status) for name, _, status, *_ in found[1][1]] == [("fails", "FAILED"), ("passes", "SUCCEEDED")]


def test_a_check_of_partitions_and_one_of_no_run_are_told_of_as_dagster_does(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]],
) -> None:
    found = []
    for storage in (DagsterPostgresStorage, PostgresStorage):
        instance, url = instance_of(storage)
        for event in (planned("passes", "a", "b"), evaluated("passes", passed=True, partition="b"), start(2.0),
                      evaluated("fails", passed=False, run_id="")):  # fmt: skip
            instance.event_log_storage.store_event(event)
        found.append((stored(url), answer(url, HOW, ())))
    assert found[0] == found[1]
    assert [row[:4] for row in found[1][1]] == [
        ("fails", None, "FAILED", ""), ("passes", "a", "PLANNED", "r"), ("passes", "b", "SUCCEEDED", "r"),
    ]  # fmt: skip


def test_d3_a_check_that_was_planned_twice_is_told_of_in_both_places(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]],
) -> None:
    """As where the answer to what was planned was lost; Dagster's own fails the step then."""
    instance, url = instance_of(PostgresStorage)
    for event in (planned("passes"), planned("passes"), evaluated("passes", passed=True), start(2.0)):
        instance.event_log_storage.store_event(event)
    assert [status for _, _, status, *_ in stored(url)[1]] == ["SUCCEEDED", "SUCCEEDED"]


def test_an_event_that_cannot_be_stored_takes_no_other_along(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]],
) -> None:
    instance, url = instance_of(PostgresStorage)
    for at in (1.0, 1e12, 3.0):
        instance.event_log_storage.store_event(handled(at))
    with pytest.raises(ValueError, match="year"):
        instance.event_log_storage.store_event(start(4.0))
    assert [kind for kind, *_ in stored(url)[0]] == ["HANDLED_OUTPUT", "HANDLED_OUTPUT", "STEP_START"]


@pytest.mark.parametrize("unsure", [0.0, 3600.0])
def test_d3_what_was_held_when_its_connection_was_lost_is_stored(
    instance_of: Callable[..., tuple[dg.DagsterInstance, str]], monkeypatch: pytest.MonkeyPatch, unsure: float
) -> None:
    monkeypatch.setattr("sync_assets.orchestration.kept_connections.UNSURE_SECONDS", unsure)
    instance, url = instance_of(PostgresStorage)
    log = instance.event_log_storage
    log.store_event(start(1.0))
    log.store_event(evaluated("passes", passed=True))
    assert cut_others(url) >= 1
    log.store_event(start(2.0))
    assert [kind for kind, *_ in stored(url)[0]] == ["STEP_START", "ASSET_CHECK_EVALUATION", "STEP_START"]
    assert len(stored(url)[1]) == 1
