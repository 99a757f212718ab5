"""The control port: the world's truth, its life, its faults and its request log over HTTP.

The non-obvious decision: it answers in its own envelope-free JSON and knows no vendor, so it is the one
oracle that tests, the demo and a human with curl share.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError

from sync_assets.sandbox import transport
from sync_assets.sandbox.dialect import Answer, Request, decode, of_json, of_rows

if TYPE_CHECKING:
    from sync_assets.sandbox.server import Sandbox


class Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: transport.Message, receive: transport.Receive, send: transport.Send) -> None:
        request = await transport.read(scope, receive)
        try:
            # Elsewhere, since a burst or a day of life would keep every API waiting.
            answer = await asyncio.to_thread(self._answer, request)
        except (ValueError, TypeError, KeyError, TimeoutError, MsgspecError) as error:
            answer = of_json({"error": str(error)}, 400)
        await transport.write(send, answer, [])

    def _answer(self, request: Request) -> Answer:
        sandbox = self._sandbox
        given: dict[str, Any] = decode(request.body) if request.body else {}
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["_health"]:
                return of_json({"status": "ok", "seed": sandbox.world.seed, "systems": list(sandbox.world.systems)})
            case "GET", ["_world", system]:
                return of_json(list(sandbox.world.system(system).entities()))
            case "GET", ["_world", system, entity]:
                return of_rows(sandbox.world.truth_rows(system, entity))
            case "POST", ["_world", "advance"]:
                sandbox.world.advance(int(given.get("steps", 1)))
                return of_json({"revisions": {n: s.revision for n, s in sandbox.world.systems.items()}})
            case "POST", ["_world", "clock"]:
                sandbox.world.clock.advance(float(given["seconds"]))
                return of_json({"now": sandbox.world.clock.peek().isoformat()})
            case "GET", ["_requests"]:
                wanted = request.query.get("system")
                return of_json([e.as_dict() for e in sandbox.requests if wanted in (None, e.system)])
            case "GET", ["_violations"]:
                return of_json([e.as_dict() for e in sandbox.violations])
            case "GET", ["_faults"]:
                return of_json([_fault(fault) for fault in sandbox.faults.active()])
            case "POST", ["_faults"]:
                return of_json(_fault(sandbox.faults.set(given.pop("id"), **given)))
            case "GET", ["_webhooks"]:
                return of_json(sandbox.webhooks.as_dict(int(request.query.get("since", 0))))
            case "GET", ["_webhooks", "changes"]:
                return of_json(sandbox.webhooks.listed_changes(int(request.query.get("since", 0))))
            case "GET", ["_webhooks", "counts"]:
                return of_json(sandbox.webhooks.counts())
            case "POST", ["_webhooks"]:
                hook = sandbox.webhooks.register(given.pop("system"), given.pop("url"), **given)
                return of_json({"id": hook.id})
            case "POST", ["_webhooks", "speed"]:
                sandbox.webhooks.speed = float(given["factor"])
                return of_json({"factor": sandbox.webhooks.speed})
            case "POST", ["_webhooks", "burst"]:
                return of_json(sandbox.webhooks.burst(given["system"], int(given["events"]), int(given["records"])))
            case "POST", ["_webhooks", "settled"]:
                sandbox.webhooks.settled(float(given.get("timeout", 10)))
                return of_json({"deliveries": len(sandbox.webhooks.deliveries)})
            case "DELETE", ["_webhooks"]:
                id = request.query.get("id")
                sandbox.webhooks.remove(request.query["system"], int(id) if id else None)
                return of_json({"removed": True})
            case "DELETE", ["_faults"]:
                sandbox.faults.clear(request.query.get("id"))
                return of_json({"faults": len(sandbox.faults.active())})
        return of_json({"error": f"no {request.method} {request.path} here"}, 404)


def _fault(fault: Any) -> dict[str, Any]:
    names = ("id", "system", "path", "times", "options", "strikes")
    return {name: getattr(fault, name) for name in names} | {"title": fault.kind.title}
