"""What rules and sequences may do: a closed list of actions, checked where they are written.

    {do: set_status, status: 142, pipeline: 3412}    {do: set_field, field: price, value: 100}
    {do: add_tag, tag: vip}                          {do: assign, user: after.created_by}
    {do: create_task, text: "Call {{contact.name}}", due: 1d, assign: after.responsible_user_id}
    {do: add_note, text: "..."}                      {do: push_order_status, order: after.custom_fields.7, status: paid}
    {do: start_sequence, key: after_sale}            {do: stop_sequence, key: after_sale}
    {do: http_post, url: "https://...", body: {...}} {do: log, text: "..."}

`user`, `assign` and `order` are numbers, or paths that lead to one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sync_assets.addresses import safe_url
from sync_assets.automation.document import Node
from sync_assets.automation.fields import STEP
from sync_assets.automation.templates import PLACE, Template, path_of, template, tree
from sync_assets.errors import UnsafeSetting

STATUSES = (
    "new", "confirmed", "paid", "in_work", "ready", "in_delivery", "completed", "cancelled", "refunded", "problem",
)  # fmt: skip
"""Our words for where an order stands, as `sync.order_status` has them."""

KOMMO = ("set_status", "set_field", "add_tag", "assign", "create_task", "add_note")
"""What is done to a record of Kommo."""

PEOPLE = ("leads", "contacts", "companies")
ON = {"set_status": ("leads",), "add_tag": PEOPLE, "add_note": PEOPLE, "create_task": PEOPLE}
"""The entities of Kommo that an action is for; all that rules see, where nothing is said."""

OWN_FIELDS = ("name", "first_name", "last_name", "price", "loss_reason_id", "text", "complete_till", "is_completed")
"""What set_field sets by its name; whatever else it names is a custom field, by its id or code."""

CUSTOM = "custom_fields."

Parse = Callable[[Node], Mapping[str, Any]]


@dataclass(frozen=True)
class Action:
    do: str
    given: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    line: int = 0


def parse_action(
    node: Node,
    *,
    system: str | None = None,
    entity: str | None = None,
    hosts: Collection[str] | None = None,
    beside: Collection[str] = (),
) -> Action:
    """`system` and `entity`: of the record that it is done to, and `hosts`: what http_post may call, where known.

    `beside` names what may stand with it and is somebody else's. Raises BadAutomation with the line of what is wrong.
    """
    if not isinstance(node.value, dict) or "do" not in node.value:
        raise node.wrong("an action says what to do: {do: add_tag, tag: vip}")
    do = node.value["do"].one_of(tuple(PARSERS))
    own = {name: inner for name, inner in node.value.items() if name == "do" or name not in beside}
    if system not in (None, "kommo") and do in KOMMO:
        raise node.value["do"].wrong(f"{do} is done to records of kommo, and this one is of {system}")
    if entity is not None and entity not in ON.get(do, (entity,)):
        raise node.value["do"].wrong(f"{do} is done to {', '.join(ON[do])}, and not to {entity}")
    given = PARSERS[do](Node(own, node.file, node.line))
    if do == "http_post" and hosts is not None and (host := urlsplit(given["url"]).netloc) not in hosts:
        raise node.value["url"].wrong(f"{host} is not in SYNC_HTTP_ALLOW")
    return Action(do, given, node.file, node.line)


def _set_status(node: Node) -> Mapping[str, Any]:
    parts = node.mapping(required=["do", "status"], optional=["pipeline"])
    return {name: parts[name].whole(least=1) for name in ("status", "pipeline") if name in parts}


def _set_field(node: Node) -> Mapping[str, Any]:
    parts = node.mapping(required=["do", "field", "value"])
    named = parts["field"]
    name = (str(named.value) if isinstance(named.value, int) else named.text()).removeprefix(CUSTOM)
    if not STEP.fullmatch(name):
        raise named.wrong("a field is named by its own name, or by the id or code of a custom field")
    return {"field": name if name in OWN_FIELDS else CUSTOM + name, "value": tree(parts["value"])}


def _add_tag(node: Node) -> Mapping[str, Any]:
    parts = node.mapping(required=["do", "tag"])
    parts["tag"].text()
    return {"tag": template(parts["tag"])}


def _assign(node: Node) -> Mapping[str, Any]:
    return {"user": _person(node.mapping(required=["do", "user"])["user"])}


def _create_task(node: Node) -> Mapping[str, Any]:
    parts = node.mapping(required=["do", "text"], optional=["due", "assign", "type"])
    return {
        "text": template(parts["text"]),
        "due": parts["due"].duration() if "due" in parts else Node("1d", node.file, node.line).duration(),
        "assign": _person(parts["assign"]) if "assign" in parts else None,
        "type": parts["type"].whole(least=1) if "type" in parts else 1,
    }


def _text(node: Node) -> Mapping[str, Any]:
    return {"text": template(node.mapping(required=["do", "text"])["text"])}


def _push_order_status(node: Node) -> Mapping[str, Any]:
    parts = node.mapping(required=["do", "status"], optional=["order", "account"])
    return {
        "status": parts["status"].one_of(STATUSES),
        "order": _person(parts["order"]) if "order" in parts else None,
        "account": parts["account"].key() if "account" in parts else None,
    }


def _sequence(node: Node) -> Mapping[str, Any]:
    return {"key": node.mapping(required=["do", "key"])["key"].key()}


def _http_post(node: Node) -> Mapping[str, Any]:
    parts = node.mapping(required=["do", "url"], optional=["body"])
    url = parts["url"].text()
    if PLACE.search(url):
        raise parts["url"].wrong("an address is written out: what belongs to the record goes into the body")
    try:
        safe_url(url, setting="url")
    except UnsafeSetting as e:
        raise parts["url"].wrong(e.what) from None
    if "body" in parts and not isinstance(parts["body"].value, dict):
        raise parts["body"].wrong("a body is a mapping")
    return {"url": url, "body": tree(parts["body"]) if "body" in parts else {}}


def _person(node: Node) -> int | Template:
    """A number, or a path that leads to one."""
    if isinstance(node.value, int):
        return node.whole(least=1)
    text = node.text()
    return template(node) if "{{" in text else Template(("", path_of(node, text), ""))


PARSERS: Mapping[str, Parse] = {
    "set_status": _set_status,
    "set_field": _set_field,
    "add_tag": _add_tag,
    "assign": _assign,
    "create_task": _create_task,
    "add_note": _text,
    "push_order_status": _push_order_status,
    "start_sequence": _sequence,
    "stop_sequence": _sequence,
    "http_post": _http_post,
    "log": _text,
}
