"""Backfill: the records that are in a rule's state already, each once; and the commands of a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sync_assets import cli
from sync_assets.automation import rule_work
from sync_assets_tests.automation.ruling import Ruled

LOG = 'do: log, text: "{{key}}"'
WON = "when: {field: after.status_id, op: changed_to, value: 142}"


@pytest.fixture
def ask(ruled: Ruled, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {**ruled.company.env, "SYNC_ASSETS_ENV_FILE": "/dev/null", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.app, ["rules", *arguments], catch_exceptions=False)

    return run


def won(ruled: Ruled) -> list[int]:
    return sorted(k for k, raw in ruled.company.raw("leads", "kommo").items() if raw["status_id"] == 142)


def test_each_record_that_is_in_the_state_runs_once_however_often_it_is_asked_for(ruled: Ruled, ask: Any) -> None:
    ruled.rule("won", LOG, more=WON)
    ruled.react()
    by_event = ruled.leads[0]
    ruled.move(by_event)
    ruled.react()
    there = [lead for lead in won(ruled) if lead != by_event]
    assert there, "the sandbox has leads that are won"
    assert f"{len(there)} would run" in ask("backfill", "won", "--dry-run").output
    assert ruled.logged() == 1
    assert f"kommo: {len(there)} done" in ask("backfill", "won").output
    assert sorted(key for key, _, _ in ruled.runs()) == sorted(map(str, [*there, by_event]))
    assert "no record is in its state, or it ran for each" in ask("backfill", "won").output
    assert ruled.logged() == len(there) + 1
    ((said,),) = ruled.company.query(
        "select details from sync.activity_logs where key = %s and activity = 'rule_executed'", (str(there[0]),)
    )
    assert (said["previousState"], said["currentState"], said["happened"]) == (None, 142, ["backfill"])


def test_a_change_that_comes_in_between_is_seen_by_the_backfill(
    ruled: Ruled, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruled.rule("won", LOG, more=WON)
    ruled.react()
    lead = ruled.leads[0]
    applies, ran = rule_work.applies, []

    def then(*given: Any) -> bool:
        if not ran:
            ran.append(ruled.react())
        return applies(*given)

    ruled.move(lead)
    monkeypatch.setattr(rule_work, "applies", then)
    ask("backfill", "won")
    assert [key for key, _, _ in ruled.runs()].count(str(lead)) == 1


def test_a_backfill_keeps_to_the_limits(ruled: Ruled, ask: Any) -> None:
    ruled.rule("won", LOG, event="manual", more="limits: {max_per_day: 3}")
    ruled.react()
    output = ask("backfill", "won").output
    assert "3 done" in output and "skipped" in output
    assert ruled.logged() == 3


def test_a_backfill_of_what_came_from_somewhere_finds_nobody(ruled: Ruled, ask: Any) -> None:
    ruled.rule("moved", LOG, more="when: {field: before.status_id, op: not_empty}")
    assert "no record is in its state" in ask("backfill", "moved").output and ruled.runs() == []


def test_list_check_and_runs_say_what_there_is(ruled: Ruled, ask: Any) -> None:
    path = ruled.rule("won", LOG, "do: add_tag, tag: vip", more=WON)
    ruled.rule("early", LOG, more="priority: 1\ndry_run: true")
    assert [row["rule"] for row in json.loads(ask("list", "--json").output)] == ["early", "won"]
    assert "dry run" in ask("list").output and ask("check").exit_code == 0
    ruled.react()
    lead = ruled.leads[0]
    ruled.move(lead)
    ruled.react()
    early, done = sorted(json.loads(ask("runs", "--json").output), key=lambda row: str(row["rule"]))
    assert (early["state"], done["state"], done["key"], done["actions"]) == ("skipped", "matched", str(lead), "1/2")
    assert [(a["do"], a["state"]) for a in done["did"]] == [("log", "done"), ("add_tag", "waiting")]
    assert "matched" in ask("runs", "--rule", "won").output and "no rule has run" in ask("runs", "--key", "0").output
    path.write_text(path.read_text().replace("changed_to", "changedto"))
    bad = ask("check")
    assert bad.exit_code == 1 and "did you mean changed_to (rule won, file " in bad.output
    assert "won.yaml, line 5)" in bad.output


def test_an_unknown_rule_and_one_that_is_off_are_refused(ruled: Ruled, ask: Any) -> None:
    from sync_assets.errors import FixConfig

    ruled.rule("off", LOG, more="enabled: false")
    for key, complaint in (("on", "there is no rule 'on'"), ("off", "is switched off")):
        with pytest.raises(FixConfig, match=complaint):
            ask("backfill", key)
