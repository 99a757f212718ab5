"""The examples of a rule and a sequence at work on this machine: the sandbox's Kommo says what became of them.

The files are those that people copy (`automation/*/*.yaml.example`), so what the demo shows is what they get.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sync_assets.load.database import Database
from sync_assets.local import PROJECT, SandboxProcess
from sync_assets.processes import Process, wait_for

EXAMPLES = PROJECT / "automation"

WON = 142

LISTENS = """
select 1 from sync.listeners l, pg_stat_activity a
 where (l.consumer, l.entity) = ('rules', 'leads') and a.datname = current_database()
   and a.application_name = 'sync_assets automation watch'
"""

LEAD = """
select id from kommo.leads where raw_json ->> 'status_id' not in ('142', '143')
   and raw_json #> '{_embedded,contacts,0}' is not null order by id limit 1
"""

RULE = """
select details ->> 'ruleName', (details ->> 'successfulActions')::int, (details ->> 'actionsCount')::int
  from sync.activity_logs where activity = 'rule_executed' and key = %s and details ->> 'status' = 'done'
"""

SEQUENCE = """
select s.name from sync.sequence_runs r join sync.sequences s on (s.key, s.version) = (r.sequence_key, r.version)
  join sync.sequence_steps p using (execution_id) join sync.outbox o on o.id = p.outbox_id
 where r.key = %s and p.step = 1 and o.state = 'confirmed'
"""

PATIENCE = 30.0
"""Seconds that a rule and a sequence may take before the demo says that they did nothing."""


@dataclass(frozen=True)
class Won:
    """A lead that was won in the sandbox, and what its Kommo shows then; `seconds` None where something is missing."""

    lead: int
    rule: str = ""
    task: str = ""
    task_seconds: float | None = None
    sequence: str = ""
    note: str = ""
    note_seconds: float | None = None


def automation_environment(folder: Path) -> dict[str, str]:
    """Puts copies of the examples into the folder, as people do, and answers the variable that names it."""
    copies = folder / "automation"
    for example in EXAMPLES.glob("*/*.yaml.example"):
        path = copies / example.parent.name / example.stem
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    return {"SYNC_AUTOMATION_FOLDER": str(copies)}


def until_rules_listen(daemon: Process, database: Database) -> None:
    """Of what happens before, nobody tells."""
    wait_for(lambda: database.query(LISTENS), daemon, timeout=60)


def lead_won(sandbox: SandboxProcess, database: Database) -> Won:
    """Somebody wins a lead in the sandbox's Kommo; waits for the task of the rule and for the sequence's first step."""
    (lead,) = database.query(LEAD)
    began = time.monotonic()
    sandbox.kommo("PATCH", "leads", [{"id": lead, "status_id": WON}])
    rule = _until(lambda: database.query(RULE, (str(lead),)))
    if not rule:
        return Won(lead)
    task, task_seconds = (
        _seen(sandbox, f"tasks?filter[entity_type]=leads&filter[entity_id][]={lead}", "tasks"),
        _since(began),
    )
    sequence = _until(lambda: database.query(SEQUENCE, (str(lead),)))
    note = _seen(sandbox, f"leads/{lead}/notes", "notes") if sequence else ""
    return Won(
        lead,
        rule=str(rule[0]),
        task=task,
        task_seconds=task_seconds if task else None,
        sequence=str(sequence[0]) if sequence else "",
        note=note,
        note_seconds=_since(began) if note else None,
    )


def _seen(sandbox: SandboxProcess, path: str, kind: str) -> str:
    """The text of the newest one that bears our marker."""
    rows = sandbox.kommo("GET", path).get("_embedded", {}).get(kind, [])
    texts: list[str] = [row.get("text") or row.get("params", {}).get("text", "") for row in rows]
    return next((text for text in reversed(texts) if "[#" in text), "")


def _since(began: float) -> float:
    return time.monotonic() - began


def _until(answers: Callable[[], tuple[object, ...]]) -> tuple[object, ...]:
    until = time.monotonic() + PATIENCE
    while not (found := answers()) and time.monotonic() < until:
        time.sleep(0.02)
    return found
