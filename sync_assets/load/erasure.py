"""Erased for good: of the person, and whoever was merged into them, nothing stays but the keys.

The keys stay so that nobody is taken for lost. What webhooks, change events, letters and automation told of them goes
too. Numbers, states and times stay where others count on them; what may be text does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from sync_assets.load import aliases
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target

OF_RECORD = "account = %(account)s and entity = %(entity)s and key = any(%(keys)s)"
OF_ITS_RULES = f"rule_run_id in (select id from sync.rule_runs where {OF_RECORD})"  # noqa: S608  ours
OF_ITS_SEQUENCES = f"execution_id in (select execution_id from sync.sequence_runs where {OF_RECORD})"  # noqa: S608  ours
OF_ITS_LETTERS = "outbox_id = any(%(letters)s)"
GONE = "reason = 'erased with its record'"

# Letters about the record, and those that rules and sequences wrote because of it: a task for somebody names it too.
LETTERS = f"""
select id from sync.outbox where {OF_RECORD}
union select outbox_id from sync.rule_actions where {OF_ITS_RULES} and outbox_id is not null
union select outbox_id from sync.sequence_steps where {OF_ITS_SEQUENCES} and outbox_id is not null
"""  # noqa: S608  ours

UNDER_WAY = "select count(*) from sync.outbox where state = 'sending' and id = any(%(letters)s)"

# (table, what of it is emptied, which rows): in this order, and any of them may be done again.
ERASE = (
    ("sync.tombstones", "raw_json = '{\"erased\": true}', state = 'erased', merged_into = null", OF_RECORD),
    ("sync.rejected", f"payload = '', size = 0, field = null, {GONE}", OF_RECORD),
    (
        "sync.webhook_events",
        "payload = null, record = null",
        f"{OF_RECORD} and (payload is not null or record is not null)",
    ),
    ("sync.change_events", "before = null, after = null", f"{OF_RECORD} and (before is not null or after is not null)"),
    # What has not left is not sent.
    (
        "sync.outbox",
        f"state = 'dropped', {GONE}, done_at = clock_timestamp()",
        "id = any(%(letters)s) and state in ('pending', 'failed')",
    ),
    (
        "sync.outbox",
        "payload = '{}', base = '{}', response = null, sent = case when sent is not null then '{}'::jsonb end, "
        "reason = case when reason is not null then 'erased with its record' end",
        "id = any(%(letters)s) and done_at is not null",
    ),
    ("sync.conflicts", "base = null, theirs = null, ours = null", f"{OF_ITS_LETTERS} or ({OF_RECORD})"),
    (
        "sync.rule_runs",
        "context = '{}', reason = case when reason is not null then 'erased with its record' end",
        OF_RECORD,
    ),
    ("sync.rule_actions", GONE, f"reason is not null and {OF_ITS_RULES}"),
    ("sync.sequence_runs", GONE, f"reason is not null and {OF_RECORD}"),
    ("sync.sequence_steps", GONE, f"reason is not null and {OF_ITS_SEQUENCES}"),
    (
        "sync.activity_logs",
        "details = '{\"erased\": true}'",
        f"({OF_RECORD}) or (account = %(account)s and ("
        "sync.to_key(details ->> 'outbox_id') = any(%(letters)s) "
        "or (details ->> 'entity' = %(entity)s and details ->> 'key' = any(%(keys)s))))",
    ),
)
STATEMENT = "update {table} set {emptied} where {which}"


def erase(cursor: Cursor, target: Target, keys: Sequence[str]) -> dict[str, int]:
    """Answers how many rows of each table were emptied. A letter that is being sent is not: see `under_way`."""
    if not keys:
        return {}
    given = _given(cursor, target, keys)
    emptied: dict[str, int] = {}
    for table, assigned, which in ERASE:
        cursor.execute(STATEMENT.format(table=table, emptied=assigned, which=which), given)
        # A letter that is dropped is emptied by the next statement: it is one row.
        emptied[table] = max(emptied.get(table, 0), cursor.rowcount)
    return {table: count for table, count in emptied.items() if count}


def under_way(cursor: Cursor, target: Target, keys: Sequence[str]) -> int:
    """How many letters about these records, or because of them, a worker holds just now."""
    cursor.execute(UNDER_WAY, _given(cursor, target, keys))
    row = cursor.fetchone()
    return row[0] if row else 0


def _given(cursor: Cursor, target: Target, keys: Sequence[str]) -> dict[str, object]:
    given: dict[str, object] = {"account": target.account, "entity": target.entity.name}
    given["keys"] = aliases.with_predecessors(cursor, target, keys)
    cursor.execute(LETTERS, given)
    return given | {"letters": [id for (id,) in cursor.fetchall()]}
