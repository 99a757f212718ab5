"""The rules that the project shows to people, in the README and to copy, do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sync_assets.automation.rules import rules
from sync_assets.automation.sequences import definitions
from sync_assets.cli import app
from sync_assets.local_automation import automation_environment
from sync_assets.send.deliver import deliver
from sync_assets_tests.automation.ruling import Ruled

PROJECT = Path(__file__).resolve().parents[2]
AUTOMATION = PROJECT / "automation"
FILES = [AUTOMATION / "rules" / "won.yaml.example", AUTOMATION / "sequences" / "after_sale.yaml.example"]


def section(page: str, title: str = "") -> dict[str, list[str]]:
    """The blocks of one section of a page, by kind."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    if title:
        text = re.split(r"^## ", text.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    found: dict[str, list[str]] = {}
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        found.setdefault(kind, []).append(block)
    return found


SHOWN = section("README.md", "Rules, sequences and the way back")


def test_the_readme_shows_the_files_that_people_copy() -> None:
    assert SHOWN["yaml"] == [path.read_text(encoding="utf-8") for path in FILES]
    assert sorted(AUTOMATION.glob("*/*.yaml.example")) == sorted(FILES)


def test_what_the_readme_shows_runs_a_rule_a_sequence_and_a_status_change(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its two files, its statement and its commands, from the change in the sandbox to what is there in the end."""
    folder = Path(automation_environment(ruled.folder)["SYNC_AUTOMATION_FOLDER"])
    for sub in folder.iterdir():
        sub.rename(ruled.folder / sub.name)
    assert ruled.react().problems == []
    lead, spared = ruled.leads[:2]
    ruled.world.tag("leads", spared, "no calls")
    ruled.move(lead, spared)
    done = ruled.react()
    assert dict(done.rules.states) == {"matched": 1} and done.problems == []
    while ruled.deliver().states:
        ruled.react()
    assert ruled.states() == ["done"] and len(ruled.tasks(lead)) == 1 and ruled.tasks(spared) == []
    runs = "select sequence_key, key, enrolled_by, current_step from sync.sequence_runs"
    assert ruled.company.query(runs) == [("after_sale", str(lead), "rule won", 2)]
    notes = [n["params"]["text"] for n in ruled.world.notes["leads"].values() if n["entity_id"] == lead]
    assert len(notes) == 1 and notes[0].startswith("After-sale care began for ")

    ((order,),) = ruled.company.query("select min(id) from bitrix.orders where crm_status = 'new'")
    (statement,) = SHOWN["sql"]
    ruled.company.query(statement)
    with ruled.company.connected("bitrix") as connection:
        assert deliver(connection).states == {"confirmed": 1}
    assert ruled.company.sandbox.world.bitrix.get("orders", order)["statusId"] == "P"

    for name, value in {**ruled.company.env, "SYNC_ASSETS_ENV_FILE": "/dev/null", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    said = {}
    for command in (line for block in SHOWN["bash"] for line in block.splitlines()):
        told = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
        assert told.exit_code == 0, (command, told.output)
        said[command] = told.output
    assert "after_sale" in said["sync-assets sequences runs"] and str(lead) in said["sync-assets sequences runs"]
    assert "would run" in said["sync-assets rules backfill won --dry-run"]


def test_a_fresh_checkout_does_nothing_by_itself() -> None:
    assert list(AUTOMATION.glob("*/*.yaml")) == []
    assert {path.parent.name for path in AUTOMATION.glob("*/*.yaml.example")} == {"rules", "sequences"}


def test_all_that_a_rule_and_a_sequence_can_say_can_be_understood(tmp_path: Path) -> None:
    rule, sequence = section("docs/automation.md")["yaml"]
    for folder, text in (("rules", rule), ("sequences", sequence)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "everything.yaml").write_text(text, encoding="utf-8")
    (one,), wrong = rules(tmp_path)
    (other,), wrong_too = definitions(tmp_path)
    assert wrong == wrong_too == []
    assert (one.key, one.dry_run, len(one.actions), len(other.steps)) == ("everything", True, 10, 2)
