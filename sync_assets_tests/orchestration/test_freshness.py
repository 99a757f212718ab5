"""How old an entity may be: Dagster's policies follow the settings, each entity by itself."""

from typing import Any

import dagster as dg

from sync_assets.definitions import build_definitions
from sync_assets_tests.orchestration.test_definitions import ALL, EMEA, KAITEN


def test_the_freshness_window_is_a_setting() -> None:
    graph = build_definitions(KAITEN | {"SYNC_FRESH_HOURS": "2"}).resolve_asset_graph()
    policy: Any = graph.get(dg.AssetKey(["kaiten", "cards"])).freshness_policy
    assert policy.fail_window.to_timedelta().total_seconds() == 2 * 3600
    assert policy.warn_window.to_timedelta().total_seconds() == 1.2 * 3600


def test_the_freshness_window_is_an_accounts_and_an_entitys_own() -> None:
    env = {"SYNC_FRESH_HOURS": "2", "KAITEN_FRESH_HOURS": "24,cards=4", "HUBSPOT_FRESH_HOURS": "calls=1, contacts=9"}
    graph = build_definitions(ALL | EMEA | env).resolve_asset_graph()
    wanted = {
        "kaiten/cards": 4, "kaiten/tags": 24, "kaiten_emea/cards": 2, "hubspot/calls": 1, "hubspot/contacts": 9,
        "hubspot/deals": 2, "hubspot/call_contacts": 1,
    }  # fmt: skip
    policies: dict[str, Any] = {n: graph.get(dg.AssetKey.from_user_string(n)).freshness_policy for n in wanted}
    assert {n: p.fail_window.to_timedelta().total_seconds() / 3600 for n, p in policies.items()} == wanted
