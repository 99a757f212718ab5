"""What makes a run red, what does not, and that one failure costs no more than it must."""

from collections.abc import Callable

import pytest

from sync_assets_tests.company import KAITEN, WORKSECTION, only
from sync_assets_tests.contract.declared import DECLARED
from sync_assets_tests.orchestration.conftest import Installation, Run

TWO = only(KAITEN, WORKSECTION)
"""Enough to see that one costs the other nothing."""

ALL = {f"{a.name}/{e.name}" for a, e in DECLARED if a.name in ("kaiten", "worksection")}


@pytest.fixture
def installation(make_installation: Callable[..., Installation]) -> Installation:
    return make_installation(**TWO)


def test_a_failed_entity_stops_only_those_that_need_it_a3(installation: Installation) -> None:
    company = installation.company
    company.sandbox.faults.set("A3", system="kaiten", path=r"/spaces$", status=500)
    run = installation.run("full_sync")
    need_spaces = {f"kaiten/{name}" for name in ("spaces", "boards", "columns", "lanes", "cards")}
    assert not run.green
    assert run.synced == ALL - need_spaces
    assert list(run.failures) == ["kaiten__spaces"] and "500" in run.failures["kaiten__spaces"]
    assert {c.asset for c in run.checks} == ALL - need_spaces, "a failed sync skips its own checks and nobody else's"
    assert run.last_step == "sync__report"
    for other in company.accounts.keys() - {"kaiten"}:
        company.assert_world_equals_postgres(other)

    company.sandbox.faults.clear()
    assert installation.run("full_sync").green
    company.assert_world_equals_postgres("kaiten")
    company.assert_ledger_adds_up()


def damaged(installation: Installation, fault: str, **options: str) -> Run:
    company = installation.company
    card = sorted(company.truth("cards"))[7]
    company.sandbox.faults.set(fault, system="kaiten", path=r"/cards$", record=card, **options)
    run = installation.run("kaiten_full_sync")
    company.sandbox.faults.clear()
    return run


def test_an_error_check_turns_the_run_red_through_the_report(installation: Installation) -> None:
    run = damaged(installation, "V4", field="due_date", variant="dotted")
    assert not run.green
    assert run.red() == {"kaiten/cards columns_parse": "ERROR"}
    assert list(run.failures) == ["sync__report"] and run.last_step == "sync__report"
    assert "kaiten/cards columns_parse" in run.failures["sync__report"]
    assert run.synced == {a for a in ALL if a.startswith("kaiten/")}

    # Its rows are not looked at by a run that did not write them, but by one that looks at everything.
    assert installation.run("kaiten_incremental_sync", assets=["kaiten/tags"]).green
    whole = installation.run("integrity_checks")
    assert not whole.green and whole.red()["kaiten/cards columns_parse"] == "ERROR"
    installation.run("kaiten_full_sync")
    healed = installation.run("integrity_checks")
    assert "kaiten/cards columns_parse" not in healed.red()


@pytest.mark.parametrize(
    ("fault", "options", "check"),
    [("V5", {"field": "state"}, "values_known"), ("V7", {"variant": "missing"}, "nothing_rejected")],
)
def test_a_warning_leaves_the_run_green(
    installation: Installation, fault: str, options: dict[str, str], check: str
) -> None:
    run = damaged(installation, fault, **options)
    assert run.green, run.failures
    assert run.red() == {f"kaiten/cards {check}": "WARN"}


def test_every_failed_check_counts_its_rows_and_says_how_to_find_them(installation: Installation) -> None:
    run = damaged(installation, "V4", field="due_date", variant="dotted")
    evaluations = {e.check_name: e for e in run.result.get_asset_check_evaluations() if "cards" in e.asset_key.path}
    told = {name: value.value for name, value in evaluations["columns_parse"].metadata.items()}
    assert told["count"] == 1 and len(told["sample"]) == 1
    assert installation.company.query(told["query"]) == [(str(told["sample"][0]),)]
    assert all("count" in e.metadata for e in evaluations.values()), "each check has a plot"


def test_the_preflight_names_what_is_wrong_once_and_reads_nothing(installation: Installation) -> None:
    company = installation.company
    company.sandbox.faults.set("A11", system="kaiten", status=401)
    run = installation.run("full_sync")
    assert not run.green and run.synced == {a for a in ALL if not a.startswith("kaiten/")}
    asked = [r for r in company.sandbox.requests if r.system == "kaiten"]
    assert len(asked) == 1, "one request finds out for all entities"
    roots = {"kaiten__" + n for n in ("spaces", "users", "card_types", "tags", "property_definitions")}
    assert set(run.failures) == roots
    assert all("401" in said and "Next: " in said for said in run.failures.values())


def test_a_database_that_was_never_migrated_is_named_before_anything_is_asked(make_installation, make_database) -> None:
    installation = make_installation(database_url=make_database(empty=True), **TWO)
    run = installation.run("full_sync")
    assert not run.green and run.synced == set()
    assert all("sync-assets migrate" in said for said in run.failures.values() if "report" not in said)
    assert installation.company.sandbox.requests == []


def test_a_database_out_of_reach_is_named(make_installation: Callable[..., Installation]) -> None:
    installation = make_installation(
        database_url="postgresql://nobody:wrong@127.0.0.1:1/none", SYNC_DATABASE_WAIT_SECONDS="0.2", **TWO
    )
    run = installation.run("kaiten_full_sync", assets=["kaiten/tags"])
    assert not run.green and "Postgres cannot be reached" in run.failures["kaiten__tags"]
