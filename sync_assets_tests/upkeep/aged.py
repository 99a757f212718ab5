"""Rows whose time is over, and rows of the same kind whose time is not: what tests of upkeep put into a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync_assets.load.database import Database
from sync_assets.upkeep.clean_up import Tidied, clean_up
from sync_assets_tests.asking import asking
from sync_assets_tests.company import Company
from sync_assets_tests.databases import filled

# Of each kind of thing that expires: how one of so many days comes to be, and how many days it stays. The account is
# one that nobody connects any more: what it left expires like everything else.
KINDS: Mapping[str, tuple[str, int]] = {
    "sync.webhook_events payloads": (
        "insert into sync.webhook_events (account, system, event, entity, key, identity, is_unique, payload, state,"
        " done_at) values ('former', 'kaiten', 'x', 'cards', {n}::text, sha256({n}::text::bytea), true, 'Anna', 'done',"
        " now() - {days} * interval '1 day')",
        7,
    ),
    "sync.webhook_events rows": (
        "insert into sync.webhook_events (account, system, event, entity, key, identity, is_unique, state, done_at)"
        " values ('former', 'kaiten', 'x', 'cards', {n}::text, sha256({n}::text::bytea), true, 'done',"
        " now() - {days} * interval '1 day')",
        30,
    ),
    "sync.rejected rows": (
        "insert into sync.rejected (account, entity, digest, key, reason, kept, size, payload, sync_id, last_at)"
        " values ('former', 'cards', sha256({n}::text::bytea), '1', 'x', false, 4, 'Anna', 0,"
        " now() - {days} * interval '1 day')",
        90,
    ),
    "sync.tombstones rows": (
        "insert into sync.tombstones (account, entity, key, raw_json, evidence, deleted_at, first_seen_at, sync_id)"
        " values ('former', 'cards', {n}::text, '{{\"n\": 1}}', 'x', now() - {days} * interval '1 day', now(), 0)",
        365,
    ),
    "sync.change_events rows": (
        "insert into sync.change_events (account, system, entity, key, revision, kind, after, changed, occurred_at,"
        " written_at, sync_id) values ('former', 'kommo', 'leads', {n}::text, 1, 'created', '{{\"n\": 1}}', '{{}}',"
        " now(), now() - {days} * interval '1 day', 0)",
        30,
    ),
    "sync.rule_runs skipped": (
        "insert into sync.rule_runs (rule_key, rule_version, change_event_id, account, entity, key, state, reason,"
        " finished_at) values ('r', '1', {n}, 'former', 'leads', '1', 'skipped', 'x',"
        " now() - {days} * interval '1 day')",
        30,
    ),
    "sync.outbox rows": (
        "insert into sync.outbox (account, entity, key, operation, payload, state, idempotency_key, done_at)"
        " values ('former', 'orders', '1', 'x', '{{\"n\": \"Anna\"}}', 'confirmed', {n}::text,"
        " now() - {days} * interval '1 day')",
        90,
    ),
    "sync.conflicts rows": (
        "with letter as (insert into sync.outbox (account, entity, key, operation, payload, state, idempotency_key,"
        " done_at) values ('former', 'orders', '1', 'x', '{{}}', 'conflict', {n}::text,"
        " now() - {days} * interval '1 day') returning id)"
        " insert into sync.conflicts (outbox_id, field, account, entity, key, theirs, decision, why)"
        " select id, 'x', 'former', 'orders', '1', 'Anna', 'theirs', 'x' from letter",
        90,
    ),
    "sync.activity_logs rows": (
        "insert into sync.activity_logs (account, at, activity, details)"
        " values ('former', now() - {days} * interval '1 day', 'x', '{{\"n\": {n}}}')",
        365,
    ),
    "sync.jobs rows": (
        "insert into sync.jobs (job_id, job, account, status, requested_by, requested_at, ended_at, error)"
        " values ({n}::text, 'x', 'former', 'failed', 'Anna', now() - {days} * interval '1 day',"
        " now() - {days} * interval '1 day', 'x')",
        90,
    ),
    "sync.runs rows": (
        "insert into sync.runs (run_id, job, started_at, ended_at, checks, failed_checks, failed_steps, skipped)"
        " values ({n}::text, 'x', now() - {days} * interval '1 day', now() - {days} * interval '1 day', 0, '[]', '[]',"
        " '{{}}')",
        365,
    ),
    "sync.logs of single records": (
        "insert into sync.logs (account, system, entity, kind, status, started_at, finished_at, fetched, created)"
        " values ('former', 'kaiten', 'cards', 'webhook', 'success', now() - {days} * interval '1 day',"
        " now() - {days} * interval '1 day', 3, 3)",
        30,
    ),
    "sync.logs of entities": (
        "insert into sync.logs (account, system, entity, kind, status, started_at, finished_at, fetched, unchanged)"
        " values ('former', 'kaiten', 'cards', 'full', 'success', now() - {days} * interval '1 day',"
        " now() - {days} * interval '1 day', 3, 3)",
        365,
    ),
}


def put(company: Company, kind: str, n: int, days: float) -> None:
    company.query(KINDS[kind][0].format(n=n, days=days))


def cleaned(company: Company, *, apply: bool, at_once: int = 1000, **settings: Any) -> dict[str, Tidied]:
    """By kind what a clean-up did, or would have done."""
    database = Database(company.database_url, wait=5.0)
    try:
        found = clean_up(database, company.settings.model_copy(update=settings), apply=apply, at_once=at_once)
        return {f"{t.table} {t.what}": t for t in found}
    finally:
        database.close()


def tables(company: Company) -> dict[tuple[str, str], list[Any]]:
    """Every row of every table that has any, Dagster's own too."""
    with asking(company.database_url) as cursor:
        names = filled(cursor)
    each = {
        (schema, name): company.query(f'select t::text from "{schema}"."{name}" t order by 1') for schema, name in names
    }
    return {name: rows for name, rows in each.items() if rows}
