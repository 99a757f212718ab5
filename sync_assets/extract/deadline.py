"""A deadline for a request as a whole: each read and write of its connection may take what is left of it.

httpx's own timeouts are per read: a source that sends one byte now and then, in its headers too, would never meet them.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import certifi
import httpcore
import httpx

_here = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The requests of this thread end within so many seconds, or raise httpx.TimeoutException."""
    _here.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _here.until = None


class Transport(httpx.HTTPTransport):
    """Whoever makes one has silenced httpx too, which logs full addresses: some of them are secrets."""

    def __init__(self, *, trust_env: bool, **options: Any) -> None:
        for noisy in ("httpx", "httpcore"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        named = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")) if trust_env else ()
        super().__init__(verify=_authorities((*named, certifi.where()), trust_env), **options)
        self._backend = self._pool._network_backend = _Backend()

    def close(self) -> None:
        """For good, also where other threads still ask: their requests end as on a lost connection."""
        self._backend.close()
        super().close()


@cache
def _authorities(_places: tuple[str | None, ...], trust_env: bool) -> ssl.SSLContext:
    """httpx's own choice among these places, whose files take 20 ms to read: once, not with each sync."""
    return httpx.create_ssl_context(trust_env=trust_env)


class _Backend(httpcore.NetworkBackend):
    """Knows what it opened: a pool forgets the connections that were being made while it closed."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()
        self._open: set[_Stream] = set()
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            streams = list(self._open)
        for stream in streams:
            stream.end()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        if self._closed:
            raise httpcore.ConnectError("closed")
        timeout = _left(timeout, httpcore.ConnectTimeout)
        inner = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        stream = _Stream(inner, self._open.discard)
        with self._lock:
            if not self._closed:
                self._open.add(stream)
                return stream
        stream.close()
        raise httpcore.ConnectError("closed")

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, closed: Callable[[_Stream], None]) -> None:
        self._stream = stream
        self._closed = closed

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._closed(self)
        self._stream.close()

    def end(self) -> None:
        """Closes it under the hands of whoever waits for it, and wakes them: closing alone would not."""
        with suppress(OSError):
            self.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = _left(timeout, httpcore.ConnectTimeout)
        try:
            self._stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            self.close()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    until = getattr(_here, "until", None)
    if until is None:
        return timeout
    left: float = until - time.monotonic()
    if left <= 0:
        raise late
    return left if timeout is None else min(timeout, left)
