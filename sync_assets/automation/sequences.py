"""A sequence as its file has it: whom it begins with, what ends it, when it may act, and its steps.

    key: after_sale
    name: After sale
    source: kommo                    # and entity: lead, where nothing is said
    enrol: {on: rule}                # or on: {event: stage_changed, to: 142}, with a condition `when`
    re_enrol: never                  # never | after_finish | replace
    exit: [{field: after.status_id, op: equals, value: 143}]
    window: {tz: Europe/Moscow, hours: "09:00-19:00", days: mon-fri}
    catch_up: {skip_after: 3d}
    on_error: stop                   # or continue
    steps:
      - {delay: 2d, do: create_task, text: "Ask for a review",
         only_if: {field: current.status_id, op: equals, value: 142}}

A delay is time that passes, not days of a calendar. A version is a hash of what the file says, so a run finds its own
again in Postgres, whatever the file says by then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sync_assets.automation.action_forms import Action, parse_action
from sync_assets.automation.conditions import ALWAYS, Condition, Some, parse_condition
from sync_assets.automation.document import Node, documents
from sync_assets.automation.events import WORDS
from sync_assets.automation.subjects import Subject, subject_of
from sync_assets.automation.window import Window, parse_window
from sync_assets.errors import BadAutomation

FOLDER = "sequences"

ReEnrol = Literal["never", "after_finish", "replace"]
EVENTS = tuple(word for word in WORDS if word != "deleted")
"""Of what may happen to a record, what a sequence can begin with."""

PARTS = ("source", "entity", "re_enrol", "exit", "window", "catch_up", "on_error", "enabled")
BESIDE = ("delay", "only_if")


@dataclass(frozen=True)
class Trigger:
    """Begin with whom this happens to."""

    event: str
    to: tuple[Any, ...] = ()
    when: Condition = ALWAYS
    self_caused: bool = False  # what we did ourselves counts, too


@dataclass(frozen=True)
class Step:
    delay: timedelta
    action: Action
    only_if: Condition = ALWAYS


@dataclass(frozen=True)
class Definition:
    key: str
    version: str
    name: str
    subject: Subject
    trigger: Trigger | None  # None: rules begin it, and people
    re_enrol: ReEnrol
    exit: Condition
    window: Window | None
    skip_after: timedelta | None
    stop_on_error: bool
    enabled: bool
    steps: tuple[Step, ...]
    spec: Mapping[str, Any]

    def due(self, step: int, after: datetime) -> datetime:
        """When a step, counted from 1, is to be done once what was before it is over."""
        moment = after + self.steps[step - 1].delay
        return self.window.opening(moment) if self.window else moment


def definitions(folder: Path, hosts: Collection[str] | None = None) -> tuple[list[Definition], list[BadAutomation]]:
    """The sequences of the folder's subfolder `sequences`, and what is wrong with those that cannot be understood."""
    found: dict[str, Definition] = {}
    wrong: list[BadAutomation] = []
    for node in documents(folder / FOLDER):
        if isinstance(node, BadAutomation):
            wrong.append(node)
            continue
        try:
            definition = parse_sequence(node, hosts=hosts)
            if definition.key in found:
                raise node.wrong(f"there is another sequence {definition.key}")
            found[definition.key] = definition
        except BadAutomation as e:
            wrong.append(e)
    return list(found.values()), wrong


def stored(spec: Mapping[str, Any], key: str, version: str) -> Definition:
    """A version as Postgres keeps it. Raises BadAutomation where this code does not understand it any more."""
    return parse_sequence(_node(spec, f"sync.sequences {key} {version}"))


def parse_sequence(node: Node, *, hosts: Collection[str] | None = None) -> Definition:
    """Raises BadAutomation with the line of what is wrong."""
    parts = node.mapping(required=["key", "name", "enrol", "steps"], optional=PARTS)
    source = parts.get("source") or Node("kommo", node.file, node.line)
    subject = subject_of(source, parts.get("entity") or Node("lead", node.file, node.line))
    steps = tuple(_step(item, subject, hosts) for item in parts["steps"].items())
    exits = parts["exit"].items() if "exit" in parts else []
    catch_up = parts["catch_up"].mapping(required=["skip_after"]) if "catch_up" in parts else {}
    on_error = parts["on_error"].one_of(("stop", "continue")) if "on_error" in parts else "stop"
    re_enrol: Any = parts["re_enrol"].one_of(("never", "after_finish", "replace")) if "re_enrol" in parts else "never"
    return Definition(
        key=parts["key"].key(),
        version=node.hash(),
        name=parts["name"].text(),
        subject=subject,
        trigger=_trigger(parts["enrol"], subject),
        re_enrol=re_enrol,
        exit=Some(tuple(parse_condition(item) for item in exits)),
        window=parse_window(parts["window"]) if "window" in parts else None,
        skip_after=catch_up["skip_after"].duration() if catch_up else None,
        stop_on_error=on_error == "stop",
        enabled=parts["enabled"].flag() if "enabled" in parts else True,
        steps=steps,
        spec=node.plain(),
    )


def _trigger(node: Node, subject: Subject) -> Trigger | None:
    on = node.mapping(required=["on"])["on"]
    if on.value == "rule":
        return None
    parts = on.mapping(required=["event"], optional=["to", "when", "self_caused"])
    event = parts["event"].one_of(EVENTS)
    if event == "stage_changed" and not subject.tells.stage:
        raise parts["event"].wrong(f"{subject.entity} have no stage")
    if "to" in parts and event != "stage_changed":
        raise parts["to"].wrong("to is a stage, and goes with stage_changed")
    to = parts["to"].plain() if "to" in parts else ()
    return Trigger(
        event,
        tuple(to) if isinstance(to, list | tuple) else (to,),
        parse_condition(parts["when"]) if "when" in parts else ALWAYS,
        parts["self_caused"].flag() if "self_caused" in parts else False,
    )


def _step(node: Node, subject: Subject, hosts: Collection[str] | None) -> Step:
    action = parse_action(node, system=subject.system, entity=subject.entity, hosts=hosts, beside=BESIDE)
    if "delay" not in node.value:
        raise node.wrong("a step says how long after the one before: delay: 2d, or 0m")
    only_if = parse_condition(node.value["only_if"]) if "only_if" in node.value else ALWAYS
    return Step(node.value["delay"].duration(), action, only_if)


def _node(value: Any, file: str) -> Node:
    match value:
        case dict():
            return Node({name: _node(inner, file) for name, inner in value.items()}, file, 0)
        case list():
            return Node([_node(inner, file) for inner in value], file, 0)
        case _:
            return Node(value, file, 0)
