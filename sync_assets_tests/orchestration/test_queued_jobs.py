"""`crm_sync_pipelines`: queued by a command, found again by its id, one at a time, and never stuck behind the dead."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sync_assets.errors import SyncError
from sync_assets.load import jobs
from sync_assets.orchestration import queue
from sync_assets.orchestration.queue import died_sensor
from sync_assets_tests.orchestration.queueing import JOB, Queueing, steps
from sync_assets_tests.orchestration.test_job_execute import Execution

PIPELINES = r"/leads/pipelines$"


def wait_until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def shown(queueing: Queueing, job_id: str) -> dict[str, object]:
    """What `status --job` says, both ways."""
    table = queueing.command("status", "--job", job_id)
    assert table.exit_code == 0 and job_id in table.stdout
    told = json.loads(queueing.command("status", "--job", job_id, "--json").stdout)
    assert told["status"] in table.stdout and told["requested_by"] in table.stdout
    return dict(told)


def test_asked_for_twice_it_is_one_run_whose_result_is_the_world_s(queueing: Queueing) -> None:
    company = queueing.company
    first = queueing.command("crm-sync-pipelines", "--requested-by", "ann")
    job_id = first.stdout.strip()
    assert first.exit_code == 0 and first.stdout == f"{job_id}\n", "the id and nothing else"
    assert "no Dagster daemon runs" in first.stderr and "Next: start one" in first.stderr
    second = queueing.command("crm-sync-pipelines", "--requested-by", "bob")
    assert second.stdout == first.stdout and "queued already, asked for by ann" in second.stderr
    (run,) = queueing.instance.get_runs()
    assert (run.run_id, run.job_name, run.status) == (job_id, JOB, dg.DagsterRunStatus.QUEUED)
    assert run.tags["sync_assets/requested_by"] == "ann"
    waiting = shown(queueing, job_id)
    assert (waiting["status"], waiting["requested_by"], waiting["started_at"]) == ("queued", "ann", None)
    assert waiting["account"] == "kommo" and waiting["job"] == JOB

    done = queueing.work(job_id)
    assert done.success
    assert steps(done) == {
        "kommo__pipelines", "kommo__statuses", "kommo__pipelines__checks", "kommo__statuses__checks", "sync__report"
    }  # fmt: skip
    company.assert_ledger_adds_up()
    told = shown(queueing, job_id)
    world = {"pipelines": company.truth("pipelines", "kommo"), "stages": company.truth("statuses", "kommo")}
    assert told["result"] == {name: len(records) for name, records in world.items()} and world["stages"]
    assert company.raw("statuses", "kommo") == world["stages"]
    assert told["status"] == "succeeded" and told["requested_by"] == "ann" and told["error"] is None
    assert str(told["requested_at"]) < str(told["started_at"]) < str(told["ended_at"])
    assert f"{len(world['stages'])} stages" in queueing.command("status", "--job", job_id).stdout

    again = queueing.ask()
    assert again != job_id and queueing.statuses() == ["succeeded", "queued"]


def test_a_run_launched_elsewhere_while_one_is_active_ends_at_once_and_names_it(queueing: Queueing) -> None:
    active = queueing.ask()
    result = queueing.begin(queueing.launched(**{"dagster/schedule_name": "nightly"}))
    assert result.success and steps(result) == set() and queueing.company.sandbox.requests == []
    (told,) = (e for e in result.all_events if e.event_type == dg.DagsterEventType.ENGINE_EVENT)
    assert told.engine_event_data.metadata["active_job_id"].value == active and active in str(told.message)
    run = queueing.instance.get_run_by_id(result.run_id)
    assert run is not None and run.tags["sync_assets/active_job_id"] == active
    row = shown(queueing, result.run_id)
    assert (row["status"], row["active_job_id"]) == ("superseded", active)
    assert row["requested_by"] == "schedule nightly"

    # So does one that was launched then, even if a slow daemon starts it when the other has succeeded.
    late = queueing.launched()
    assert queueing.work(active).success
    assert steps(queueing.begin(late)) == set() and queueing.row(late)["active_job_id"] == active

    # Where none is active it is the job like any other.
    result = queueing.begin(queueing.launched())
    assert result.success and "kommo__statuses" in steps(result)
    assert shown(queueing, result.run_id)["status"] == "succeeded"


def test_the_error_of_the_api_is_kept_and_the_next_one_may_come(queueing: Queueing) -> None:
    company = queueing.company
    company.sandbox.faults.set("A11", system="kommo", path=PIPELINES, status=403)
    job_id = queueing.ask()
    assert not queueing.work(job_id).success
    told = shown(queueing, job_id)
    assert told["status"] == "failed" and told["result"] is None
    assert "403" in str(told["error"]) and "entity pipelines" in str(told["error"]) and "Next: " in str(told["error"])
    ((kept,),) = company.query("select error from sync.logs where entity = 'pipelines'")
    assert kept == told["error"], "the words of the sync itself"

    assert queueing.ask() != job_id and queueing.statuses() == ["failed", "queued"]


def test_a_red_check_is_an_error_too(queueing: Queueing) -> None:
    pipeline = sorted(queueing.company.truth("pipelines", "kommo"))[0]
    queueing.company.sandbox.faults.set(
        "V4", system="kommo", path=PIPELINES, record=pipeline, field="sort", variant="dotted"
    )
    job_id = queueing.ask()
    assert not queueing.work(job_id).success
    assert "checks failed: kommo/pipelines" in queueing.row(job_id)["error"]


def test_what_failed_in_our_own_code_is_kept_without_its_words(
    queueing: Queueing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("+7 900 000-00-00 is a person's number")

    monkeypatch.setattr("sync_assets.orchestration.io_manager.sync_entity", broken)
    job_id = queueing.ask()
    assert not queueing.work(job_id).success
    error = queueing.row(job_id)["error"]
    assert "kommo__pipelines failed (ValueError)" in error and "900" not in error


def test_canceled_in_the_queue_it_blocks_nobody(queueing: Queueing) -> None:
    canceled = queueing.ask()
    assert queueing.instance.run_coordinator.cancel_run(canceled)
    assert queueing.ask() != canceled
    assert queueing.row(canceled)["status"] == "canceled" and "in Dagster" in queueing.row(canceled)["error"]


def test_the_sensor_tells_of_runs_that_ended_without_a_word(queueing: Queueing) -> None:
    def tick() -> str:
        with dg.build_sensor_context(instance=queueing.instance) as context:
            return str(died_sensor.evaluate_tick(context).skip_message)

    assert tick().startswith("0 jobs")
    deleted = queueing.ask()
    assert tick().startswith("0 jobs"), "one that waits is alive"
    queueing.instance.delete_run(deleted)
    assert tick().startswith("1 jobs")
    failed = queueing.ask()
    run = queueing.instance.get_run_by_id(failed)
    assert run is not None
    queueing.instance.report_run_failed(run, "its code could not be loaded")
    assert tick().startswith("1 jobs")
    assert queueing.statuses() == ["lost", "failed"]
    assert all(queueing.row(job_id)["error"] for job_id in (deleted, failed))


def test_a_run_that_dagster_calls_started_and_that_never_said_so_is_lost(
    queueing: Queueing, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = queueing.ask()
    start = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name=JOB)
    queueing.instance.report_dagster_event(start, run_id=dead)
    assert queueing.ask() == dead, "it may be about to"
    monkeypatch.setattr(queue, "START_SECONDS", -1.0)
    assert queueing.ask() != dead and queueing.row(dead)["status"] == "lost"


def test_terminated_while_it_runs_it_is_canceled(queueing: Queueing) -> None:
    job_id = queueing.ask()
    queueing.company.sandbox.latency = 1.0

    def terminate() -> None:
        wait_until(lambda: queueing.company.sandbox.requests)
        run = queueing.instance.get_run_by_id(job_id)
        assert run is not None
        queueing.instance.report_run_canceling(run)
        os.kill(os.getpid(), signal.SIGINT)

    button = threading.Thread(target=terminate)
    button.start()
    assert not queueing.work(job_id).success
    button.join()
    assert queueing.row(job_id)["status"] == "canceled" and queueing.ask() != job_id
    queueing.company.assert_ledger_adds_up()


def test_while_it_runs_it_is_heard_of(make_queueing: Callable[..., Queueing]) -> None:
    queueing = make_queueing(SYNC_LEASE_SECONDS="1")
    job_id = queueing.ask()
    queueing.company.sandbox.latency = 1.0
    leases: set[str] = set()

    def look() -> None:
        wait_until(lambda: queueing.statuses() != ["queued"])
        while queueing.statuses() == ["running"]:
            leases.add(queueing.row(job_id)["lease_until"])
            time.sleep(0.02)

    looking = threading.Thread(target=look)
    looking.start()
    assert queueing.work(job_id).success
    looking.join()
    assert len(leases) > 1 and queueing.statuses() == ["succeeded"]


def test_who_waits_is_told_by_the_exit_code_how_it_ended(queueing: Queueing) -> None:
    def end(status: Any, **how: Any) -> None:
        database = queueing.database()
        wait_until(lambda: queueing.statuses()[-1:] == ["queued"])
        assert jobs.end(database, jobs.active(database)[0].job_id, status, **how)
        database.close()

    for status, how, code in (("failed", {"error": "403"}, 3), ("succeeded", {"parts": {}}, 0)):
        ending = threading.Thread(target=end, args=(status,), kwargs=how)
        ending.start()
        waited = queueing.command("crm-sync-pipelines", "--wait")
        ending.join()
        assert waited.exit_code == code and queueing.row(waited.stdout.strip())["status"] == status


def test_d1_a_killed_one_does_not_block_the_next(queueing: Queueing, tmp_path: Path) -> None:
    company = queueing.company
    company.sandbox.latency = 30.0
    run = Execution(company, tmp_path, job=JOB)
    wait_until(lambda: queueing.statuses() == ["running"])
    found = queueing.command("crm-sync-pipelines")
    killed = found.stdout.strip()
    assert queueing.row(killed)["status"] == "running", "one launched elsewhere is found by who asks"
    assert "running already" in found.stderr and "daemon" not in found.stderr
    run.kill()
    after = queueing.ask()
    assert after != killed and queueing.row(killed)["status"] == "lost"
    assert "without a word" in str(shown(queueing, killed)["error"])
    company.sandbox.latency = 0.0
    assert queueing.work(after).success
    assert queueing.row(after)["result"]["stages"] == company.count("statuses", "kommo")


def test_many_who_ask_at_the_same_instant_get_one_id(queueing: Queueing) -> None:
    account = queueing.company.accounts["kommo"]
    told: list[str] = []
    at_once = threading.Barrier(4)

    def ask() -> None:
        database = queueing.database()
        with queue.dagster_instance() as instance:
            at_once.wait()
            job_id, _ = queue.ask_for(
                account.system.jobs[0], account, requested_by="all", definitions=queueing.definitions,
                instance=instance, database=database,
            )  # fmt: skip
        database.close()
        told.append(job_id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 4 and len(set(told)) == 1
    assert [run.run_id for run in queueing.instance.get_runs()] == told[:1], "and one run is queued"


def test_each_account_has_a_job_of_its_own(make_queueing: Callable[..., Queueing]) -> None:
    emea = {"KOMMO_EMEA_BASE_URL": "http://127.0.0.1:1", "KOMMO_EMEA_ACCESS_TOKEN": "emea-canary-0123456789"}
    queueing = make_queueing(**emea)
    one, other = queueing.ask(), queueing.ask("--account", "kommo_emea")
    assert one != other and queueing.ask("--account", "kommo") == one
    assert {run.job_name for run in queueing.instance.get_runs()} == {JOB, f"{JOB}_emea"}
    refused = queueing.command("crm-sync-pipelines", "--account", "kommo_apac")
    assert refused.exit_code == 1 and "kommo, kommo_emea" in str(refused.exception)


KOMMO = ("KOMMO_BASE_URL", "KOMMO_ACCESS_TOKEN", "KOMMO_RATE")
QUEUE = ("crm-sync-pipelines",)
WRONG: list[tuple[tuple[str, ...], dict[str, str | None], str]] = [
    (QUEUE, dict.fromkeys(KOMMO), "KOMMO_BASE_URL and KOMMO_ACCESS_TOKEN not set"),
    (QUEUE, {"DAGSTER_HOME": None}, "DAGSTER_HOME is not set"),
    (QUEUE, {"DAGSTER_HOME": "here"}, "DAGSTER_HOME is no absolute path"),
    (QUEUE, {"DATABASE_URL": None}, "DATABASE_URL is not set"),
    (QUEUE, {"DATABASE_URL": "postgresql://nobody:wrong@nowhere.invalid/none"}, "wrong password, database"),
    (("status", "--job", "4711"), {}, "no job has the id 4711"),
]


def test_what_is_missing_is_named_with_the_next_step(queueing: Queueing, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, env, says in WRONG:
        with monkeypatch.context() as patch:
            for name, value in env.items():
                if value is None:
                    patch.delenv(name)
                else:
                    patch.setenv(name, value)
            result = queueing.command(*command)
        assert result.exit_code == 1 and result.stdout == "", says
        assert isinstance(result.exception, SyncError) and says in str(result.exception)
        assert "Next: " in str(result.exception)
