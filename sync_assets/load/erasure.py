"""Erased for good: of the person, and whoever was merged into them, nothing stays but the keys.

The keys stay so that nobody is taken for lost. What webhooks and change events told of them goes too.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2.extensions import cursor as Cursor  # noqa: N812

from sync_assets.load import aliases
from sync_assets.load.target import Target

ERASE = (
    "update sync.tombstones set raw_json = jsonb_build_object('erased', true), state = 'erased', merged_into = null"
    " where account = %(account)s and entity = %(entity)s and key = any(%(keys)s)",
    "update sync.rejected set payload = '', size = 0, field = null, reason = 'erased with its record'"
    " where account = %(account)s and entity = %(entity)s and key = any(%(keys)s)",
    "update sync.webhook_events set payload = null, record = null"
    " where account = %(account)s and entity = %(entity)s and key = any(%(keys)s)",
    "update sync.change_events set before = null, after = null"
    " where account = %(account)s and entity = %(entity)s and key = any(%(keys)s)",
)


def erase(cursor: Cursor, target: Target, keys: Sequence[str]) -> None:
    if not keys:
        return
    given = {"account": target.account, "entity": target.entity.name}
    for statement in ERASE:
        cursor.execute(statement, given | {"keys": aliases.with_predecessors(cursor, target, keys)})
