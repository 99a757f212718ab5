"""House rules that no tool knows: sizes, words and names of files, and lists that must not fall behind the code."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest

from sync_assets.cli import app
from sync_assets.settings import SyncSettings
from sync_assets.systems import SYSTEMS

PROJECT = Path(__file__).resolve().parents[1]
PRODUCT = sorted((PROJECT / "sync_assets").rglob("*.py"))
TESTS = sorted((PROJECT / "sync_assets_tests").rglob("*.py"))
LONGEST = 300
TOO_LONG: dict[str, str] = {}
"""Files that may be longer, each with the reason."""

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc", "core", "lib"}

LINE = re.compile(r"^[a-z0-9_.-]+(\[[a-z0-9_,-]+\])?==[0-9][0-9a-zA-Z.+!]*( ; [a-z_]+ [=!<>]+ '[^']+'( and .*)?)?$")


def short(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def wrong_in(path: Path, project: Path = PROJECT) -> Iterator[str]:
    text, place = path.read_text(encoding="utf-8"), path.relative_to(project)
    if (lines := len(text.splitlines())) > LONGEST and str(place) not in TOO_LONG:
        yield f"{lines} lines, {LONGEST} are the most"
    if VAGUE & {place.stem, *place.parent.parts}:
        yield "its name says nothing"
    said = ast.get_docstring(ast.parse(text)) or ""
    if text.strip() and len(said.partition("\n")[0].split()) <= 3:
        yield "its first line does not say what a reader finds in it"


def test_a_file_is_short_says_what_it_is_and_has_a_telling_name() -> None:
    assert not [f"{short(path)}: {what}" for path in (*PRODUCT, *TESTS) for what in wrong_in(path)]


def test_the_rules_of_files_find_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "utils.py").write_text('"""Too few words."""\n' + "\n" * LONGEST)
    assert len(list(wrong_in(tmp_path / "utils.py", tmp_path))) == 3
    (tmp_path / "pages.py").write_text("x = 1\n")
    assert list(wrong_in(tmp_path / "pages.py", tmp_path)) == ["its first line does not say what a reader finds in it"]


def test_every_package_of_the_product_says_what_it_is() -> None:
    assert not [short(p) for p in PRODUCT if p.name == "__init__.py" and not p.read_text().strip()]


def test_the_example_names_every_variable_and_no_other() -> None:
    wanted = {name.upper() for name in SyncSettings.model_fields}
    for system in SYSTEMS:
        wanted |= {f"{system.name}_{field}".upper() for field in system.settings.model_fields}
    example = (PROJECT / ".env.example").read_text(encoding="utf-8").splitlines()
    lines = [line.removeprefix("# ").partition("=") for line in example if re.match(r"(# )?[A-Z0-9_]+=", line)]
    named = [name for name, _, _ in lines]
    assert sorted(named) == sorted(wanted)
    assert all(line.startswith(tuple(f"{s}=" for s in wanted)) for line in example if line and line[0] != "#")


def test_the_example_shows_the_defaults() -> None:
    models = [("", SyncSettings), *((f"{s.name}_", s.settings) for s in SYSTEMS)]
    defaults = {
        f"{prefix}{name}".upper(): field.default
        for prefix, model in models
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    rates = {f"{s.name}_rate".upper(): s.buckets[0].rate for s in SYSTEMS}
    for line in (PROJECT / ".env.example").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"# ([A-Z0-9_]+)=(.*)", line):
            name, shown = match.groups()
            default = rates.get(name, defaults[name])
            assert shown == str(default) or float(shown) == default, name


def test_the_lock_pins_every_line_and_names_no_address() -> None:
    lines = [line for line in (PROJECT / "requirements.lock").read_text().splitlines() if line.strip()]
    assert len(lines) > 50 and "://" not in "\n".join(lines)
    assert not [line for line in lines if not LINE.match(line.replace('"', "'"))]


def test_the_lock_holds_everything_that_the_project_asks_for() -> None:
    project = (PROJECT / "pyproject.toml").read_text()
    asked = {name for block in re.findall(r"^(?:dependencies|dev) = \[(.*?)^\]", project, re.M | re.S)
             for name in re.findall(r'"([a-zA-Z0-9_-]+)', block)}  # fmt: skip
    locked = {line.partition("==")[0].partition("[")[0] for line in (PROJECT / "requirements.lock").read_text().split()}
    assert len(asked) > 20 and asked <= locked


def test_the_pages_name_every_command_of_the_terminal() -> None:
    pages = (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md"))
    readme = "".join(path.read_text(encoding="utf-8") for path in pages)
    commands = {c.name or c.callback.__name__ for c in app.registered_commands}  # type: ignore[union-attr]
    missing = {c for c in commands if f"make {c}" not in readme and f"sync-assets {c}" not in readme}
    assert not missing


@pytest.mark.skipif(which("git") is None, reason="no git here")
def test_nothing_of_this_machine_is_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("not a git checkout")
    for name in listed.splitlines():
        assert not re.match(r"\.(dagster|sync_assets|venv|hypothesis|env$)", name), name
        assert not name.endswith((".pyc", ".log", ".db", ".sqlite")), name
