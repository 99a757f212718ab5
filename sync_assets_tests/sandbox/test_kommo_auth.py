"""Who may come in to Kommo: tokens that end, rotate and are revoked, other people's hosts, and the locked door."""

import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.kommo import Account


def test_a_refresh_token_works_once_and_the_old_access_token_lives_on(account: Account) -> None:
    first = account.own["refresh_token"]
    answer = account.token(refresh_token=first)
    pair = answer.json()
    assert list(pair) == ["token_type", "expires_in", "server_time", "access_token", "refresh_token"]
    assert pair["expires_in"] == 86_400 and pair["access_token"].count(".") == 2 and pair["refresh_token"] != first
    again = account.token(refresh_token=first)
    assert again.status_code == 401 and again.json()["hint"] == "Token has been revoked"
    assert again.json()["type"].endswith("OAuthProblemJson")
    for token in (pair["access_token"], account.own["access_token"], account.own["token"]):
        assert account.as_bearer(token).is_success
    assert account.token(refresh_token=pair["refresh_token"]).is_success
    with Sandbox(rates=UNLIMITED, switches={"kommo.old_access": "dies"}) as sb, Account(sb) as other:
        other.token(refresh_token=other.own["refresh_token"])
        assert other.as_bearer(other.own["access_token"]).status_code == 401


def test_tokens_end_with_the_worlds_clock(account: Account) -> None:
    clock, own = account.sandbox.world.clock, account.own
    assert account.as_bearer(own["access_token"]).is_success
    clock.advance(86_401)
    assert account.as_bearer(own["access_token"]).status_code == 401
    assert account.as_bearer(own["token"]).is_success, "a long-lived one lives for years"
    fresh = account.token(refresh_token=own["refresh_token"]).json()
    clock.advance(91 * 86_400)
    late = account.token(refresh_token=fresh["refresh_token"])
    assert (late.status_code, late.json()["hint"]) == (401, "Token has expired")


def test_a10_ends_access_tokens_at_once_after_some_requests_or_for_good(account: Account) -> None:
    faults, own = account.sandbox.faults, account.own
    faults.set("A10", system="kommo", uses=2)
    assert [account.as_bearer(own["access_token"]).status_code for _ in range(3)] == [200, 200, 401]
    assert account.as_bearer(own["token"]).is_success
    pair = account.token(refresh_token=own["refresh_token"]).json()
    assert account.as_bearer(pair["access_token"]).is_success
    faults.set("A10", system="kommo", variant="revoked")
    assert account.as_bearer(pair["access_token"]).status_code == 401
    assert account.token(refresh_token=pair["refresh_token"]).status_code == 401


def test_a_lost_answer_is_a_lost_connection(account: Account) -> None:
    account.sandbox.faults.set("A4", path="/oauth2", times=1)
    with pytest.raises(httpx.TransportError):
        account.token(refresh_token=account.own["refresh_token"])
    assert account.token(refresh_token=account.own["refresh_token"]).status_code == 401


def test_the_consent_page_hands_out_a_code_for_twenty_minutes(account: Account) -> None:
    def code() -> str:
        query = {"client_id": account.own["client_id"], "state": "s1"}
        target = urlsplit(httpx.get(f"{account.url}/oauth", params=query).headers["location"])
        back = parse_qs(target.query)
        assert back["state"] == ["s1"] and back["referer"] == ["stroika.kommo.test"]
        return back["code"][0]

    given = code()
    assert account.token("authorization_code", code=given).is_success
    assert account.token("authorization_code", code=given).status_code == 401
    late = code()
    account.sandbox.world.clock.advance(1201)
    assert account.token("authorization_code", code=late).status_code == 401
    own = account.own["refresh_token"]
    assert account.token(refresh_token=own, redirect_uri="https://other.test").status_code == 400
    assert account.token(refresh_token=own, client_secret="guess").status_code == 401
    assert account.token("password", refresh_token=own).status_code == 400
    assert account.token(refresh_token=own).is_success, "none of these used it up"


def test_wrong_tokens_and_hosts_are_told_apart_from_right_ones(account: Account) -> None:
    own = account.own
    for token in ("nonsense", own["refresh_token"], own["token"][:-1] + "!"):
        answer = account.as_bearer(token)
        assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{account.url}/api/v4/account", headers={"Authorization": own["token"]}).status_code == 401
    assert account.as_bearer(own["token"], Host=f"{own['subdomain']}.kommo.test").is_success
    assert account.as_bearer(own["token"], Host="sandbox.internal:8080").is_success
    assert account.as_bearer(own["token"], Host="other.kommo.test").status_code == 401
    where = httpx.get(f"{account.url}/oauth2/account/subdomain", headers={"Authorization": f"Bearer {own['token']}"})
    assert where.json()["domain"] == "stroika.kommo.test"
    by_refresh = {"X-Refresh-Token": own["refresh_token"]}
    assert httpx.get(f"{account.url}/oauth2/account/current/subdomain", headers=by_refresh).is_success
    account.auth.paid = False
    assert account.as_bearer(own["token"]).status_code == 402
    with Sandbox(rates=UNLIMITED, switches={"kommo.wrong_domain": "404"}) as sb, Account(sb) as other:
        refused = other.as_bearer(other.own["token"], Host="other.kommo.test")
        assert refused.status_code == 404 and refused.headers["content-type"] == "text/html"


def test_seven_a_second_then_429_without_json_then_a_door_that_stays_shut() -> None:
    switches = {"kommo.block_after": "5", "kommo.block_seconds": "60"}
    with Sandbox(rates={"kaiten": 0.0, "kommo": 7.0}, switches=switches) as sb, Account(sb) as account:
        assert account.company.living
        statuses = []
        while statuses[-1:] != [403] and len(statuses) < 200:  # on a busy machine some come slowly enough
            statuses.append(account.http.get("account").status_code)
        assert statuses[:7] == [200] * 7 and {*statuses[7:-1]} <= {200, 429} and statuses.count(429) == 6, (
            "the sixth breach shuts the door"
        )
        account.http.get("account")
        shut = account.token(refresh_token=account.own["refresh_token"])
        assert shut.status_code == 403 and shut.headers["content-type"] == "text/html" and b"nginx" in shut.content
        assert "x-request-id" not in shut.headers and len(sb.violations) >= 7
        time.sleep(0.2)
        assert account.http.get("account").status_code == 403, "waiting a little does not help"
        sb.world.clock.advance(61)
        assert account.token(refresh_token=account.own["refresh_token"]).is_success, "and the token was not used up"


@pytest.mark.parametrize(
    ("body", "type"), [("text", "text/plain"), ("html", "text/html"), ("json", "application/problem+json")]
)
def test_a_429_has_each_body_that_was_reported(body: str, type: str) -> None:
    switches = {"kommo.throttle_body": body, "kommo.retry_after": "yes" if body == "json" else "no"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb, Account(sb) as account:
        sb.faults.set("A2", times=1)
        answer = account.http.get("leads")
        assert answer.status_code == 429 and answer.headers["content-type"].startswith(type)
        assert ("retry-after" in answer.headers) is (body == "json")
        sb.faults.set("A1", times=1, retry_after=3)
        assert account.http.get("leads").headers["retry-after"] == "3"
