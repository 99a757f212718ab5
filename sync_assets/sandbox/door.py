"""The ASGI side of one system: a request is logged, counted, answered under the world's lock, and sent.

The non-obvious decision: what an answer must ask elsewhere first (`Answer.later`) is asked after the lock is released,
so a vendor that tries a webhook's address never keeps the others waiting.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox import transport
from sync_assets.sandbox.dialect import Answer, System

if TYPE_CHECKING:
    from sync_assets.sandbox.server import Sandbox


@dataclass(slots=True)
class Entry:
    """One line of the request log."""

    monotonic: float
    time: float
    system: str
    method: str
    path: str
    query: dict[str, str]
    status: int = 0
    bytes: int = 0
    body: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Door:
    def __init__(self, sandbox: Sandbox, system: System) -> None:
        self._sandbox, self._system = sandbox, system

    async def __call__(self, scope: transport.Message, receive: transport.Receive, send: transport.Send) -> None:
        sandbox, system = self._sandbox, self._system
        request = await transport.read(scope, receive)
        entry = Entry(time.monotonic(), time.time(), system.name, request.method, request.path, dict(request.query))
        entry.body = request.body.decode("utf-8", "replace")
        throttle = sandbox.admit(entry, request)
        if sandbox.latency:
            await asyncio.sleep(sandbox.latency)
        try:
            with sandbox.world.lock:
                answer = sandbox.answer(system, request, throttle)
        except Exception:
            # A bug of the sandbox must not look like a fault of the vendor.
            logging.getLogger(__name__).exception("the sandbox failed on %s", request.path)
            answer = Answer(500, b"bug in the sandbox", content_type="text/plain")
        if answer.later is not None:
            answer = await answer.later()
        wire = sandbox.faults.aimed("wire", system.name, request)
        moment = sandbox.world.clock.peek()
        for fault in wire:
            if fault.id == "P9":
                moment = moment.fromtimestamp(moment.timestamp() + float(fault.option("skew", 600)), moment.tzinfo)
        answer.headers["date"] = format_datetime(moment, usegmt=True)
        entry.status = answer.status
        entry.bytes = await transport.write(send, answer, wire)
