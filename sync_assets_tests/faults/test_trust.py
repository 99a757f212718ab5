"""S6: a secret belongs to the host that it was first sent to; it goes to no other, unless a person says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.account import connected_accounts
from sync_assets.errors import SyncError, UnsafeSetting
from sync_assets.load import trust
from sync_assets.settings import host_of
from sync_assets.systems import SYSTEMS
from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, worked_off
from sync_assets_tests.test_cli import Ask, ask, red

__all__ = ["ask"]

ADDRESSES = {
    "kaiten": ("KAITEN_API_URL", "tags"),
    "worksection": ("WORKSECTION_DOMAIN", "users"),
    "hubspot": ("HUBSPOT_API_URL", "owners"),
    "kommo": ("KOMMO_BASE_URL", "users"),
    "bitrix": ("BITRIX_WEBHOOK_URL", "order_statuses"),
}
SECRETS = {"kaiten": "KAITEN_API_TOKEN", "hubspot": "HUBSPOT_ACCESS_TOKEN", "kommo": "KOMMO_ACCESS_TOKEN"}
Make = Callable[..., Company]


def moved(company: Company, account: str, **env: str) -> Company:
    """The same account of the same database, its address at another name of this machine."""
    variable, _ = ADDRESSES[account]
    there = company.env[variable].replace("127.0.0.1", "localhost")
    return Company(company.sandbox, {**company.env, variable: there, **env})


@pytest.mark.parametrize("account", ADDRESSES)
def test_s6_a_host_that_changes_while_the_secret_stays_gets_nothing(company: Company, account: str, ask: Ask) -> None:
    _, entity = ADDRESSES[account]
    company.synced("full", account, entity)
    company.sandbox.requests.clear()
    elsewhere = moved(company, account)
    error = elsewhere.sync("full", account, entity)[entity]
    assert isinstance(error, UnsafeSetting)
    assert "belongs to 127.0.0.1 and would now be sent to localhost" in str(error)
    assert f"Next: put the address back; where the move is meant: sync-assets accounts trust {account} --by" in str(
        error
    )
    (advice,) = [todo for said, todo in red(ask(elsewhere, "doctor")).items() if "belongs to" in said]
    assert "sync-assets accounts trust" in advice
    hint(elsewhere, account, entity, "1")
    assert "belongs to" in " ".join(worked_off(elsewhere, account, seconds=1.0).problems)
    assert account not in {entry.system for entry in company.sandbox.requests}, "not one request left"
    # What was right stays right, and is asked for no word of trust.
    company.synced("full", account, entity)


@pytest.mark.parametrize("account", ["kaiten", "bitrix"])
def test_s6_a_person_lets_it_move_and_it_is_on_record(company: Company, account: str, ask: Ask) -> None:
    _, entity = ADDRESSES[account]
    company.synced("full", account, entity)
    elsewhere = moved(company, account)
    nobody = ask(elsewhere, "accounts", "trust", account, "--by", " ")
    assert nobody.exit_code == 1 and "nobody is named" in str(nobody.exception)
    said = ask(elsewhere, "accounts", "trust", account, "--by", "Anna")
    assert (said.exit_code, said.output) == (0, f"the secrets of {account} belong to localhost\n")
    elsewhere.synced("full", account, entity)
    assert isinstance(company.sync("full", account, entity)[entity], UnsafeSetting), "and no longer to the old one"
    shown = ask(elsewhere, "accounts", "list").output
    assert "localhost" in shown and "Anna" in shown and "not used yet" in shown
    assert ask(elsewhere, "accounts", "trust", "nobody", "--by", "Anna").exit_code == 1


@pytest.mark.parametrize("account", SECRETS)
def test_s6_a_new_secret_for_a_new_host_needs_nobody(company: Company, account: str) -> None:
    _, entity = ADDRESSES[account]
    company.synced("full", account, entity)
    known = trust_rows(company)
    elsewhere = moved(company, account, **{SECRETS[account]: "canary-new-token-0123456789"})
    error = elsewhere.sync("full", account, entity)[entity]
    assert isinstance(error, SyncError) and not isinstance(error, UnsafeSetting), "asked, and refused there: 401"
    now = trust_rows(company)
    assert [host for _, _, host, _ in now] == ["localhost"]
    assert now[0][3] != known[0][3]


def test_s6_a_new_secret_at_the_old_host_is_bound_to_it_too(company: Company) -> None:
    company.synced("full", "kaiten", "tags")
    renewed = Company(company.sandbox, {**company.env, "KAITEN_API_TOKEN": "canary-renewed-0123456789"})
    renewed.sync("full", "kaiten", "tags")
    error = moved(renewed, "kaiten").sync("full", "kaiten", "tags")["tags"]
    assert isinstance(error, UnsafeSetting)


def test_s6_nor_may_it_go_elsewhere_under_the_name_of_another_account(company: Company) -> None:
    company.synced("full", "kaiten", "tags")
    there = company.env["KAITEN_API_URL"].replace("127.0.0.1", "localhost")
    both = Company(
        company.sandbox,
        {**company.env, "KAITEN_EMEA_API_URL": there, "KAITEN_EMEA_API_TOKEN": company.env["KAITEN_API_TOKEN"]},
    )
    both.migrate()
    company.sandbox.requests.clear()
    error = both.sync("full", "kaiten_emea", "tags")["tags"]
    assert isinstance(error, UnsafeSetting) and "KAITEN_EMEA_API_TOKEN belongs to 127.0.0.1" in str(error)
    assert company.sandbox.requests == []


def test_s6_oauth_s_secret_and_refresh_token_are_bound(make_oauth: Callable[..., Company]) -> None:
    company = make_oauth()
    company.synced("full", "kommo", "users")
    assert {setting for _, setting, _, _ in trust_rows(company)} == {"client_secret", "refresh_token"}
    company.sandbox.requests.clear()
    error = moved(company, "kommo").sync("full", "kommo", "users")["users"]
    assert isinstance(error, UnsafeSetting) and "KOMMO_CLIENT_SECRET belongs to 127.0.0.1" in str(error)
    later = moved(company, "kommo", KOMMO_REFRESH_TOKEN="canary-later-refresh-token")
    error = later.sync("full", "kommo", "users")["users"]
    assert isinstance(error, UnsafeSetting) and "KOMMO_CLIENT_SECRET belongs to 127.0.0.1" in str(error)
    assert company.sandbox.requests == []


def test_s6_what_is_stored_tells_no_secret(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "COST", 2**12)
    company.synced("full", "kaiten", "tags")
    secret = company.env["KAITEN_API_TOKEN"]
    ((_, _, _, seal),) = trust_rows(company)
    ((salt,),) = company.query("select salt from sync.trusted_hosts")
    assert len(bytes(salt)) == 16
    plain = (hashlib.new(name, secret.encode()).digest() for name in ("md5", "sha1", "sha256", "blake2b"))
    assert bytes(seal) not in plain and secret.encode() not in bytes(seal)
    assert bytes(seal) == hashlib.scrypt(secret.encode(), salt=bytes(salt), n=2**12, r=8, p=1, dklen=32)
    company.query("delete from sync.trusted_hosts")
    company.synced("full", "kaiten", "tags")
    assert trust_rows(company)[0][3] != seal, "another salt"


def test_s6_every_system_says_which_secrets_leave(company: Company) -> None:
    """A webhook's secret stays here; all others are sent, and are bound."""
    stay = ("webhook_secret", "webhook_password", "application_token", "shop_secret", "shop_token")
    for account in connected_accounts(SYSTEMS, company.env)[0]:
        kinds = type(account.settings).model_fields
        held = {name for name in kinds if "SecretStr" in str(kinds[name].annotation)}
        assert set(account.settings.sent()) == held - set(stay), account.name
        assert {host for host, _ in account.settings.sent().values()} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.kaiten.ru/api/latest", "example.kaiten.ru"),
        ("https://example.kaiten.ru:443", "example.kaiten.ru"),
        ("https://example.kaiten.ru:8443/api", "example.kaiten.ru:8443"),
        ("http://127.0.0.1:5000/x", "127.0.0.1"),
        ("http://localhost:5001", "localhost"),
    ],
)
def test_s6_a_host_is_a_name_and_a_port(url: str, host: str) -> None:
    assert host_of(url) == host


def trust_rows(company: Company) -> list[tuple[Any, ...]]:
    query = "select account, setting, host, seal from sync.trusted_hosts order by 1, 2"
    return [(account, setting, host, bytes(seal)) for account, setting, host, seal in company.query(query)]
