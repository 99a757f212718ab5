"""httpx's way to the network, with a parser in C: its own takes a third of a sync's time, this one a fourth of that.

A request's read timeout is a deadline for its whole answer, headers too: a source that sends one byte now and then
would never meet one per read. Connections are used again; a closed transport ends what waits, and opens nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from select import POLLIN, poll

import certifi
import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from sync_assets.errors import SourceUnavailable, SyncError, UntrustedServer

PART = 64 * 1024
"""Bytes of an answer that are handed on at once, at most: unpacked they may be a thousand times as many."""

MOST_IDLE = 16
"""Connections to one host that are kept for later requests."""

FRAMES = {b"content-length", b"transfer-encoding"}
"""Headers that tell where an answer ends; without them it is the connection's end."""

Origin = tuple[str, str, int]


class Transport(httpx.BaseTransport):
    """Safe to use from several threads. What goes wrong on the way is one of httpx's exceptions."""

    def __init__(self, *, trust_env: bool) -> None:
        """`trust_env`: SSL_CERT_FILE and SSL_CERT_DIR may name whom to trust."""
        # httpx' client logs full addresses: some of them are secrets.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._trust_env = trust_env
        self._idle: dict[Origin, list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """For good, also where other threads still ask: their requests end as on a lost connection."""
        with self._lock:
            self._closed = True
            left = list(self._open)
        for connection in left:
            self.leave(connection)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions["timeout"]
        until = time.monotonic() + seconds["read"]
        url = request.url
        origin = url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)
        connection = self._kept(origin) or self._made(origin, min(seconds["connect"], seconds["read"]))
        try:
            status, headers = connection.ask(request, until)
        except BaseException:
            self.leave(connection)
            raise
        return httpx.Response(status, headers=headers, stream=_Body(connection, self))

    def _kept(self, origin: Origin) -> _Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None or not connection.is_over():
                return connection
            self.leave(connection)

    def _made(self, origin: Origin, seconds: float) -> _Connection:
        if self._closed:
            raise httpx.ConnectError("closed")
        connection = _Connection(origin, opened(*origin, seconds, trust_env=self._trust_env))
        with self._lock:
            if not self._closed:
                self._open.add(connection)
                return connection
        connection.end()
        raise httpx.ConnectError("closed")

    def keep(self, connection: _Connection) -> None:
        """For the next request to the same host."""
        with self._lock:
            idle = self._idle.setdefault(connection.origin, [])
            kept = not self._closed and len(idle) < MOST_IDLE
            if kept:
                idle.append(connection)
        if not kept:
            self.leave(connection)

    def leave(self, connection: _Connection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.end()


class _Connection:
    """A request and its answer at a time; each read and write may take what is left of the time."""

    def __init__(self, origin: Origin, plain: socket.socket) -> None:
        self.origin = origin
        self._socket = plain
        self._ready = poll()
        self._ready.register(plain, POLLIN)
        self._parser = HttpResponseParser(self)
        self._until = 0.0
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._bodiless = self._framed = self._whole = self._may_stay = False

    def ask(self, request: httpx.Request, until: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers of the answer. Raises httpx.HTTPError."""
        self._until = until
        self._status, self._headers, self._parts, self._whole = 0, [], [], False
        self._bodiless = request.method == "HEAD"
        self._send(_spelled(request))
        while not self._status:
            self._read()
        return self._status, self._headers

    def body(self) -> Iterator[bytes]:
        """Raises httpx.HTTPError, where it is cut short too."""
        while True:
            parts, self._parts = self._parts, []
            yield from parts
            if self._whole:
                return
            self._read()

    @property
    def is_free(self) -> bool:
        return self._whole and self._may_stay

    def is_over(self) -> bool:
        """Nobody asked for anything, so what can be read is its end."""
        return bool(self._ready.poll(0))

    def end(self) -> None:
        """Under the hands of whoever waits for it, too; closing alone would not wake them."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _send(self, told: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(told)
        except TimeoutError as e:
            raise httpx.WriteTimeout(str(e)) from e
        except OSError as e:
            raise httpx.WriteError(str(e)) from e

    def _read(self) -> None:
        try:
            self._socket.settimeout(self._left())
            told = self._socket.recv(PART)
        except TimeoutError as e:
            raise httpx.ReadTimeout(str(e)) from e
        except OSError as e:
            raise httpx.ReadError(str(e)) from e
        if not told and (self._framed or not self._status):
            raise httpx.RemoteProtocolError("cut short")
        self._whole = self._whole or not told
        try:
            self._parser.feed_data(told)
        except (HttpParserError, HttpParserUpgrade) as e:
            self._may_stay = False
            if not self._whole:
                raise httpx.RemoteProtocolError(type(e).__name__) from e

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        return left

    # What the parser has found

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []  # the answer itself is still to come
            return
        self._status = status
        self._framed = not FRAMES.isdisjoint(name.lower() for name, _ in self._headers)
        self._whole = self._bodiless  # the parser would wait for a body
        self._may_stay = not self._bodiless and self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self._whole = self._status > 0


def _spelled(request: httpx.Request) -> bytes:
    target = request.extensions.get("target") or request.url.raw_path
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), target), *map(b": ".join, request.headers.raw)]
    head = b"\r\n".join((*lines, b"", b""))
    # A line's end within a header would be the beginning of another, or of another request.
    if b" " in target or not head.count(b"\r") == head.count(b"\n") == len(lines) + 1:
        raise httpx.LocalProtocolError("an address or a header that can't be sent")
    return head + request.read()


class _Body(httpx.SyncByteStream):
    def __init__(self, connection: _Connection, transport: Transport) -> None:
        self._connection = connection
        self._transport = transport

    def __iter__(self) -> Iterator[bytes]:
        return self._connection.body()

    def close(self) -> None:
        (self._transport.keep if self._connection.is_free else self._transport.leave)(self._connection)


def opened(scheme: str, host: str, port: int, seconds: float, *, trust_env: bool) -> socket.socket:
    """Raises httpx.ConnectTimeout and httpx.ConnectError."""
    try:
        plain = socket.create_connection((host, port), seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _trusted(trust_env).wrap_socket(plain, server_hostname=host) if scheme == "https" else plain
        except BaseException:
            plain.close()
            raise
    except TimeoutError as e:
        raise httpx.ConnectTimeout(str(e)) from e
    except OSError as e:
        raise httpx.ConnectError(str(e)) from e


def _trusted(trust_env: bool) -> ssl.SSLContext:
    named = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")) if trust_env else ()
    try:
        return _authorities((*named, certifi.where()), trust_env)
    except OSError as e:
        raise ssl.SSLError("whom to trust can't be read") from e


@cache
def _authorities(_places: tuple[str | None, ...], trust_env: bool) -> ssl.SSLContext:
    """httpx's own choice among these places, whose files take 20 ms to read: once, not with each sync."""
    return httpx.create_ssl_context(trust_env=trust_env)


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """The body. httpx's own way through one that is not packed takes as long as all the rest of it."""
    stream = response.stream
    packed = "content-encoding" in response.headers
    return iter(stream) if isinstance(stream, _Body) and not packed else response.iter_bytes()


def ours(error: httpx.HTTPError, deadline: float) -> SyncError:
    """Without httpx's words, which may hold addresses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return UntrustedServer()
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return SourceUnavailable(f"no whole answer within {deadline:g} s ({type(error).__name__})")
    return SourceUnavailable(f"the connection failed ({type(error).__name__})")
