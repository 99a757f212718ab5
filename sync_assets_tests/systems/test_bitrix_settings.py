"""Bitrix's only setting is its secret: an address of one form, over https, that nothing ever prints."""

import traceback
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from sync_assets import cli
from sync_assets.account import connected_accounts, former_names
from sync_assets.errors import BadCredentials, Forbidden, MissingSetting, SyncError, UnsafeSetting
from sync_assets.systems import SYSTEMS
from sync_assets.systems.bitrix.api import BitrixApi, BitrixSettings
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company

SECRET = "canary0bitrix0secret"
ADDRESS = f"https://example.bitrix24.ru/rest/12/{SECRET}"


def settings(url: str) -> BitrixSettings:
    (account,), _ = connected_accounts(SYSTEMS, {"BITRIX_WEBHOOK_URL": url})
    assert isinstance(account.settings, BitrixSettings)
    return account.settings


@pytest.mark.parametrize("url", [ADDRESS, ADDRESS + "/"])
def test_the_address_may_end_with_a_slash(url: str) -> None:
    given = settings(url)
    assert given.webhook_url.get_secret_value() == ADDRESS
    assert given.secrets() == (ADDRESS, SECRET)
    assert BitrixApi(given).outgoing("batch/sale.order.list", {}).url == f"{ADDRESS}/batch"
    assert SECRET not in repr(given) + str(given)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        (ADDRESS.replace("https", "http"), UnsafeSetting),
        (f"https://10.0.0.7/rest/12/{SECRET}", UnsafeSetting),
        (f"https://user:{SECRET}@example.bitrix24.ru/rest/12/{SECRET}", UnsafeSetting),
        (f"ftp://example.bitrix24.ru/rest/12/{SECRET}", UnsafeSetting),
        (f"/rest/12/{SECRET}", UnsafeSetting),
        ("https://example.bitrix24.ru", MissingSetting),
        (f"https://example.bitrix24.ru/rest/{SECRET}", MissingSetting),
        (f"https://example.bitrix24.ru/rest/admin/{SECRET}", MissingSetting),
        (f"{ADDRESS}/profile.json", MissingSetting),
        (f"{ADDRESS}?halt=0", MissingSetting),
        (f"{ADDRESS}#x", MissingSetting),
        (f"https://example.bitrix24.ru/rest/api/12/{SECRET}", MissingSetting),
        ("https://example.bitrix24.ru/rest/12/", MissingSetting),
    ],
)
def test_no_other_form_is_taken_and_none_is_repeated(url: str, error: type[SyncError]) -> None:
    with pytest.raises(error) as told:
        settings(url)
    said = "".join(traceback.format_exception(told.value))
    assert (
        "BITRIX_WEBHOOK_URL" in str(told.value)
        and SECRET not in said.replace(url, "")
        and SECRET not in str(told.value)
    )


def test_its_former_names_are_pointed_out() -> None:
    for old in ("BITRIX_WEBHOOK", "BITRIX24_WEBHOOK_URL"):
        assert former_names(SYSTEMS, {old: ADDRESS}) == [f"{old} is the former name of BITRIX_WEBHOOK_URL: rename it"]


FAULTS = [
    ("A3", {"status": 500}), ("A4", {}), ("A6", {}), ("A7", {"variant": "login"}), ("A8", {"variant": "object"}),
    ("A11", {}), ("A11", {"status": 403}), ("A12", {}), ("S5", {"url": "http://trap.test"}),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "options"), FAULTS, ids=[f"{f} {o.get('status', '')}".strip() for f, o in FAULTS])
def test_s1_no_failure_tells_the_address(
    company: Company, canary: Canary, fault: str, options: dict[str, object]
) -> None:
    errors: list[SyncError] = []
    for path in ("batch", "/rest/"):
        company.sandbox.faults.set(fault, system="bitrix", path=path, **options)
        done = company.sync("full", "bitrix", ["catalogs", "prices"]).values()
        errors += [e for e in done if isinstance(e, SyncError)]
    assert len(errors) >= 3
    for error in errors:
        canary.check("the error", "".join(traceback.format_exception(error)) + repr(error) + str(error.where))
        assert "/rest/" not in str(error)


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_secret_that_is_refused_is_a_setting_to_mend(make_shop: Callable[..., Company], status: str) -> None:
    shop = make_shop(credentials_status=status)
    wrong = Company(shop.sandbox, {**shop.env, "BITRIX_WEBHOOK_URL": shop.sandbox.url("bitrix") + f"/rest/1/{SECRET}/"})
    done = wrong.sync("full", "bitrix", ["catalogs", "prices"])
    assert all(isinstance(e, BadCredentials) and "BITRIX_WEBHOOK_URL" in str(e) for e in done.values())
    assert all(SECRET not in str(e) for e in done.values())
    assert len(shop.sandbox.requests) == 1


@pytest.mark.parametrize("status", ["401", "403"])
@pytest.mark.parametrize(("scope", "costs"), [("sale", {"order_statuses", "orders"}), ("catalog", {"catalogs"})])
def test_a11_a_scope_that_the_webhook_lacks_is_named_and_costs_its_entities_alone(
    make_shop: Callable[..., Company], status: str, scope: str, costs: set[str]
) -> None:
    shop = make_shop(scope_status=status)
    shop.sandbox.world.bitrix.scopes.discard(scope)
    done = shop.sync("full", "bitrix", ["order_statuses", "users", "catalogs", "orders"])
    refused = {name: e for name, e in done.items() if isinstance(e, SyncError)}
    assert refused.keys() == costs
    for error in refused.values():
        assert isinstance(error, Forbidden) and f"lacks the scope {scope}" in str(error)
        assert "Inbound webhook" in str(error)


def test_a11_a_user_who_may_not_read_the_shop_is_told_apart_from_a_scope(company: Company) -> None:
    company.sandbox.world.bitrix.may_read = False
    done = company.sync("full", "bitrix", ["catalogs", "orders", "users"])
    assert not isinstance(done["users"], SyncError)
    for entity in ("catalogs", "orders"):
        assert isinstance(done[entity], Forbidden) and "administrator" in str(done[entity])
        assert "200040300010" in str(done[entity])


def doctor(company: Company, monkeypatch: pytest.MonkeyPatch, canary: Canary, **env: str) -> str:
    for name in ("BITRIX_WEBHOOK_URL", "BITRIX_RATE", "DATABASE_URL"):
        monkeypatch.setenv(name, {**company.env, **env}[name])
    monkeypatch.setenv("SYNC_ASSETS_ENV_FILE", "/dev/null")
    monkeypatch.setenv("COLUMNS", "300")
    output = CliRunner().invoke(cli.app, ["doctor"]).output
    canary.check("the output", output)
    return output


def test_doctor_asks_bitrix_and_says_what_is_wrong(
    company: Company, monkeypatch: pytest.MonkeyPatch, canary: Canary
) -> None:
    assert "Bitrix answers and accepts the token" in doctor(company, monkeypatch, canary)
    canary.watch(SECRET)
    wrong = doctor(
        company, monkeypatch, canary, BITRIX_WEBHOOK_URL=company.sandbox.url("bitrix") + f"/rest/1/{SECRET}/"
    )
    assert "Bitrix refuses the webhook (INVALID_CREDENTIALS)" in wrong
    assert "make a new inbound webhook and set BITRIX_WEBHOOK_URL" in wrong
    plain = doctor(company, monkeypatch, canary, BITRIX_WEBHOOK_URL=ADDRESS.replace("https", "http"))
    assert "BITRIX_WEBHOOK_URL must start with https://" in plain
    company.sandbox.world.switches["bitrix.https"] = "yes"
    assert "set it to https://" in doctor(company, monkeypatch, canary)
