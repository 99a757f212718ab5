"""What Dagster loads from an environment: assets, their order, jobs, schedules, and not one secret."""

import logging

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from sync_assets.check import checks_of
from sync_assets.check.way_back import CHECKS as WAY_BACK
from sync_assets.definitions import build_definitions
from sync_assets.errors import MissingSetting, UnsafeSetting
from sync_assets.orchestration.report import REPORT
from sync_assets_tests.canary import Canary
from sync_assets_tests.contract.declared import ACCOUNTS, DECLARED

KAITEN = {"KAITEN_API_URL": "https://example.kaiten.ru/api/latest", "KAITEN_API_TOKEN": "kaiten-canary-0123456789"}
EMEA = {
    "KAITEN_EMEA_API_URL": "https://emea.kaiten.ru/api/latest",
    "KAITEN_EMEA_API_TOKEN": "emea-canary-0123456789",
}
WORKSECTION = {"WORKSECTION_DOMAIN": "example.worksection.com", "WORKSECTION_HASH": "worksection-canary-012345"}
DATABASE = {"DATABASE_URL": "postgresql://postgres:password-canary-0123456789@db.example.com:5432/postgres"}
HUBSPOT = {"HUBSPOT_ACCESS_TOKEN": "hubspot-canary-0123456789"}
KOMMO = {"KOMMO_BASE_URL": "https://example.kommo.com", "KOMMO_ACCESS_TOKEN": "kommo-canary-0123456789"}
BOTH = {**KAITEN, **WORKSECTION}
BITRIX = {"BITRIX_WEBHOOK_URL": "https://example.bitrix24.com/rest/1/bitrix-canary-0123456789/"}
ALL = {**BOTH, **HUBSPOT, **KOMMO, **BITRIX}

EDGES = {
    "kaiten/spaces": set(),
    "kaiten/users": set(),
    "kaiten/card_types": set(),
    "kaiten/tags": set(),
    "kaiten/property_definitions": set(),
    "kaiten/property_values": {"kaiten/property_definitions"},
    "kaiten/boards": {"kaiten/spaces"},
    "kaiten/columns": {"kaiten/boards"},
    "kaiten/lanes": {"kaiten/boards"},
    "kaiten/cards": {"kaiten/boards", "kaiten/columns", "kaiten/lanes"},
    "worksection/projects": set(),
    "worksection/users": set(),
    "worksection/task_tags": set(),
    "worksection/project_tags": set(),
    "worksection/tasks": {"worksection/projects"},
    "worksection/stages": {"worksection/projects"},
    "worksection/objects": {"worksection/tasks", "worksection/projects", "worksection/stages"},
    "worksection/sections": {"worksection/tasks", "worksection/objects"},
    "hubspot/owners": set(),
    "hubspot/pipelines": set(),
    "hubspot/stages": {"hubspot/pipelines"},
    "hubspot/property_definitions": set(),
    "hubspot/contacts": set(),
    "hubspot/deals": set(),
    "hubspot/calls": set(),
    "hubspot/contact_associations": {"hubspot/contacts"},
    "hubspot/deal_associations": {"hubspot/deals"},
    "hubspot/call_associations": {"hubspot/calls"},
    "kommo/users": set(),
    "kommo/pipelines": set(),
    "kommo/statuses": {"kommo/pipelines"},
    "kommo/loss_reasons": set(),
    "kommo/custom_fields": set(),
    "kommo/leads": set(),
    "kommo/contacts": set(),
    "kommo/companies": set(),
    "kommo/tasks": set(),
    "kommo/events": set(),
    "bitrix/order_statuses": set(),
    "bitrix/delivery_statuses": set(),
    "bitrix/status_langs": set(),
    "bitrix/users": set(),
    "bitrix/catalogs": set(),
    "bitrix/sections": {"bitrix/catalogs"},
    "bitrix/products": {"bitrix/catalogs"},
    "bitrix/prices": set(),
    "bitrix/orders": set(),
    "bitrix/order_items": {"bitrix/orders"},
    "bitrix/payments": {"bitrix/orders"},
    "bitrix/shipments": {"bitrix/orders"},
    "bitrix/order_properties": {"bitrix/orders"},
    "hubspot/call_contacts": {"hubspot/calls", "hubspot/contacts", "hubspot/call_associations"},
    "bitrix/order_status_push": {"bitrix/orders", "bitrix/order_statuses"},
    "kommo/action_push": {"kommo/leads", "kommo/contacts", "kommo/companies", "kommo/tasks"},
    "sync/automation": set(),
    "sync/report": set(),
}


def edges(definitions: dg.Definitions) -> dict[str, set[str]]:
    graph = definitions.resolve_asset_graph()
    return {
        k.to_user_string(): {p.to_user_string() for p in graph.get(k).parent_keys} for k in graph.get_all_asset_keys()
    }


def groups(definitions: dg.Definitions) -> dict[str, set[str]]:
    graph = definitions.resolve_asset_graph()
    found: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        found.setdefault(str(graph.get(key).group_name), set()).add(key.path[-1])
    return found


def job_names(definitions: dg.Definitions) -> set[str]:
    return {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}


def test_every_entity_is_an_asset_with_its_structural_parents_before_it() -> None:
    found = edges(build_definitions(ALL))
    assert sorted(found) == sorted(EDGES)
    assert found == EDGES


@pytest.mark.parametrize("more", [{}, EMEA, {"WORKSECTION_MAPPING": "depth"}], ids=["tag", "second account", "depth"])
def test_every_dep_is_an_asset(more: dict[str, str]) -> None:
    found = edges(build_definitions(ALL | more))
    assert {parent for parents in found.values() for parent in parents} <= found.keys()


def test_every_asset_says_what_a_person_wants_to_know() -> None:
    graph = build_definitions(ALL).resolve_asset_graph()
    for account, entity in DECLARED:
        asset = graph.get(dg.AssetKey([account.name, entity.name]))
        assert asset.group_name == account.name
        assert asset.kinds == {account.system.name, "postgres"}
        assert asset.owners == ["team:data"]
        assert asset.description is not None and asset.description.startswith(entity.doc) and entity.doc
        for link in entity.links:
            assert f"leads to `{link.to}`" in asset.description
        assert asset.metadata["dagster/table_name"] == f"{account.schema}.{entity.name}"
        assert asset.metadata["api"].value == entity.url and entity.url.startswith("https://")
        assert asset.metadata["read_by"]
        assert asset.freshness_policy is not None
        assert asset.freshness_policy.fail_window.to_timedelta().total_seconds() == 13 * 3600
    for account in ACCOUNTS:
        for derived in account.system.derived:
            asset = graph.get(dg.AssetKey([account.name, derived.name]))
            assert (asset.group_name, asset.kinds, asset.owners) == (
                account.name,
                {"pandas", "postgres"},
                ["team:data"],
            )
            assert asset.description == derived.doc and derived.doc.endswith(".")
            assert asset.metadata["dagster/table_name"] == f"{account.schema}.{derived.name}"
    assert "read_by" not in graph.get(REPORT).metadata


def test_every_asset_has_every_check_and_each_check_says_what_it_is() -> None:
    graph = build_definitions(ALL).resolve_asset_graph()
    specs = {key: graph.get_check_spec(key) for key in graph.asset_check_keys}
    wanted = {(f"{a.name}/{e.name}", check) for a, e in DECLARED for check in checks_of(e)}
    derived = ((a, d) for a in ACCOUNTS for d in a.system.derived)
    wanted |= {(f"{a.name}/{d.name}", f"one_row_for_each_of_{d.covers}") for a, d in derived}
    wanted |= {(push, name) for name in WAY_BACK for push in ("bitrix/order_status_push", "kommo/action_push")}
    assert {(k.asset_key.to_user_string(), k.name) for k in specs} == wanted
    assert all(spec.description and spec.description.endswith(".") and not spec.blocking for spec in specs.values())


def test_jobs_and_schedules_have_the_promised_names_and_schedules_are_off() -> None:
    definitions = build_definitions(ALL)
    per_account = {
        f"{a}_{kind}_sync"
        for a in ("kaiten", "worksection", "hubspot", "kommo", "bitrix")
        for kind in ("full", "incremental")
    }
    per_system = {"crm_sync_pipelines", "bitrix_order_status_push", "kommo_action_push"}
    general = {"full_sync", "incremental_sync", "integrity_checks", "automation_due"}
    assert job_names(definitions) == {*general, *per_account, *per_system}
    schedules = {s.name: s for s in definitions.schedules or [] if isinstance(s, dg.ScheduleDefinition)}
    assert {name: (s.job_name, s.cron_schedule) for name, s in schedules.items()} == {
        "kaiten_incremental_every_6_hours": ("kaiten_incremental_sync", "0 */6 * * *"),
        "kaiten_full_weekly": ("kaiten_full_sync", "0 3 * * 0"),
        "worksection_incremental_every_6_hours": ("worksection_incremental_sync", "7 */6 * * *"),
        "worksection_full_weekly": ("worksection_full_sync", "7 3 * * 0"),
        "hubspot_incremental_every_6_hours": ("hubspot_incremental_sync", "14 */6 * * *"),
        "hubspot_full_weekly": ("hubspot_full_sync", "14 3 * * 0"),
        "kommo_incremental_every_6_hours": ("kommo_incremental_sync", "21 */6 * * *"),
        "kommo_full_weekly": ("kommo_full_sync", "21 3 * * 0"),
        "bitrix_incremental_every_6_hours": ("bitrix_incremental_sync", "28 */6 * * *"),
        "bitrix_full_weekly": ("bitrix_full_sync", "28 3 * * 0"),
        "bitrix_order_status_push_every_5_minutes": ("bitrix_order_status_push", "*/5 * * * *"),
        "kommo_action_push_every_5_minutes": ("kommo_action_push", "*/5 * * * *"),
    }
    assert {s.default_status for s in schedules.values()} == {dg.DefaultScheduleStatus.STOPPED}


def test_every_job_ends_with_the_report_and_selects_its_own_accounts() -> None:
    definitions = build_definitions(ALL)
    known = {a.name for a in ACCOUNTS}
    for name in job_names(definitions):
        layer = definitions.resolve_job_def(name).asset_layer
        keys = {k.to_user_string() for k in layer.selected_asset_keys}
        assert "sync/report" in keys, name
        accounts = {k.partition("/")[0] for k in keys} - {"sync"}
        if name in ("integrity_checks", "automation_due"):
            assert accounts == set()
        elif name == "crm_sync_pipelines":
            assert keys == {"kommo/pipelines", "kommo/statuses", "sync/report"}
        else:
            assert accounts == ({name.partition("_")[0]} & known or known), name


def test_the_queue_s_job_is_there_where_kommo_is_and_says_what_it_does() -> None:
    without = build_definitions(BOTH)
    assert "crm_sync_pipelines" not in job_names(without) and [s.name for s in without.sensors or ()] == [
        "syncs_that_died",
        "automation",
        "alerts",
    ]
    emea = {name.replace("KOMMO_", "KOMMO_EMEA_"): value for name, value in KOMMO.items()}
    definitions = build_definitions(KOMMO | emea)
    assert {n for n in job_names(definitions) if n.startswith("crm_")} == {
        "crm_sync_pipelines", "crm_sync_pipelines_emea"
    }  # fmt: skip
    for name, account in (("crm_sync_pipelines", "kommo"), ("crm_sync_pipelines_emea", "kommo_emea")):
        job = definitions.resolve_job_def(name)
        keys = {k.to_user_string() for k in job.asset_layer.selected_asset_keys}
        assert keys == {f"{account}/pipelines", f"{account}/statuses", "sync/report"}
        assert "pipelines and their statuses" in str(job.description) and "crm-sync-pipelines" in str(job.description)
    (sensor,) = (s for s in definitions.sensors or () if s.name == "queued_jobs_that_died")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING, "sync.jobs tells the truth without being asked"


def test_two_accounts_of_one_system_are_two_groups() -> None:
    definitions = build_definitions(KAITEN | EMEA)
    found = groups(definitions)
    assert found["kaiten"] == found["kaiten_emea"] and "cards" in found["kaiten"]
    assert all(
        parent.startswith(key.partition("/")[0] + "/")
        for key, parents in edges(definitions).items()
        for parent in parents
    )
    assert {"kaiten_full_sync", "kaiten_emea_full_sync"} <= job_names(definitions)
    crons = {s.name: s.cron_schedule for s in definitions.schedules or [] if isinstance(s, dg.ScheduleDefinition)}
    assert crons["kaiten_full_weekly"] != crons["kaiten_emea_full_weekly"], "staggered"


def test_an_environment_without_accounts_loads_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sync_assets"):
        definitions = build_definitions({})
    assert edges(definitions) == {"sync/report": set()} and job_names(definitions) == set()
    dg.Definitions.validate_loadable(definitions)
    assert [r.message for r in caplog.records] == [
        "Kaiten is left out: KAITEN_API_URL and KAITEN_API_TOKEN not set",
        "Worksection is left out: WORKSECTION_DOMAIN and WORKSECTION_HASH not set",
        "HubSpot is left out: HUBSPOT_ACCESS_TOKEN not set",
        "Kommo is left out: KOMMO_BASE_URL and KOMMO_ACCESS_TOKEN not set",
        "Bitrix is left out: BITRIX_WEBHOOK_URL not set",
    ]


@pytest.mark.parametrize("missing", [*BOTH, *EMEA])
def test_half_an_account_is_an_error_that_names_the_missing_half(missing: str) -> None:
    env = {name: value for name, value in (BOTH | EMEA).items() if name != missing}
    with pytest.raises(MissingSetting, match=rf"\b{missing} missing.*set {missing} \("):
        build_definitions(env)


def test_former_names_are_recognised_with_the_new_name(caplog: pytest.LogCaptureFixture) -> None:
    former = {"WS_API_KEY": "x", "WS_DOMAIN": "y", "NEXT_PUBLIC_SUPABASE_URL": "https://z.supabase.co"}
    with caplog.at_level(logging.WARNING, "sync_assets"):
        build_definitions(KAITEN | former)
    for old, new in zip(former, ("WORKSECTION_HASH", "WORKSECTION_DOMAIN", "DATABASE_URL"), strict=True):
        assert any(old in r.message and new in r.message for r in caplog.records), old


@pytest.mark.parametrize(
    "unsafe",
    [
        {"KAITEN_API_URL": "http://example.kaiten.ru/api/latest"},
        {"KAITEN_API_URL": "https://10.0.0.8/api/latest"},
        {"SYNC_VERIFY_TLS": "false"},
    ],
    ids=["http", "private host", "no TLS check"],
)
def test_unsafe_settings_do_not_load_a15(unsafe: dict[str, str]) -> None:
    with pytest.raises(UnsafeSetting):
        build_definitions(KAITEN | unsafe)


def test_no_secret_is_in_what_dagster_stores_of_the_definitions_s2() -> None:
    env = {**ALL, **EMEA, **DATABASE}
    canary = Canary()
    canary.watch(*(v for n, v in env.items() if n.endswith(("TOKEN", "HASH"))), "password-canary-0123456789")
    definitions = build_definitions(env)
    canary.check("the repository snapshot", serialize_value(RepositorySnap.from_def(definitions.get_repository_def())))
    for name in job_names(definitions):
        job = definitions.resolve_job_def(name)
        canary.check(f"the snapshot of {name}", serialize_value(job.get_job_snapshot()))
        canary.check(f"the configuration of {name}", str(job.run_config))
