"""W2: whoever is not recognised learns nothing, and an endpoint without its secret does not exist."""

import base64
import logging
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from sync_assets.errors import FixConfig, MissingSetting
from sync_assets.webhook import Endpoint
from sync_assets_tests.receive.conftest import OPEN, SIGNED, Serving, rows
from sync_assets_tests.receive.vendors import PATH_SECRET, PUBLIC, SECRET, account, items, signature, signed

BODY = items(1)
OTHER = "x" + SECRET[1:]


def stamp() -> str:
    return str(int(time.time()))


def headers(**more: str) -> dict[str, str]:
    return {"x-stamp": stamp(), **{name.replace("_", "-"): value for name, value in more.items()}}


def right() -> str:
    return signature(SECRET, stamp().encode(), BODY)


FORGED: dict[str, Callable[[], tuple[str, str, dict[str, str]]]] = {
    "no signature": lambda: ("POST", SIGNED, headers()),
    "another secret": lambda: ("POST", SIGNED, signed(BODY, time.time(), secret=OTHER)),
    "another body": lambda: ("POST", SIGNED, signed(BODY + b" ", time.time())),
    "cut off": lambda: ("POST", SIGNED, headers(x_signature=right()[:-1])),
    "empty": lambda: ("POST", SIGNED, headers(x_signature="")),
    "not ASCII": lambda: ("POST", SIGNED, headers(x_signature="\xe9" * 64)),
    "upper case": lambda: ("POST", SIGNED, headers(x_signature=right().upper())),
    "base64": lambda: (
        "POST", SIGNED, headers(x_signature=base64.b64encode(bytes.fromhex(right())).decode())
    ),
    "another algorithm": lambda: ("POST", SIGNED, headers(x_signature="sha1=" + right()[:40])),
    "old": lambda: ("POST", SIGNED, signed(BODY, time.time() - 3600)),
    "of the future": lambda: ("POST", SIGNED, signed(BODY, time.time() + 3600)),
    "no path secret": lambda: ("POST", "/webhooks/vendor/open", {}),
    "another path secret": lambda: ("POST", OPEN[:-1] + "x", {}),
    "path secret cut off": lambda: ("POST", OPEN[:-1], {}),
    "path secret and more": lambda: ("POST", OPEN + "/", {}),
    "path secret of another endpoint": lambda: ("POST", f"/webhooks/vendor/{PATH_SECRET}", {}),
    "an account that is not": lambda: ("POST", "/webhooks/nobody", {}),
    "another method": lambda: ("GET", OPEN, {}),
    "put": lambda: ("PUT", SIGNED, signed(BODY, time.time())),
    "options": lambda: ("OPTIONS", OPEN, {}),
    "the root": lambda: ("GET", "/", {}),
    "a path in disguise": lambda: ("POST", "/webhooks/%2e%2e/webhooks/vendor", {}),
    "Starlette's slash": lambda: ("GET", "/health/", {}),
    "Starlette's other slash": lambda: ("GET", "/health/live/", {}),
    "health by POST": lambda: ("POST", "/health", {}),
    "life by POST": lambda: ("POST", "/health/live", {}),
}  # fmt: skip


def test_w2_everything_that_is_not_authentic_gets_the_same_empty_401(serving: Serving) -> None:
    seen = {}
    for name, request in FORGED.items():
        method, path, given = request()
        raw = {k: v.encode("latin-1") for k, v in given.items()}
        answer = serving.client.request(method, path, content=BODY, headers=raw)
        seen[name] = (answer.status_code, answer.content, sorted(answer.headers.items()))
    assert {name: s for name, s in seen.items() if s != (401, b"", [("content-length", "0")])} == {}
    assert rows(serving.env["DATABASE_URL"]) == []
    known = sum(request()[:2] == ("POST", SIGNED) for request in FORGED.values())
    assert serving.health()["deliveries"] == {
        "-": {"unknown address": len(FORGED) - known},
        "vendor": {"not authentic": known},
    }
    assert serving.post_signed(BODY).status_code == serving.post(BODY).status_code == 200


@pytest.mark.parametrize("missing", ["secret", "path_secret"])
def test_w2_an_endpoint_without_its_secret_does_not_exist(
    serve: Callable[..., Serving], database_url: str, missing: str
) -> None:
    serving = serve(database_url, [account(**{missing: None})])
    codes = {"secret": serving.post_signed(BODY).status_code, "path_secret": serving.post(BODY).status_code}
    assert codes == {"secret": 200, "path_secret": 200} | {missing: 401}
    assert serving.post(BODY, "/webhooks/vendor/open").status_code == 401


def test_w2_a_second_account_has_an_address_and_a_secret_of_its_own(
    serve: Callable[..., Serving], database_url: str
) -> None:
    serving = serve(database_url, [account(), account("vendor_emea", secret=OTHER, path_secret=None)])
    emea = f"{SIGNED}_emea"
    assert serving.post(BODY, emea, **signed(BODY, time.time())).status_code == 401
    assert serving.post(BODY, emea, **signed(BODY, time.time(), secret=OTHER)).status_code == 200
    assert rows(database_url, "account, system, endpoint") == [("vendor_emea", "vendor", "")]


def test_w2_a_check_that_fails_lets_nobody_in(serve: Callable[..., Serving], database_url: str) -> None:
    def broken(_: Any) -> bool:
        raise ValueError(SECRET)

    whole = account()
    of_the_system = whole.system.__class__(
        **{**vars(whole.system), "endpoints": lambda _: (Endpoint(broken, lambda _: ()),)}
    )
    serving = serve(database_url, [whole.__class__("vendor", of_the_system, whole.settings)])
    assert serving.post(BODY, SIGNED).status_code == 401


def test_the_address_that_is_signed_is_the_public_one(serve: Callable[..., Serving], database_url: str) -> None:
    serving = serve(database_url, [account(signs_url=True)], SYNC_PUBLIC_URL=PUBLIC)
    for path in (SIGNED, f"{SIGNED}?a=%40&b"):
        assert serving.post(BODY, path, **signed(BODY, time.time(), url=serving.address + path)).status_code == 401
        assert serving.post(BODY, path, **signed(BODY, time.time(), url=PUBLIC + path)).status_code == 200


def test_a_start_that_cannot_work_says_why(serve: Callable[..., Serving], database_url: str) -> None:
    with pytest.raises(MissingSetting, match=r"SYNC_PUBLIC_URL is not set, and Vendor signs .* Next: set SYNC_PUBLIC"):
        serve(database_url, [account(signs_url=True)])
    with pytest.raises(MissingSetting, match="no connected account has the secret of its webhooks"):
        serve(database_url, [account(secret=None, path_secret=None)])
    with pytest.raises(MissingSetting, match="DATABASE_URL is not set"):
        serve("", [account()])
    serve(database_url)
    with pytest.raises(FixConfig, match=r"another receiver uses this spool.* Next: "):
        serve(database_url)


def test_the_addresses_that_are_shown_hide_their_secrets(serve: Callable[..., Serving], database_url: str) -> None:
    serving = serve(database_url, SYNC_PUBLIC_URL=PUBLIC + "/")
    assert serving.receiver.addresses == [f"{PUBLIC}/webhooks/vendor", f"{PUBLIC}/webhooks/vendor/open/***"]


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_health_tells_a_stranger_one_word(serving: Serving, header: str) -> None:
    for path in ("/health", "/health/live"):
        assert httpx.get(f"{serving.address}{path}", headers={header: "for=1.2.3.4"}).json() == {"status": "ok"}
    assert serving.health().keys() == {
        *("status", "connected", "problems", "daemons", "jobs", "dead_letters", "inbox_waiting", "intake", "spool"),
        *("uptime_seconds", "connections", "held_bytes", "deliveries"),
    }


def test_the_log_has_numbers_and_nothing_of_a_request(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    serving.post_signed(items(1, 2))
    serving.post(b"raise")
    serving.post(BODY, SIGNED)
    serving.stop()
    said = [r.getMessage() for r in caplog.records if r.name == "sync_assets.receive"]
    assert said == [
        "vendor/open: a delivery cannot be read (ValueError). Next: see sync-assets inbox",
        "vendor: 1 accepted; vendor: 2 events; vendor: 1 not authentic; vendor/open: 1 accepted; vendor/open: 1 events",
    ]
