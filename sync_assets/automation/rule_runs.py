"""A rule held against a change: the run, its actions and the line in the log of activities are one commit.

One run per rule and change (`rule_runs_once`), so whoever comes second does nothing. An action that cannot be done is
noted in its run and stops at most the actions after it, never another rule. How many of a run's actions succeeded is
known when the outbox has settled them: a trigger on `sync.outbox` completes the run and the log with each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from sync_assets import crash
from sync_assets.automation.actions import Context, enqueue
from sync_assets.automation.conditions import holds
from sync_assets.automation.events import ChangeEvent
from sync_assets.automation.fields import Record, contact_id
from sync_assets.automation.rules import MANUAL, Rule
from sync_assets.errors import SyncError
from sync_assets.load.cursor import Cursor
from sync_assets.load.retention import Expiry

BEGIN = """
insert into sync.rule_runs (rule_key, rule_version, change_event_id, account, entity, key, state, reason, context,
                            actions_total, on_error, finished_at, run_id)
values (%(rule)s, %(version)s, %(event)s, %(account)s, %(entity)s, %(key)s, %(state)s, %(reason)s, %(context)s,
        %(total)s, %(on_error)s, case when %(state)s <> 'matched' then clock_timestamp() end, %(run_id)s)
on conflict do nothing returning id
"""

ACTION = """
insert into sync.rule_actions (rule_run_id, ordinal, action, outbox_id, state, reason)
select %(run)s, %(ordinal)s, %(action)s, %(letter)s,
       case when %(failed)s then 'failed' when o.done_at is null and o.id is not null then 'waiting' else 'done' end,
       %(reason)s
  from (select 1) one left join sync.outbox o on o.id = %(letter)s
returning state
"""

END = """
update sync.rule_runs set actions_ok = %(ok)s, actions_failed = %(failed)s, state = %(state)s,
       finished_at = case when %(state)s <> 'matched' then clock_timestamp() end
 where id = %(id)s
"""

LOG = """
insert into sync.activity_logs (account, activity, details, entity, key, rule_run_id) values (%s, %s, %s, %s, %s, %s)
"""

# As long as the change is there, its run keeps the rule from running again. A run that did something stays: of
# `once_per_entity` it is the proof.
SKIPPED = Expiry(
    "sync.rule_runs",
    "t.finished_at",
    "t.state = 'skipped' and not exists (select from sync.change_events e where e.id = t.change_event_id)",
    what="skipped",
)

RAN = """
select exists (select from sync.rule_runs where rule_key = %s and account = %s and entity = %s and key = %s
                  and state <> 'skipped')
"""
# Rules whose runs count each other take turns; the others only keep out of the way of a backfill.
ALONE = "select pg_advisory_xact_lock(hashtextextended(%s, 10))"
BESIDE = "select pg_advisory_xact_lock_shared(hashtextextended(%s, 10))"

BEFORE = """
select count(*) filter (where (account, entity, key) = (%(account)s, %(entity)s, %(key)s)),
       count(*) filter (where (account, entity, key) = (%(account)s, %(entity)s, %(key)s)
                          and started_at > clock_timestamp() - %(cooldown)s::interval),
       count(*) filter (where started_at > clock_timestamp() - interval '1 day')
  from sync.rule_runs where rule_key = %(rule)s and state <> 'skipped'
   and ((account, entity, key) = (%(account)s, %(entity)s, %(key)s)
        or started_at > clock_timestamp() - interval '1 day')
"""


@dataclass(frozen=True)
class Case:
    """What a rule is held against: a record before and after a change, and as it is stored now."""

    account: str
    system: str
    entity: str
    key: str
    before: Record | None
    after: Record | None
    current: Record | None
    words: frozenset[str]
    event: int | None = None  # None: no change, but a person's wish for the records that are there
    origin: str = "external"
    depth: int = 0

    @classmethod
    def of(cls, event: ChangeEvent, current: Record | None) -> Case:
        return cls(
            event.account, event.system, event.entity, event.key, event.before, event.after, current, event.words,
            event.id, event.origin, event.depth,
        )  # fmt: skip

    @classmethod
    def standing(cls, rule: Rule, account: str, key: str, current: Record) -> Case:
        """A record that is in its state already, as if it had just come into it from nothing."""
        return cls(
            account, rule.subject.system, rule.subject.entity, key, None, current, current,
            rule.events | {MANUAL},
        )  # fmt: skip


@dataclass
class _Done:
    """The actions of one run, as far as they are known."""

    states: list[str] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> str:
        if "waiting" in self.states:
            return "matched"
        ok, failed = self.states.count("done"), self.states.count("failed")
        return "done" if not failed else "partial" if ok else "failed"


def applies(rule: Rule, case: Case) -> bool:
    """Whether this is what the rule is for; its limits are another matter."""
    if not rule.enabled or not rule.is_about(case.account, case.system, case.entity) or not rule.events & case.words:
        return False
    return holds(rule.when, before=case.before, after=case.after, current=case.current)


def run(cursor: Cursor, rule: Rule, case: Case, *, run_id: str | None = None) -> str | None:
    """Runs a rule that applies, or notes why not. Answers the run's state, None where it had run already."""
    reason = _held_back(cursor, rule, case)
    if reason is None and rule.dry_run:
        reason = f"dry_run: would do {', '.join(action.do for action in rule.actions)}"
    said = _said(rule, case)
    cursor.execute(
        BEGIN,
        {
            "rule": rule.key,
            "version": rule.version,
            "event": case.event,
            "account": case.account,
            "entity": case.entity,
            "key": case.key,
            "state": "skipped" if reason else "matched",
            "reason": reason,
            "context": json.dumps(said),
            "total": len(rule.actions),
            "on_error": "stop" if rule.stop_on_error else "continue",
            "run_id": run_id,
        },
    )
    if (begun := cursor.fetchone()) is None:
        return None
    if reason:
        return "skipped"
    done = _act(cursor, rule, case, begun[0])
    counts = {"ok": done.states.count("done"), "failed": done.states.count("failed")}
    cursor.execute(END, {"id": begun[0], "state": done.state, **counts})
    details = {**said, "actions": done.log, "actionsCount": len(rule.actions)}
    details |= {"successfulActions": counts["ok"], "status": done.state}
    cursor.execute(LOG, (case.account, "rule_executed", json.dumps(details), case.entity, case.key, begun[0]))
    crash.point("after rule")
    return done.state


def has_run(cursor: Cursor, rule: Rule, case: Case) -> bool:
    """Whether the rule ever ran for the record; until the transaction ends it does not begin to."""
    cursor.execute(ALONE, (f"rule {rule.key}",))
    cursor.execute(RAN, (rule.key, case.account, case.entity, case.key))
    return bool((cursor.fetchone() or (False,))[0])


def _held_back(cursor: Cursor, rule: Rule, case: Case) -> str | None:
    limits = rule.limits
    if case.origin == "self" and not rule.self_caused:
        return "self: we did this ourselves"
    if case.depth > limits.max_depth:
        return f"max_depth: {case.depth} of our own reactions led to this"
    cursor.execute(ALONE if limits.counts else BESIDE, (f"rule {rule.key}",))
    if not limits.counts:
        return None
    cursor.execute(
        BEFORE,
        {
            "rule": rule.key,
            "account": case.account,
            "entity": case.entity,
            "key": case.key,
            "cooldown": limits.cooldown,
        },
    )
    ever, lately, today = cursor.fetchone() or (0, 0, 0)
    if limits.once_per_entity and ever:
        return "once_per_entity: it has run for this record"
    if limits.cooldown and lately:
        return f"cooldown: it ran for this record less than {limits.cooldown} ago"
    if limits.max_per_day is not None and today >= limits.max_per_day:
        return f"max_per_day: it has run {today} times within a day"
    return None


def _said(rule: Rule, case: Case) -> dict[str, Any]:
    """What the run and the log of activities tell of it: where the record stood, and whom it is about."""
    whose = case.key if case.entity == "contacts" else contact_id(case.after or case.before)
    return {
        "ruleName": rule.name,
        "ruleKey": rule.key,
        "contactId": whose,
        "previousState": rule.subject.state(case.before),
        "currentState": rule.subject.state(case.after),
        "happened": sorted(case.words) if case.event is not None else ["backfill"],
        "changeEventId": case.event,
    }


def _act(cursor: Cursor, rule: Rule, case: Case, run: int) -> _Done:
    words = {"rule.key": rule.key, "rule.name": rule.name, "event.id": case.event}
    context = Context(
        case.account, case.system, case.entity, case.key, before=case.before, after=case.after, current=case.current,
        words=words, cause=f"rule {rule.key}", event=case.event,
    )  # fmt: skip
    whose = str(case.event) if case.event is not None else f"{case.account}/{case.entity}/{case.key}"
    done = _Done()
    for ordinal, action in enumerate(rule.actions, 1):
        letter: int | None = None
        why: str | None = None
        cursor.execute("savepoint action")
        try:
            if rule.stop_on_error and "failed" in done.states:
                why = "not done: an action before it failed"
            else:
                # A letter bears the depth of what it answers; the change that shows it is one deeper.
                letter = enqueue(
                    cursor, action, context, idempotency_key=f"rule:{rule.key}:{whose}:{ordinal}", depth=case.depth
                )
        except SyncError as e:
            why = str(e)
        except psycopg2.Error as e:
            if (e.pgcode or "")[:2] not in ("22", "23"):
                raise
            why = f"Postgres refuses a value ({e.pgcode})"
        except Exception as e:  # noqa: BLE001  a bug that one rule meets must not hold up all the others
            why = f"a bug ({type(e).__name__}); open an issue with this message"
        cursor.execute("rollback to savepoint action" if why else "release savepoint action")
        row = {"run": run, "ordinal": ordinal, "action": action.do, "letter": letter, "reason": why}
        cursor.execute(ACTION, row | {"failed": why is not None})
        done.states.append((cursor.fetchone() or ("failed",))[0])
        done.log.append({"do": action.do, **({"outboxId": letter} if letter else {}), **({"why": why} if why else {})})
    return done


def run_all(
    cursor: Cursor, found: Sequence[Rule], event: ChangeEvent, current: Record | None, *, run_id: str | None = None
) -> Mapping[str, str]:
    """Holds each rule against one change, in their order; all see the same records. Answers states by rule."""
    case = Case.of(event, current)
    states: dict[str, str] = {}
    for rule in found:
        if applies(rule, case) and (state := run(cursor, rule, case, run_id=run_id)):
            states[rule.key] = state
    return states
