"""A4, A5, A9: connections that fail or lie about who they are, answers that take for ever or swell."""

import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sync_assets.errors import CallVendor, SourceUnavailable, SyncError, UntrustedServer
from sync_assets.extract import http
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import assert_recovered, failed
from sync_assets_tests.faults.trap import certificate, dribble, trap

CURRENT_USER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def asked(company: Company) -> SyncError | None:
    """What one request ends in."""
    with company.connected() as connection:
        try:
            connection.door.ask("/users/current", {})
        except SyncError as e:
            return e
    return None


@pytest.mark.parametrize("after", [0, 300], ids=["before the answer", "inside the body"])
def test_a4_a_reset_connection_is_asked_again(company: Company, after: int) -> None:
    company.sandbox.faults.set("A4", path="/tags", times=2, after=after)
    assert company.synced("full", only="tags")["tags"].totals["requests"] == 3
    company.sandbox.faults.set("A4", path="/tags", after=after)
    failed(company.sync("full", only="tags"), "tags", SourceUnavailable)
    assert_recovered(company)


def test_a4_a_closed_port_is_tried_as_often_as_allowed(make_company: Callable[..., Company]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    company = make_company(KAITEN_API_URL=f"http://127.0.0.1:{port}")
    error = company.sync("full", only="tags")["tags"]
    assert isinstance(error, SourceUnavailable) and "ConnectError" in error.what


def test_a4_a_name_that_does_not_resolve_is_an_outage(make_company: Callable[..., Company]) -> None:
    error = asked(make_company(KAITEN_API_URL="https://no-such-company.invalid"))
    assert isinstance(error, SourceUnavailable)


@pytest.mark.parametrize(
    ("name", "days", "trusted"),
    [
        ("127.0.0.1", (-1, 2), True),
        ("127.0.0.1", (-1, 2), False),
        ("other.test", (-1, 2), True),
        ("127.0.0.1", (-9, -2), True),
    ],
    ids=["good", "self-signed", "name mismatch", "expired"],
)
def test_a4_tls_is_never_retried_and_never_bypassed(
    make_company: Callable[..., Company],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    days: tuple[int, int],
    trusted: bool,
) -> None:
    cert, context = certificate(tmp_path, name, days=days)
    if trusted:
        monkeypatch.setattr("certifi.where", lambda: str(cert))
    with trap(lambda s: s.sendall(CURRENT_USER), context) as server:
        error = asked(make_company(KAITEN_API_URL=f"https://127.0.0.1:{server.port}"))
    if trusted and name == "127.0.0.1" and days[1] > 0:
        assert error is None
        return
    assert isinstance(error, UntrustedServer)
    assert len(server.knocks) == 1, "it was tried again"
    assert not any(b"Bearer" in knock for knock in server.knocks)


def test_a5_an_answer_that_dribbles_meets_a_total_deadline(make_company: Callable[..., Company]) -> None:
    company = make_company(SYNC_REQUEST_SECONDS="0.4", SYNC_RETRIES="2")
    company.sandbox.faults.set("A5", path="/tags", bytes=1, interval=0.05)
    started = time.monotonic()
    error = failed(company.sync("full", only="tags"), "tags", SourceUnavailable)
    assert time.monotonic() - started < 2.5
    assert "within 0.4 s" in error.what
    assert_recovered(company)


def test_a5_headers_that_dribble_meet_the_same_deadline(make_company: Callable[..., Company]) -> None:
    endless = b"HTTP/1.1 200 OK\r\n" + b"x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 20
    with trap(dribble(endless, 0.05, stop_after=4)) as server:
        company = make_company(
            KAITEN_API_URL=f"http://127.0.0.1:{server.port}", SYNC_REQUEST_SECONDS="0.4", SYNC_RETRIES="2"
        )
        started = time.monotonic()
        error = asked(company)
        assert time.monotonic() - started < 2.5
    assert isinstance(error, SourceUnavailable)


def test_a5_a_server_that_says_nothing_meets_it_too(make_company: Callable[..., Company]) -> None:
    with trap(lambda s: time.sleep(1.5)) as server:
        company = make_company(
            KAITEN_API_URL=f"http://127.0.0.1:{server.port}", SYNC_REQUEST_SECONDS="0.3", SYNC_RETRIES="2"
        )
        assert isinstance(asked(company), SourceUnavailable)


def test_a9_a_bomb_is_refused_before_it_fills_the_memory(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 16 * 1024 * 1024)
    company.synced("full", only="tags")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    company.sandbox.faults.set("A9", path="/card-types", mb=400)
    done = company.sync("full", only=["card_types", "users"])
    assert "larger than 16 MB" in failed(done, "card_types", CallVendor).what
    assert not isinstance(done["users"], Exception)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"
    assert_recovered(company)
