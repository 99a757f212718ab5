"""README.md and docs/ are executed: commands exist, queries run, columns, entities, pictures and links are real."""

import ast
import re
import shlex
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

import pandas as pd
import pytest
from typer.main import get_command

import sync_assets.entity
from sync_assets.account import Account
from sync_assets.cli import app
from sync_assets.definitions import build_definitions
from sync_assets.entity import Entity
from sync_assets.load.database import Database
from sync_assets.load.derived import store
from sync_assets.load.migrations import FOLDER, migrate
from sync_assets.sync import Request, connected, sync_entity
from sync_assets.systems import SYSTEMS
from sync_assets_tests.company import Company

PROJECT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
}
README = PAGES["README.md"]
BLOCKS = [
    (page, kind, block)
    for page, text in PAGES.items()
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]
COMMANDS = [(page, line) for page, kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
LONGEST_README = 200
JOB = "dagster job execute -m sync_assets.definitions -j "
QUIET = ("order_gaps", "sync.orphans", "sync.forgotten_logs", "sync.erasures", "'lost'")
"""In this world every link leads somewhere, nothing is old or lost, and nobody wants to be forgotten."""


def blocks(kind: str) -> list[str]:
    return [text for _, k, text in BLOCKS if k == kind]


def files() -> dict[str, str]:
    """The SQL files that the pages show, by their path under sql/, without the line that names them."""
    found = {}
    for text in blocks("sql"):
        first, _, rest = text.partition("\n")
        if first.startswith("-- file: sql/"):
            found[first.removeprefix("-- file: sql/")] = rest
    return found


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_exists(page: str, command: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "--dry-run", words[1]], cwd=PROJECT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    elif words[0] == "sync-assets":
        found: Any = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
        by_itself = not [word for word in words[2:3] if not word.startswith("-")]
        if hasattr(found, "commands") and not (by_itself and found.invoke_without_command):
            found = found.commands[words[2]]
        options = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options or found.name == "sandbox"
    else:
        assert command.startswith(JOB), f"{page}: {command}"


def test_every_job_that_is_executed_exists(grown: Company) -> None:
    named = {command.removeprefix(JOB) for _, command in COMMANDS if command.startswith(JOB)}
    assert named and named <= {job.name for job in build_definitions(grown.env).jobs or ()}


def test_the_statements_that_change_something_do(grown: Company) -> None:
    (statement,) = (line for text in blocks("sql") for line in text.splitlines() if line.startswith("update"))
    database = Database(grown.database_url)
    try:
        database.query(statement)
    finally:
        database.close()
    told = grown.query("select payload, key from sync.outbox")
    assert [payload for payload, _ in told] == [{"crm_status": "paid"}]


def test_every_command_of_the_terminal_is_named() -> None:
    for name in ("demo", "up", "test", "bench", "lint"):
        assert f"make {name}" in README
    for name in ("doctor", "migrate", "status"):
        assert f"sync-assets {name}" in README


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_file_and_page_is_there(page: str) -> None:
    for target in re.findall(r"\[[^]]*\]\(([^)]+)\)", PAGES[page]):
        path, _, _ = target.partition("#")
        assert "://" in target or ((PROJECT / page).parent / path).is_file(), target


def test_the_readme_leads_to_every_page_and_is_short() -> None:
    assert not [page for page in PAGES if page != "README.md" and f"]({page})" not in README]
    assert len(README.splitlines()) <= LONGEST_README


def derive(company: Company) -> None:
    """What a run computes after its syncs."""
    account = company.accounts["hubspot"]
    for derived in account.system.derived:
        frames = {
            name: pd.DataFrame(company.query(f"select {', '.join(columns)} from hubspot.{table}"), columns=columns)
            for source in derived.sources
            for name, (table, columns) in source.frames.items()
        }
        frame = derived.compute(account.settings, **frames)
        with company.connected("hubspot") as connection:
            connection.database.transaction(partial(store, schema=account.schema, derived=derived, frame=frame))


def test_the_queries_of_dashboards_run(grown: Company) -> None:
    derive(grown)
    queries = [line for text in blocks("sql") for line in text.splitlines() if line.startswith("select")]
    assert len(queries) >= 4
    for query in queries:
        assert grown.query(query) or any(name in query for name in QUIET), query


def test_a_column_of_ones_own_is_filled_for_rows_that_are_there(grown: Company, tmp_path: Path) -> None:
    copytree(FOLDER, tmp_path / "sql")
    name, text = next((n, t) for n, t in files().items() if n.startswith("local/"))
    (tmp_path / "sql" / "local").mkdir(exist_ok=True)
    (tmp_path / "sql" / name).write_text(text)
    applied = apply(grown, tmp_path / "sql")
    assert name in applied
    assert (
        grown.query("select count(*) from kaiten.cards where card_key is distinct from raw_json ->> 'key'")[0][0] == 0
    )
    assert "card_key" in {c for (c,) in grown.query("select column_name from information_schema.columns")}


def test_the_entity_of_the_readme_is_complete(grown: Company, tmp_path: Path) -> None:
    code = blocks("python")[0]
    scope = dict(vars(sync_assets.entity))
    exec(code, scope)  # noqa: S102  our own README
    entity = scope["CATALOG_VALUES"]
    assert isinstance(entity, Entity)
    name, text = next((n, t) for n, t in files().items() if not n.startswith("local/"))
    assert len(code.splitlines()) == 8, "the README tells its length"
    assert len(text.splitlines()) - 1 == 7, "the README tells its length"
    copytree(FOLDER, tmp_path / "sql")
    (tmp_path / "sql" / name).write_text(text)
    apply(grown, tmp_path / "sql")

    known = grown.accounts["kaiten"]
    account = Account(known.name, replace(known.system, entities=lambda s: (*known.entities, entity)), known.settings)
    with connected(account, grown.settings) as connection:
        # The product's own folder does not know the table of the README.
        connection._preflight = "passed"
        outcome = sync_entity(connection, entity, Request("full"))
    truth = {r["id"]: r for r in grown.sandbox.world.truth("kaiten", "catalog_values")}
    assert outcome.totals["created"] == len(truth) > 0
    assert {r["id"]: r for (r,) in grown.query("select raw_json from kaiten.catalog_values")} == truth


def test_the_lines_that_one_entity_takes_are_those_that_it_has() -> None:
    told = re.findall(r"^\| `(\w+)/(\w+)` \| (\d+) \| (\d+) \|$", PAGES["docs/extend.md"], re.MULTILINE)
    assert {system for system, *_ in told} == {system.name for system in SYSTEMS}
    for system, entity, python, lines in told:
        code = (PROJECT / "sync_assets" / "systems" / system / "entities.py").read_text(encoding="utf-8")
        calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and node.args)
        (call,) = (c for c in calls if ast.unparse(c.func) == "Entity" and ast.unparse(c.args[0]) == repr(entity))
        assert (call.end_lineno or 0) - call.lineno + 1 == int(python)
        (file,) = (path for path in FOLDER.glob(f"*_{system}.sql") if path.name > "100")
        table = re.search(rf"^create table {entity} \(.*?^\);", file.read_text(encoding="utf-8"), re.M | re.S)
        assert table and table.group().count("\n") + 1 == int(lines)


def apply(company: Company, folder: Path) -> list[str]:
    database = Database(company.database_url)
    try:
        return [m.file for m in migrate(database, list(company.accounts.values()), folder)]
    finally:
        database.close()
