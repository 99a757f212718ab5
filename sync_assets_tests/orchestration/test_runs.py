"""Runs in process: what a materialization tells, what the Launchpad asks for, and what a run without faults leaves."""

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import pytest

from sync_assets.check import checks_of
from sync_assets.entity import Entity
from sync_assets.orchestration import io_manager
from sync_assets.orchestration.report import REPORT
from sync_assets.sync import sync_entity
from sync_assets_tests.company import HUBSPOT, KAITEN, WORKSECTION, only
from sync_assets_tests.contract.declared import ACCOUNTS, DECLARED
from sync_assets_tests.orchestration.conftest import Installation

COUNTS = ("created", "updated", "unchanged", "stale", "repeated", "rejected")


def table_columns(installation: Installation, table: str) -> dict[str, str]:
    return dict(
        installation.company.query(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            (table,),
        )
    )


@pytest.fixture
def two(make_installation: Callable[..., Installation]) -> Installation:
    return make_installation(**only(KAITEN, HUBSPOT))


def test_full_sync_reads_everything_checks_it_and_reports_last(installation: Installation) -> None:
    company = installation.company
    run = installation.run("full_sync")
    assert run.green and run.last_step == "sync__report"
    derived = [(a, d) for a in ACCOUNTS for d in a.system.derived]
    assert run.synced == {f"{a.name}/{each.name}" for a, each in [*DECLARED, *derived]}
    assert len(run.checks) == sum(len(checks_of(e)) for _, e in DECLARED) + len(derived) and run.red() == {}
    for account in company.accounts:
        company.assert_world_equals_postgres(account)
    company.assert_ledger_adds_up()
    assert company.query("select * from sync.missing_parents") == []
    for account, entity in DECLARED:
        told = run.metadata(f"{account.name}/{entity.name}")
        table = f"{account.name}.{entity.name}"
        assert told["dagster/row_count"] == company.count(entity.name, account.name)
        assert told["dagster/table_name"] == table
        assert {c.name: c.type for c in told["dagster/column_schema"].columns} == table_columns(installation, table)
        assert told["fetched"] == sum(told[name] for name in COUNTS) and told["created"] == told["fetched"] > 0
        assert told["kind"] == "full" and told["deleted"] == 0 and isinstance(told["waiting_links"], int)
        assert isinstance(told["seconds"], float) and isinstance(told["records_per_second"], float)
    cards = run.metadata("kaiten/cards")["dagster/column_schema"].columns
    (key,) = (c for c in cards if c.constraints.unique)
    assert key.name == "id" and not key.constraints.nullable
    assert next(c for c in cards if c.name == "state").description == "1 queued, 2 in progress, 3 done"
    run_ids = {r for (r,) in company.query("select distinct run_id from sync.logs")}
    assert run_ids == {run.result.run_id}
    (reported,) = (
        e.materialization
        for e in run.result.get_asset_materialization_events()
        if e.materialization.asset_key == REPORT
    )
    assert reported.metadata["created"].value == sum(company.count(e.name, a.name) for a, e in DECLARED)


def test_then_what_changed_then_nothing_and_then_the_checks_alone(
    make_installation: Callable[..., Installation],
) -> None:
    installation = make_installation(**only(KAITEN, WORKSECTION))
    company = installation.company
    assert installation.run("full_sync").green
    company.sandbox.world.advance(5)
    for wrote in (True, False):
        run = installation.run("incremental_sync")
        assert run.green
        written = sum(run.metadata(a)[n] for a in run.synced for n in ("created", "updated", "deleted"))
        assert (written > 0) is wrote
        assert run.metadata("kaiten/cards")["kind"] == "incremental"
        assert run.metadata("kaiten/cards")["fetched"] < company.count("cards")
    company.assert_world_equals_postgres("worksection")
    assert company.truth("cards").keys() <= company.raw("cards").keys(), "cards that are gone are for a full sync"

    # The whole table, and nothing is asked of the sources.
    asked = len(company.sandbox.requests)
    run = installation.run("integrity_checks")
    assert run.green and run.last_step == "sync__report" and run.synced == set()
    assert len(run.checks) == sum(len(checks_of(e)) for a, e in DECLARED if a.name in company.accounts)
    assert len(company.sandbox.requests) == asked


def test_the_launchpad_takes_mode_ids_since_and_a_released_fuse(two: Installation) -> None:
    company = two.company
    assert two.run(assets=["kaiten/cards"], mode="full").green
    before = len(company.sandbox.requests)
    cards = [str(key) for key in sorted(company.raw("cards"))[:2]]

    run = two.run("incremental_sync", assets=["kaiten/cards"], ids=cards)
    assert run.synced == {"kaiten/cards"}
    asked = [r.path for r in company.sandbox.requests[before:]]
    assert [p for p in asked if "/cards" in p] == [f"/api/latest/cards/{key}" for key in cards]
    assert run.metadata("kaiten/cards")["kind"] == "selective" and run.metadata("kaiten/cards")["fetched"] == 2

    before = len(company.sandbox.requests)
    run = two.run(assets=["kaiten/cards"], since="2099-01-01T00:00:00Z")
    assert run.metadata("kaiten/cards")["fetched"] == 0 and run.metadata("kaiten/cards")["kind"] == "selective"
    (query,) = (r.query for r in company.sandbox.requests[before:] if r.path.endswith("/cards"))
    assert query["updated_after"].startswith("2099-01-01T00:00:00")

    run = two.run(assets=["kaiten/cards"], since="yesterday")
    assert not run.green and run.synced == set()
    assert "since is no time with a zone" in str(run.failures) and "2026-11-01T00:00:00Z" in str(run.failures)

    run = two.run(assets=["kaiten/tags"], ids=["1"])
    assert not run.green and "tags cannot be read by id" in run.failures["kaiten__tags"]

    assert two.run(assets=["kaiten/users"]).green
    company.sandbox.faults.set("A14", system="kaiten", path="/users$", forget=1.0)
    run = two.run(assets=["kaiten/users"], mode="full")
    users = company.count("users")
    assert not run.green and f"allow_deletions: {users}" in run.failures["kaiten__users"]
    run = two.run(assets=["kaiten/users"], mode="full", allow_deletions=users)
    assert run.metadata("kaiten/users")["deleted"] == users and company.count("users") == 0
    assert run.red() == {"kaiten/users volume": "ERROR"}
    assert run.green, "the report, which makes a run red, is not among the selected assets"


@pytest.mark.parametrize("config", [{"mode": "everything"}, {"since": 5}, {"identifiers": ["1"]}])
def test_the_launchpad_refuses_what_it_does_not_know(two: Installation, config: dict[str, Any]) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError):
        two.run(assets=["kaiten/tags"], **config)


def test_a_downstream_asset_gets_a_dataframe_of_the_columns_it_names(
    two: Installation,
) -> None:
    company = two.company
    company.synced("full", "kaiten", "tags")

    def seen(tags: Any) -> dg.MaterializeResult[None]:
        pairs = {str(i): n for i, n in zip(tags["id"], tags["name"], strict=True)}
        return dg.MaterializeResult(metadata={"columns": list(tags.columns), "names": dg.MetadataValue.json(pairs)})

    tags = dg.AssetKey(["kaiten", "tags"])
    narrow = dg.asset(name="narrow", ins={"tags": dg.AssetIn(tags, metadata={"columns": ["id", "name"]})})(seen)
    wide = dg.asset(name="wide", ins={"tags": dg.AssetIn(tags)})(seen)
    both = dg.Definitions.merge(two.definitions, dg.Definitions(assets=[narrow, wide]))
    result = both.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[narrow.key, wide.key], instance=two.instance
    )
    told = {
        m.asset_key.path[-1]: {name: value.value for name, value in m.metadata.items()}
        for m in (e.materialization for e in result.get_asset_materialization_events())
    }
    assert told["narrow"]["columns"] == ["id", "name"]
    assert set(told["wide"]["columns"]) == set(table_columns(two, "kaiten.tags"))
    names = {str(key): tag["name"] for key, tag in company.raw("tags").items()}
    assert names and told["narrow"]["names"] == told["wide"]["names"] == names


def test_two_accounts_run_side_by_side_into_tables_of_their_own(
    make_installation: Callable[..., Installation], make_sandbox: Callable[..., Any]
) -> None:
    emea = make_sandbox(seed=2, cards=20)
    installation = make_installation(
        KAITEN_EMEA_API_URL=emea.kaiten_url,
        KAITEN_EMEA_API_TOKEN=emea.kaiten_token,
        KAITEN_EMEA_RATE="0",
        **only(KAITEN),
    )
    installation.company.migrate()
    installation.company.worlds["kaiten_emea"] = emea
    run = installation.run("full_sync")
    assert run.green and {a.partition("/")[0] for a in run.synced} == {"kaiten", "kaiten_emea"}
    for account in ("kaiten", "kaiten_emea"):
        installation.company.assert_world_equals_postgres(account)
    assert run.metadata("kaiten_emea/cards")["dagster/table_name"] == "kaiten_emea.cards"


@pytest.mark.parametrize("assets", [(), ("hubspot/contacts", "hubspot/calls")], ids=["all", "two"])
def test_each_sync_knows_those_that_follow_it_in_its_run(
    two: Installation, monkeypatch: pytest.MonkeyPatch, assets: tuple[str, ...]
) -> None:
    told: dict[str, list[str]] = {}

    def noted(connection: Any, entity: Entity, *given: Any, following: Sequence[Entity]) -> Any:
        told[entity.name] = [other.name for other in following]
        return sync_entity(connection, entity, *given, following=following)

    monkeypatch.setattr(io_manager, "sync_entity", noted)
    run = two.run("hubspot_full_sync", assets)
    assert run.green and len(told) == (len(assets) or len(two.company.accounts["hubspot"].entities))
    order = list(told)
    assert told == {name: order[place:] for place, name in enumerate(order, 1)}
