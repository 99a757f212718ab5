"""The commands as a person meets them: help, state, diagnosis, and errors that say what to do and nothing else."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sync_assets import cli
from sync_assets.account import connected_accounts
from sync_assets.check import CHECKS, Scope
from sync_assets.freshness import freshness
from sync_assets.local import bare_environment
from sync_assets.systems import SYSTEMS
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company

COMMANDS = {
    "demo",
    "up",
    "migrate",
    "sandbox",
    "status",
    "doctor",
    "crm-sync-pipelines",
    "receive",
    "webhooks",
    "report",
    "roles",
}
SYNC_ASSETS = Path(sys.executable).with_name("sync-assets")
Ask = Callable[..., Result]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, canary: Canary) -> Ask:
    """ask(company, *arguments, **env) -> what the command printed; the environment is the company's and no other."""

    def run(company: Company | None, *arguments: str, **env: str | None) -> Result:
        given = {**(company.env if company else {}), "SYNC_ASSETS_ENV_FILE": "/dev/null", **env}
        for name, value in given.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        result = CliRunner().invoke(cli.app, list(arguments))
        for name, value in given.items():
            if value is not None:
                monkeypatch.delenv(name)
        canary.check("the output", result.output)
        return result

    return run


def findings(result: Result) -> list[list[str]]:
    """What doctor printed, as rows of what, state, finding, advice; wrapped lines joined."""
    rows: list[list[str]] = []
    for line in result.output.splitlines():
        if line.startswith("│"):
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            if cells[1]:
                rows.append(cells)
            else:
                rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)]
    return rows


def red(result: Result) -> dict[str, str]:
    """The red findings, each with its advice."""
    assert result.exit_code == 1, result.output
    return {finding: todo for _, state, finding, todo in findings(result) if state == "bad"}


def test_every_command_has_a_help_that_says_what_it_does(ask: Ask) -> None:
    overview = ask(None, "--help")
    assert overview.exit_code == 0
    assert {c.name or c.callback.__name__ for c in cli.app.registered_commands} == COMMANDS  # type: ignore[union-attr]
    for name in COMMANDS - {"sandbox"}:
        assert name in overview.output
        manual = ask(None, name, "--help")
        assert manual.exit_code == 0 and f"{name} [OPTIONS]" in manual.output
        assert len(manual.output.split()) > 15, manual.output
    assert ".env.example" in overview.output and "--json" in ask(None, "status", "--help").output
    assert ask(None).exit_code != 0, "no command is an error that shows the help"


def test_migrate_twice_and_status_before_and_after(
    ask: Ask, make_company: Callable[..., Company], make_database: Callable[..., str]
) -> None:
    company = make_company(database_url=make_database(empty=True))
    first, second = ask(company, "migrate"), ask(company, "migrate")
    assert first.exit_code == second.exit_code == 0
    for line in (
        "applied 001_sync.sql",
        "applied 100_kaiten.sql to kaiten",
        "applied 110_worksection.sql to",
        "applied 200_hubspot.sql to",
    ):
        assert line in first.output
    assert second.output == "the database is up to date\n"

    assert "nothing was synced yet" in ask(company, "status").output
    assert json.loads(ask(company, "status", "--json").output) == []
    company.sandbox.faults.set("A3", system="kaiten", path="/users$", status=500)
    company.sync("full", "kaiten", ["tags", "users"])
    rows = {row["entity"]: row for row in json.loads(ask(company, "status", "--json").output)}
    assert rows["tags"]["rows"] == company.count("tags") and rows["tags"]["last_full"].startswith("20")
    assert rows["tags"]["last_error"] is None and rows["tags"]["last_incremental"] is None
    assert "500" in rows["users"]["last_error"] and rows["users"]["last_full"] is None
    shown = ask(company, "status").output
    assert "kaiten/tags" in shown and "never" in shown and "500" in shown


def test_status_and_doctor_tell_how_old_an_entity_is_by_the_same_hours_as_its_check(ask: Ask, company: Company) -> None:
    company.synced("full", "kaiten", ["tags", "users", "spaces"])
    assert "all 3 entities are fresh" in ask(company, "doctor").output
    company.query("update sync.metadata set last_full_at = now() - interval '9 hours' where entity <> 'users'")
    env = {"KAITEN_FRESH_HOURS": "10,tags=8"}
    rows = {row["entity"]: row["age"] for row in json.loads(ask(company, "status", "--json", **env).output)}
    assert rows == {"tags": "stale", "spaces": "late", "users": "fresh"}
    said = [finding for what, _, finding, _ in findings(ask(company, "doctor", **env)) if what == "freshness"]
    assert said == ["1 of 3 entities are stale: kaiten/tags", "1 of 3 entities are late: kaiten/spaces"]
    with company.connected() as connection:
        account = connected_accounts(SYSTEMS, {**company.env, **env})[0][0]
        for name, age in rows.items():
            own = freshness(account, company.settings, name)
            scope = Scope(connection.database, company.settings, company.entity(name), connection.target, (), own)
            assert CHECKS["fresh"](scope).says.startswith(f"{age}: ")


def test_doctor_finds_nothing_where_all_is_well(ask: Ask, company: Company) -> None:
    result = ask(company, "doctor")
    assert result.exit_code == 0, result.output
    for finding in (
        "5 accounts: kaiten, worksection, hubspot, kommo, bitrix",
        "PostgreSQL",
        "sql/ is applied",
        "Kaiten answers and accepts the token",
        "Worksection answers and accepts the token",
        "HubSpot answers and accepts the token",
        "clocks agree within",
        "a direct connection, or a session pooler",
        "Python 3.",
    ):
        assert finding in result.output
    assert " bad " not in result.output


WORKSECTION = ("WORKSECTION_DOMAIN", "WORKSECTION_HASH", "WORKSECTION_SYNC_TAG", "WORKSECTION_RATE")
CANARIES = ("database-canary-password", *(f"{kind}-canary-0123456789" for kind in ("token", "hash", "former")))
WRONG = {
    "no DATABASE_URL": ({"DATABASE_URL": None}, "DATABASE_URL is not set", "set it; make demo"),
    "database away": (
        {"DATABASE_URL": "postgresql://nobody:database-canary-password@127.0.0.1:1/none"},
        "Postgres cannot be reached",
        "check that Postgres runs and DATABASE_URL is right",
    ),
    "wrong token": (
        {"KAITEN_API_TOKEN": "token-canary-0123456789"},
        "the source refuses the token (401)",
        "issue a new token and set it",
    ),
    "wrong hash": (
        {"WORKSECTION_HASH": "hash-canary-0123456789"},
        "Worksection answers error",
        "set WORKSECTION_HASH to the account's administrative API key",
    ),
    "wrong HubSpot token": (
        {"HUBSPOT_ACCESS_TOKEN": "token-canary-0123456789"},
        "the source refuses the token (401) (system hubspot",
        "issue a new token and set it",
    ),
    "half set": (
        {"WORKSECTION_HASH": None},
        "Worksection is half set: WORKSECTION_HASH missing",
        "set WORKSECTION_HASH (Worksection: account settings",
    ),
    "former name": (
        {**dict.fromkeys(WORKSECTION), "WS_API_KEY": "former-canary-0123456789"},
        "WS_API_KEY is the former name of WORKSECTION_HASH",
        "correct it in the environment or in .env",
    ),
    "Supabase's REST address": (
        {"NEXT_PUBLIC_SUPABASE_URL": "https://former-canary-01234.supabase.co", "DATABASE_URL": None},
        "is not used: set DATABASE_URL to the Postgres connection string of the Supabase project",
        "correct it in the environment or in .env",
    ),
    "unsafe": ({"KAITEN_API_URL": "http://example.kaiten.ru"}, "must start with https://", "correct KAITEN_API_URL"),
    "no TLS check": ({"SYNC_VERIFY": "0"}, "SYNC_VERIFY asks for connections without TLS checks", "remove SYNC_VERIFY"),
    "not a number": ({"SYNC_BATCH_SIZE": "many"}, "SYNC_BATCH_SIZE", "correct it in the environment or in .env"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_doctor_says_of_each_red_line_what_to_do(ask: Ask, company: Company, canary: Canary, wrong: str) -> None:
    env, finding, todo = WRONG[wrong]
    canary.watch(*CANARIES)
    found = red(ask(company, "doctor", **env))
    assert any(finding in said and todo in advice for said, advice in found.items()), found
    assert all(found.values()), "a red line without an advice"


def test_doctor_says_of_a_database_without_tables_how_to_make_them(
    ask: Ask, make_company: Callable[..., Company], make_database: Callable[..., str]
) -> None:
    company = make_company(database_url=make_database(empty=True))
    ((said, advice),) = red(ask(company, "doctor")).items()
    assert "the database lacks a table" in said and advice == "run sync-assets migrate"


@pytest.mark.parametrize("system", ["kaiten", "hubspot"])
def test_doctor_finds_a_clock_that_is_off(ask: Ask, company: Company, system: str) -> None:
    company.sandbox.faults.set("P9", system=system, skew=600)
    ((said, advice),) = red(ask(company, "doctor")).items()
    assert "clock is" in said and advice == "switch on time synchronisation"


@pytest.mark.parametrize(
    ("command", "env", "words"),
    [
        ("status", {}, "DATABASE_URL is not set"),
        ("migrate", {"KAITEN_API_TOKEN": "token-canary-0123456789"}, "KAITEN_API_URL missing"),
        ("status", {"DATABASE_URL": "postgresql://u:database-canary-password@nowhere.invalid/x"}, "wrong password"),
        ("up", {"DATABASE_URL": "postgresql://u:database-canary-password@127.0.0.1:1/x"}, "no account is"),
    ],
)
def test_errors_exit_with_1_and_one_line(command: str, env: dict[str, str], words: str) -> None:
    done = subprocess.run(
        [SYNC_ASSETS, command], env=bare_environment(env), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and words in done.stderr and "Next: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout and len(done.stderr.splitlines()) == 1
    assert "canary" not in done.stderr + done.stdout


def test_sandbox_hands_its_help_and_its_exit_code_on() -> None:
    manual = subprocess.run([SYNC_ASSETS, "sandbox", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert manual.returncode == 0 and "faults:" in manual.stdout and "A13" in manual.stdout
    wrong = subprocess.run(
        [SYNC_ASSETS, "sandbox", "--size", "vast"], capture_output=True, text=True, timeout=60, check=False
    )
    assert wrong.returncode == 2 and "vast" in wrong.stderr
