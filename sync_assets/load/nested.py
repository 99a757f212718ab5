"""Records that came inside a parent's answer: built from the stored parents by one statement, loaded like any page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from sync_assets.entity import Inside
from sync_assets.load import stage
from sync_assets.load.cursor import Cursor
from sync_assets.load.slow_path import reject
from sync_assets.load.target import Target
from sync_assets.load.upsert import Counts, decide

FOUND = """
create temp table if not exists sync_found (key text, doc jsonb, seen bigint) on commit delete rows
"""

ONE_PATH = """
select ({record}) as doc, parent.seen
  from {parent} parent {levels}
 where {where}
"""

FIND = """
insert into sync_found (key, doc, seen)
select {key}, doc, seen from ({paths}) found
"""

# Of two records with one key the one whose parent was read later stays.
STAGE_DIFFERENT = """
insert into sync_stage (key, doc, hash, seen, shape, omits, adds)
select f.key, f.doc::text, null, f.seen, 'inside', '{{}}', '{{}}'
  from (select distinct on (key) key, doc, seen from sync_found where key is not null order by key, seen desc) f
  left join {table} t on {same_key}
 where t.raw_json is distinct from f.doc
"""

TOTALS = """
select count(*), count(key), count(distinct key), coalesce(array_agg(key) filter (where key is not null), '{}')
  from sync_found
"""


@dataclass(frozen=True)
class Derived:
    counts: Counts
    keys: list[str]  # of every record that has one


def derive(
    cursor: Cursor, target: Target, read: Inside, parent: Target, options: dict[str, Any], sync_id: int
) -> Derived:
    """Brings the entity in line with its parents' stored records; what is no longer in them is for `deletions`."""
    cursor.later(sql.SQL("set local search_path = {}").format(sql.Identifier(target.schema)))
    stage.opened(cursor)
    cursor.later(FOUND)
    cursor.later("delete from sync_found")
    paths = sql.SQL(" union all ").join(
        sql.SQL(ONE_PATH).format(
            parent=parent.table, levels=_levels(path), record=sql.SQL(read.record), where=sql.SQL(read.where)
        )
        for path in read.paths
    )
    cursor.execute(sql.SQL(FIND).format(key=target.key_of("doc"), paths=paths), options)
    cursor.execute(TOTALS)
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  an aggregate has one row
    total, keyed, distinct, keys = row
    if keyed < total:
        cursor.execute("select doc::text from sync_found where key is null")
        for (document,) in cursor.fetchall():
            reject(cursor, target, document.encode(), sync_id)
    same_key = target.same_key("t", target.parts("f.key"))
    cursor.execute(sql.SQL(STAGE_DIFFERENT).format(table=target.table, same_key=same_key))
    staged = cursor.rowcount
    counts = decide(cursor, target, sync_id, stage.in_table(staged)) if staged else Counts()
    counts.unchanged += distinct - staged
    counts.repeated += keyed - distinct
    counts.rejected += total - keyed
    return Derived(counts, keys)


def _levels(path: str) -> sql.Composable:
    """The joins that walk down a path; its last level is `item`, the one above it `above`."""
    steps = path.split(" > ")
    names = ["above", "item"][-len(steps) :]
    sources = ["parent.raw_json", *names]
    return sql.SQL(" ").join(
        sql.SQL("cross join lateral jsonb_path_query({}, {}) {}").format(
            sql.SQL(source), sql.Literal(step), sql.Identifier(name)
        )
        for source, step, name in zip(sources, steps, names, strict=False)
    )
