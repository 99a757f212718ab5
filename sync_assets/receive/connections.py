"""Connections that are bounded in number, time and what they may send before a body.

uvicorn waits for ever for a request's head and body. Here the clock of a request runs from its first byte (of a new
connection from its opening) to the last of its body; of too many connections the one that has waited for longest
without a whole request is closed, so that thousands of idle ones stop nobody. One that is whole is never cut off.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sync_assets.receive.counts import BROKEN, NO_ROOM, STRANGER, TOO_LARGE, TOO_SLOW, Counts

OVERHEAD_BYTES = 32 * 2**10
"""What may come without a byte of body: the head, or the frames and trailers of chunks."""

TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_MUCH = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
NOT_HTTP = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Crowd:
    """All connections of one receiver; those without a whole request stand in line, the longest waiting first."""

    def __init__(self, *, most: int, seconds: float, counts: Counts) -> None:
        self.most = most
        self.seconds = seconds
        self.counts = counts
        self.connections = 0
        self.line: OrderedDict[BoundedProtocol, None] = OrderedDict()

    def make_room(self) -> None:
        if self.connections > self.most and self.line:
            longest, _ = self.line.popitem(last=False)
            self.counts.add(STRANGER, NO_ROOM)
            longest.transport.abort()


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, config: uvicorn.Config, state: ServerState, crowd: Crowd) -> None:
        super().__init__(config, state, {})
        self._crowd = crowd
        self._clock: asyncio.TimerHandle | None = None
        self._overhead = 0
        self._begun = False  # a request has, and is not whole yet
        self._piped = False  # a second request came before the first was answered; only that one is

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._crowd.connections += 1
        self._wait()
        self._crowd.make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.connections -= 1
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._piped or self.transport.is_closing():
            return
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > OVERHEAD_BYTES:
            self._end(TOO_MUCH, TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        self._end(NOT_HTTP, BROKEN)

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._piped = True
            self.cycle.keep_alive = False
            return
        super().on_message_begin()
        self._begun = True
        self._wait()

    def on_url(self, url: bytes) -> None:
        if not self._piped:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is none of ours.
        if not self._piped and (self.cycle is None or self.cycle.response_complete):
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._piped:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._piped:
            self._overhead = 0
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._piped:
            self._begun = False
            self._stop_waiting()
            super().on_message_complete()
            if self.cycle.response_complete:
                self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._overhead = 0
            self._wait()

    def _wait(self) -> None:
        self._stop_waiting()
        self._crowd.line[self] = None
        self._clock = self.loop.call_later(self._crowd.seconds, self._too_late)

    def _stop_waiting(self) -> None:
        self._crowd.line.pop(self, None)
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_late(self) -> None:
        if self._begun:
            self._end(TIMEOUT, TOO_SLOW)
        else:
            self.transport.close()

    def _end(self, answer: bytes, reason: str) -> None:
        """Answers, unless an answer is under way, and closes."""
        if self.transport.is_closing():
            return
        self._crowd.counts.add(STRANGER, reason)
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(answer)
        self.transport.close()


def protocol_of(app: Any, state: ServerState, crowd: Crowd) -> Any:
    """A factory of connections for `loop.create_server`."""
    config = uvicorn.Config(
        app, lifespan="off", access_log=False, log_config=None, log_level="critical", ws="none", proxy_headers=False,
        server_header=False, date_header=False, interface="asgi3", timeout_keep_alive=int(crowd.seconds) + 1,
    )  # fmt: skip
    config.load()
    return lambda: BoundedProtocol(config, state, crowd)
