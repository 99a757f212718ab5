"""What happens to one request: bounded, recognised, kept, answered.

Whoever is not recognised gets one and the same empty 401, be it for an unknown address, a wrong method or a wrong
signature, and always after the body was read, up to one limit for all: so no answer tells a stranger an account that is
here from one that is not. A 404 would say it. Nothing of a request is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path
from starlette.types import Message, Receive, Scope, Send

from sync_assets.load.inbox import Accepted, accepted
from sync_assets.receive.counts import ACCEPTED, EVENTS, FAILED, FORGED, NO_ROOM, STRANGER, TOO_LARGE, UNKNOWN, Counts
from sync_assets.receive.inbox import Inbox, SpoolBrokenError, SpoolFullError
from sync_assets.receive.routes import Route, Routes
from sync_assets.webhook import Delivery, Endpoint, Event

log = logging.getLogger("sync_assets.receive")

HELD_BYTES = 64 * 2**20
"""Bodies in memory, all requests together."""
LARGE = 64 * 2**10
"""Bytes of a body that is read in a thread of its own, so that the others need not wait for it."""
CLOSE = {"connection": "close"}
"""What was not read to its end cannot be followed by another request."""

Clock = Callable[[], datetime]


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Door:
    """The ASGI application of every address but /health and /health/live."""

    def __init__(self, routes: Routes, inbox: Inbox, counts: Counts, *, address: str, clock: Clock) -> None:
        """`address`: what vendors call us by, up to the path."""
        self._routes = routes
        self._most = max([Endpoint.body, *(route.endpoint.body for route in routes)])
        self._inbox = inbox
        self._counts = counts
        self._address = address
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=UTC)
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.find(scope["path"]) if scope["method"] == "POST" else None
        label = route.label if route else STRANGER
        try:
            response = await self._response(route, scope, receive)
        except _Refused as e:
            self._counts.add(label, e.reason)
            response = Response(status_code=e.status, headers=CLOSE if e.status == 413 else None)
        except (SpoolFullError, SpoolBrokenError):
            self._counts.add(label, NO_ROOM)
            response = Response(status_code=503, headers=CLOSE | {"retry-after": "30"})
        except Exception as e:  # noqa: BLE001  its text may hold what the request held
            log.error("%s: a request failed with %s. Next: open an issue with this line", label, type(e).__name__)
            self._counts.add(label, FAILED)
            response = Response(status_code=500)
        if response is not None:
            await response(scope, receive, send)

    async def _response(self, route: Route | None, scope: Scope, receive: Receive) -> Response | None:
        """None: the caller is gone."""
        body = bytearray()
        try:
            most = route.endpoint.body if route else 0
            came = await self._read(body, most, scope, receive)
            if came is None:
                return None
            if route is None:
                raise _Refused(401, UNKNOWN)
            if came > most:
                raise _Refused(401, TOO_LARGE)
            delivery = self._delivery(scope, bytes(body))
            if len(body) > LARGE:
                events = await asyncio.to_thread(self._events, route, delivery)
            else:
                events = self._events(route, delivery)
            if events:
                await self._inbox.keep(events)
        finally:
            self.held -= len(body)
        self._counts.add(route.label, ACCEPTED)
        self._counts.add(route.label, EVENTS, len(events))
        kind = route.endpoint.content_type if route.endpoint.answer else None
        return Response(route.endpoint.answer, media_type=kind)

    async def _read(self, body: bytearray, most: int, scope: Scope, receive: Receive) -> int | None:
        """How many bytes came, of which up to `most` are kept; None where the caller went away before the end. Raises
        _Refused as soon as a body is larger than any may be, or all that are kept are too large together."""
        headers = dict(scope["headers"])
        if int(headers.get(b"content-length", b"0")) > self._most:
            raise _Refused(413, TOO_LARGE)
        came = 0
        while True:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk: bytes = message.get("body", b"")
            came += len(chunk)
            if came > self._most:
                raise _Refused(413, TOO_LARGE)
            if came <= most:
                body += chunk
                self.held += len(chunk)
            if self.held > HELD_BYTES:
                raise SpoolFullError
            if not message.get("more_body", False):
                return came

    def _delivery(self, scope: Scope, body: bytes) -> Delivery:
        headers: dict[str, str] = {}
        for raw, text in scope["headers"]:
            name, value = raw.decode("latin-1"), text.decode("latin-1")
            # A repeated header is a list, as HTTP has it: no one signature is that.
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        url = self._address + scope["raw_path"].decode("latin-1") + query
        # No two deliveries bear the same time: by it a replayed one is known.
        self._last = max(self._clock(), self._last + timedelta(microseconds=1))
        return Delivery(url, headers, body, self._last)

    def _events(self, route: Route, delivery: Delivery) -> list[Accepted]:
        """Raises _Refused where it is not from whom it says. What cannot be read is an event that says so."""
        endpoint = route.endpoint
        try:
            authentic = endpoint.authentic(delivery)
        except Exception as e:  # noqa: BLE001  what a stranger sent must not raise, and its text must not be logged
            log.error("%s: a signature cannot be checked (%s)", route.label, type(e).__name__)
            authentic = False
        if not authentic:
            raise _Refused(401, FORGED)
        events: list[Event] = []
        try:
            events += endpoint.events(delivery)
        except Exception as e:  # noqa: BLE001  as above
            log.error("%s: a delivery cannot be read (%s). Next: see sync-assets inbox", route.label, type(e).__name__)
            events.append(Event("unreadable", payload=delivery.body, problem=f"it cannot be read: {type(e).__name__}"))
        received = delivery.received
        return [
            accepted(event, account=route.account, system=route.system, endpoint=endpoint.name, received=received)
            for event in events
        ]


def application(door: Door, health: Callable[[], Awaitable[dict[str, Any]]], refusing: Callable[[], bool]) -> Starlette:
    """`health` answers what GET /health shows: all of it to callers of this machine, to others its `status` alone.
    GET /health/live tells no more than whether webhooks are `refusing`."""

    async def tell(request: Request) -> Response:
        said = await health()
        near = request.client is not None and request.client.host in ("127.0.0.1", "::1")
        passed_on = {"forwarded", "x-forwarded-for"} & set(request.headers)
        shown = said if near and not passed_on else {"status": said["status"]}
        return JSONResponse(shown, status_code=200 if said["status"] == "ok" else 503)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "refusing"}, 503) if refusing() else JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Path("/health", tell, methods=["GET"]),
            Path("/health/live", live, methods=["GET"]),
            Path("/{path:path}", door),
        ]
    )
