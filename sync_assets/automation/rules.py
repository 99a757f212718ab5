"""A rule as its file has it: when it applies, how often it may, and what is to be done.

    key: vip_to_won
    name: "VIP won: thank and task"
    on: {source: kommo, entity: lead, event: [stage_changed]}
    when:
      all:
        - {field: after.status_id, op: changed_to, value: 142}
        - {field: after.tags, op: contains, value: vip}
    limits: {cooldown: 24h, max_per_day: 100, once_per_entity: false, max_depth: 2}
    run_on: {self_caused: false}
    actions:
      - {do: create_task, text: "Call {{contact.name}}", due: 1d, assign: after.responsible_user_id}
      - {do: start_sequence, key: after_sale}
    on_error: continue                       # or stop

Rules go by priority, the smallest first, then by key. A rule's version is a hash of what it says. One file that cannot
be understood holds all of them up: a change that a broken rule should have seen waits, and none passes it by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sync_assets.automation.action_forms import Action, parse_action
from sync_assets.automation.conditions import ALWAYS, Condition, parse_condition
from sync_assets.automation.document import Node, documents
from sync_assets.automation.events import WORDS
from sync_assets.automation.subjects import Subject, subject_of
from sync_assets.errors import BadAutomation

FOLDER = "rules"

MANUAL = "manual"
"""Never by itself: a person has it run over the records that are there (`sync-assets rules backfill`)."""

PRIORITY, DEEPEST = 100, 2
"""Where nothing is said: in between; and our own reaction to our own reaction, and no further."""

UTMOST = 10
"""No rule may go on reacting to reactions for longer."""

PARTS = ("when", "limits", "run_on", "on_error", "priority", "enabled", "dry_run")


@dataclass(frozen=True)
class Limits:
    cooldown: timedelta | None = None  # per record
    max_per_day: int | None = None  # of the rule, within 24 hours
    once_per_entity: bool = False  # per record, ever
    max_depth: int = DEEPEST

    @property
    def counts(self) -> bool:
        """Whether other runs decide about this one."""
        return bool(self.cooldown or self.max_per_day is not None or self.once_per_entity)


@dataclass(frozen=True)
class Rule:
    key: str
    version: str
    name: str
    subject: Subject
    account: str  # "": all accounts of its system
    events: frozenset[str]
    when: Condition
    limits: Limits
    self_caused: bool
    actions: tuple[Action, ...]
    stop_on_error: bool
    priority: int
    enabled: bool
    dry_run: bool
    spec: Mapping[str, Any]
    file: str

    def is_about(self, account: str, system: str, entity: str) -> bool:
        own = (self.subject.system, self.subject.entity) == (system, entity)
        return own and self.account in ("", account)


def rules(folder: Path, hosts: Collection[str] | None = None) -> tuple[list[Rule], list[BadAutomation]]:
    """The rules of the folder's subfolder `rules`, in their order, and what is wrong with the others.

    `hosts`: what http_post may call, where that is to be checked.
    """
    found: dict[str, Rule] = {}
    wrong: list[BadAutomation] = []
    for node in documents(folder / FOLDER):
        if isinstance(node, BadAutomation):
            wrong.append(node)
            continue
        try:
            rule = parse_rule(node, hosts=hosts)
            if other := found.get(rule.key):
                raise node.wrong(f"{other.file} has the same key")
            found[rule.key] = rule
        except BadAutomation as e:
            e.at(rule=_key_of(node))
            wrong.append(e)
    return in_order(list(found.values())), wrong


def in_order(found: Sequence[Rule]) -> list[Rule]:
    return sorted(found, key=lambda rule: (rule.priority, rule.key))


def parse_rule(node: Node, *, hosts: Collection[str] | None = None) -> Rule:
    """Raises BadAutomation with the line of what is wrong."""
    parts = node.mapping(required=["key", "name", "on", "actions"], optional=PARTS)
    on = parts["on"].mapping(required=["source", "entity", "event"], optional=["account"])
    subject = subject_of(on["source"], on["entity"])
    run_on = parts["run_on"].mapping(optional=["self_caused"]) if "run_on" in parts else {}
    return Rule(
        key=parts["key"].key(),
        version=node.hash(),
        name=parts["name"].text(),
        subject=subject,
        account=on["account"].text() if "account" in on else "",
        events=_events(on["event"], subject),
        when=parse_condition(parts["when"]) if "when" in parts else ALWAYS,
        limits=_limits(parts["limits"]) if "limits" in parts else Limits(),
        self_caused=run_on["self_caused"].flag() if run_on else False,
        actions=tuple(
            parse_action(item, system=subject.system, entity=subject.entity, hosts=hosts)
            for item in parts["actions"].items()
        ),
        stop_on_error="on_error" in parts and parts["on_error"].one_of(("continue", "stop")) == "stop",
        priority=parts["priority"].whole() if "priority" in parts else PRIORITY,
        enabled=parts["enabled"].flag() if "enabled" in parts else True,
        dry_run=parts["dry_run"].flag() if "dry_run" in parts else False,
        spec=node.plain(),
        file=node.file,
    )


def _events(node: Node, subject: Subject) -> frozenset[str]:
    named = node.items() if isinstance(node.value, list) else [node]
    for item in named:
        item.one_of((*WORDS, MANUAL))
        if item.value == "stage_changed" and not subject.tells.stage:
            raise item.wrong(f"{subject.entity} have no stage")
    return frozenset(str(item.value) for item in named)


def _limits(node: Node) -> Limits:
    parts = node.mapping(optional=["cooldown", "max_per_day", "once_per_entity", "max_depth"])
    depth = parts["max_depth"].whole() if "max_depth" in parts else DEEPEST
    if depth > UTMOST:
        raise parts["max_depth"].wrong(f"max_depth is {UTMOST} at most")
    return Limits(
        cooldown=parts["cooldown"].duration() if "cooldown" in parts else None,
        max_per_day=parts["max_per_day"].whole(least=1) if "max_per_day" in parts else None,
        once_per_entity=parts["once_per_entity"].flag() if "once_per_entity" in parts else False,
        max_depth=depth,
    )


def _key_of(node: Node) -> str | None:
    key = node.value.get("key") if isinstance(node.value, dict) else None
    return str(key.value)[:60] if key is not None else None
