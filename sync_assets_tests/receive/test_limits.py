"""W6: bodies without end, callers who take their time, and thousands of them; others are served, and memory is flat."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from sync_assets.receive import app as app_module
from sync_assets.webhook import Endpoint
from sync_assets_tests.receive.conftest import OPEN, SIGNED, Serving, rows, until
from sync_assets_tests.receive.raw import answer, connected, head, pour, resident, status
from sync_assets_tests.receive.vendors import items

MB = 2**20


@pytest.fixture
def hasty(serve: Callable[..., Serving], database_url: str) -> Serving:
    return serve(database_url, SYNC_RECEIVER_SECONDS="0.5")


def test_w6_a_body_of_a_gigabyte_is_refused_by_its_head(serving: Serving) -> None:
    for path in (OPEN, SIGNED, "/webhooks/nobody"):
        with connected(serving.port) as caller:
            caller.sendall(head(path, f"content-length: {2**30}", "expect: 100-continue"))
            assert status(caller) == 413
    told = serving.health()["deliveries"]
    assert told == {"-": {"too large": 1}, "vendor": {"too large": 1}, "vendor/open": {"too large": 1}}


@pytest.mark.parametrize("path", [OPEN, "/webhooks/nobody"])
def test_w6_an_endless_body_is_refused_at_the_limit_and_memory_is_flat(serving: Serving, path: str) -> None:
    before = resident()
    with connected(serving.port) as caller:
        caller.sendall(head(path, "transfer-encoding: chunked"))
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        sent = pour(caller, chunk, 16 * 1024)
        assert status(caller) == 413
    # What the kernel's buffers on both sides hold comes on top.
    assert Endpoint.body / 0x10000 <= sent < 400
    assert resident() - before < 40 * MB
    assert serving.post(items(1)).status_code == 200


def test_w6_an_endpoint_may_take_less_than_the_others(serving: Serving) -> None:
    body = b"[" + b" " * 70_000 + b"]"
    # Its own status would tell a stranger that there is such an endpoint.
    assert serving.post_signed(body).status_code == serving.post(body, "/webhooks/nobody").status_code == 401
    assert serving.post(body).status_code == 200
    assert serving.health()["deliveries"]["vendor"] == {"too large": 1}


def test_w6_all_bodies_together_are_bounded(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "HELD_BYTES", MB)
    with connected(serving.port) as one, connected(serving.port) as other:
        for caller in (one, other):
            caller.sendall(head(OPEN, f"content-length: {MB}", "connection: close") + b"[" + b" " * (MB // 2 - 100))
        until(lambda: serving.health()["held_bytes"] > MB * 0.9)
        one.sendall(b" " * 1000)
        assert status(one) == 503
        other.sendall(b" " * (MB // 2 + 98) + b"]")
        assert status(other) == 200
    assert serving.health()["deliveries"]["vendor/open"] == {"accepted": 1, "events": 0, "no room": 1}
    assert serving.health()["held_bytes"] == 0


def test_w6_a_strangers_body_is_not_kept(serving: Serving) -> None:
    with connected(serving.port) as caller:
        caller.sendall(head("/webhooks/nobody", f"content-length: {4 * MB}", "connection: close") + b"x")
        until(lambda: serving.health()["connections"] == 2)
        for _ in range(4):
            caller.sendall(b" " * (MB - 1))
            assert serving.health()["held_bytes"] == 0
        caller.sendall(b"xxx")
        assert status(caller) == 401


@pytest.mark.parametrize(
    "slow",
    [
        b"",
        b"POST /webhooks/vendor HTTP/1.1\r\nhost:",
        head(OPEN, "content-length: 100") + b"[",
        head(OPEN, "transfer-encoding: chunked") + b"1\r\n[\r\n",
        head(OPEN, "content-length: 2") + b"[]\r\n\r\n",
    ],
    ids=["nothing", "head", "body", "chunks", "blank lines after an answer"],
)
def test_w6_who_takes_too_long_is_sent_away(hasty: Serving, slow: bytes) -> None:
    with connected(hasty.port) as caller:
        caller.sendall(slow)
        said = answer(caller)
    if slow.endswith(b"[]\r\n\r\n"):
        assert said.startswith(b"HTTP/1.1 200") and said.count(b"HTTP/1.1") == 1
    else:
        assert said[:12] == (b"HTTP/1.1 408" if slow else b"")
    assert hasty.health()["connections"] == 1


def test_w6_a_drop_every_moment_does_not_prolong_the_time(hasty: Serving) -> None:
    with connected(hasty.port) as caller:
        caller.sendall(head(OPEN, "content-length: 1000") + b"[")
        drops = pour(caller, b" ", 1000, pause=0.01)
        assert status(caller) == 408
    assert drops < 500


def test_w6_a_head_or_trailer_without_end_is_refused(serving: Serving) -> None:
    line = b"x-long: " + b"y" * 65536 + b"\r\n"
    starts = {
        "head": head(OPEN)[:-2],
        "one line": head(OPEN)[:-2] + b"x:",
        "trailer": head(OPEN, "transfer-encoding: chunked") + b"1\r\n[\r\n0\r\n",
        "size of a chunk": head(OPEN, "transfer-encoding: chunked") + b"1;",
    }
    codes = {}
    before = resident()
    for name, start in starts.items():
        with connected(serving.port) as caller:
            caller.sendall(start)
            pour(caller, line if name in ("head", "trailer") else line.strip(), 4000)
            codes[name] = status(caller)
    assert {code in (400, 431) for code in codes.values()} == {True}, codes
    assert resident() - before < 20 * MB


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100])
def test_w6_what_is_no_http_is_refused(serving: Serving, junk: bytes) -> None:
    with connected(serving.port) as caller:
        caller.sendall(junk + b"\r\n\r\n")
        assert status(caller) == 400


def test_w6_a_second_request_before_the_first_answer_is_left_to_be_sent_again(serving: Serving) -> None:
    one = head(OPEN, "content-length: 2") + b"[]"
    with connected(serving.port) as caller:
        caller.sendall(one * 3)
        assert answer(caller).count(b"HTTP/1.1 200") == 1
    assert serving.health()["deliveries"]["vendor/open"]["accepted"] == 1


def test_w6_five_thousand_idle_connections_stop_nobody(serve: Callable[..., Serving], database_url: str) -> None:
    serving = serve(database_url, SYNC_RECEIVER_CONNECTIONS="200")
    before = resident()
    with ExitStack() as idle:
        served = []
        for number in range(5000):
            idle.enter_context(connected(serving.port))
            if number % 1000 == 999:
                serving.client.close()
                serving.client = serving.client.__class__(base_url=serving.address, timeout=30)
                served.append(serving.post(items(number)).status_code)
        assert served == [200] * 5
        assert serving.health()["connections"] <= 200
    assert len(rows(database_url)) == 5
    assert resident() - before < 60 * MB
