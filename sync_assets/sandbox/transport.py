"""The wire: ASGI in and out, with answers that stop, dribble or break.

The non-obvious decision: a reset needs SO_LINGER 0 on the real socket, so this one module reaches through
uvicorn's `send` to the connection it belongs to; nothing else knows which server runs us.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast
from urllib.parse import parse_qsl

from sync_assets.sandbox.dialect import Answer, Request
from sync_assets.sandbox.faults import Fault

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST_BODY = 64 * 1_048_576


async def read(scope: Message, receive: Receive) -> Request:
    body = b""
    if scope["method"] not in ("GET", "HEAD"):
        more = True
        while more and len(body) < MOST_BODY:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
    raw = scope["query_string"].decode("latin-1")
    query = dict(parse_qsl(raw, keep_blank_values=True))
    headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
    return Request(scope["method"], scope["path"], raw, query, headers, body)


async def write(send: Send, answer: Answer, faults: list[Fault]) -> int:
    """Send the answer as these faults would have it; the number of body bytes that left."""
    wire = {fault.id: fault for fault in faults if fault.id != "P9"}
    for fault in faults:
        fault.strikes += 1
    body = answer.content()
    if "A4" in wire and not wire["A4"].option("after", 0):
        return await _break(send, reset=True)
    cut = wire.get("A6")
    if cut is not None and "cut" in cut.options:
        body, cut = str(cut.options["cut"]).encode(), None
    length = len(body)
    chunked = cut is not None and cut.option("with", "length") == "chunked"
    if cut is not None:
        body = body[: int(len(body) * float(cut.option("keep", 0.5)))]
    headers = [(b"content-type", answer.content_type.encode())]
    headers += [(k.encode("latin-1"), v.encode("latin-1")) for k, v in answer.headers.items()]
    if not chunked and answer.status != 204:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if "A4" in wire:
        await send(_part(body[: int(wire["A4"].options["after"])], more=True))
        await asyncio.sleep(0.01)
        return await _break(send, reset=True)
    if "A5" in wire:
        await _dribble(send, body, wire["A5"])
    elif cut is not None and not chunked:
        await send(_part(body, more=True))
        await asyncio.sleep(0.01)
        await _break(send, reset=False)
    else:
        await send(_part(body, more=False))
    return len(body)


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _dribble(send: Send, body: bytes, fault: Fault) -> None:
    step, interval = int(fault.option("bytes", 1)), float(fault.option("interval", 0.4))
    connection = cast(Any, send).__self__
    for start in range(0, len(body), step):
        if connection.disconnected:
            return
        await send(_part(body[start : start + step], more=True))
        await asyncio.sleep(interval)
    await send(_part(b"", more=False))


async def _break(send: Send, *, reset: bool) -> int:
    connection = cast(Any, send).__self__
    transport = connection.transport
    if reset:
        # The option belongs to the open connection, so setting it through a second handle is enough.
        with socket.fromfd(transport.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as handle:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    while not connection.disconnected:
        await asyncio.sleep(0.001)
    return 0
