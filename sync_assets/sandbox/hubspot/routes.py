"""HubSpot's paths in one table: method, pattern, handler, and the scope that it takes.

The non-obvious decision: dated versions (/crm/objects/2026-03/...) are second spellings of the same rows, so a client
can move to them without the sandbox noticing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, Request
from sync_assets.sandbox.hubspot import associations, objects, portal, writes
from sync_assets.sandbox.hubspot.names import OWNERS_SCOPE

if TYPE_CHECKING:
    from sync_assets.sandbox.hubspot.api import HubSpot

Handler = Callable[..., Answer]

_KIND, _TO = r"(?P<kind>[^/]+)", r"(?P<to>[^/]+)"
_DATED = r"2026-0[39]"
_OBJECTS = rf"/crm/(?:v3/objects|objects/(?:v3|{_DATED}))"
_LINKED = rf"/crm/(?:(?P<version>v[34])/objects|objects/{_DATED})/{_KIND}/(?P<id>[^/]+)/associations"
_LINKS = rf"/crm/(?:v4/associations|associations/(?:v4|{_DATED}))/{_KIND}/{_TO}"
_PROPERTIES = rf"/crm/(?:v3/properties|properties/{_DATED})"
_PIPELINES = rf"/crm/(?:v3/pipelines|pipelines/{_DATED})"
_OWNERS = rf"/crm/(?:v3/owners|owners/{_DATED})"


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    # "read" or "write" on the kinds in the path, or a scope by name.
    right: str


def _route(method: str, pattern: str, handler: Handler, right: str = "read") -> Route:
    return Route(method, re.compile(pattern), handler, right)


def _unversioned(handler: Handler) -> Handler:
    def called(api: "HubSpot", request: Request, version: str, **named: Any) -> Answer:
        del version
        return handler(api, request, **named)

    return called


ROUTES = (
    _route("GET", rf"{_OBJECTS}/{_KIND}", objects.listed),
    _route("POST", rf"{_OBJECTS}/{_KIND}/search", objects.searched),
    _route("POST", rf"{_OBJECTS}/{_KIND}/batch/read", objects.batch_read),
    _route("GET", rf"{_OBJECTS}/{_KIND}/(?P<id>[^/]+)", objects.one),
    _route("GET", rf"{_LINKED}/{_TO}", associations.listed),
    _route("POST", rf"{_LINKS}/batch/read", associations.batch_read),
    _route("GET", rf"{_LINKS}/labels", associations.labels),
    _route("GET", _OWNERS, portal.owners, OWNERS_SCOPE),
    _route("GET", rf"{_OWNERS}/(?P<id>\d+)", portal.owner, OWNERS_SCOPE),
    _route("GET", rf"{_PIPELINES}/{_KIND}", portal.pipelines),
    _route("GET", rf"{_PIPELINES}/{_KIND}/(?P<id>[^/]+)", portal.pipeline),
    _route("GET", rf"{_PIPELINES}/{_KIND}/(?P<id>[^/]+)/stages", portal.stages),
    _route("GET", rf"{_PROPERTIES}/{_KIND}", portal.properties),
    _route("GET", rf"{_PROPERTIES}/{_KIND}/(?P<name>[^/]+)", portal.one_property),
    _route("GET", r"/account-info/v3/details", portal.details),
    _route("GET", r"/account-info/v3/api-usage/daily/private-apps", portal.usage),
    _route("POST", r"/oauth/v2/private-apps/get/access-token-info", portal.token),
    _route("GET", r"/calling/v1/dispositions", portal.dispositions),
    _route("POST", rf"{_OBJECTS}/{_KIND}", writes.create, "write"),
    _route("POST", rf"{_OBJECTS}/{_KIND}/merge", writes.merge, "write"),
    _route("POST", rf"{_OBJECTS}/{_KIND}/gdpr-delete", writes.gdpr_delete, "write"),
    _route("POST", rf"{_OBJECTS}/{_KIND}/batch/create", writes.batch_create, "write"),
    _route("POST", rf"{_OBJECTS}/{_KIND}/batch/update", writes.batch_update, "write"),
    _route("POST", rf"{_OBJECTS}/{_KIND}/batch/archive", writes.batch_archive, "write"),
    _route("PATCH", rf"{_OBJECTS}/{_KIND}/(?P<id>[^/]+)", writes.update, "write"),
    _route("DELETE", rf"{_OBJECTS}/{_KIND}/(?P<id>[^/]+)", writes.archive, "write"),
    _route(
        "PUT",
        _LINKED.replace("/associations", "/associations/default") + rf"/{_TO}/(?P<other>\d+)",
        _unversioned(writes.associate),
        "write",
    ),
    _route("PUT", rf"{_LINKED}/{_TO}/(?P<other>\d+)", _unversioned(writes.label), "write"),
    _route("DELETE", rf"{_LINKED}/{_TO}/(?P<other>\d+)", _unversioned(writes.dissociate), "write"),
)
