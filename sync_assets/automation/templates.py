"""Texts with `{{paths}}` in them. Only what is listed can be named, and no word of a record is ever taken for a path.

    {{after.price}}  {{contact.name}}  {{sequence.name}}

A path that leads nowhere leaves nothing in a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sync_assets.automation.document import Node
from sync_assets.automation.fields import SIDES, Path, Record, field_path, value_at

PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

CONTACT = "contact"
"""The main contact of the record, as it is stored."""

WORDS = ("account", "entity", "key", "event.id", "event.kind", "rule.key", "rule.name", "sequence.key", "sequence.name")

LONGEST = 10_000
"""Characters of a text once it is filled in."""

Named = tuple[str, Path]


@dataclass(frozen=True)
class Scope:
    """What paths are looked up in."""

    sides: Mapping[str, Record | None]
    words: Mapping[str, Any]
    contact: Callable[[], Record | None]

    def value(self, named: Named) -> Any:
        side, path = named
        if side == CONTACT:
            return value_at(self.contact(), path)
        return value_at(self.sides.get(side), path) if path else self.words.get(side)


@dataclass(frozen=True)
class Template:
    """Literal text and paths in turn; the first is text."""

    parts: tuple[str | Named, ...]

    def text(self, scope: Scope) -> str:
        return "".join(part if isinstance(part, str) else said(scope.value(part)) for part in self.parts)[:LONGEST]

    def value(self, scope: Scope) -> Any:
        """What the one path of a text that is nothing else names, as it is; else the text."""
        paths = [part for part in self.parts if not isinstance(part, str)]
        if len(paths) == 1 and not any(part for part in self.parts if isinstance(part, str)):
            return scope.value(paths[0])
        return self.text(scope)


def said(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() if not any(isinstance(item, dict | list) for item in value):
            return ", ".join(map(said, value))
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def path_of(node: Node, text: str) -> Named:
    """Raises BadAutomation for a path that is not on the list."""
    if text in WORDS:
        return text, ()
    head = text.partition(".")[0]
    if head == CONTACT:
        _, path = field_path(Node(f"{SIDES[0]}{text.removeprefix(CONTACT)}", node.file, node.line))
        return CONTACT, path
    if head in SIDES:
        return field_path(Node(text, node.file, node.line))
    known = ", ".join([*(f"{side}." for side in (*SIDES, CONTACT)), *WORDS])
    raise node.wrong(f"{text[:60]!r} cannot be named here; what can: {known}")


def template(node: Node) -> Template:
    """Of a text, a number or a flag. Raises BadAutomation."""
    if isinstance(node.value, dict | list) or node.value is None:
        raise node.wrong("a text belongs here")
    text = said(node.value)
    parts: list[str | Named] = []
    at = 0
    for match in PLACE.finditer(text):
        parts += [text[at : match.start()], path_of(node, match[1])]
        at = match.end()
    rest = text[at:]
    if "{{" in rest or "}}" in rest:
        raise node.wrong("a place begins with {{ and ends with }}")
    return Template((*parts, rest))


def tree(node: Node) -> Any:
    """A value of any shape with templates for its texts. Raises BadAutomation."""
    match node.value:
        case dict():
            return {name: tree(inner) for name, inner in node.value.items()}
        case list():
            return [tree(inner) for inner in node.value]
        case str():
            return template(node)
        case _:
            return node.value


def filled(value: Any, scope: Scope) -> Any:
    """A `tree` with its templates filled in."""
    match value:
        case Template():
            return value.value(scope)
        case dict():
            return {name: filled(inner, scope) for name, inner in value.items()}
        case list():
            return [filled(inner, scope) for inner in value]
        case _:
            return value
