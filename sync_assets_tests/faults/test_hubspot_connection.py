"""A3, A4, A5, A11, A12 for HubSpot, whose reads are POSTs too: what passes is asked again, what does not is named."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sync_assets.errors import (
    BadCredentials,
    CallVendor,
    Forbidden,
    SourceUnavailable,
    SyncError,
    Throttled,
    UntrustedServer,
)
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import assert_recovered, failed
from sync_assets_tests.faults.trap import certificate, dribble, trap

CONTACTS = "/crm/v3/objects/contacts"
LONG_AGO = datetime(2006, 1, 1, tzinfo=UTC)
SEARCH: dict[str, Any] = {"kind": "selective", "since": LONG_AGO}

POSTS = [
    pytest.param(f"{CONTACTS}/search", "contacts", SEARCH, id="search"),
    pytest.param("/crm/v4/associations/calls/contacts/batch/read", "call_associations", {"kind": "full"}, id="links"),
    pytest.param(f"{CONTACTS}/batch/read", "contacts", {"kind": "selective", "ids": ("1",)}, id="batch"),
]


def knock(company: Company, body: bytes | None = b"{}") -> SyncError:
    """What one read ends in."""
    with company.connected("hubspot") as connection, pytest.raises(SyncError) as told:
        connection.door.ask(f"{CONTACTS}/search", {}, body=body)
    return told.value


@pytest.mark.parametrize(("path", "entity", "request_"), POSTS)
@pytest.mark.parametrize("after", [0, 40], ids=["before the answer", "inside the body"])
def test_a4_a_read_by_post_is_asked_again_after_a_reset(
    grown: Company, path: str, entity: str, request_: dict[str, Any], after: int
) -> None:
    fault = grown.sandbox.faults.set("A4", system="hubspot", path=f"{path}$", times=2, after=after)
    grown.synced(account="hubspot", only=entity, **request_)
    assert fault.strikes == 2
    bodies = [e for e in grown.sandbox.requests if e.path == path]
    assert len(bodies) >= 3 and {e.method for e in bodies} == {"POST"}
    assert_recovered(grown, "hubspot", only=entity)


@pytest.mark.parametrize(("path", "entity", "request_"), POSTS)
def test_a4_a_source_that_resets_every_read_fails_that_entity_alone(
    grown: Company, path: str, entity: str, request_: dict[str, Any]
) -> None:
    grown.sandbox.faults.set("A4", system="hubspot", path=f"{path}$")
    done = grown.sync(account="hubspot", only=[entity], **request_)
    assert "the connection failed" in failed(done, entity, SourceUnavailable).what
    assert not isinstance(grown.sync("full", "hubspot", "deals")["deals"], SyncError)
    assert_recovered(grown, "hubspot", only=entity)


@pytest.mark.parametrize("body", [None, b"{}"], ids=["GET", "POST"])
def test_a4_a_closed_port_is_an_outage(make_company: Callable[..., Company], body: bytes | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = knock(make_company(HUBSPOT_API_URL=f"http://127.0.0.1:{port}"), body)
    assert isinstance(error, SourceUnavailable) and "ConnectError" in error.what


@pytest.mark.parametrize("body", [None, b"{}"], ids=["GET", "POST"])
def test_a4_tls_is_never_retried_and_never_bypassed(
    make_company: Callable[..., Company], tmp_path: Path, body: bytes | None
) -> None:
    _, context = certificate(tmp_path, "127.0.0.1")
    with trap(lambda s: s.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), context) as server:
        error = knock(make_company(HUBSPOT_API_URL=f"https://127.0.0.1:{server.port}"), body)
    assert isinstance(error, UntrustedServer)
    assert len(server.knocks) == 1, "it was tried again"
    assert not any(b"Bearer" in said for said in server.knocks)


@pytest.mark.parametrize(("path", "entity", "request_"), POSTS)
def test_a5_an_answer_to_a_post_that_dribbles_meets_the_total_deadline(
    make_company: Callable[..., Company], grown: Company, path: str, entity: str, request_: dict[str, Any]
) -> None:
    company = make_company(grown.sandbox, database_url=grown.database_url, SYNC_REQUEST_SECONDS="0.5", SYNC_RETRIES="2")
    company.sandbox.faults.set("A5", system="hubspot", path=f"{path}$", bytes=1, interval=0.05)
    error = failed(company.sync(account="hubspot", only=[entity], **request_), entity, SourceUnavailable)
    assert "no whole answer within 0.5 s" in error.what
    company.sandbox.faults.clear()
    assert_recovered(grown, "hubspot", only=entity)


def test_a5_a_server_that_takes_the_body_and_dribbles_headers_meets_it_too(
    make_company: Callable[..., Company],
) -> None:
    endless = b"HTTP/1.1 200 OK\r\n" + b"x-filler: aaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 20
    with trap(dribble(endless, 0.05, stop_after=3)) as server:
        company = make_company(
            HUBSPOT_API_URL=f"http://127.0.0.1:{server.port}", SYNC_REQUEST_SECONDS="0.4", SYNC_RETRIES="1"
        )
        assert "within 0.4 s" in knock(company).what


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 521, 522, 523, 524])
def test_a3_a_page_of_html_from_the_front_is_an_outage_that_passes(grown: Company, status: int) -> None:
    for path, request in ((f"{CONTACTS}$", {"kind": "full"}), ("contacts/search$", SEARCH)):
        fault = grown.sandbox.faults.set("A3", system="hubspot", path=path, times=2, status=status)
        grown.synced(account="hubspot", only="contacts", **request)
        assert fault.strikes == 2
    grown.sandbox.faults.set("A3", system="hubspot", path=f"{CONTACTS}$", status=status)
    error = failed(grown.sync("full", "hubspot", "contacts"), "contacts", SourceUnavailable)
    assert f"the source answers {status}" in error.what
    assert_recovered(grown, "hubspot", only="contacts")


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(525, CallVendor, "(525)"), (526, CallVendor, "(526)"), (530, BadCredentials, "(530)")],
)
def test_a3_what_no_retry_mends_is_asked_once(grown: Company, status: int, kind: type[SyncError], words: str) -> None:
    fault = grown.sandbox.faults.set("A3", system="hubspot", path=f"{CONTACTS}$", status=status)
    error = failed(grown.sync("full", "hubspot", "contacts"), "contacts", kind)
    assert words in error.what and fault.strikes == 1
    assert_recovered(grown, "hubspot", only="contacts")


def test_a3_a_refused_token_is_asked_about_once_for_all_entities(grown: Company) -> None:
    fault = grown.sandbox.faults.set("A3", system="hubspot", status=530)
    done = grown.sync("full", "hubspot")
    assert all("refuses the token (530)" in failed(done, name, BadCredentials).what for name in done) and len(done) > 5
    assert fault.strikes == 1
    assert_recovered(grown, "hubspot")


def test_a12_a_url_that_is_too_long_is_named_and_not_tried_again(grown: Company) -> None:
    fault = grown.sandbox.faults.set("A12", system="hubspot", path="/crm/v3/owners$", url_bytes=20)
    done = grown.sync("full", "hubspot")
    error = failed(done, "owners", CallVendor)
    assert "(414)" in error.what and error.where["endpoint"] == "/crm/v3/owners"
    assert fault.strikes == 1
    assert [name for name, o in done.items() if isinstance(o, SyncError)] == ["owners"]
    assert_recovered(grown, "hubspot")


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ("crm.objects.owners.read", {"owners"}),
        ("crm.objects.deals.read", {"deals", "pipelines"}),
    ],
)
def test_a11_a_missing_scope_names_itself_and_stops_nobody_else(grown: Company, scope: str, stopped: set[str]) -> None:
    before = {e.name: grown.count(e.name, "hubspot") for e in grown.accounts["hubspot"].entities}
    grown.sandbox.faults.set("A11", system="hubspot", scope=scope)
    done = grown.sync("full", "hubspot")
    assert {name for name, o in done.items() if isinstance(o, SyncError)} == stopped
    for name in stopped:
        error = failed(done, name, Forbidden)
        assert scope in error.what and "Scopes" in error.next_step
    assert before == {name: grown.count(name, "hubspot") for name in before}, "nothing went for want of a right"
    assert_recovered(grown, "hubspot")


def test_a2_a_retry_after_that_is_a_date_is_kept(make_company: Callable[..., Company]) -> None:
    body = json.dumps({"status": "error", "message": "being migrated", "category": "MIGRATION_IN_PROGRESS"})
    late = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 500))
    said = f"HTTP/1.1 477 Moving\r\nretry-after: {late}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    with trap(lambda s: s.sendall(said.encode())) as server:
        error = knock(make_company(HUBSPOT_API_URL=f"http://127.0.0.1:{server.port}"))
    assert isinstance(error, Throttled) and "the account is being moved: " in error.what
    assert 490 < float(error.what.split(": ")[1].split()[0]) <= 500
