"""Kommo's webhooks over its API: one row per address, listed, posted, deleted.

The non-obvious decision: whether a second POST replaces or adds settings, and whether it wakes an address that was
disabled, is documented nowhere and so is a switch.
"""

from typing import TYPE_CHECKING

from sync_assets.sandbox.dialect import Answer, Request, encode
from sync_assets.sandbox.kommo import errors, reads, writes
from sync_assets.sandbox.kommo.errors import ApiError
from sync_assets.sandbox.kommo.webhooks import MOST_HOOKS, SETTINGS

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.api import Kommo


def listed(api: "Kommo", request: Request) -> Answer:
    wanted = request.query.get("filter[destination]")
    rows = [api.webhooks.row(hook) for hook in api.webhooks.hooks.values() if wanted in (None, hook.url)]
    return reads.whole(request, "webhooks", rows)


def post(api: "Kommo", request: Request) -> Answer:
    body = writes.given(request)
    if not isinstance(body, dict) or not str(body.get("destination") or "").startswith(("http://", "https://")):
        raise errors.invalid([("0", errors.no_choice("destination").error)])
    settings = body.get("settings")
    if not isinstance(settings, list) or not settings or not SETTINGS.issuperset(settings):
        raise errors.invalid([("0", errors.no_choice("settings").error)])
    hooks = api.webhooks
    if len(hooks.hooks) >= MOST_HOOKS and all(hook.url != body["destination"] for hook in hooks.hooks.values()):
        raise ApiError(400, f"An account has at most {MOST_HOOKS} webhooks")
    hook = hooks.posted(body["destination"], settings, int(body.get("sort") or 1))
    return reads.single(encode(hooks.row(hook)))


def delete(api: "Kommo", request: Request) -> Answer:
    body = writes.given(request)
    url = body.get("destination") if isinstance(body, dict) else None
    found = [id for id, hook in api.webhooks.hooks.items() if hook.url == url]
    if not found:
        raise ApiError(404, "Webhook not found")
    del api.webhooks.hooks[found[0]]
    return Answer(204, b"")
