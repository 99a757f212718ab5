"""The check that a vendor still calls us: only where it can be asked, and red when it stopped."""

from collections.abc import Callable

from sync_assets import registration
from sync_assets.definitions import build_definitions
from sync_assets_tests.company import KOMMO, Company, only
from sync_assets_tests.orchestration.conftest import Installation

PUBLIC = {"SYNC_PUBLIC_URL": "https://hooks.example.test", "KOMMO_WEBHOOK_SECRET": "canary-path-0123456789-abcdef"}


def test_a_run_is_red_when_a_vendor_switched_ours_off(make_installation: Callable[..., Installation]) -> None:
    installation = make_installation(**PUBLIC, SYNC_RETRIES="2", **only(KOMMO))
    company = installation.company
    with company.connected("kommo") as connection:
        registration.create(company.accounts["kommo"], PUBLIC["SYNC_PUBLIC_URL"], connection.door)
    (hook,) = company.sandbox.webhooks.vendor("kommo").hooks.values()
    hook.status = "disabled"
    run = installation.run("kommo_incremental_sync", assets=["kommo/leads", "sync/report"])
    assert not run.green and run.red()["kommo/leads webhook_is_on"] == "ERROR"
    assert "run sync-assets webhooks --create" in run.failures["sync__report"]


def test_there_is_no_such_check_where_nobody_calls(make_company: Callable[..., Company]) -> None:
    env = make_company(**PUBLIC).env
    for lacking in (None, *PUBLIC):
        definitions = build_definitions({name: value for name, value in env.items() if name != lacking})
        keys = {key.name for checks in definitions.asset_checks or () for key in checks.check_keys}
        assert ("webhook_is_on" in keys) is (lacking is None)
