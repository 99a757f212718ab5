"""What HubSpot's refusals mean, told from the sandbox's own answers, and when its day ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from sync_assets.account import connected_accounts
from sync_assets.errors import BadCredentials, CallVendor, Forbidden, NotFound, SourceUnavailable, SyncError, WrongShape
from sync_assets.extract.dialect import Answer, Pause
from sync_assets.sandbox.dialect import Answer as Said
from sync_assets.sandbox.hubspot import errors
from sync_assets.sandbox.server import Sandbox
from sync_assets.systems import SYSTEMS
from sync_assets.systems.hubspot.api import HubSpotApi
from sync_assets_tests.company import Company

HTML = b"<html><head><title>Bad gateway</title></head><body>cloudflare</body></html>"


def api(**env: str) -> HubSpotApi:
    (account,), _ = connected_accounts(SYSTEMS, {"HUBSPOT_ACCESS_TOKEN": "no-token", **env})
    made = account.system.api(account.settings)
    assert isinstance(made, HubSpotApi)
    return made


def received(said: Said) -> Answer:
    return Answer(said.status, httpx.Headers(said.headers), said.content())


def meaning(answer: Answer, of: HubSpotApi | None = None) -> SyncError:
    with pytest.raises(SyncError) as told:
        (of or api()).check(answer)
    return told.value


@pytest.mark.parametrize(
    ("said", "seconds", "words", "everybody"),
    [
        (errors.throttled("search"), 1.0, "rate limit", False),
        (errors.throttled("secondly"), 1.0, "rate limit", False),
        (errors.throttled("burst"), 10.0, "rate limit", False),
        (errors.locked(), 2.0, "locked", False),
        (errors.migrating(86_400), 86_400.0, "being moved", True),
        (errors.migrating("soon"), 60.0, "being moved", True),
    ],
    ids=["search", "secondly", "burst", "locked", "migration", "migration without a time"],
)
def test_a2_each_way_to_ask_for_a_wait_is_kept_for_as_long_as_it_lasts(
    said: Said, seconds: float, words: str, everybody: bool
) -> None:
    pause = meaning(received(said))
    assert isinstance(pause, Pause) and words in pause.what
    assert (pause.seconds, pause.reach) == (seconds, "account" if everybody else "bucket")


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7.0), ("0", 10.0), ("-3", 10.0), ("soon", 10.0), ("99999", 99_999.0)]
)
def test_a1_a_retry_after_counts_where_there_is_one(told: str, seconds: float) -> None:
    said = errors.throttled("burst")
    said.headers["retry-after"] = told
    pause = meaning(received(said))
    assert isinstance(pause, Pause) and pause.seconds == seconds


def test_a2_a_429_of_no_known_shape_is_a_wait_too() -> None:
    for body in (b"", HTML, b"[]", b'{"message":7}', b"{"):
        assert isinstance(meaning(Answer(429, httpx.Headers(), body)), Pause)


@pytest.mark.parametrize("zone", ["Europe/Moscow", "America/New_York", "Asia/Kolkata", "Pacific/Apia"])
def test_a2_the_day_ends_at_midnight_of_the_portals_own_zone(zone: str) -> None:
    one = api()
    one.opened(Answer(200, httpx.Headers(), b'{"portalId":1,"timeZone":"%s"}' % zone.encode()))
    pause = meaning(received(errors.throttled("daily")), one)
    assert isinstance(pause, Pause) and pause.reach == "account" and pause.seconds and "daily quota" in pause.what
    end = datetime.now(UTC) + timedelta(seconds=pause.seconds)
    off = (end.astimezone(ZoneInfo(zone)) + timedelta(seconds=30)).time()
    assert (off.hour, off.minute) == (0, 0), "that is not midnight there"
    assert pause.seconds <= 90_000


@pytest.mark.parametrize("told", [None, b'{"timeZone":"Mars/Olympus"}', b'{"portalId":1}', b"[]"])
def test_a2_where_no_zone_is_known_the_quota_is_asked_about_every_hour(told: bytes | None) -> None:
    one = api()
    if told is not None:
        one.opened(Answer(200, httpx.Headers(), told))
    pause = meaning(received(errors.throttled("daily")), one)
    assert isinstance(pause, Pause) and pause.seconds == 3600.0


@pytest.mark.parametrize(
    ("reserve", "left", "stops"), [("10", 99, True), ("10", 101, False), ("0", 0, True), ("0", 1, False)]
)
def test_what_is_reserved_for_other_apps_is_not_spent(reserve: str, left: int, stops: bool) -> None:
    headers = httpx.Headers({"x-hubspot-ratelimit-daily": "1000", "x-hubspot-ratelimit-daily-remaining": str(left)})
    pause = api(HUBSPOT_DAILY_RESERVE=reserve).spent(Answer(200, headers, b"{}"))
    assert (pause is not None) is stops
    if pause:
        assert pause.reach == "account" and f"{left} of the account's 1000 daily calls" in pause.what


def test_a_limit_is_told_by_its_headers_and_search_tells_none() -> None:
    headers = httpx.Headers({"x-hubspot-ratelimit-max": "190", "x-hubspot-ratelimit-interval-milliseconds": "10000"})
    one = api()
    assert one.rates("burst", Answer(200, headers, b"")) == {"burst": 19.0}
    assert one.rates("associations", Answer(200, headers, b"")) == {"associations": 19.0}
    assert one.rates("search", Answer(200, headers, b"")) == {}
    for strange in ({}, {"x-hubspot-ratelimit-max": "many"}, {"x-hubspot-ratelimit-max": "190"}):
        assert one.rates("burst", Answer(200, httpx.Headers(strange), b"")) == {}
    zero = {**headers, "x-hubspot-ratelimit-interval-milliseconds": "0"}
    assert one.rates("burst", Answer(200, httpx.Headers(zero), b"")) == {}


@pytest.mark.parametrize(
    ("path", "bucket"),
    [
        ("/crm/v3/objects/contacts", "burst"),
        ("/crm/v3/objects/contacts/search", "search"),
        ("/crm/v3/objects/contacts/batch/read", "burst"),
        ("/crm/v4/associations/calls/contacts/batch/read", "associations"),
        ("/account-info/v3/details", "burst"),
    ],
)
def test_each_request_is_counted_where_hubspot_counts_it(path: str, bucket: str) -> None:
    assert api().bucket(path) == bucket


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, errors.invalid("no").answer().content(), WrongShape, "400 VALIDATION_ERROR"),
        (401, errors.unauthenticated().content(), BadCredentials, "401"),
        (403, HTML, Forbidden, "403"),
        (404, errors.not_found("1").answer().content(), NotFound, "404"),
        (414, errors.too_long().content(), CallVendor, "(414)"),
        *((status, HTML, SourceUnavailable, str(status)) for status in (500, 502, 503, 504, 520, 521, 522, 523, 524)),
        *((status, HTML, CallVendor, str(status)) for status in (525, 526)),
        (530, HTML, BadCredentials, "530"),
    ],
)
def test_a3_a12_a_refusal_is_told_by_its_status_whatever_its_body(
    status: int, body: bytes, kind: type[SyncError], words: str
) -> None:
    error = meaning(Answer(status, httpx.Headers(), body))
    assert isinstance(error, kind) and words in error.what


def test_a11_a_missing_scope_is_named_with_where_to_add_it() -> None:
    error = meaning(received(errors.unscoped(["crm.objects.deals.read", "crm.objects.calls.read"]).answer()))
    assert isinstance(error, Forbidden)
    assert "crm.objects.calls.read, crm.objects.deals.read" in error.what and "Private Apps" in error.next_step


def test_good_answers_are_good() -> None:
    for status in (200, 201, 207):
        api().check(Answer(status, httpx.Headers(), b"{}"))


@pytest.mark.parametrize(
    ("setting", "burst", "search", "associations"),
    [(None, 10, 5, 10), ("0", 0, 0, 0), ("60", 60, 5, 10), ("8", 8, 5, 8), ("2", 2, 2, 2)],
)
def test_a_rate_of_ones_own_raises_no_other_limit(
    make_company: Callable[..., Company],
    sandbox: Sandbox,
    setting: str | None,
    burst: int,
    search: int,
    associations: int,
) -> None:
    company = make_company(sandbox, HUBSPOT_RATE=setting)
    with company.connected("hubspot") as connection:
        rates = {name: bucket.rate for name, bucket in connection.budget._buckets.items()}
    assert rates == {"burst": burst, "search": search, "associations": associations}
