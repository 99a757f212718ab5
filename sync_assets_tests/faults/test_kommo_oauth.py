"""A10: access tokens that end, refresh tokens good for one use, and what is left when an answer with a pair is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import psycopg2
import pytest

from sync_assets import crash
from sync_assets.errors import AuthorisationLost, SyncError
from sync_assets_tests.canary import Canary
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import process
from sync_assets_tests.kommo_door import AN_HOUR_OLD, TOKENS, auth, generation, refused, renewals


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


def test_a10_what_is_stored_is_sealed(oauth: Company) -> None:
    ((sealed, seeds),) = oauth.query("select sealed, seeds from sync.tokens")
    held = auth(oauth.sandbox).pair
    for secret in (held["access_token"], held["refresh_token"], oauth.env["KOMMO_REFRESH_TOKEN"]):
        assert secret not in sealed and secret.encode() not in bytes(seeds[0])
    assert len(bytes(seeds[0])) == 32
    with pytest.raises(psycopg2.errors.CheckViolation):
        oauth.query("update sync.tokens set sealed = null")
