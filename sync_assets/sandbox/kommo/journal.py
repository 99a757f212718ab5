"""The journal behind GET /events: who changed what, when, and what it was before.

Promise: one event for each change a person would see in a card's feed, never altered afterwards. The non-obvious
decision: ids are ULIDs of world time, and within one millisecond count upwards, so they sort as the events came.
"""

import random
from typing import Any

from sync_assets.sandbox.dialect import Record
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID, SINGULAR, Thing

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # pragma: allowlist secret
# Own field -> the event that tells of its change, and how it wraps a value.
CHANGES: dict[str, tuple[str, str, str]] = {
    "price": ("sale_field_changed", "sale_field_value", "sale"),
    "name": ("name_field_changed", "name_field_value", "name"),
    "responsible_user_id": ("entity_responsible_changed", "responsible_user", "id"),
    "complete_till": ("task_deadline_changed", "task_deadline", "timestamp"),
    "text": ("task_text_changed", "task", "text"),
}


class Journal:
    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.events: dict[str, Thing] = {}
        self._last = (0, 0)

    def write(
        self,
        type: str,
        kind: str,
        id: int,
        at: int,
        by: int,
        before: list[Record] | None = None,
        after: list[Record] | None = None,
    ) -> None:
        """`at` in milliseconds."""
        noise = self._last[1] + 1 if at == self._last[0] else self._dice.getrandbits(79)
        self._last, ulid = (at, noise), _ulid(at, noise)
        event: Record = {
            "id": ulid,
            "type": type,
            "entity_id": id,
            "entity_type": SINGULAR[kind],
            "created_by": by,
            "created_at": at // 1000,
            "value_after": after or [],
            "value_before": before or [],
            "account_id": ACCOUNT_ID,
        }
        self.events[ulid] = Thing(ulid, event)

    def compare(self, kind: str, before: Thing, after: Thing, at: int, by: int) -> None:
        """All the events between two versions of one record."""
        old, new, id = before.fields, after.fields, before.id
        stage = [_stage(fields) for fields in (old, new)]
        if stage[0] != stage[1]:
            self.write("lead_status_changed", kind, id, at, by, [stage[0]], [stage[1]])
        for name, (type, wrap, inner) in CHANGES.items():
            if old.get(name) != new.get(name):
                values = ([{wrap: {inner: fields[name]}}] for fields in (old, new))
                self.write(type, kind, id, at, by, *values)
        if new.get("is_completed") and not old.get("is_completed"):
            self.write("task_completed", kind, id, at, by)
        for field in sorted({*before.values, *after.values}):
            one, two = before.values.get(field, []), after.values.get(field, [])
            if one != two:
                both = ([_text(field, value) for value in values] for values in (one, two))
                self.write(f"custom_field_{field}_value_changed", kind, id, at, by, *both)

    def sort(self) -> None:
        """After seeding, whose history was not written in its order."""
        self.events = dict(sorted(self.events.items()))


def _stage(fields: Record) -> Record:
    return (
        {"lead_status": {"id": fields["status_id"], "pipeline_id": fields["pipeline_id"]}} if "price" in fields else {}
    )


def _text(field: int, value: Record) -> Record:
    shown: Any = value["value"]
    own = {"field_id": field, "enum_id": value.get("enum_id"), "text": shown if isinstance(shown, str) else str(shown)}
    return {"custom_field_value": own}


def _ulid(at: int, noise: int) -> str:
    number = (at << 80) | noise
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
