"""D11: Dagster's daemon and a run's worker die; runs are ended, the ledger says lost, and what was queued goes on.

The daemon is a real one, with its code server and its workers, over the queue of this test.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData

from sync_assets.load.holder import this_process
from sync_assets.load.jobs import Asked
from sync_assets.load.ledger import Ledger
from sync_assets.load.lost import close_all_lost, lapsed_syncs
from sync_assets.local import bare_environment
from sync_assets.orchestration import queue
from sync_assets.orchestration.workers import WORKER_TAG, WatchingRunLauncher
from sync_assets.processes import Process, wait_for
from sync_assets_tests.company import KAITEN, KOMMO, WORKSECTION, Company, only
from sync_assets_tests.faults.moments import process
from sync_assets_tests.orchestration.queueing import JOB, Queueing

DAEMON = Path(sys.executable).with_name("dagster-daemon")
SCHEDULE = "worksection_incremental_every_6_hours"


@contextmanager
def daemon(queueing: Queueing, home: Path) -> Iterator[Process]:
    env = bare_environment({**queueing.company.env, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"})
    command = [DAEMON, "run", "-m", "sync_assets.definitions"]
    running = Process("daemon", command, env=env, cwd=home, log=home / "daemon.log")
    try:
        yield running
    finally:
        running.end(15.0)


def often(home: Path) -> None:
    """Run monitoring looks each second."""
    config = yaml.safe_load((home / "dagster.yaml").read_text())
    config["run_monitoring"]["poll_interval_seconds"] = 1
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))


def queued(queueing: Queueing, job: str) -> str:
    """A run that waits for a daemon, as one launched from the UI does."""
    asked = Asked("kommo", job, str(uuid4()), "a person")
    queue._submit(queueing.instance, queueing.definitions.resolve_job_def(job), asked)
    return asked.job_id


def switched_on(queueing: Queueing, schedule: str, *, since: float) -> None:
    """As if somebody had switched a schedule on, and no daemon had been there ever since."""
    (any_run, *_) = queueing.instance.get_runs()
    assert any_run.remote_job_origin is not None
    origin = any_run.remote_job_origin.repository_origin.get_instigator_origin(schedule)
    data = ScheduleInstigatorData("7 */6 * * *", since)
    state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
    queueing.instance.add_instigator_state(state)


def test_d11_a_dead_worker_ends_its_run_and_a_dead_daemon_loses_no_run_and_no_tick(
    make_queueing: Callable[..., Queueing], tmp_path: Path
) -> None:
    queueing = make_queueing(SYNC_REQUEST_SECONDS="600", **only(KAITEN, WORKSECTION, KOMMO))
    company, instance = queueing.company, queueing.instance
    often(tmp_path)

    def status(run_id: str) -> dg.DagsterRunStatus | None:
        run = instance.get_run_by_id(run_id)
        return run.status if run else None

    def syncing(run_id: str) -> bool:
        return company.query("select status from sync.logs where run_id = %s", (run_id,)) == [("running",)]

    def worker(run_id: str) -> int:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return int(run.tags[WORKER_TAG].split()[1])

    def wait(ready: Callable[[], object]) -> None:
        wait_for(ready, running, timeout=150)

    company.sandbox.faults.set("A5", system="kommo", path=r"/leads/pipelines$", bytes=5, interval=1.0)
    with daemon(queueing, tmp_path) as running:
        # The worker alone.
        killed = queueing.ask()
        wait(lambda: syncing(killed))
        os.kill(worker(killed), signal.SIGKILL)
        wait(lambda: status(killed) == dg.DagsterRunStatus.FAILURE)
        wait(lambda: company.query("select status from sync.logs where run_id = %s", (killed,)) == [("lost",)])
        # Everything at once: nobody is left who could tell.
        left = queueing.ask()
        wait(lambda: syncing(left))
        own = worker(left)
        os.killpg(running.pid, signal.SIGKILL)
        os.kill(own, signal.SIGKILL)
    assert status(left) == dg.DagsterRunStatus.STARTED and syncing(left), "as it must look to those who come next"

    # Meanwhile one is queued, and a schedule was due.
    company.sandbox.faults.clear()
    waiting = queued(queueing, JOB)
    switched_on(queueing, SCHEDULE, since=time.time() - 7 * 3600)
    with daemon(queueing, tmp_path) as running:
        wait(lambda: status(left) == dg.DagsterRunStatus.FAILURE)
        wait(lambda: company.query("select status from sync.logs where run_id = %s", (left,)) == [("lost",)])
        wait(lambda: status(waiting) == dg.DagsterRunStatus.SUCCESS)
        made_up = dg.RunsFilter(tags={"dagster/schedule_name": SCHEDULE}, statuses=[dg.DagsterRunStatus.SUCCESS])
        wait(lambda: instance.get_runs(made_up))
    assert queueing.row(left)["status"] in ("lost", "failed") and queueing.row(left)["error"]
    assert queueing.row(waiting)["status"] == "succeeded"
    company.assert_ledger_adds_up()


def test_d11_a_run_is_ended_on_evidence_and_never_on_a_guess(queueing: Queueing) -> None:
    company, launcher = queueing.company, WatchingRunLauncher()

    def health(worker: str | None) -> str:
        run_id = queueing.launched(**({WORKER_TAG: worker} if worker else {}))
        company.query("update sync.logs set run_id = %s where status = 'running'", (run_id,))
        run = queueing.instance.get_run_by_id(run_id)
        assert run is not None
        return str(launcher.check_run_worker_health(run).status.name)

    alive, elsewhere = this_process(None), "process 1 on another-machine, since 00:00:00 UTC"
    assert launcher.supports_check_run_worker_health
    assert [health(w) for w in (None, alive, elsewhere)] == ["RUNNING"] * 3
    assert health(alive.replace(str(os.getpid()), "999999999")) == "FAILED"

    killed = process(company, "tags", SYNC_ASSETS_CRASH_AT="before commit")
    killed.communicate(timeout=60)
    assert [health(w) for w in (None, alive, elsewhere)] == ["RUNNING"] * 3, "its lease has not lapsed yet"
    company.query("update sync.metadata set lease_until = now() - interval '1 second'")
    assert [health(w) for w in (None, alive, elsewhere)] == ["FAILED"] * 3


def test_d11_a_sync_is_lost_once_its_process_or_its_lease_is_gone(company: Company) -> None:
    def statuses() -> list[str]:
        return [s for (s,) in company.query("select status from sync.logs order by id")]

    with company.connected() as connection:
        tags = company.entity("tags")
        more = {"kind": "full", "run_id": "r", "lease_seconds": 60}
        running = Ledger(connection.database, company.accounts["kaiten"], tags, **more)
        running.open()
        killed = process(company, "users", SYNC_ASSETS_CRASH_AT="before commit")
        words, _ = killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL, words
        assert statuses() == ["running", "running"]
        assert close_all_lost(connection.database) == 1 and statuses() == ["running", "lost"]
        assert close_all_lost(connection.database) == 0 and lapsed_syncs(connection.database, "r") == []
        company.query("update sync.metadata set lease_until = now() - interval '1 second'")
        assert lapsed_syncs(connection.database, "r") == ["kaiten/tags"]
        assert close_all_lost(connection.database) == 1 and statuses() == ["lost", "lost"]
        # It had only been asleep: what it has to say counts.
        running.close("success", whole=True)
        assert statuses() == ["success", "lost"]
