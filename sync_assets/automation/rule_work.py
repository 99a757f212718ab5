"""Works off the changes that rules wait for, one transaction each, and runs a rule over the records that are there."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from psycopg2 import sql

from sync_assets import crash
from sync_assets.automation import events
from sync_assets.automation.rule_runs import Case, applies, has_run, run, run_all
from sync_assets.automation.rules import Rule
from sync_assets.errors import BadAutomation
from sync_assets.load.changes import listens
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

CONSUMER = "rules"

REGISTER = """
insert into sync.rules (key, version, name, spec) values (%s, %s, %s, %s) on conflict (key, version) do nothing
"""

DUE = "select distinct account from sync.change_events where account = any(%(accounts)s) and rules_at is null"

AT_ONCE = 500
"""Records of a backfill that are asked for in one go."""

STANDING = """
select {key}::text, raw_json from {table} where {key} > %s order by {key} limit %s
"""

RAN = "select key from sync.rule_runs where rule_key = %s and account = %s and entity = %s and state <> 'skipped'"


@dataclass
class Worked:
    """How many changes were taken up, and what became of the runs that followed, by state."""

    changes: int = 0
    states: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        ran = ", ".join(f"{count} {state}" for state, count in self.states.items()) or "no rule applied"
        return f"{self.changes} changes: {ran}" if self.changes else "nothing changed"


def register(cursor: Cursor, found: Sequence[Rule], *, whole: bool = True) -> None:
    """From now on changes are told of what these rules are about; `whole`: and of nothing else for rules' sake."""
    about = {(r.subject.system, r.account, r.subject.entity) for r in found if r.enabled}
    listens(cursor, CONSUMER, about, whole=whole)
    for rule in found:
        cursor.execute(REGISTER, (rule.key, rule.version, rule.name, json.dumps(rule.spec, ensure_ascii=False)))


def work_off(
    database: Database,
    accounts: Sequence[str],
    found: Sequence[Rule],
    *,
    run_id: str | None = None,
    seconds: float = 60.0,
) -> Worked:
    """Holds the rules, in their order, against what happened, for so long at most.

    Raises the SyncErrors of the database, and BadAutomation never: what cannot be done is in the runs.
    """
    worked, until = Worked(), time.monotonic() + seconds
    listened = sorted({f"{r.subject.system} {r.subject.entity}" for r in found if r.enabled})
    database.transaction(partial(events.pass_by, accounts=accounts, listened=listened))
    one = partial(_one, found=found, run_id=run_id)
    for states in events.take_up(database, accounts, events.RULES, one, until):
        worked.changes += 1
        worked.states.update(states)
    return worked


def _one(cursor: Cursor, id: int, found: Sequence[Rule], run_id: str | None) -> Sequence[str] | None:
    if (event := events.claim(cursor, id)) is None:
        return None
    crash.point("after change claimed")
    current = events.stored(cursor, event.account, event.entity, event.key)
    states = run_all(cursor, found, event, current, run_id=run_id)
    events.taken(cursor, event)
    crash.point("before rules commit")
    return list(states.values())


def backfill(
    database: Database, rule: Rule, account: str, *, run_id: str | None = None, dry: bool = False
) -> Counter[str]:
    """Runs a rule once for each stored record that its condition holds of, and for which it never ran. Answers states.

    A record counts as if it had just come from nothing, so `changed_to` holds of what it is, and `changed_from` of
    nothing. `dry` counts them only, as "would run". Raises BadAutomation for a rule that is switched off.
    """
    if not rule.enabled:
        raise BadAutomation(f"the rule {rule.key} is switched off", next_step="set enabled: true in its file")
    states: Counter[str] = Counter()
    entity = rule.subject.entity
    ran = {key for (key,) in database.rows(RAN, (rule.key, account, entity))}
    page = sql.SQL(STANDING).format(key=sql.Identifier("id"), table=sql.Identifier(account, entity))
    last = 0
    while records := database.rows(page, (last, AT_ONCE)):
        last = int(records[-1][0])
        for key, record in records:
            if key in ran or not applies(rule, Case.standing(rule, account, key, record)):
                continue
            if dry:
                states["would run"] += 1
                continue
            state = database.transaction(partial(_standing, rule=rule, account=account, key=key, run_id=run_id))
            states.update([state] if state else [])
    return states


def _standing(cursor: Cursor, rule: Rule, account: str, key: str, run_id: str | None) -> str | None:
    record = events.stored(cursor, account, rule.subject.entity, key)
    if record is None or not applies(rule, case := Case.standing(rule, account, key, record)):
        return None
    if has_run(cursor, rule, case):
        return None
    return run(cursor, rule, case, run_id=run_id)
