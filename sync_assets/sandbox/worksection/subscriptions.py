"""The actions that list, add and delete webhooks.

The non-obvious decision: add_webhook answers only after the new address did, and asks it outside the world's lock, so
that an address that is slow keeps nobody else waiting.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, Record, of_json
from sync_assets.sandbox.worksection.failures import FailureError, Parameters, needed
from sync_assets.sandbox.worksection.webhooks import EVENTS

if TYPE_CHECKING:
    from sync_assets.sandbox.worksection.api import Worksection


def _get(ws: "Worksection", _given: Parameters) -> list[Record]:
    return ws.webhooks.rows()


def _add(ws: "Worksection", given: Parameters) -> Answer:
    url, events = needed(given, "url"), frozenset(needed(given, "events").split(","))
    if unknown := events - EVENTS:
        raise FailureError(11, "Invalid events", ",".join(sorted(unknown)))
    names = {"http_user": "user", "http_pass": "password"}
    secrets = {name: given[field] for field, name in names.items() if given.get(field)}
    projects = tuple(filter(None, given.get("projects", "").split(",")))

    async def tried() -> Answer:
        hooks = ws.webhooks
        reply = await asyncio.wrap_future(hooks.ring(hooks.trial(url, secrets), hooks.timeout))
        if not hooks.accepts(reply.status, reply.body):
            return FailureError(11, "Invalid URL", f"{url} must answer with status OK").answer()
        hook = hooks.register(url, events, projects, secrets)
        return of_json({"status": "ok", "id": hook.id})

    return Answer(later=tried)


def _delete(ws: "Worksection", given: Parameters) -> None:
    id = needed(given, "id")
    if not id.isdigit() or ws.webhooks.hooks.pop(int(id), None) is None:
        raise FailureError(10, "WebHook not found")


WEBHOOK_ACTIONS: dict[str, Callable[["Worksection", Parameters], Any]] = {
    "get_webhooks": _get,
    "add_webhook": _add,
    "delete_webhook": _delete,
}
