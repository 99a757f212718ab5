"""A closed transport stays closed, whoever still asks: no connection is left to the garbage collector."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from select import select

import httpcore
import httpx
import pytest

from sync_assets.extract.deadline import Transport


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


def test_a_connection_that_is_made_while_the_transport_closes_is_closed_with_it(silent: socket.socket) -> None:
    transport = Transport(trust_env=False)

    class Slow(httpcore.SyncBackend):
        def connect_tcp(self, *args: object, **options: object) -> httpcore.NetworkStream:
            stream = super().connect_tcp(*args, **options)  # type: ignore[arg-type]
            transport.close()
            return stream

    transport._backend._backend = Slow()
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
