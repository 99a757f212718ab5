"""`sync-assets report` at the terminal and for programs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sync_assets import cli
from sync_assets.load.database import Database
from sync_assets.report.runs import CheckRow, Run, noted
from sync_assets_tests.company import Company

RUN = "0f3a5c7e-1111-4222-8333-abcdefabcdef"


@pytest.fixture
def ask(company: Company, monkeypatch: pytest.MonkeyPatch, canary: Any) -> Callable[..., Result]:
    """ask(*arguments) -> what `sync-assets report` printed."""
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
    for name, value in company.env.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(cli.app, ["report", *arguments])
        canary.check("the output", result.output)
        return result

    return run


def reported(company: Company, run_id: str, *checks: CheckRow) -> None:
    now = datetime.now(UTC)
    database = Database(company.database_url)
    try:
        noted(database, Run(run_id, "kaiten_full_sync", now, now, 7, checks))
    finally:
        database.close()


def test_before_during_and_after(company: Company, ask: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing was synced yet" in ask().output and json.loads(ask("--json").stdout) is None
    assert json.loads(ask("--last", "3", "--json").stdout) == []

    company.sandbox.faults.set("A3", system="kaiten", path="/users$", status=500)
    company.sync("full", only=["tags", "users"], run_id=RUN)
    result = ask()
    assert result.exit_code == 0 and "not reported" in result.output and "its last step has not come" in result.output
    reported(company, RUN, CheckRow("kaiten/tags", "volume", passed=False, severity="ERROR", says="the table is empty"))

    result = ask("--run", RUN[:8])
    assert result.exit_code == 0, result.output
    flat = " ".join(result.output.split())
    assert f"kaiten_full_sync {RUN[:8]}" in flat and " UTC: failed, " in flat
    assert "│ kaiten/tags │ full │ success │" in flat and "1 of 7 checks did not pass" in flat
    assert "kaiten/users" in flat and "500" in flat and "nothing to do: the next run goes on" in flat
    assert flat.count("the table is empty") == 1, "a check has a table of its own"
    assert "never synced to the end: spaces" in flat, "advice"

    company.sandbox.faults.clear()
    second = RUN.replace("0f3a", "1f3a")
    company.synced("full", only=["tags", "users"], run_id=second)
    reported(company, second)
    found = json.loads(ask("--json").stdout)
    assert found["run_id"] == second and found["success"] is True and found["summary"]["fetched"] > 0
    both = json.loads(ask("--json", "--last", "5").stdout)
    assert [each["run_id"] for each in both] == [second, RUN] and [each["success"] for each in both] == [True, False]
    lines = [line for line in ask("--last", "5").output.splitlines() if "kaiten_full_sync" in line]
    assert len(lines) == 2 and "success" in lines[0] and "failed" in lines[1]

    # Settings that are wrong by now are no reason to show no figures.
    monkeypatch.delenv("KAITEN_API_TOKEN")
    result = ask("--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["run_id"] == second
    assert "KAITEN_API_TOKEN" in result.stderr


def test_a_run_that_nobody_knows_is_an_error_with_the_next_step(company: Company, ask: Callable[..., Result]) -> None:
    reported(company, RUN)
    reported(company, RUN[:8] + "-2")
    for name, said in (("ffff", "no run has this id"), (RUN[:6], "2 runs have an id that begins so"), ("%", "no run")):
        result = ask("--run", name)
        assert result.exit_code == 1 and said in str(result.exception)
    assert "nothing was synced" in ask("--run", RUN).output
