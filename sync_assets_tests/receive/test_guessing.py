"""S11: whoever guesses learns nothing: not from an answer, nor from how much work it was to compare a guess.

Time itself is not measured: what the guesses cost is counted instead, call by call, and compared in constant time is
told by who compares. A clock on a busy machine would show neither.
"""

import asyncio
import base64
import hmac
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sync_assets.account import connected_accounts
from sync_assets.load.database import Database
from sync_assets.receive import routes as routes_module
from sync_assets.receive.app import Door
from sync_assets.receive.counts import Counts
from sync_assets.receive.inbox import Inbox
from sync_assets.receive.routes import Routes, routes_of
from sync_assets.receive.spool import Spool
from sync_assets.systems import SYSTEMS
from sync_assets.webhook import Delivery
from sync_assets_tests.systems.deliveries import ACCOUNTS, PATH_SECRET, PUBLIC, SECRETS

SHOP = {"BITRIX_SHOP_SECRET": "canary-shop-secret-0123456789", "BITRIX_SHOP_TOKEN": "canary-shop-token"}
EMPTY = (401, ((b"content-length", b"0"),), b"")
TRIES = 10_000
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)

Ask = Callable[..., tuple[int, tuple[tuple[bytes, bytes], ...], bytes]]


@pytest.fixture(scope="module")
def routes() -> Routes:
    """Every endpoint of every system, and a second Kaiten without a secret, which has none."""
    more = {"KAITEN_EMEA_API_URL": "https://emea.kaiten.ru", "KAITEN_EMEA_API_TOKEN": "canary-emea"}
    accounts, _ = connected_accounts(SYSTEMS, {**ACCOUNTS, **SECRETS, **SHOP, **more})
    return routes_of(accounts, public_url=PUBLIC)


@pytest.fixture
def door(routes: Routes, tmp_path: Path) -> Iterator[Ask]:
    """door(method, path, headers={}, body=b"") -> status, headers and body, without a socket between."""
    spool = Spool(tmp_path / "spool", 10**6)
    inbox = Inbox(Database("postgresql://nobody@127.0.0.1:1/none", wait=0.1), spool, patience=0.1)
    application = Door(routes, inbox, Counts(), address=PUBLIC, clock=lambda: NOW)
    loop = asyncio.new_event_loop()

    def ask(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"{}") -> Any:
        said: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            said.append(message)

        raw = [(n.encode(), v.encode("latin-1")) for n, v in (headers or {}).items()]
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode("utf-8", "replace"),
            "query_string": b"", "headers": raw,
        }  # fmt: skip
        loop.run_until_complete(application(scope, receive, send))
        start, end = said
        return start["status"], tuple(start["headers"]), end.get("body", b"")

    inbox.start()
    yield ask
    loop.close()
    inbox.close()


def guesses(routes: Routes, chance: random.Random) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Each of a kind that a stranger may try; near misses of the right addresses above all."""
    known = [route.path for route in routes]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
    words = "".join
    forged = (
        {},
        {"authorization": "Basic " + base64.b64encode(b"hooks:canary-password-0123456789-abd").decode()},
        {"x-hubspot-signature-v3": "A" * 44, "x-hubspot-request-timestamp": str(int(NOW.timestamp() * 1000))},
        {"x-hubspot-signature": "0" * 64, "x-hubspot-signature-version": "v2"},
        {"x-sync-signature": "sha256=" + "0" * 64, "x-sync-timestamp": str(int(NOW.timestamp()))},
        {"authorization": "\xe9" * 40},
    )
    bodies = (b"", b"{}", b"[", b"\xff" * 100, b'{"token": "wrong"}',
              urlencode({"event": "ONX", "auth[application_token]": "canary-application-tokem"}).encode(),
              b"x" * 300_000)  # fmt: skip
    while True:
        path = chance.choice(known)
        at = chance.randrange(1, len(path))
        kind = chance.randrange(8)
        wrong = chance.choice([letter for letter in letters if letter != path[at]])
        path = (
            path[:at] + wrong + path[at + 1 :], path[:at], path + chance.choice(["/", "x", "%00", "\x00", "?"]),
            path.upper(), "/webhooks/" + words(chance.choices(letters, k=chance.randrange(60))),
            path + "x" * chance.choice([1_000, 20_000]), "/webhooks/kaiten_emea/" + PATH_SECRET, path,
        )[kind]  # fmt: skip
        # The right address of those that bear no secret, with a wrong proof; or any, by another method.
        right = path in known
        open_path = right and not path.endswith(PATH_SECRET)
        method = chance.choice(["GET", "PUT", "HEAD", "OPTIONS", "PATCH"]) if right and not open_path else "POST"
        yield method, path, chance.choice(forged), chance.choice(bodies)


def test_s11_ten_thousand_guesses_get_one_and_the_same_answer(routes: Routes, door: Ask) -> None:
    chance = random.Random(11)
    answers: dict[Any, tuple[str, str]] = {}
    found = guesses(routes, chance)
    for _ in range(TRIES):
        method, path, headers, body = next(found)
        answers.setdefault(door(method, path, headers, body), (method, path[:80]))
    assert answers.keys() == {EMPTY}, answers


def test_s11_the_right_ones_are_let_in(routes: Routes, door: Ask) -> None:
    """Else all would be the same because nothing works."""
    kaiten = f"/webhooks/kaiten/{PATH_SECRET}"
    assert door("POST", kaiten, {}, b"not JSON") == (200, ((b"content-length", b"0"),), b"")
    assert len(list(routes)) == 6 and not any(route.account == "kaiten_emea" for route in routes)


class Told(bytes):
    """Bytes that tell when somebody compares them by ==, which stops at the first that differs."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared by ==")

    __hash__ = bytes.__hash__


def test_s11_a_path_is_compared_with_every_address_in_constant_time(
    routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Routes([replace(route, digest=Told(route.digest)) for route in routes])
    seen: list[tuple[int, int]] = []

    def counting(a: bytes, b: bytes) -> bool:
        seen.append((len(a), len(b)))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr(routes_module, "compare_digest", counting)
    known = [route.path for route in routes]
    for path in (*known, known[0][:-1], known[0] + "x", "/", "x" * 100_000, "\ud800", ""):
        seen.clear()
        found = watched.find(path)
        assert (found is not None) == (path in known)
        assert seen == [(32, 32)] * len(known), "every address, found or not, and no more than a hash of each"


def work_of(what: Callable[[], Any]) -> list[str]:
    """The functions that it calls, Python's and C's, in their order."""
    called: list[str] = []

    def watch(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            called.append(argument.__name__ if event == "c_call" else frame.f_code.co_name)

    sys.setprofile(watch)
    try:
        what()
    finally:
        sys.setprofile(None)
    return called


def test_s11_a_guess_that_is_nearly_right_is_as_much_work_as_any(routes: Routes) -> None:
    chance = random.Random(12)
    path = f"/webhooks/kaiten/{PATH_SECRET}"
    seen: dict[tuple[str, ...], int] = {}
    for _ in range(TRIES // 4):
        right = chance.randrange(len(path))
        guess = path[:right] + "".join(chance.choices("abcdef", k=len(path) - right - 1)) + "!"
        work = tuple(work_of(lambda guess=guess: routes.find(guess)))  # type: ignore[misc]
        seen[work] = seen.get(work, 0) + 1
    assert list(seen.values()) == [TRIES // 4]


def attempts(stamp: int) -> dict[str, list[tuple[Delivery, ...]]]:
    """By endpoint: for each way to prove who calls, deliveries that are ever closer to the right one."""
    body = b"{}"

    def signed(secret: str, *parts: bytes) -> str:
        return hmac.digest(secret.encode(), b"".join(parts), "sha256").hex()

    def said(label: str, given: str, right: str, *, how: Callable[[str], dict[str, Any]]) -> tuple[Delivery, ...]:
        cuts = [right[:n] + given[n:] for n in (0, 1, len(right) // 2, len(right) - 1)]
        return tuple(Delivery(**{"url": f"{PUBLIC}/webhooks/{label}", "headers": {}, "body": body, "received": NOW,
                                 **how(cut)}) for cut in cuts)  # fmt: skip

    password = base64.b64encode(f"hooks:{SECRETS['WORKSECTION_WEBHOOK_PASSWORD']}".encode()).decode()
    token, shop = SECRETS["BITRIX_APPLICATION_TOKEN"], signed(SHOP["BITRIX_SHOP_SECRET"], b"%d." % stamp, body)
    url = f"{PUBLIC}/webhooks/hubspot"
    hubspot = base64.b64encode(
        hmac.digest(SECRETS["HUBSPOT_WEBHOOK_SECRET"].encode(), b"POST%s{}%d" % (url.encode(), stamp * 1000), "sha256")
    ).decode()
    other = "z" * 100
    return {
        "kaiten": [said("kaiten", other, PATH_SECRET, how=lambda s: {"url": f"{PUBLIC}/webhooks/kaiten/{s}"})],
        "kommo": [said("kommo", other, PATH_SECRET, how=lambda s: {"url": f"{PUBLIC}/webhooks/kommo/{s}"})],
        "worksection": [
            said("worksection", other, password, how=lambda s: {"headers": {"authorization": f"Basic {s}"}})
        ],
        "hubspot": [said("hubspot", other, hubspot, how=lambda s: {"headers": {
            "x-hubspot-signature-v3": s, "x-hubspot-request-timestamp": str(stamp * 1000)}})],
        "bitrix": [
            said("bitrix", other, token, how=lambda s: {"body": urlencode({"auth[application_token]": s}).encode()})
        ],
        "bitrix/shop": [
            said("bitrix/shop", other, shop, how=lambda s: {"headers": {
                "x-sync-signature": f"sha256={s}", "x-sync-timestamp": str(stamp)}}),
            said("bitrix/shop", other, SHOP["BITRIX_SHOP_TOKEN"], how=lambda s: {
                "body": b'{"token":"%s"}' % s.encode()}),
        ],
    }  # fmt: skip


@pytest.mark.parametrize("label", ["kaiten", "kommo", "worksection", "hubspot", "bitrix", "bitrix/shop"])
def test_s11_a_proof_is_compared_in_constant_time_and_nothing_before_it_tells(
    routes: Routes, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = next(route.endpoint for route in routes if route.label == label)
    compared: list[tuple[bytes, bytes]] = []
    constant = hmac.compare_digest

    def counting(a: Any, b: Any) -> bool:
        compared.append((bytes(a), bytes(b)))
        return constant(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    for ways in attempts(int(NOW.timestamp()))[label]:
        work = set()
        for nearly in ways:
            compared.clear()
            work.add(tuple(work_of(lambda nearly=nearly: endpoint.authentic(nearly))))  # type: ignore[misc]
            assert len(compared) == 1, "what decides is compared once, and by nothing that stops early"
            assert not constant(*compared[0])
        assert len(work) == 1
