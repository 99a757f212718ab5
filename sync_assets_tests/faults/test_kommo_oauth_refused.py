"""A10: what refusals of tokens mean, whose move each is, and that none tells a secret or loses a living token."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.errors import AuthorisationLost, BadCredentials, RetryLater, SyncError, WrongShape
from sync_assets.sandbox.dialect import decode
from sync_assets.sandbox.kommo import errors
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company
from sync_assets_tests.faults.trap import trap
from sync_assets_tests.kommo_door import AN_HOUR_OLD, TOKENS, auth, generation, refused, renewals

SETTINGS = [
    ({"KOMMO_CLIENT_SECRET": "another-secret-0123456789"}, "Client authentication failed", "KOMMO_CLIENT_SECRET"),
    ({"KOMMO_REDIRECT_URI": "https://other.test"}, "Invalid redirect URI", "KOMMO_REDIRECT_URI"),
]


@pytest.mark.parametrize(("change", "says", "todo"), SETTINGS, ids=["secret", "redirect"])
def test_a10_a_wrong_setting_is_named_and_uses_no_token_up(
    make_oauth: Callable[..., Company], canary: Canary, change: dict[str, str], says: str, todo: str
) -> None:
    wrong = make_oauth(**change)
    error = refused(wrong, canary)
    assert isinstance(error, BadCredentials) and not isinstance(error, AuthorisationLost)
    assert says in error.what and todo in error.next_step
    assert error.where["refresh_token"] == "given in the environment"
    assert wrong.query("select * from sync.tokens") == []
    make_oauth(wrong.sandbox, database_url=wrong.database_url).synced("full", "kommo", "users")


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a10_a_refresh_token_that_the_account_ended_needs_a_person(oauth: Company, canary: Canary, how: str) -> None:
    if how == "revoked":
        oauth.sandbox.faults.set("A10", system="kommo", variant="revoked")
    else:
        oauth.sandbox.world.clock.advance(91 * 86_400)
    error = refused(oauth, canary)
    assert isinstance(error, AuthorisationLost) and how in error.what
    assert renewals(oauth) == [401] and generation(oauth) == 1


def test_a10_a_token_that_is_refused_for_another_reason_than_its_age_is_renewed_once(
    oauth: Company, canary: Canary
) -> None:
    oauth.sandbox.faults.set("A11", system="kommo", path="/api/")
    done = oauth.sync("full", "kommo", ["users", "pipelines"])
    assert all(isinstance(e, BadCredentials) for e in done.values()) and len(done) == 2
    assert [r.status for r in oauth.sandbox.requests] == [401, 200, 401]


@pytest.mark.parametrize("what", ["client secret", "client id", "host"])
def test_a10_a_stored_pair_opens_for_its_own_audience_only(
    oauth: Company, make_oauth: Callable[..., Company], make_sandbox: Any, canary: Canary, what: str
) -> None:
    elsewhere = make_sandbox()
    change = {
        "client secret": {"KOMMO_CLIENT_SECRET": "another-secret-0123456789"},
        "client id": {"KOMMO_CLIENT_ID": "another"},
        "host": {"KOMMO_BASE_URL": elsewhere.url("kommo")},
    }[what]
    seed = {"KOMMO_REFRESH_TOKEN": oauth.env["KOMMO_REFRESH_TOKEN"]}
    error = refused(make_oauth(oauth.sandbox, database_url=oauth.database_url, **(seed | change)), canary)
    assert isinstance(error, AuthorisationLost) and "sealed for another" in error.what
    assert oauth.sandbox.requests == elsewhere.requests == [], "nothing was sent anywhere"


PASSES = [
    ("A1", {"retry_after": 0.2}),
    ("A2", {"variant": "burst"}),
    ("A3", {"status": 502}),
    ("A7", {"variant": "html"}),
]


@pytest.mark.parametrize(("fault", "options"), PASSES, ids=[f for f, _ in PASSES])
def test_a10_a_token_endpoint_that_is_out_of_order_for_a_while_costs_nothing(
    oauth: Company, fault: str, options: dict[str, Any]
) -> None:
    oauth.query(AN_HOUR_OLD, ("0",))
    struck = oauth.sandbox.faults.set(fault, system="kommo", path="/oauth2", times=1, **options)
    done = oauth.sync("full", "kommo", "users")["users"]
    assert struck.strikes == 1
    if fault == "A7":  # it took the place of the answer with the new pair
        assert isinstance(done, AuthorisationLost)
        return
    assert not isinstance(done, SyncError), done
    assert renewals(oauth)[-1] == 200 and len(renewals(oauth)) == 2


STAYS: list[tuple[str, dict[str, Any], type[SyncError], str]] = [
    ("A2", {"variant": "blocked"}, BadCredentials, "blocks this address"),
    ("A3", {"status": 503}, RetryLater, "503"),
    ("A12", {"status": 404}, SyncError, "404"),
    ("S5", {"status": 302}, WrongShape, "redirect"),
]


@pytest.mark.parametrize(("fault", "options", "kind", "says"), STAYS, ids=[f for f, *_ in STAYS])
def test_a10_a_token_endpoint_that_stays_out_of_order_keeps_the_refresh_token(
    oauth: Company, canary: Canary, fault: str, options: dict[str, Any], kind: type[SyncError], says: str
) -> None:
    oauth.query(AN_HOUR_OLD, ("0",))
    with trap(lambda s: None) as elsewhere:
        given = {**options, "url": f"http://127.0.0.1:{elsewhere.port}"} if fault == "S5" else options
        oauth.sandbox.faults.set(fault, system="kommo", path="/oauth2", **given)
        error = refused(oauth, canary)
    assert isinstance(error, kind) and says in error.what and error.where["endpoint"] == "of tokens"
    assert elsewhere.knocks == [] and all(r.path == TOKENS for r in oauth.sandbox.requests)
    oauth.sandbox.faults.clear()
    oauth.synced("full", "kommo", "users")
    assert generation(oauth) == 2


@pytest.mark.parametrize("where", ["of tokens", "/account"])
def test_a10_a_source_that_repeats_our_tokens_does_not_make_us_repeat_them(
    oauth: Company, canary: Canary, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    door = auth(oauth.sandbox)
    if where == "of tokens":
        oauth.query(AN_HOUR_OLD, ("0",))
        echo = lambda request: errors.oauth(401, f"revoked {decode(request.body)['refresh_token']}")  # noqa: E731
        monkeypatch.setattr(door, "exchange", echo)
    else:
        echo = lambda request: errors.ApiError(403, f"not for {request.headers['authorization']}").answer()  # noqa: E731
        monkeypatch.setattr(door, "refuse", echo)
    error = refused(oauth, canary)
    canary.watch(door.pair["access_token"][:70], door.pair["refresh_token"][:70])
    canary.check("the error", "".join(traceback.format_exception(error)))
    assert "***" in error.what and error.where["endpoint"] == where
