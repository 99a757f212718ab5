"""Whether anything may leave for an account: a breaker for sources that fail, a fuse for changes that cannot be meant.

The breaker closes the way for longer each time and opens it again by itself. The fuse counts records that are to change
within any hour, by when that was asked for and not by when it is sent; a person releases it, by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2 import sql

from sync_assets.load.cursor import Cursor

FIRST_SECONDS, TIMES, LONGEST_SECONDS = 5.0, 4.0, 3600.0
"""How long the way stays closed after one failure, by how much longer after each further one, and at most."""

FUSE_FLOOR = 10
"""Records that may change at once however small a table is."""

LOCK = """
select closed_until > clock_timestamp(), closed_reason, closed_until, fuse_blown_at, fuse_reason
  from sync.delivery where account = %s for update
"""

# Of each record only its last wish counts, so one that changes its mind a hundred times is one.
BUSIEST_HOUR = """
select entity, max(wished) from (
  select entity, count(*) over (partition by entity order by created_at
                                range between interval '1 hour' preceding and current row) as wished
    from (select distinct on (entity, key) entity, created_at from sync.outbox
           where account = %(account)s
             and (state in ('pending', 'sending', 'failed') or sent_at > clock_timestamp() - interval '1 hour')
             and created_at > coalesce((select released_at from sync.delivery where account = %(account)s), '-infinity')
           order by entity, key, id desc) latest
) hours group by entity
"""

BLOW = "update sync.delivery set fuse_blown_at = clock_timestamp(), fuse_reason = %s where account = %s"

FAILED = """
insert into sync.delivery as d (account, failures, closed_until, closed_reason)
values (%(account)s, 1, clock_timestamp() + make_interval(secs => least(%(first)s, %(longest)s)), %(reason)s)
on conflict (account) do update set failures = d.failures + 1, closed_reason = excluded.closed_reason,
  closed_until = clock_timestamp()
    + make_interval(secs => least(%(first)s * power(%(times)s, least(d.failures, 10)), %(longest)s))
"""

RELEASE = """
update sync.delivery set fuse_blown_at = null, fuse_reason = null, released_at = clock_timestamp(), released_by = %s,
       failures = 0, closed_until = null, closed_reason = null
 where account = %s returning account
"""

RELEASED = """
insert into sync.activity_logs (account, activity, details)
values (%s, 'delivery_released', jsonb_build_object('by', %s::text))
"""


@dataclass(frozen=True)
class Fuse:
    """More than so many records within an hour, or than this share of an entity, are not believed."""

    records: int
    percent: float
    schema: str

    def exceeded(self, cursor: Cursor, entity: str, wished: int) -> str:
        """Why, with the numbers; "" where it holds."""
        if wished > self.records:
            return f"{wished} records of {entity} were to change within an hour, more than {self.records}"
        if wished <= FUSE_FLOOR:
            return ""
        cursor.execute("select to_regclass(%s) is not null", (f'"{self.schema}"."{entity}"',))
        if not (cursor.fetchone() or (False,))[0]:
            return ""
        cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(self.schema, entity)))
        (rows,) = cursor.fetchone() or (0,)
        if wished * 100 <= rows * self.percent:
            return ""
        return f"{wished} of {rows} records of {entity} were to change within an hour, more than {self.percent:g} %"


def closed(cursor: Cursor, account: str) -> str:
    """Why nothing may leave now; "" where it may. Holds the account for this transaction."""
    cursor.execute(LOCK, (account,))
    row = cursor.fetchone()
    if row is None:
        cursor.execute("insert into sync.delivery (account) values (%s) on conflict do nothing", (account,))
        cursor.execute(LOCK, (account,))
        row = cursor.fetchone()
    is_closed, why, until, blown_at, fuse_reason = row or (False, None, None, None, None)
    if blown_at:
        return f"the fuse is blown: {fuse_reason}"
    return f"left alone until {until:%H:%M:%S} UTC: {why}" if is_closed else ""


def blown(cursor: Cursor, account: str, fuse: Fuse) -> str:
    """Blows the fuse where it must, and answers why; "" where it holds."""
    cursor.execute(BUSIEST_HOUR, {"account": account})
    for entity, wished in cursor.fetchall():
        if reason := fuse.exceeded(cursor, entity, wished):
            cursor.execute(BLOW, (reason, account))
            return f"the fuse is blown: {reason}"
    return ""


def failed(cursor: Cursor, account: str, reason: str, *, slow: bool) -> None:
    """The account itself failed, not one of its records: nothing leaves for a while.

    `slow`: a person must mend it, which takes more than seconds.
    """
    first = FIRST_SECONDS * (TIMES**3 if slow else 1)
    cursor.execute(
        FAILED,
        {"account": account, "first": first, "times": TIMES, "longest": LONGEST_SECONDS, "reason": reason},
    )


def worked(cursor: Cursor, account: str) -> None:
    cursor.execute(
        "update sync.delivery set failures = 0, closed_until = null, closed_reason = null"
        " where account = %s and failures > 0",
        (account,),
    )


def release(cursor: Cursor, account: str, by: str) -> bool:
    """Lets out what blew the fuse, and opens the breaker; False where nothing was ever delivered for this account."""
    cursor.execute(RELEASE, (by, account))
    found = cursor.fetchone() is not None
    if found:
        cursor.execute(RELEASED, (account, by))
    return found
