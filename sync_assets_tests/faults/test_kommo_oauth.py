"""A10: access tokens that end, refresh tokens good for one use, and what is left when an answer with new ones is lost.

Every token that the sandbox ever issues is a canary: none may be in a table, a log or an error.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from sync_assets import crash
from sync_assets.errors import AuthorisationLost, BadCredentials, RetryLater, SyncError, WrongShape
from sync_assets.sandbox.dialect import decode
from sync_assets.sandbox.kommo import errors
from sync_assets.sandbox.kommo.api import Kommo
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import process
from sync_assets_tests.faults.trap import trap

TOKENS = "/oauth2/access_token"
AN_HOUR_OLD = "update sync.tokens set renewed_at = now() - interval '1 hour', access_ends_at = now() + %s::interval"


def auth(sandbox: Sandbox) -> Any:
    system = sandbox.world.systems["kommo"]
    assert isinstance(system, Kommo)
    return system.auth


def oauth_of(sandbox: Sandbox) -> dict[str, str | None]:
    own = auth(sandbox).credentials()
    names = ("client_id", "client_secret", "redirect_uri", "refresh_token")
    return {"KOMMO_ACCESS_TOKEN": None, **{f"KOMMO_{name}".upper(): own[name] for name in names}}


@pytest.fixture
def make_oauth(make_company: Callable[..., Company], make_sandbox: Any, canary: Canary) -> Iterator[Any]:
    """make_oauth(sandbox=None, *, switches={}, **options of make_company) -> a company that comes in by OAuth."""
    issued: list[str] = []

    def watched(sandbox: Sandbox) -> None:
        door, issue = auth(sandbox), auth(sandbox).issue
        issued.extend(door.pair[name] for name in ("access_token", "refresh_token"))

        def recorded() -> dict[str, Any]:
            pair = issue()
            issued.extend(pair[name] for name in ("access_token", "refresh_token"))
            return pair

        door.issue = recorded

    def make(sandbox: Sandbox | None = None, *, switches: dict[str, str] | None = None, **more: Any) -> Company:
        if sandbox is None:
            sandbox = make_sandbox(switches=switches or {})
            watched(sandbox)
        return make_company(sandbox, **(oauth_of(sandbox) | more))

    yield make
    canary.watch(*issued)


@pytest.fixture
def oauth(make_oauth: Callable[..., Company]) -> Company:
    """Its pair is stored."""
    company = make_oauth()
    company.synced("full", "kommo", "users")
    assert renewals(company) == [200]
    company.sandbox.requests.clear()
    return company


def renewals(company: Company) -> list[int]:
    """The statuses of the requests for new tokens."""
    return [r.status for r in company.sandbox.requests if r.path == TOKENS]


def generation(company: Company) -> int:
    ((found,),) = company.query("select generation from sync.tokens where account = 'kommo'")
    return int(found)


def refused(company: Company, canary: Canary, entity: str = "users") -> SyncError:
    error = company.sync("full", "kommo", entity)[entity]
    assert isinstance(error, SyncError)
    canary.check("the error", "".join(traceback.format_exception(error)) + repr(error) + str(error.where))
    return error


def test_a10_the_first_refresh_token_is_used_once_and_its_pair_is_kept_for_all(
    make_oauth: Callable[..., Company],
) -> None:
    company = make_oauth()
    company.synced("full", "kommo")
    assert renewals(company) == [200] and company.sandbox.requests[0].path == TOKENS
    company.synced("incremental", "kommo")
    assert renewals(company) == [200] and generation(company) == 1
    assert {r.status for r in company.sandbox.requests} <= {200, 204}
    ((requests,),) = company.query("select sum(requests) from sync.logs")
    assert requests == len(company.sandbox.requests) - 3, "two looks at the account and the tokens belong to no entity"
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()


@pytest.mark.parametrize("old_access", ["lives", "dies"])
@pytest.mark.parametrize("end", ["after some requests", "with their clock"])
def test_a10_a_token_that_ends_in_mid_run_is_renewed_once_and_the_request_repeated_once(
    make_oauth: Callable[..., Company], end: str, old_access: str
) -> None:
    company = make_oauth(switches={"kommo.old_access": old_access})
    company.synced("full", "kommo", "users")
    if end == "with their clock":
        company.sandbox.world.clock.advance(86_401)
    else:
        company.sandbox.faults.set("A10", system="kommo", uses=4)
    company.sandbox.requests.clear()
    company.synced("full", "kommo")
    assert renewals(company) == [200] and generation(company) == 2
    (at,) = [n for n, r in enumerate(company.sandbox.requests) if r.status == 401]
    ended, renewed, again = company.sandbox.requests[at : at + 3]
    assert renewed.path == TOKENS and (again.path, again.query, again.status) == (ended.path, ended.query, 200)
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()


@pytest.mark.parametrize(("left", "renewed"), [("6 minutes", []), ("4 minutes", [200]), ("-1 day", [200])])
def test_a10_a_token_is_renewed_before_it_is_too_old_for_a_request(
    oauth: Company, left: str, renewed: list[int]
) -> None:
    oauth.query(AN_HOUR_OLD, (left,))
    oauth.synced("full", "kommo", "users")
    assert renewals(oauth) == renewed
    assert 401 not in {r.status for r in oauth.sandbox.requests}


def test_a10_tokens_that_live_for_seconds_are_not_renewed_before_every_request(
    make_oauth: Callable[..., Company],
) -> None:
    company = make_oauth(switches={"kommo.access_seconds": "100"})
    company.synced("full", "kommo", ["users", "pipelines", "loss_reasons"])
    assert renewals(company) == [200]


def test_a10_two_processes_that_begin_at_once_use_one_refresh_token_once(make_oauth: Callable[..., Company]) -> None:
    company = make_oauth()
    company.sandbox.latency = 0.4
    both = [process(company, entity, ACCOUNT="kommo") for entity in ("users", "pipelines")]
    words = [p.communicate(timeout=40)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0], words
    assert renewals(company) == [200] and generation(company) == 1
    assert sorted(r.status for r in company.sandbox.requests if r.path.endswith("/account")) == [200, 200]


@pytest.mark.parametrize("why", ["too old", "refused"])
def test_a10_of_two_that_renew_at_once_the_second_takes_what_the_first_got(oauth: Company, why: str) -> None:
    if why == "too old":
        oauth.query(AN_HOUR_OLD, ("0",))
    else:
        oauth.sandbox.faults.set("A10", system="kommo")
    oauth.sandbox.latency = 0.3
    done: list[int] = []

    def ask() -> None:
        with oauth.connected("kommo") as connection:
            done.append(connection.door.ask("/account", {}).status)

    both = [threading.Thread(target=ask) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(timeout=20)
    assert done == [200, 200]
    assert renewals(oauth) == [200] and generation(oauth) == 2


def test_a10_killed_between_answer_and_commit_it_says_authorise_again_until_somebody_did(
    oauth: Company, make_oauth: Callable[..., Company], canary: Canary
) -> None:
    oauth.query(AN_HOUR_OLD, ("0",))
    killed = process(oauth, "users", ACCOUNT="kommo", SYNC_ASSETS_CRASH_AT="in renewal")
    words, _ = killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL, words
    assert generation(oauth) == 1, "the new pair died with the process"
    for _ in range(2):
        oauth.sandbox.requests.clear()
        done = oauth.sync("full", "kommo", ["users", "pipelines", "loss_reasons"])
        assert len(done) == 3 and all(isinstance(e, AuthorisationLost) for e in done.values()), done
        assert [r.path for r in oauth.sandbox.requests] == [TOKENS], "asked once per run, and nothing else"
    error = refused(oauth, canary)
    assert "Token has been revoked" in error.what and error.where["refresh_token"] == "stored, of generation 1"
    assert "authorization code" in error.next_step and "set KOMMO_REFRESH_TOKEN" in error.next_step

    new = auth(oauth.sandbox).issue()["refresh_token"]
    healed = make_oauth(oauth.sandbox, database_url=oauth.database_url, KOMMO_REFRESH_TOKEN=new)
    healed.synced("full", "kommo", "users")
    assert generation(oauth) == 2
    oauth.query(AN_HOUR_OLD, ("0",))
    oauth.sandbox.requests.clear()
    oauth.synced("full", "kommo", "users")
    assert renewals(oauth) == [200], "whose environment still names an older token goes on with what is stored"
    oauth.assert_ledger_adds_up()


def test_a10_where_only_the_commit_is_lost_the_answer_is_kept(oauth: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [1]

    def cut(name: str) -> None:
        if name == "in renewal" and left:
            left.pop()
            oauth.query(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'sync_assets kommo' and datname = current_database()"
            )

    monkeypatch.setattr(crash, "point", cut)
    oauth.query(AN_HOUR_OLD, ("0",))
    oauth.synced("full", "kommo", "users")
    assert not left and renewals(oauth) == [200] and generation(oauth) == 2


def test_a10_a_pair_that_cannot_be_stored_is_used_for_nothing_and_stored_later(oauth: Company) -> None:
    oauth.query(AN_HOUR_OLD, ("0",))
    oauth.query(
        "create function sync.full_disk() returns trigger language plpgsql as $$ begin"
        " raise exception 'full' using errcode = '53100'; end $$;"
        " create trigger full_disk before update on sync.tokens for each row execute function sync.full_disk()"
    )
    try:
        with oauth.connected("kommo") as connection:
            with pytest.raises(SyncError, match="disk is full"):
                connection.door.ask("/account", {})
            assert [r.path for r in oauth.sandbox.requests] == [TOKENS]
            oauth.query("drop function sync.full_disk() cascade")
            assert connection.door.ask("/account", {}).status == 200
    finally:
        oauth.query("drop function if exists sync.full_disk() cascade")
    assert renewals(oauth) == [200] and generation(oauth) == 2


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


def test_a10_what_is_stored_is_sealed(oauth: Company) -> None:
    ((sealed, seeds),) = oauth.query("select sealed, seeds from sync.tokens")
    held = auth(oauth.sandbox).pair
    for secret in (held["access_token"], held["refresh_token"], oauth.env["KOMMO_REFRESH_TOKEN"]):
        assert secret not in sealed and secret.encode() not in bytes(seeds[0])
    assert len(bytes(seeds[0])) == 32
    with pytest.raises(psycopg2.errors.CheckViolation):
        oauth.query("update sync.tokens set sealed = null")
