"""What may be written to Kommo: a record's status, fields, tags and owner, and tasks and notes about it.

Setting is idempotent and goes in batches; whoever changed a field since it was decided to set it wins. Creating is not,
so each task and note leaves alone and bears a marker, by which it is looked up after an unknown result; as Kommo's
lists lag, one that is not shown counts as never made only after a while.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from sync_assets.errors import NotFound, RecordGone, RecordRejected, SyncError
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import MALFORMED
from sync_assets.operation import (
    Agrees,
    Conflict,
    Held,
    Impossible,
    Letter,
    Looked,
    Operation,
    Outbound,
    Verdict,
    Wait,
    Write,
    Yields,
)
from sync_assets.systems.kommo.api import Invalid
from sync_assets.systems.kommo.entities import RECENTLY, WITH
from sync_assets.systems.kommo.reads import Pages

AT_ONCE = 50
"""Records of one PATCH: Kommo takes 250, and advises no more than this."""

CUSTOM, TAG = "custom_fields.", "tags."
"""How payloads name a custom field, by its id or code, and a tag: `custom_fields.PHONE`, `tags.vip`."""

OWN = {
    "leads": ("name", "price", "status_id", "pipeline_id", "loss_reason_id", "responsible_user_id"),
    "contacts": ("name", "first_name", "last_name", "responsible_user_id"),
    "companies": ("name", "responsible_user_id"),
    "tasks": ("text", "complete_till", "is_completed", "responsible_user_id"),
}
"""A record's own fields that may be set."""

TOGETHER = ("pipeline_id", "status_id")
"""Mean something only as a pair: the same status stands in several pipelines."""

MARKER = "marker"
Writes = Sequence[tuple[Letter, Mapping[str, Any]]]


class _Custom(msgspec.Struct):
    field_id: int = 0
    field_code: str | None = None
    values: list[dict[str, Any]] = []


class _Made(msgspec.Struct):
    id: int


# Setting.


def judge_set(letter: Letter, held: Held | None, _known: Sequence[tuple[Any, ...]]) -> Verdict:
    current = (held or Held({})).values
    if unknown := [n for n in letter.payload if not _settable(letter.entity, n)]:
        return Impossible(f"{unknown[0][:60]} of {letter.entity} cannot be set. Next: correct the rule")
    different = {n: value for n, value in letter.payload.items() if not _same(current.get(n), value)}
    if set(different) & set(TOGETHER):
        different |= {n: letter.payload[n] for n in TOGETHER if n in letter.payload}
    moved = [n for n in different if n in letter.base and not _same(current.get(n), letter.base[n])]
    if not different:
        return Agrees()
    if not moved:
        return Write(different)
    first = moved[0]
    base, theirs = letter.base[first], current.get(first)
    conflict = Conflict(first, _text(base), _text(theirs), str(different[first]), "theirs", "the source changed it too")
    lost = {*moved, *(TOGETHER if set(moved) & set(TOGETHER) else ())}
    rest = {n: value for n, value in different.items() if n not in lost}
    return Write(rest, conflict) if rest else Yields(conflict)


def look(fetch: Fetch, letters: Sequence[Letter]) -> Looked:
    """The records as their lists show them, which is how they are mirrored."""
    found: dict[int, Held | SyncError] = {}
    for entity, own in _by_entity(letters):
        asked: dict[str, str | int] = {f"filter[id][{n}]": letter.key for n, letter in enumerate(own)}
        params = {"with": WITH[entity]} if entity in WITH else {}
        read = Pages(f"/{entity}", params=params, at=f"_embedded.{entity}", shape="record")
        page, _ = read.one(fetch, asked, f"/{entity} by id")
        for letter in own:
            if letter.key not in page.keys:
                found[letter.id] = RecordGone("its list does not show it")
                continue
            of_it = replace(page, records=[page.records[page.keys.index(letter.key)]], keys=[letter.key])
            try:
                found[letter.id] = Held(_values(msgspec.json.decode(of_it.records[0]), letter), of_it)
            except (*MALFORMED, msgspec.ValidationError, AttributeError, TypeError):
                found[letter.id] = RecordRejected("its record is not as Kommo's API has it", page=page.name)
    return found


def patch(reach: Any, writes: Writes) -> dict[int, SyncError | Held | None]:
    """One request for all records of a kind, and as many again as records were refused: each is named by Kommo."""
    answers: dict[int, SyncError | Held | None] = {}
    for entity, own in _by_entity([letter for letter, _ in writes]):
        fields = {letter.id: its for letter, its in writes}
        left = list(own)
        while left:
            body = [_patch_of(letter, fields[letter.id]) for letter in left]
            try:
                reach.send("PATCH", f"/{entity}", json.dumps(body).encode())
                break
            except Invalid as e:
                refused = [letter for letter in left if str(letter.id) in e.refusals] or left
                answers |= {x.id: RecordRejected(f"Kommo: {e.refusals.get(str(x.id), e.what)}") for x in refused}
                left = [letter for letter in left if letter.id not in answers]
    return answers


def _patch_of(letter: Letter, fields: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"id": int(letter.key), "request_id": str(letter.id)}
    for name, value in fields.items():
        if name.startswith(TAG):
            body.setdefault("tags_to_add", []).append({"name": name.removeprefix(TAG)})
        elif name.startswith(CUSTOM):
            field = name.removeprefix(CUSTOM)
            which = {"field_id": int(field)} if field.isdigit() else {"field_code": field}
            values = value if isinstance(value, list) else [value]
            given = None if value is None else [{"value": one} for one in values]
            body.setdefault("custom_fields_values", []).append(which | {"values": given})
        else:
            body[name] = value
    return body


def _settable(entity: str, name: str) -> bool:
    marked = entity != "tasks" and name.startswith((TAG, CUSTOM))
    return marked or name in OWN.get(entity, ())


def _values(record: dict[str, Any], letter: Letter) -> dict[str, Any]:
    """What the record holds where the letter wants something, spelled as it is wanted where it is the same."""
    tags = {tag.get("name") for tag in (record.get("_embedded") or {}).get("tags") or ()}
    customs = msgspec.convert(record.get("custom_fields_values") or [], list[_Custom])
    found: dict[str, Any] = {}
    for name, wanted in letter.payload.items():
        if name.startswith(TAG):
            found[name] = name.removeprefix(TAG) in tags
        elif name.startswith(CUSTOM):
            found[name] = _custom(customs, name.removeprefix(CUSTOM))
        else:
            found[name] = record.get(name)
        if _same(found[name], wanted):
            found[name] = wanted
    return found


def _custom(customs: Sequence[_Custom], field: str) -> Any:
    own = next((c for c in customs if field in (str(c.field_id), c.field_code)), None)
    values = [value.get("value") for value in own.values] if own else []
    return values[0] if len(values) == 1 else values or None


def _same(one: Any, other: Any) -> bool:
    """Kommo answers numbers as texts, too, and knows no order among several values."""
    if isinstance(one, list) or isinstance(other, list):
        left, right = (value if isinstance(value, list) else [value] for value in (one, other))
        return sorted(map(str, left)) == sorted(map(str, right))
    return bool(one == other) or (None not in (one, other) and str(one).lower() == str(other).lower())


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _by_entity(letters: Sequence[Letter]) -> Iterator[tuple[str, list[Letter]]]:
    for entity in dict.fromkeys(letter.entity for letter in letters):
        yield entity, [letter for letter in letters if letter.entity == entity]


# Creating.


def judge_made(letter: Letter, held: Held | None, _known: Sequence[tuple[Any, ...]]) -> Verdict:
    if held is not None and held.values.get(MARKER):
        return Agrees()
    if letter.sent is not None and (ago := letter.sent_seconds or 0.0) < RECENTLY:
        return Wait(RECENTLY - ago + 1, "it was sent, and Kommo's lists may show it late")
    fields = {**letter.payload, "text": f"{letter.payload['text']} {letter.marker}", MARKER: letter.marker}
    return Write(fields)


def look_for_task(fetch: Fetch, letters: Sequence[Letter]) -> Looked:
    return {letter.id: _sought(fetch, letter, "tasks", "/tasks") for letter in letters}


def look_for_note(fetch: Fetch, letters: Sequence[Letter]) -> Looked:
    return {letter.id: _sought(fetch, letter, "notes", f"/{letter.entity}/{letter.key}/notes") for letter in letters}


def _sought(fetch: Fetch, letter: Letter, kind: str, path: str) -> Held | SyncError:
    """Whether the record's tasks or notes show the marker. What never left needs no look."""
    if letter.sent is None:
        return Held({MARKER: None})
    params: dict[str, str | int] = {}
    if kind == "tasks":
        params = {"filter[entity_type]": letter.entity, "filter[entity_id]": letter.key, "order[id]": "desc"}
    wanted = letter.marker.encode()
    read = Pages(path, at=f"_embedded.{kind}", shape="record")
    try:
        for page in read.numbered(fetch, params, f"{path} of {letter.entity} {letter.key}"):
            for key, record in zip(page.keys, page.records, strict=True):
                if wanted in bytes(record):
                    return Held({"id": key, MARKER: letter.marker})
    except NotFound:
        return RecordGone("its list is not there")
    return Held({MARKER: None})


def make_tasks(reach: Any, writes: Writes) -> dict[int, SyncError | Held | None]:
    return {letter.id: _made(reach, letter, fields, "tasks", "/tasks") for letter, fields in writes}


def make_notes(reach: Any, writes: Writes) -> dict[int, SyncError | Held | None]:
    return {letter.id: _made(reach, letter, fields, "notes", f"/{letter.entity}/notes") for letter, fields in writes}


def _made(reach: Any, letter: Letter, fields: Mapping[str, Any], kind: str, path: str) -> SyncError | Held | None:
    own = {name: value for name, value in fields.items() if name != MARKER}
    body = {"entity_id": int(letter.key), "request_id": str(letter.id)}
    body |= own | {"entity_type": letter.entity} if kind == "tasks" else {"note_type": "common", "params": own}
    try:
        answer = reach.send("POST", path, json.dumps([body]).encode())
    except Invalid as e:
        return RecordRejected(f"Kommo: {e.refusals.get(str(letter.id), e.what)}")
    try:
        rows = msgspec.json.decode(answer.body, type=dict[str, Any])["_embedded"][kind]
        (made,) = msgspec.convert(rows, list[_Made])
    except (*MALFORMED, msgspec.ValidationError, KeyError, TypeError, ValueError):
        return None
    return Held({"id": made.id, MARKER: fields[MARKER]})


_SET = partial(Operation, entity="leads", judge=judge_set, write=patch, look=look, coalesces=True, at_once=AT_ONCE)
_MAKE = partial(Operation, entity="leads", judge=judge_made, at_once=1)

OUTBOUND = Outbound(
    "action_push",
    operations=(
        _SET("set_status"),
        _SET("set_field"),
        _SET("add_tag"),
        _SET("assign"),
        # One request each: of a batch that gets no answer every task would be in doubt.
        _MAKE("create_task", write=make_tasks, look=look_for_task),
        _MAKE("add_note", write=make_notes, look=look_for_note),
    ),
    parents=("leads", "contacts", "companies", "tasks"),
    doc="What rules and sequences do (statuses, fields, tags, owners, tasks, notes), written to Kommo.",
)
