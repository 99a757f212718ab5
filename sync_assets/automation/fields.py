"""What a path names in a record: `status_id`, `_embedded.contacts.0.id`, `tags`, `custom_fields.PHONE`.

A path that leads nowhere names nothing (None); a record's own words are never taken for a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sync_assets.automation.document import Node

Record = Mapping[str, Any]
Path = tuple[str, ...]

SIDES = ("before", "after", "current")
"""The record before the change, after it, and as it is stored now."""

STEP = re.compile(r"[A-Za-z0-9_]{1,100}")
LONGEST = 12


def field_path(node: Node) -> tuple[str, Path]:
    """The side and the path of `after.status_id`. Raises BadAutomation."""
    side, _, rest = node.text().partition(".")
    if side not in SIDES or not rest:
        raise node.wrong(f"{node.text()[:60]!r} is no field: begin with {', '.join(f'{s}.' for s in SIDES)}")
    path = tuple(rest.split("."))
    if len(path) > LONGEST or not all(STEP.fullmatch(step) for step in path):
        raise node.wrong(f"{node.text()[:60]!r} is no field: names of letters, digits and _, with dots between them")
    return side, path


def value_at(record: Record | None, path: Path) -> Any:
    """Tags are their names; a custom field, by its id or code, is its value, or the list of its values."""
    if record is None or not path:
        return None
    if path[0] == "custom_fields" and "custom_fields" not in record:
        return _custom(record, path[1]) if len(path) == 2 else None
    if path == ("tags",):
        return tags(record)
    found: Any = record
    for step in path:
        match found:
            case Mapping():
                found = found.get(step)
            case list() if step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            case _:
                return None
    return found


def tags(record: Record) -> list[str]:
    """The names of a record's tags, wherever its source puts them."""
    held = record.get("tags")
    if held is None and isinstance(embedded := record.get("_embedded"), Mapping):
        held = embedded.get("tags")
    listed = held if isinstance(held, list) else []
    named = (tag.get("name") if isinstance(tag, Mapping) else tag for tag in listed)
    return [str(name) for name in named if name is not None]


def contact_id(record: Record | None) -> Any:
    """Whom a record is about, where it says: its main contact, the only one, or the first."""
    embedded = (record or {}).get("_embedded")
    contacts = embedded.get("contacts") if isinstance(embedded, Mapping) else None
    held = [c for c in contacts if isinstance(c, Mapping)] if isinstance(contacts, list) else []
    main = next((c for c in held if c.get("is_main")), held[0] if held else {})
    return main.get("id")


def _custom(record: Record, name: str) -> Any:
    fields = record.get("custom_fields_values")
    for field in fields if isinstance(fields, list) else ():
        if isinstance(field, Mapping) and name in (str(field.get("field_id")), field.get("field_code")):
            values = field.get("values")
            held = [v.get("value") for v in values if isinstance(v, Mapping)] if isinstance(values, list) else []
            return held[0] if len(held) == 1 else held or None
    return None
