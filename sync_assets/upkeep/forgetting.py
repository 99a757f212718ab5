"""Forgets one record everywhere, at a person's wish, and leaves a receipt that tells nothing of it.

The mirrored row becomes a tombstone of its key alone. Whoever was merged into it goes too, and what webhooks, change
events, letters, rules and sequences told of it: one transaction, and the spool before it. What was read before cannot
bring it back. What is read later can, as long as the source has it, unless it is blocked: then its tombstone is newer
than any read will ever be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import psycopg2
from psycopg2 import sql

from sync_assets.entity import Entity
from sync_assets.errors import FixConfig, FixData, SyncError
from sync_assets.load import aliases, deletions, erasure
from sync_assets.load.cursor import Cursor
from sync_assets.load.deletions import Departed
from sync_assets.load.target import Target
from sync_assets.load.unleased import Unleased
from sync_assets.load.upsert import Counts
from sync_assets.sync.connection import Connected
from sync_assets.sync.still_there import Standing, still_there
from sync_assets.upkeep import old_spool

NEVER = 2**63 - 1
"""A sighting number that no read will reach."""

RECEIPT = """
insert into sync.erasures (account, entity, records, by, blocked, rows) values (%s, %s, %s, %s, %s, %s) returning id
"""

BURIED = "select count(*) from sync.tombstones where account = %s and entity = %s and key = any(%s)"

HELD = "select count(*) from {table} t join unnest(%(keys)s::text[]) k(key) on {same_key}"

POINTING = "select count(*) from {table} c where {column}::text = any(%(keys)s)"

DERIVED = "delete from {table} where {key}::text = any(%(keys)s)"


class StillThereError(FixData):
    """The source still has the record: the next sync would bring it back."""

    next_step = (
        "erase it in the source and run this again; --anyway erases our copy until then, --block keeps it away for good"
    )


class LetterUnderWayError(FixData):
    """A letter about the record is being sent just now."""

    next_step = "run this again in a minute"


class NothingFoundError(FixData):
    """Nothing here bears this key."""

    next_step = "look the key up in the table, or keep a record that is not here yet away with --block"


@dataclass
class Forgotten:
    """What was erased, or would be: rows by table. `pointing`: rows of other entities that lead to it, and stay."""

    account: str
    entity: str
    keys: list[str]
    standing: Standing
    rows: dict[str, int] = field(default_factory=dict)
    pointing: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    receipt: int | None = None


class _OnlyLooking(Exception):
    """Undoes a dry run."""


def receipt_of(account: str, entity: str, key: str) -> bytes:
    """What the receipt bears instead of the key: SHA-256 of account/entity/key."""
    return hashlib.sha256(f"{account}/{entity}/{key}".encode()).digest()


def forget(
    connection: Connected,
    name: str,
    key: str,
    *,
    by: str,
    dry: bool = False,
    anyway: bool = False,
    block: bool = False,
) -> Forgotten:
    """Forgets a record and whoever was merged into it; one that was merged away itself stands for its survivor.

    A dry run does all of it and takes it back. Raises FixConfig for a key that can be none, StillThereError unless
    `anyway` or `block` is said, LetterUnderWayError, and the SyncErrors of the database.
    """
    target = connection.target(name)
    spelled = target.canonical(key)
    if spelled is None:
        raise FixConfig(f"this cannot be a key of {name}", next_step="take it from the table's key column")
    survivor = connection.database.transaction(partial(aliases.known, target=target, keys=[spelled])).get(spelled)
    standing = still_there(connection, name, survivor or spelled)
    last = standing.into or survivor or spelled
    done = Forgotten(connection.account.name, name, [], standing)
    if last != spelled:
        done.notes.append(f"it was merged into {last}, which is forgotten with it")
    if standing.state == "there" and not (dry or anyway or block):
        raise StillThereError(f"the source still has this record ({standing.says})", account=done.account, entity=name)
    keys = list(dict.fromkeys([last, spelled]))
    wanted = set(connection.database.transaction(partial(aliases.with_predecessors, target=target, keys=keys)))
    _, spooled, note = old_spool.drop(
        connection.settings,
        lambda event: (event.account, event.entity) == (done.account, name) and event.key in wanted,
        apply=not dry,
    )
    if spooled:
        done.rows["the spool"] = spooled
    if note:
        done.notes.append(f"the spool was not looked at: {note}; what it holds is in the inbox as soon as it is empty")
    _erase(connection, target, keys, done, by=by, dry=dry, block=block)
    return done


def _erase(
    connection: Connected, target: Target, keys: Sequence[str], done: Forgotten, *, by: str, dry: bool, block: bool
) -> None:
    account, entity = connection.account, target.entity
    ledger = Unleased(
        connection.database, account, entity, kind="selective", run_id=None,
        lease_seconds=connection.settings.sync_lease_seconds,
    )  # fmt: skip
    if not dry:
        ledger.open()

    found = done.rows

    def work(cursor: Cursor) -> None:
        rows: dict[str, int] = {}
        if not dry and not ledger.begin_commit(cursor):
            return  # done, and only the answer was lost
        done.keys = aliases.with_predecessors(cursor, target, keys)
        if erasure.under_way(cursor, target, keys):
            raise LetterUnderWayError(account=account.name, entity=entity.name)
        done.pointing = _pointing(cursor, connection, target, done.keys)
        cursor.execute("select nextval('sync.seen')")
        (seen,) = cursor.fetchone() or (0,)
        cursor.execute(_of(HELD, target), {"keys": done.keys})
        (held,) = cursor.fetchone() or (0,)
        cursor.execute(BURIED, (account.name, entity.name, done.keys))
        (buried,) = cursor.fetchone() or (0,)
        how = Departed("erased at a person's wish", "erased", seen=NEVER if block else seen)
        departed = dict.fromkeys(done.keys, how)
        log_id = 0 if dry else ledger.state.log_id
        rows |= erasure.erase(cursor, target, keys)
        rows |= {f"{account.schema}.{entity.name}": held, "sync.tombstones": buried}
        deleted, _ = deletions.bury(cursor, target, departed, log_id, by_sender=True)
        deletions.ban(cursor, target, departed, log_id)
        erasure.erase(cursor, target, keys)  # what the burial has written itself
        rows |= _derived(cursor, connection, entity, done.keys)
        found.update({table: count for table, count in rows.items() if count})
        if not found and not block:
            raise NothingFoundError(account=account.name, entity=entity.name)
        if dry:
            raise _OnlyLooking
        ledger.end_commit(cursor, Counts(), deleted=deleted)
        records = [psycopg2.Binary(receipt_of(account.name, entity.name, key)) for key in done.keys]
        cursor.execute(RECEIPT, (account.name, entity.name, records, by, block, json.dumps(found)))
        (done.receipt,) = cursor.fetchone() or (None,)

    try:
        connection.database.transaction(work)
    except _OnlyLooking:
        return
    except SyncError as e:
        if not dry:
            ledger.close("failed", error=e)
        raise
    ledger.close("success", note=f"receipt {done.receipt} of sync.erasures")


def _derived(cursor: Cursor, connection: Connected, entity: Entity, keys: Sequence[str]) -> dict[str, int]:
    """Takes away the rows that were computed from the record."""
    removed: dict[str, int] = {}
    for derived in connection.account.system.derived:
        if derived.covers == entity.name:
            table = sql.Identifier(connection.account.schema, derived.name)
            cursor.execute(sql.SQL(DERIVED).format(table=table, key=sql.Identifier(derived.key)), {"keys": list(keys)})
            removed[f"{connection.account.schema}.{derived.name}"] = cursor.rowcount
    return removed


def _pointing(cursor: Cursor, connection: Connected, target: Target, keys: Sequence[str]) -> dict[str, int]:
    """Rows that lead to the record: they are records of their own and may name it too."""
    found: dict[str, int] = {}
    for other in connection.account.entities:
        for link in other.links:
            if link.to == target.entity.name and len(link.names) == 1 and not link.on:
                table = sql.Identifier(connection.account.schema, other.name)
                column = sql.Identifier("c", link.names[0])
                cursor.execute(sql.SQL(POINTING).format(table=table, column=column), {"keys": list(keys)})
                (count,) = cursor.fetchone() or (0,)
                if count:
                    found[f"{other.name}.{link.names[0]}"] = count
    return found


def _of(statement: str, target: Target) -> sql.Composed:
    return sql.SQL(statement).format(table=target.table, same_key=target.same_key("t", target.parts("k.key")))
