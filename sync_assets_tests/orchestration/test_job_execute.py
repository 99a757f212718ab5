"""`dagster job execute`, as schedules and people run it: exit codes, signals, and what is left in logs and tables.

Each run costs seconds, so each test asks much of few runs.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sync_assets.local import PROJECT, bare_environment
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import KAITEN, WORKSECTION, Company, only
from sync_assets_tests.contract.declared import DECLARED

DAGSTER = Path(sys.executable).with_name("dagster")
PATIENCE = 120.0


class Execution:
    """A run in a process of its own; its Dagster home is the test's folder, so that the canary reads its logs."""

    def __init__(self, company: Company, home: Path, job: str = "full_sync", **more: str) -> None:
        shutil.copy(PROJECT / "dagster.yaml", home)
        self.output = home / "output.txt"
        env = bare_environment({**company.env, "DAGSTER_HOME": str(home), **more})
        with self.output.open("a") as output:
            self._process = subprocess.Popen(
                [DAGSTER, "job", "execute", "-m", "sync_assets.definitions", "-j", job],
                env=env,
                cwd=home,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait(self) -> int:
        try:
            return self._process.wait(PATIENCE)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def kill(self) -> None:
        """Nobody gets to say a word."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def interrupt(self, number: signal.Signals, when: Callable[[], object]) -> int:
        deadline = time.monotonic() + PATIENCE
        while not when():
            assert self._process.poll() is None, self.said[-4000:]
            assert time.monotonic() < deadline, self.said[-4000:]
            time.sleep(0.05)
        self._process.send_signal(number)
        return self.wait()


def dagster_says(company: Company) -> list[str]:
    """How each run ended according to Dagster, in order."""
    return [status for (status,) in company.query("select status from dagster.runs order by id")]


@pytest.fixture
def database_url(with_dagster: Callable[[], str]) -> str:
    """Dagster would take two seconds to make its tables."""
    return with_dagster()


def test_a_red_check_exits_with_1_and_the_other_entities_are_synced(
    make_company: Callable[..., Company], database_url: str, tmp_path: Path
) -> None:
    company = make_company(database_url=database_url, **only(KAITEN, WORKSECTION))
    card = sorted(company.truth("cards"))[7]
    company.sandbox.faults.set("V4", system="kaiten", path=r"/cards$", record=card, field="due_date", variant="dotted")
    run = Execution(company, tmp_path)
    assert run.wait() == 1, run.said[-4000:]
    assert dagster_says(company) == ["FAILURE"]
    entities = sum(account.name in company.accounts for account, _ in DECLARED)
    assert company.query("select status, count(*) from sync.logs group by 1") == [("success", entities)]
    company.sandbox.faults.clear()
    company.assert_world_equals_postgres("worksection")
    lines = run.said.splitlines()
    assert any("kaiten/cards" in line and "columns_parse" in line and "ERROR" in line for line in lines)
    assert any("full_sync, run" in line for line in lines), "the table of the run"
    assert any("kaiten/tags" in line and "created" in line for line in lines), "progress per entity"


def test_signals_end_a_run_red_lose_nothing_and_the_next_run_completes_d2(
    make_company: Callable[..., Company], database_url: str, tmp_path: Path
) -> None:
    company = make_company(database_url=database_url, **only(KAITEN))

    def cards_are_being_read() -> object:
        return any(entry.path.endswith("/cards") for entry in company.sandbox.requests)

    # A page of cards takes longer than the signal needs to arrive.
    company.sandbox.faults.set("A5", system="kaiten", path=r"/cards$", bytes=5000, interval=0.2)
    for number, runs in ((signal.SIGINT, 1), (signal.SIGTERM, 2)):
        company.sandbox.requests.clear()
        run = Execution(company, tmp_path, "kaiten_full_sync")
        assert run.interrupt(number, cards_are_being_read) != 0, run.said[-4000:]
        said = dagster_says(company)
        assert len(said) == runs and not {"SUCCESS", "STARTED", "STARTING"} & set(said), said
        stopped = company.query("select error from sync.logs where entity = 'cards' and status = 'failed'")
        assert len(stopped) == runs and all("stopped by" in e and "run again" in e for (e,) in stopped), stopped
        company.assert_ledger_adds_up()

    company.sandbox.faults.clear()
    run = Execution(company, tmp_path)
    assert run.wait() == 0, run.said[-4000:]
    assert dagster_says(company)[-1] == "SUCCESS"
    for account in company.accounts:
        company.assert_world_equals_postgres(account)
    company.assert_ledger_adds_up()
    assert "passed" in run.said


def test_no_secret_is_anywhere_when_tokens_are_wrong_and_sources_fail_s1_s2(
    make_company: Callable[..., Company], database_url: str, canary: Canary, tmp_path: Path
) -> None:
    wrong = "kaiten-canary-wrong-0123456789abcdef"
    company = make_company(database_url=database_url, KAITEN_API_TOKEN=wrong)
    company.sandbox.faults.set("A3", system="worksection", path="get_users", status=500)
    run = Execution(company, tmp_path)
    assert run.wait() == 1, run.said[-4000:]
    for words in ("refuses the token (401)", "500", "Next: "):
        assert words in run.said, run.said[-4000:]
    assert company.query("select count(*) from dagster.event_logs")[0][0] > 0
    assert list((tmp_path / ".dagster" / "logs").rglob("*.err")), "compute logs are where the canary looks"
    canary.check("what the run printed", run.said)
    canary.check_folder(tmp_path)
    canary.check_database(company.database_url)
    with pytest.raises(AssertionError):
        canary.check("the canary itself", f"...{wrong}...")
