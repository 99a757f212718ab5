"""`sync-assets sequences`: who is in one is shown, begun and ended, by a person who is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from sync_assets.cli import app
from sync_assets.errors import SyncError
from sync_assets_tests.automation.acting import LOG, NOTE, Acting


@pytest.fixture
def run(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in acting.company.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")

    def command(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["sequences", *arguments])
        if isinstance(done.exception, SyncError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return command


def test_a_person_begins_one_sees_it_and_ends_it(acting: Acting, run: Any) -> None:
    acting.sequence(steps=[LOG, {**NOTE, "delay": "1h"}])
    lead = str(acting.leads[0])
    assert "begun: " in run("enrol", "after_sale", lead, "--by", "Anna")
    assert "not begun: re_enrol is never" in run("enrol", "after_sale", lead, "--by", "Anna")
    acting.work()
    ((row),) = json.loads(run("runs", "--key", lead, "--json"))
    assert (row["sequence"], row["status"], row["step"]) == ("after_sale", "active", 2)
    ((counted),) = json.loads(run("list", "--json"))
    assert (counted["sequence"], counted["active"], counted["versions"]) == ("after_sale", 1, 1)
    shown = json.loads(run("show", row["execution_id"]))
    assert shown["enrolled_by"] == "Anna" and [s["state"] for s in shown["steps"]] == ["done"]
    run("stop", row["execution_id"], "--by", "Boris")
    assert acting.runs() == [("exited", 2, "stopped by Boris")]
    assert lead in run("runs") and "after_sale" in run("list")


def test_what_is_not_there_is_said_with_the_next_step(acting: Acting, run: Any) -> None:
    acting.sequence(steps=[LOG])
    with pytest.raises(SyncError, match="there is no sequence 'before_sale'"):
        run("enrol", "before_sale", "1", "--by", "Anna")
    with pytest.raises(SyncError, match="there is no leads 1 in kommo"):
        run("enrol", "after_sale", "1", "--by", "Anna")
    with pytest.raises(SyncError, match="nobody is named"):
        run("enrol", "after_sale", str(acting.leads[0]), "--by", " ")
    with pytest.raises(SyncError, match="no active run nonsense"):
        run("stop", "nonsense", "--by", "Anna")
    assert "nobody is in a sequence" in run("runs")
