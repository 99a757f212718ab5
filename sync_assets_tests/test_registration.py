"""Our address at the vendors: found missing, set, found switched off and set again, by what their APIs say."""

import importlib
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sync_assets import cli, registration
from sync_assets.check.webhooks import webhook_is_on
from sync_assets.registration import Standing
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company
from sync_assets_tests.receiving import receiving

ASKED = ("kaiten", "kommo", "worksection")
"""Vendors whose API tells."""


@pytest.fixture
def hooked(make_company: Callable[..., Company], tmp_path: Path) -> Iterator[Callable[..., Company]]:
    """hooked(**env) -> a company with the secrets of all webhooks and a receiver at SYNC_PUBLIC_URL."""
    with ExitStack() as ends:

        def make(**env: str) -> Company:
            return ends.enter_context(receiving(make_company(**_secrets(), **env), tmp_path))

        yield make


def _secrets() -> dict[str, str]:
    names = ("KAITEN_WEBHOOK_SECRET", "KOMMO_WEBHOOK_SECRET", "WORKSECTION_WEBHOOK_PASSWORD", "HUBSPOT_WEBHOOK_SECRET")
    found = {name: f"canary-{secrets.token_urlsafe(24)}" for name in (*names, "BITRIX_APPLICATION_TOKEN")}
    return {**found, "WORKSECTION_WEBHOOK_USER": "hooks", "SYNC_RETRIES": "2"}


def standings(company: Company, account: str) -> list[Standing]:
    with company.connected(account) as connection:
        url = company.settings.sync_public_url
        return list(registration.standings(company.accounts[account], url, connection.door))


def states(company: Company, account: str) -> Counter[str]:
    return Counter(standing.state for standing in standings(company, account))


def create(company: Company, account: str) -> None:
    with company.connected(account) as connection:
        registration.create(company.accounts[account], company.settings.sync_public_url, connection.door)


def finding(company: Company, account: str) -> tuple[bool, str, str]:
    with company.connected(account) as connection:
        found = webhook_is_on(company.accounts[account], company.settings.sync_public_url, connection.door)
    return found.passed, found.severity, found.says


def hooks(company: Company, account: str) -> dict[int, Any]:
    return dict(company.sandbox.webhooks.vendor(account).hooks)


@pytest.mark.parametrize("account", ASKED)
def test_what_is_missing_is_set_once_and_comes_back_when_it_was_switched_off(
    hooked: Callable[..., Company], account: str
) -> None:
    company = hooked()
    places = states(company, account).total()
    assert states(company, account) == {"missing": places} and finding(company, account)[:2] == (False, "ERROR")
    create(company, account)
    assert states(company, account) == {"on": places}
    assert finding(company, account) == (True, "ERROR", "the vendor calls us")
    own = hooks(company, account)
    assert len(own) == places
    create(company, account)
    assert hooks(company, account).keys() == own.keys(), "what is on is left alone"

    for hook in own.values():
        hook.status = {"kaiten": "disabled", "kommo": "disabled", "worksection": "paused"}[account]
        if account == "kaiten":
            hook.row["enabled"] = False
    assert states(company, account) == {"off": places}
    passed, severity, says = finding(company, account)
    assert (passed, severity) == (False, "ERROR") and "sync-assets webhooks --create" in says
    create(company, account)
    assert states(company, account) == {"on": places} and len(hooks(company, account)) == places
    assert {hook.status for hook in hooks(company, account).values()} == {"active"}


def test_another_address_in_a_spaces_only_place_is_left_to_a_person(hooked: Callable[..., Company]) -> None:
    company = hooked()
    space = sorted(company.truth("spaces"))[0]
    own, other = company.sandbox.webhooks.vendor("kaiten"), "https://another.example.test/hook"
    own.post(int(space), {"url": other})  # type: ignore[attr-defined]
    create(company, "kaiten")
    (foreign,) = (s for s in standings(company, "kaiten") if s.state == "foreign")
    assert foreign.place == f"space {space}" and "elsewhere" in foreign.says and other not in foreign.says
    assert states(company, "kaiten")["on"] == len(company.truth("spaces")) - 1
    assert [hook.url for hook in own.hooks.values()].count(other) == 1
    assert finding(company, "kaiten")[:2] == (False, "ERROR")


def test_an_address_with_a_former_secret_gets_the_new_one(hooked: Callable[..., Company]) -> None:
    company = hooked()
    create(company, "kaiten")
    renewed = Company(company.sandbox, {**company.env, "KAITEN_WEBHOOK_SECRET": f"canary-{secrets.token_urlsafe(24)}"})
    assert states(renewed, "kaiten").keys() == {"missing"}
    before = hooks(company, "kaiten").keys()
    create(renewed, "kaiten")
    assert states(renewed, "kaiten").keys() == {"on"} and hooks(company, "kaiten").keys() == before


@pytest.mark.parametrize("account", ["kommo", "worksection"])
def test_events_that_are_lacking_are_named_and_asked_for(hooked: Callable[..., Company], account: str) -> None:
    company = hooked()
    create(company, account)
    (hook,) = hooks(company, account).values()
    lost = {"kommo": "status_lead", "worksection": "update_task"}[account]
    assert {lost, {"kommo": "update_task", "worksection": "reopen_task"}[account]} <= hook.events
    hook.events -= {lost}
    (told,) = standings(company, account)
    assert (told.state, told.says) == ("missing", f"it lacks {lost}")
    create(company, account)
    (hook,) = hooks(company, account).values()
    assert lost in hook.events and states(company, account) == {"on": 1}


@pytest.mark.parametrize(
    ("account", "listed", "unlisted"),
    [
        ("kommo", "sync_assets.sandbox.kommo.subscriptions.SETTINGS", "update_task"),
        ("worksection", "sync_assets.sandbox.worksection.subscriptions.EVENTS", "reopen_task"),
    ],
)
def test_where_an_event_is_refused_that_is_on_no_list_it_goes_without(
    hooked: Callable[..., Company], monkeypatch: pytest.MonkeyPatch, account: str, listed: str, unlisted: str
) -> None:
    company = hooked()
    module, _, name = listed.rpartition(".")
    known = getattr(importlib.import_module(module), name)
    monkeypatch.setattr(listed, known - {unlisted})
    create(company, account)
    (hook,) = hooks(company, account).values()
    assert unlisted not in hook.events and len(hook.events) > 8
    assert states(company, account) == {"on": 1}


@pytest.mark.parametrize("account", ASKED)
def test_a_vendor_that_does_not_tell_is_a_warning(hooked: Callable[..., Company], account: str) -> None:
    company = hooked()
    path = {"kaiten": "external-webhooks", "kommo": "/webhooks", "worksection": None}[account]
    company.sandbox.faults.set("A11", system=account, **({"path": path} if path else {}), status=403)
    assert states(company, account) == {"unknown": 1}
    passed, severity, says = finding(company, account)
    assert (passed, severity) == (False, "WARN") and "cannot be asked" in says


@pytest.mark.parametrize("account", ["hubspot", "bitrix"])
def test_where_no_api_tells_a_person_is_shown_what_to_set(hooked: Callable[..., Company], account: str) -> None:
    company = hooked()
    told = next(s for s in standings(company, account) if s.events)
    assert told.state == "unknown" and told.says == "no API tells" and told.where
    assert told.url == f"{company.settings.sync_public_url}/webhooks/{account}"
    assert not registration.watched(company.accounts[account])


Ask = Callable[..., Any]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, canary: Canary) -> Ask:
    """ask(company, *arguments) -> what the command printed; without --show-secrets no secret may be in it."""

    def run(company: Company, *arguments: str) -> Any:
        with monkeypatch.context() as patch:
            for name, value in {**company.env, "SYNC_ASSETS_ENV_FILE": "/dev/null"}.items():
                patch.setenv(name, value)
            result = CliRunner().invoke(cli.app, ["webhooks", *arguments])
        if "--show-secrets" not in arguments:
            canary.check("the output", result.output)
        return result

    return run


def test_the_command_shows_sets_and_says_by_its_exit_whether_all_is_on(
    hooked: Callable[..., Company], ask: Ask
) -> None:
    company = hooked()
    before = ask(company)
    assert before.exit_code == 1 and f"{company.settings.sync_public_url}/webhooks/kaiten/***\n" in before.output
    assert "kaiten: space" in before.output and "\nkommo: missing\n" in before.output
    created = ask(company, "--create", "--json")
    assert created.exit_code == 0, created.output
    rows = json.loads(created.output)
    assert {row["account"] for row in rows} == company.accounts.keys()
    assert {row["state"] for row in rows if row["account"] in ASKED} == {"on"}
    shown = json.loads(ask(company, "--json", "--show-secrets").output)
    (url,) = {row["url"] for row in shown if row["account"] == "kommo"}
    assert url.endswith(f"/webhooks/kommo/{company.env['KOMMO_WEBHOOK_SECRET']}")
    assert ask(company).exit_code == 0


def test_the_command_says_which_secret_and_which_setting_are_missing(
    make_company: Callable[..., Company], ask: Ask
) -> None:
    bare = make_company()
    told = {row["account"]: row for row in json.loads(ask(bare, "--json").output)}
    assert {row["state"] for row in told.values()} == {"no secret"}
    assert told["worksection"]["says"] == "set WORKSECTION_WEBHOOK_USER and WORKSECTION_WEBHOOK_PASSWORD"
    assert told["kommo"]["says"] == "set KOMMO_WEBHOOK_SECRET" and "add_lead" in told["kommo"]["events"]
    nowhere = make_company(**_secrets())
    found = json.loads(ask(nowhere, "--json").output)
    assert {(row["state"], row["says"]) for row in found if row["events"]} == {("unknown", "set SYNC_PUBLIC_URL")}
    refused = ask(nowhere, "--create")
    assert refused.exit_code == 1 and "SYNC_PUBLIC_URL is not set" in str(refused.exception)


def test_an_address_that_worksection_cannot_reach_is_named(make_company: Callable[..., Company], ask: Ask) -> None:
    company = make_company(SYNC_PUBLIC_URL="http://127.0.0.1:1", **_secrets())
    result = ask(company, "--create")
    assert result.exit_code == 1 and "start sync-assets receive" in result.output
    assert states(company, "kommo") == {"on": 1}, "which does not hold up the others"
