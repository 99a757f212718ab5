"""The files of rules: what is wrong with one is said with file, rule and line, and what is right means what it says."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest

from sync_assets import automation
from sync_assets.automation.document import document
from sync_assets.automation.rules import rules
from sync_assets.automation.subjects import subjects
from sync_assets.errors import BadAutomation

WHOLE = """\
# A comment
key: vip_to_won
name: "VIP won"
on: {source: kommo, entity: lead, event: [stage_changed, created]}
when:
  all:
    - {field: before.status_id, op: in, value: [1, 2]}
    - {field: after.status_id, op: changed_to, value: 142}
limits:
  cooldown: 24h
  max_per_day: 100
  once_per_entity: true
  max_depth: 3
run_on: {self_caused: true}
actions:
  - {do: create_task, text: "Call {{contact.name}}", due: 1d, assign: after.responsible_user_id}
  - {do: start_sequence, key: after_sale}
  - do: http_post
    url: https://hooks.example.com/won
    body: {lead: "{{key}}"}
on_error: stop
priority: 7
dry_run: true
"""


def write(folder: Path, text: str, name: str = "rule") -> Path:
    (folder / "rules").mkdir(exist_ok=True)
    path = folder / "rules" / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_rule_is_what_its_file_says(tmp_path: Path) -> None:
    write(tmp_path, WHOLE)
    ((rule,), wrong) = rules(tmp_path, {"hooks.example.com"})
    assert wrong == [] and (rule.key, rule.name, rule.priority) == ("vip_to_won", "VIP won", 7)
    assert (rule.subject.system, rule.subject.entity, rule.events) == ("kommo", "leads", {"stage_changed", "created"})
    limits = rule.limits
    assert (limits.cooldown, limits.max_per_day, limits.once_per_entity, limits.max_depth) == (
        timedelta(days=1), 100, True, 3,
    )  # fmt: skip
    assert rule.self_caused and rule.stop_on_error and rule.dry_run and rule.enabled
    assert [action.do for action in rule.actions] == ["create_task", "start_sequence", "http_post"]


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("key: vip_to_won", "key: VIP!", 2, "a key is made of a-z"),
        ("name:", "nam:", 3, "'nam' is not known here; did you mean name"),
        ('name: "VIP won"\n', "", 2, "name is missing"),
        ("source: kommo", "source: amo", 4, "'amo' is none of"),
        ("entity: lead", "entity: lad", 4, "did you mean lead"),
        ("entity: lead", "entity: company", 4, "'company' is none of lead"),
        ("[stage_changed, created]", "[stage_change]", 4, "did you mean stage_changed"),
        ("[stage_changed, created]", "[]", 4, "an empty list where a list belongs"),
        ("entity: lead, event: [stage_changed", "entity: contact, event: [stage_changed", 4, "contacts have no stage"),
        ("op: in,", "op: inn,", 7, "'inn' is none of"),
        ("field: after.status_id", "field: afer.status_id", 8, "is no field"),
        ("cooldown: 24h", "cooldown: 24", 10, "a time span is a whole number with s, m, h, d or w"),
        ("max_per_day: 100", "max_per_day: 0", 11, "a whole number of at least 1"),
        ("once_per_entity: true", "once_per_entity: yes", 12, "true or false belongs"),
        ("max_depth: 3", "max_depth: 99", 13, "max_depth is 10 at most"),
        ("self_caused: true", "self_cause: true", 14, "did you mean self_caused"),
        ("do: create_task", "do: create_tasks", 16, "did you mean create_task"),
        ("{do: start_sequence, key: after_sale}", "{do: start_sequence}", 17, "key is missing"),
        ("https://hooks.example.com", "https://evil.example.com", 19, "not in SYNC_HTTP_ALLOW"),
        ("on_error: stop", "on_error: panic", 21, "'panic' is none of continue, stop"),
        ("priority: 7", "priority: high", 22, "a text where a whole number"),
        ("priority: 7", "priority: 7\npriority: 8", 23, "'priority' comes twice"),
        ("priority: 7", "priority: !!python/object:os.system 7", 22, "tags are not understood here"),
        ("priority: 7", "priority: &a 7\nenabled: *a", 22, "anchors are not understood here"),
        ("actions:", "actions: [", 16, "it is not YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_rule_and_line(
    tmp_path: Path, old: str, new: str, line: int, complaint: str
) -> None:
    path = write(tmp_path, WHOLE.replace(old, new, 1))
    good, (error,) = rules(tmp_path, {"hooks.example.com"})
    assert good == [] and complaint in error.what, error
    assert error.where["file"] == str(path) and error.where["line"] == line
    broken = ("comes twice", "not YAML", "tags", "anchors")
    if not any(word in complaint for word in broken):
        assert error.where["rule"] == ("VIP!" if "VIP!" in new else "vip_to_won")
    assert "Next: correct the file" in str(error)


def test_two_rules_of_one_key_are_one_too_many(tmp_path: Path) -> None:
    first = write(tmp_path, WHOLE, "a")
    second = write(tmp_path, WHOLE, "b")
    (rule,), (error,) = rules(tmp_path)
    assert rule.file == str(first) and error.where["file"] == str(second) and "has the same key" in error.what


@pytest.mark.parametrize("text", ["", "- 1\n", "just words\n", "a: b\n---\nc: d\n", "\x00", "[" * 60 + "]" * 60])
def test_what_is_no_rule_at_all_is_said(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    good, (error,) = rules(tmp_path)
    assert good == [] and isinstance(error, BadAutomation) and error.where["file"].endswith("rule.yaml")


def test_bytes_that_are_no_text_and_a_huge_file_are_said(tmp_path: Path) -> None:
    write(tmp_path, "").write_bytes(b"key: \xff\xfe")
    write(tmp_path, f"# {'x' * (1 << 20)}\nkey: a\n", "huge")
    assert [str(error.what) for error in rules(tmp_path)[1]] == [
        "it is larger than 1048576 bytes", "it cannot be read (UnicodeDecodeError)",
    ]  # fmt: skip


def test_words_are_words_and_numbers_are_numbers(tmp_path: Path) -> None:
    """Of YAML 1.1 `on`, `no` and 09:30 would be flags and a number of seconds."""
    path = tmp_path / "a.yaml"
    path.write_text(
        "on: no\nat: 09:30\nwhole: 007\nquoted: '7'\nflag: true\nnothing: ~\nmoney: 1.50\nday: 2026-01-01\n"
    )
    assert document(path).plain() == {
        "on": "no", "at": "09:30", "whole": 7, "quoted": "7", "flag": True, "nothing": None, "money": 1.5,
        "day": "2026-01-01",
    }  # fmt: skip


def test_the_version_is_of_what_is_said_and_not_of_how(tmp_path: Path) -> None:
    def version(text: str) -> str:
        write(tmp_path, text)
        return rules(tmp_path)[0][0].version

    first = version(WHOLE)
    lines = WHOLE.splitlines()
    assert version("\n".join([*lines[1:3], "# another", *lines[3:]])) == first
    assert version(WHOLE.replace("priority: 7", "priority: 8")) != first


def test_rules_can_be_about_what_is_told_of() -> None:
    assert {(s.system, s.entity) for s in subjects().values()} == {
        ("kommo", "leads"), ("kommo", "contacts"), ("kommo", "tasks"), ("bitrix", "orders"), ("hubspot", "deals"),
        ("kaiten", "cards"),
    }  # fmt: skip


def test_no_folder_no_rule(tmp_path: Path) -> None:
    assert rules(tmp_path / "nowhere") == ([], [])


def test_nothing_that_a_file_says_is_ever_evaluated() -> None:
    folder = Path(automation.__file__).parent
    called = {
        node.func.id
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "parse_condition" in called and not called & {"eval", "exec", "compile", "__import__"}
