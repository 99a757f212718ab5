"""Requests and answers byte by byte; a closed transport stays closed, whoever still asks: no connection is left to the
garbage collector."""

import gzip
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from select import select
from threading import Thread
from time import sleep
from typing import Any

import httpx
import pytest

from sync_assets.errors import UntrustedServer
from sync_assets.extract import transport as module
from sync_assets.extract.transport import Transport


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


def ask(transport: Transport, listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    transport.handle_request(httpx.Request("GET", url, extensions={"timeout": httpx.Timeout(20).as_dict()}))


def test_a_closed_transport_opens_nothing(silent: socket.socket) -> None:
    transport = Transport(trust_env=False)
    transport.close()
    with pytest.raises(httpx.ConnectError):
        ask(transport, silent)
    with pytest.raises(BlockingIOError):
        silent.accept()


def test_a_connection_that_is_made_while_the_transport_closes_is_closed_with_it(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, opened = Transport(trust_env=False), module.opened

    def slowly(*place: Any, **options: Any) -> socket.socket:
        made = opened(*place, **options)
        transport.close()
        return made

    monkeypatch.setattr(module, "opened", slowly)
    with pytest.raises(httpx.ConnectError):
        ask(transport, silent)
    theirs, _ = silent.accept()
    with theirs:
        theirs.settimeout(5)
        assert theirs.recv(1) == b"", "closed, not forgotten"


def test_a_request_under_way_ends_with_its_transport(silent: socket.socket) -> None:
    transport = Transport(trust_env=False)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, transport, silent)
        select([silent], [], [], 5)
        theirs, _ = silent.accept()
        with theirs:
            theirs.settimeout(5)
            assert theirs.recv(1) == b"G", "it waits for its answer"
            transport.close()
            assert isinstance(asked.exception(timeout=5), httpx.HTTPError)


Answers = Callable[..., tuple[httpx.Request, list[bytes]]]


@pytest.fixture
def answering() -> Iterator[Answers]:
    """answering(*connections) -> a request for a server that answers each connection's requests with these bytes in
    turn and then ends it, and a list of what it was asked."""
    with ExitStack() as ends:

        def make(*connections: tuple[bytes, ...]) -> tuple[httpx.Request, list[bytes]]:
            listener = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
            asked: list[bytes] = []

            def serve() -> None:
                for answers in connections:
                    theirs, _ = listener.accept()
                    with theirs:
                        for answer in answers:
                            if not (heard := theirs.recv(65536)):
                                break
                            asked.append(heard)
                            theirs.sendall(answer)
                    asked.append(b"the end")

            thread = Thread(target=serve)
            thread.start()
            ends.callback(thread.join, 5)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/cards"
            return httpx.Request("GET", url, extensions={"timeout": httpx.Timeout(5).as_dict()}), asked

        yield make


@pytest.fixture
def transport() -> Iterator[Transport]:
    with Transport(trust_env=False) as transport:
        yield transport


def body(transport: Transport, request: httpx.Request) -> bytes:
    with closing(transport.handle_request(request)) as response:
        return b"".join(module.unpacked(response))


ONE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\non\r\n1\r\ne\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        ONE,
        CHUNKED,
        b"HTTP/1.1 200 OK\r\n\r\none",
        b"HTTP/1.0 200 OK\r\n\r\none",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ONE,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 23\r\n\r\n" + gzip.compress(b"one", mtime=0),
    ],
    ids=["length", "chunks", "until the end", "of old", "after a hint", "packed"],
)
def test_an_answer_is_read_whole_however_its_end_is_told(
    answering: Answers, transport: Transport, answer: bytes
) -> None:
    request, _ = answering((answer,))
    assert body(transport, request) == b"one"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nServer: ", ONE[:-1], CHUNKED[:-2], CHUNKED[:-8], b"what?\r\n"]
)
def test_an_answer_that_is_cut_short_is_none(answering: Answers, transport: Transport, answer: bytes) -> None:
    request, _ = answering((answer,))
    with pytest.raises(httpx.RemoteProtocolError):
        body(transport, request)


def test_a_connection_is_used_again_until_it_ends(answering: Answers, transport: Transport) -> None:
    request, asked = answering((ONE, CHUNKED), (ONE,))
    assert [body(transport, request) for _ in range(2)] == [b"one", b"one"]
    assert len([a for a in asked if a.startswith(b"GET")]) == 2
    while len(asked) < 3:
        sleep(0.001)
    assert asked[2] == b"the end", "of the connection by which both came"
    assert body(transport, request) == b"one"


@pytest.mark.parametrize(
    "answer", [ONE + b"two", ONE.replace(b"OK", b"OK\r\nConnection: close")], ids=["more than asked", "told to end"]
)
def test_a_connection_that_cannot_be_trusted_with_more_is_left(
    answering: Answers, transport: Transport, answer: bytes
) -> None:
    request, _ = answering((answer, ONE.replace(b"one", b"not")), (ONE,))
    assert body(transport, request) == b"one"
    assert body(transport, request) == b"one"


def test_whoever_asks_for_headers_alone_waits_for_nothing_else(answering: Answers, transport: Transport) -> None:
    request, asked = answering((ONE[:-3],))
    request.method = "HEAD"
    assert body(transport, request) == b""
    assert asked[0].startswith(b"HEAD /cards HTTP/1.1\r\nHost: ")


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {"Authorization": "Bearer a\r\nX: b"}},
        {"headers": {"Authorization": "Bearer a\nX: b"}},
        {"extensions": {"target": b"/a HTTP/1.1\r\nX: b"}},
        {"extensions": {"target": b"/a b"}},
    ],
)
def test_a_header_cannot_bring_another(transport: Transport, change: dict[str, Any]) -> None:
    limits = {"timeout": httpx.Timeout(5).as_dict()}
    request = httpx.Request(
        "GET", "http://127.0.0.1:1", **change | {"extensions": limits | change.get("extensions", {})}
    )
    with pytest.raises(httpx.HTTPError) as refused:
        module._spelled(request)
    assert isinstance(refused.value, httpx.LocalProtocolError)


def test_one_byte_now_and_then_does_not_last_for_ever(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            theirs, _ = listener.accept()
            with theirs, suppress(OSError):
                for byte in ONE[:-1]:
                    theirs.sendall(bytes([byte]))
                    sleep(0.02)

        thread = Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        request = httpx.Request("GET", url, extensions={"timeout": httpx.Timeout(0.3).as_dict()})
        with pytest.raises(httpx.ReadTimeout):
            body(transport, request)
        transport.close()
        thread.join(5)


def test_an_authority_that_cannot_be_read_proves_nothing(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
    with Transport(trust_env=True) as transport, pytest.raises(httpx.ConnectError) as refused:
        transport.handle_request(httpx.Request("GET", url, extensions={"timeout": httpx.Timeout(5).as_dict()}))
    assert isinstance(module.ours(refused.value, 5), UntrustedServer)
