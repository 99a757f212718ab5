"""Kommo's paths in one table: method, pattern, handler.

The non-obvious decision: no record is deleted by any of them, as in v4 itself; people delete, and a test does it on the
company.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, Request
from sync_assets.sandbox.kommo import notes, reads, subscriptions, writes

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.api import Kommo

Handler = Callable[..., Answer]

_ENTITY, _KIND = r"/(?P<kind>leads|contacts|companies)", r"/(?P<kind>leads|contacts|companies|tasks)"
_ID = r"/(?P<id>\d+)"


def _events(api: "Kommo", request: Request, **named: Any) -> Answer:
    return reads.one(api, request, "events", named["id"]) if named else reads.listed(api, request, "events")


ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        ("GET", "/account", reads.account),
        ("GET", "/users", reads.users),
        ("GET", f"/users{_ID}", reads.user),
        ("GET", "/leads/pipelines", reads.pipelines),
        ("GET", f"/leads/pipelines{_ID}", reads.pipeline),
        ("GET", f"/leads/pipelines{_ID}/statuses", reads.statuses),
        ("GET", rf"/leads/pipelines{_ID}/statuses/(?P<status>\d+)", reads.status),
        ("GET", "/leads/loss_reasons", reads.loss_reasons),
        ("GET", f"{_ENTITY}/custom_fields", reads.custom_fields),
        ("GET", f"{_ENTITY}/custom_fields{_ID}", reads.custom_field),
        ("GET", f"{_ENTITY}/tags", reads.tags),
        ("GET", f"{_ENTITY}{_ID}/links", reads.links),
        ("GET", f"{_ENTITY}/notes", notes.listed),
        ("POST", f"{_ENTITY}/notes", notes.add),
        ("GET", f"{_ENTITY}{_ID}/notes", notes.listed),
        ("POST", f"{_ENTITY}{_ID}/notes", notes.add),
        ("GET", "/events", _events),
        ("GET", "/events/(?P<id>[0-9a-z]{26})", _events),
        ("GET", "/webhooks", subscriptions.listed),
        ("POST", "/webhooks", subscriptions.post),
        ("DELETE", "/webhooks", subscriptions.delete),
        ("GET", _KIND, reads.listed),
        ("GET", f"{_KIND}{_ID}", reads.one),
        ("POST", "/leads/complex", writes.complex),
        ("POST", _KIND, writes.create),
        ("PATCH", _KIND, writes.update),
        ("PATCH", f"{_KIND}{_ID}", writes.update_one),
        ("POST", f"{_ENTITY}{_ID}/(?P<verb>link|unlink)", writes.link),
    )
)
