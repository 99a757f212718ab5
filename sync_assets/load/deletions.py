"""What a complete sweep did not see, and the source confirms to be gone, moves from its table to `sync.tombstones`.

Proof before deletion: the sweep's sightings must add up to its ledger, the number of the missing must be plausible (the
fuse), and where the API can be asked for one record it is asked. A record that answers after all is simply loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from sync_assets import crash
from sync_assets.errors import FuseBlown
from sync_assets.load.target import Target

FUSE_FLOOR = 10
"""Up to this many deletions never blow the fuse by their share, only by an empty listing."""

ADD_UP = """
select coalesce(sum(records), 0)::bigint, coalesce(sum(records - cardinality(keys)), 0)::bigint,
       (select coalesce(sum(fetched), 0)::bigint from sync.logs
         where account = %(account)s and entity = %(entity)s and sweep = %(sweep)s)
  from sync.sightings where account = %(account)s and entity = %(entity)s and sweep = %(sweep)s
"""

MISSING = """
select {key} from {table} t
 where t.seen < %(seen)s and not exists (
   select from (select distinct unnest(keys) as key from sync.sightings
                 where account = %(account)s and entity = %(entity)s and sweep = %(sweep)s) s where s.key = {key})
 order by {keys}
"""

BURY = """
with gone as (
  delete from {table} t using unnest(%(keys)s::text[], %(evidence)s::text[]) g(key, evidence)
   where {same_key} returning t.raw_json, t.first_seen_at, g.key, g.evidence
)
insert into sync.tombstones (account, entity, key, raw_json, evidence, first_seen_at, sync_id)
select %(account)s, %(entity)s, key, raw_json, evidence, first_seen_at, %(sync_id)s from gone
on conflict (account, entity, key) do update
  set raw_json = excluded.raw_json, evidence = excluded.evidence, deleted_at = now(), sync_id = excluded.sync_id
"""


@dataclass(frozen=True)
class Fuse:
    """How many deletions one sync may make. `released` is a number that a person allowed, for this run only."""

    percent: float
    released: int | None = None

    def check(self, *, missing: int, rows: int, seen: int) -> None:
        """Raises FuseBlown, with both numbers, where a sweep would delete implausibly much."""
        if missing == 0 or (self.released is not None and missing <= self.released):
            return
        if seen == 0 or missing > max(FUSE_FLOOR, rows * self.percent / 100):
            raise FuseBlown(
                f"the source shows {seen} records where {rows} are stored: {missing} would be deleted",
                next_step=f"look at the source; if they are really gone, run it once with allow_deletions: {missing}",
            )


@dataclass(frozen=True)
class Unseen:
    """What a sweep did not see. A record that it saw without a key may be any of these."""

    keys: list[str]
    living: int
    seen: int
    keyless: int


def missing(cursor: Cursor, target: Target, *, sweep: int, seen: int) -> Unseen:
    """The keys of the living that a sweep did not see.

    Raises FuseBlown where the sightings do not add up to what the ledger counted: then nothing can be derived.
    """
    where = {"account": target.account, "entity": target.entity.name, "sweep": sweep, "seen": seen}
    cursor.execute(ADD_UP, where)
    row = cursor.fetchone()
    sighted, keyless, counted = row if row else (0, 0, 0)
    if sighted != counted:
        raise FuseBlown(
            f"the sweep's sightings ({sighted}) do not add up to its ledger ({counted}); nothing was deleted",
            next_step="run a full sync again",
        )
    cursor.execute(
        sql.SQL(MISSING).format(table=target.table, key=target.key_text("t"), keys=target.key_columns("t")),
        where,
    )
    keys = [key for (key,) in cursor.fetchall()]
    cursor.execute(sql.SQL("select count(*) from {}").format(target.table))
    living = cursor.fetchone()
    return Unseen(keys, living[0] if living else 0, sighted, keyless)


def bury(cursor: Cursor, target: Target, evidence: dict[str, str], sync_id: int) -> int:
    """Moves records to the tombstones, each with how we know. Answers how many there were."""
    if not evidence:
        return 0
    crash.point("in sweep")
    cursor.execute(
        sql.SQL(BURY).format(table=target.table, same_key=target.same_key("t", target.parts("g.key"))),
        {
            "keys": list(evidence),
            "evidence": list(evidence.values()),
            "account": target.account,
            "entity": target.entity.name,
            "sync_id": sync_id,
        },
    )
    return cursor.rowcount
