"""Upkeep as jobs and at the terminal: dry unless told, and its figures are in the UI."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from sync_assets.definitions import build_definitions
from sync_assets_tests.company import KAITEN, only
from sync_assets_tests.orchestration.conftest import Installation, Run
from sync_assets_tests.orchestration.queueing import Queueing
from sync_assets_tests.upkeep.aged import KINDS, put

OLD = "sync.rejected rows"


def upkept(installation: Installation, job: str, **config: Any) -> Run:
    definition = installation.definitions.resolve_job_def(job)
    of_op = {"ops": {f"sync__{job}": {"config": config}}} if config else None
    return Run(definition.execute_in_process(run_config=of_op, instance=installation.instance), installation.instance)


def left(installation: Installation) -> int:
    return int(installation.company.query("select count(*) from sync.rejected")[0][0])


@pytest.mark.parametrize(
    ("setting", "config", "applied"),
    [
        ("dry", {}, False),
        ("off", {}, False),
        ("on", {}, True),
        ("dry", {"apply": True}, True),
        ("on", {"apply": False}, False),
    ],
)
def test_a_clean_up_is_dry_unless_the_setting_or_the_launchpad_says_otherwise(
    make_installation: Callable[..., Installation], setting: str, config: dict[str, bool], applied: bool
) -> None:
    installation = make_installation(SYNC_UPKEEP=setting, **only(KAITEN))
    put(installation.company, OLD, 1, 100)
    run = upkept(installation, "clean_up", **config)
    assert run.green and left(installation) == (0 if applied else 1)
    told = run.metadata("sync/clean_up")
    assert told["applied"] is applied and told[OLD] == 1 and told["gone" if applied else "would_go"] == 1
    assert "| sync.rejected rows | 90 | 1 | 1 |" in told["table"]


def test_the_orphan_report_has_its_figures_and_its_tables_in_the_ui(installation: Installation) -> None:
    company = installation.company
    company.synced("full", "kaiten", ["spaces", "users", "boards", "columns"])
    company.query("delete from kaiten.boards where id = (select min(board_id) from kaiten.columns)")
    company.query("insert into sync.metadata (account, entity, system) values ('former', 'cards', 'kaiten')")
    run = upkept(installation, "orphan_report")
    assert run.green
    told = run.metadata("sync/orphan_report")
    assert told["rows"] == told["waiting"] >= 1 and told["unknown_rows"] == 1
    assert "kaiten/columns.board_id -> boards" in told["links"] and "| sync.metadata | former |" in told["unknown"]


def test_a_database_that_was_not_migrated_fails_with_the_next_step(
    make_installation: Callable[..., Installation], make_database: Callable[..., str]
) -> None:
    installation = make_installation(database_url=make_database(empty=True))
    definition = installation.definitions.resolve_job_def("clean_up")
    run = Run(
        definition.execute_in_process(instance=installation.instance, raise_on_error=False), installation.instance
    )
    assert "sync-assets migrate" in run.failures["sync__clean_up"]


@pytest.mark.parametrize(("setting", "status"), [("on", "RUNNING"), ("dry", "STOPPED"), ("off", None)])
def test_the_schedules_run_where_the_setting_says_on_and_are_gone_where_it_says_off(
    make_installation: Callable[..., Installation], setting: str, status: str | None
) -> None:
    company = make_installation(SYNC_UPKEEP=setting).company
    schedules = build_definitions(company.env).schedules or []
    own = {s.name: s.default_status.name for s in schedules if isinstance(s, dg.ScheduleDefinition)}
    names = ("orphan_report_weekly", "clean_up_monthly", "run_retention_weekly")
    assert {own.get(name) for name in names} == {status}


def test_the_command_says_what_would_go_and_with_apply_it_goes(queueing: Queueing) -> None:
    put(queueing.company, OLD, 1, 100)
    count = "select count(*) from sync.rejected"
    dry = queueing.command("upkeep")
    assert dry.exit_code == 0, dry.output
    assert "a dry run" in dry.output and "sync.rejected rows" in dry.output and "dagster.runs" in dry.output
    assert queueing.company.query(count) == [(1,)]
    applied = json.loads(queueing.command("upkeep", "--apply", "--json").stdout)
    assert applied["applied"] is True and queueing.company.query(count) == [(0,)]
    (row,) = (r for r in applied["clean_up"] if r["what"] == OLD)
    assert (row["before"], row["went"], row["left"]) == (1, 1, 0)
    assert len(applied["clean_up"]) > len(KINDS) and applied["dagster"] == "looked at"


def test_without_dagster_the_command_looks_at_the_rest_and_says_so(
    queueing: Queueing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    done = queueing.command("upkeep")
    assert done.exit_code == 0 and "left alone: DAGSTER_HOME is not set" in done.output


def test_s9_the_command_forgets_and_prints_the_receipt(queueing: Queueing) -> None:
    company = queueing.company
    company.synced("full", "kaiten", "users")
    user = min(company.raw("users"))
    words = ("forget", "kaiten", "users", str(user), "--by", "Vera")
    refused = queueing.command(*words[:3], "12", "--by", " ")
    assert refused.exit_code == 1 and "--by" in str(refused.exception)
    dry = queueing.command(*words, "--dry-run")
    assert "kaiten.users: 1 would be erased" in dry.output and user in company.raw("users")
    done = queueing.command(*words, "--anyway")
    assert done.exit_code == 0, done.exception
    assert "kaiten.users: 1 erased" in done.output and "receipt 1 of sync.erasures" in done.output
    assert "it comes back" in done.output and user not in company.raw("users")
    for wrong in (("nobody", "users"), ("kaiten", "wishes")):
        told = queueing.command("forget", *wrong, "1", "--by", "Vera")
        assert told.exit_code == 1 and "choose one of" in str(told.exception)
