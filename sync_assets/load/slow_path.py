"""The way of a page that Postgres or the parser refused: record by record, so that one bad record costs one record.

Damage that has a plain remedy (NUL, lone surrogates, invalid UTF-8) is mended to U+FFFD, noted in `_notes`, and the
exact bytes are kept in `sync.rejected` as evidence; what jsonb cannot hold at all is rejected with the field's path.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import psycopg2

from sync_assets import crash
from sync_assets.extract import scan
from sync_assets.load.batch import Row
from sync_assets.load.cursor import Cursor
from sync_assets.load.target import Target
from sync_assets.load.upsert import Counts, write

EVIDENCE_BYTES = 1 << 20
"""Longer evidence is cut: its size and digest stay."""

KEEP = """
insert into sync.rejected (account, entity, digest, key, field, reason, kept, size, payload, sync_id)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (account, entity, digest) do update
  set last_at = now(), sync_id = excluded.sync_id, reason = excluded.reason, kept = excluded.kept
"""

REASONS = {
    "22003": "a number is out of every range",
    "22P02": "it is not JSON",
    "22P05": "it holds a character that Postgres cannot store",
    "22021": "it is not UTF-8",
    "23502": "its key is missing or not of the key's type",
    "54001": "it is nested too deeply",
    "54000": "a value is too long for an index",
}


@dataclass(frozen=True)
class _Mended:
    came: Row
    row: Row
    notes: str


def write_slowly(cursor: Cursor, target: Target, rows: list[Row], sync_id: int) -> Counts:
    """Like `write`, for rows of which some are damaged."""
    total = Counts()
    good: list[_Mended] = []
    for row in rows:
        mended, notes = scan.mend(bytes(row.record))
        if state := _refused(cursor, "select %s::jsonb", (mended.decode("utf-8", "replace"),)):
            reject(cursor, target, bytes(row.record), sync_id, key=row.key, sqlstate=state)
            total.rejected += 1
        else:
            good.append(_Mended(row, replace(row, record=_noted(mended, notes)) if notes else row, "; ".join(notes)))
    try:
        total += _guarded(cursor, target, good, sync_id)
    except psycopg2.Error as e:
        if not _about_values(e):
            raise
        for one in good:
            try:
                total += _guarded(cursor, target, [one], sync_id)
            except psycopg2.Error as single:
                if not _about_values(single):
                    raise
                came = one.came
                reject(cursor, target, bytes(came.record), sync_id, key=came.key, sqlstate=single.pgcode or "22000")
                total.rejected += 1
    return total


def reject(
    cursor: Cursor,
    target: Target,
    record: bytes,
    sync_id: int,
    *,
    key: str | None = None,
    sqlstate: str = "23502",
) -> None:
    keep(
        cursor,
        target,
        record,
        sync_id,
        key=key,
        field=scan.culprit(record),
        reason=f"{REASONS.get(sqlstate, 'Postgres refuses a value')} ({sqlstate})",
        kept=False,
    )


def keep(
    cursor: Cursor,
    target: Target,
    record: bytes,
    sync_id: int,
    *,
    reason: str,
    kept: bool,
    key: str | None = None,
    field: str | None = None,
    size: int | None = None,
) -> None:
    """`size` is that of the whole record where `record` is only its beginning.

    Where no evidence is kept, size, digest and reason are.
    """
    digest = hashlib.blake2b(record, digest_size=16).digest()
    cursor.execute(
        KEEP,
        (
            target.account,
            target.entity.name,
            digest,
            key,
            field,
            reason,
            kept,
            len(record) if size is None else size,
            psycopg2.Binary(record[:EVIDENCE_BYTES] if target.keeps_evidence else b""),
            sync_id,
        ),
    )
    crash.point("in rejected")


def _guarded(cursor: Cursor, target: Target, rows: list[_Mended], sync_id: int) -> Counts:
    cursor.execute("savepoint record")
    try:
        counts = write(cursor, target, [r.row for r in rows], sync_id)
        for r in rows:
            if r.notes:
                keep(cursor, target, bytes(r.came.record), sync_id, key=r.came.key, reason=r.notes, kept=True)
    except psycopg2.Error:
        cursor.execute("rollback to savepoint record")
        raise
    cursor.execute("release savepoint record")
    return counts


def _refused(cursor: Cursor, query: str, parameters: tuple[str, ...]) -> str | None:
    cursor.execute("savepoint probe")
    try:
        cursor.execute(query, parameters)
    except (psycopg2.Error, ValueError) as e:
        if isinstance(e, psycopg2.Error) and not _about_values(e):
            raise
        cursor.execute("rollback to savepoint probe")
        return getattr(e, "pgcode", None) or "22P05"
    cursor.execute("release savepoint probe")
    return None


def _about_values(error: psycopg2.Error) -> bool:
    state = error.pgcode or ""
    return state[:2] in ("22", "54") or state == "23502" or (not state and isinstance(error, psycopg2.DataError))


def _noted(record: bytes, notes: list[str]) -> bytes:
    if record[:1] != b"{":
        return record
    return b'{"_notes":' + json.dumps(notes).encode() + b"," + record[1:]
