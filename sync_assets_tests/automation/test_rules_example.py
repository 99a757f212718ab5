"""The rules that the project shows to people, in the README and to copy, do what they say."""

from __future__ import annotations

import re
from pathlib import Path

from sync_assets_tests.automation.ruling import Ruled

PROJECT = Path(__file__).resolve().parents[2]
AUTOMATION = PROJECT / "automation"


def test_the_examples_together_make_a_task_and_begin_the_sequence(ruled: Ruled) -> None:
    for example in AUTOMATION.glob("*/*.yaml.example"):
        (ruled.folder / example.parent.name).mkdir(exist_ok=True)
        (ruled.folder / example.parent.name / example.stem).write_text(example.read_text())
    assert ruled.react().problems == []
    lead = ruled.leads[0]
    ruled.move(lead)
    done = ruled.react()
    assert dict(done.rules.states) == {"matched": 1} and done.problems == []
    while ruled.deliver().states:
        pass
    assert ruled.states() == ["done"] and len(ruled.tasks(lead)) == 1
    started = "select sequence_key, key, enrolled_by from sync.sequence_runs"
    assert ruled.company.query(started) == [("after_sale", str(lead), "rule won")]


def test_a_fresh_checkout_does_nothing_by_itself() -> None:
    assert list(AUTOMATION.glob("*/*.yaml")) == []
    assert {path.parent.name for path in AUTOMATION.glob("*/*.yaml.example")} == {"rules", "sequences"}


def test_the_rule_and_the_sequence_of_the_readme_run(ruled: Ruled) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for folder, key in (("rules", "won"), ("sequences", "care")):
        (ruled.folder / folder).mkdir()
        text = next(text for text in blocks if text.startswith(f"key: {key}\n"))
        (ruled.folder / folder / f"{key}.yaml").write_text(text)
    assert ruled.react().problems == []
    rich, poor = ruled.leads[:2]
    for lead, price in ((rich, 10_000), (poor, 9_999)):
        ruled.world.update("leads", lead, price=price)
    ruled.move(rich, poor)
    ruled.react()
    ruled.deliver()
    assert ruled.runs() == [(str(rich), "done", None)]
    assert len(ruled.tasks(rich)) == 1 and ruled.tasks(poor) == []
    started = "select sequence_key, key, enrolled_by from sync.sequence_runs"
    assert ruled.company.query(started) == [("care", str(rich), "rule won")]
