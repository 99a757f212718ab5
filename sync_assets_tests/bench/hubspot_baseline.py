"""The plain baseline: three types in three threads, one cursor each, typed in Python, upserted 500 rows at a time.

Nothing here is slow on purpose. It keeps what ours keeps (the record and the same typed columns, under the same
indexes). Where the names of all properties are too long for a URL, it lists ids and reads each hundred by POST.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx

from sync_assets_tests.bench.plain import store

VARIABLES = {"API_URL": "url", "ACCESS_TOKEN": "token"}
PAGE = 100
LONGEST_URL = 6000

TABLES = """
create schema plain;
create table plain.contacts (
  id bigint primary key, email text, phone text, mobile_phone text, firstname text, lastname text, lifecyclestage text,
  lead_status text, vsl_watched boolean, vsl_watch_duration numeric, owner_id bigint, createdate timestamptz,
  source_changed_at timestamptz, raw_json jsonb not null, synced_at timestamptz not null default now()
);
create index contacts_email on plain.contacts (lower(email));
create index contacts_phone on plain.contacts (phone);
create index contacts_synced_at on plain.contacts (synced_at);
create table plain.deals (
  id bigint primary key, dealname text, amount numeric, currency text, pipeline text, dealstage text,
  qualified_status text, trial_status text, payment_status text, owner_id bigint, closedate timestamptz,
  createdate timestamptz, source_changed_at timestamptz, raw_json jsonb not null,
  synced_at timestamptz not null default now()
);
create index deals_stage on plain.deals (pipeline, dealstage);
create index deals_synced_at on plain.deals (synced_at);
create table plain.calls (
  id bigint primary key, occurred_at timestamptz, title text, duration_ms bigint, direction text, from_number text,
  to_number text, disposition text, status text, callee_id bigint, callee_type text, callee_contact_id bigint,
  owner_id bigint, createdate timestamptz, source_changed_at timestamptz, raw_json jsonb not null,
  synced_at timestamptz not null default now()
);
create index calls_occurred_at on plain.calls (occurred_at);
create index calls_synced_at on plain.calls (synced_at);
"""


def text(value: str | None) -> str | None:
    return value or None


def whole(value: str | None) -> int | None:
    return int(value) if value and value.isdigit() else None


def amount(value: str | None) -> Decimal | None:
    try:
        return Decimal(value) if value else None
    except InvalidOperation:
        return None


def flag(value: str | None) -> bool | None:
    return {"true": True, "false": False}.get(value or "")


def moment(value: str | None) -> datetime | None:
    if not value:
        return None
    if value.lstrip("-").isdigit():
        return datetime.fromtimestamp(int(value) / 1000, UTC)
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


Column = tuple[str, str, Callable[[str | None], Any]]

COLUMNS: dict[str, tuple[Column, ...]] = {
    "contacts": (
        ("email", "email", text),
        ("phone", "phone", text),
        ("mobile_phone", "mobilephone", text),
        ("firstname", "firstname", text),
        ("lastname", "lastname", text),
        ("lifecyclestage", "lifecyclestage", text),
        ("lead_status", "hs_lead_status", text),
        ("vsl_watched", "vsl_watched", flag),
        ("vsl_watch_duration", "vsl_watch_duration", amount),
        ("owner_id", "hubspot_owner_id", whole),
        ("createdate", "createdate", moment),
        ("source_changed_at", "lastmodifieddate", moment),
    ),
    "deals": (
        ("dealname", "dealname", text),
        ("amount", "amount", amount),
        ("currency", "deal_currency_code", text),
        ("pipeline", "pipeline", text),
        ("dealstage", "dealstage", text),
        ("qualified_status", "qualified_status", text),
        ("trial_status", "trial_status", text),
        ("payment_status", "payment_status", text),
        ("owner_id", "hubspot_owner_id", whole),
        ("closedate", "closedate", moment),
        ("createdate", "createdate", moment),
        ("source_changed_at", "hs_lastmodifieddate", moment),
    ),
    "calls": (
        ("occurred_at", "hs_timestamp", moment),
        ("title", "hs_call_title", text),
        ("duration_ms", "hs_call_duration", whole),
        ("direction", "hs_call_direction", text),
        ("from_number", "hs_call_from_number", text),
        ("to_number", "hs_call_to_number", text),
        ("disposition", "hs_call_disposition", text),
        ("status", "hs_call_status", text),
        ("callee_id", "hs_call_callee_object_id", whole),
        ("callee_type", "hs_call_callee_object_type", text),
        ("owner_id", "hubspot_owner_id", whole),
        ("createdate", "hs_createdate", moment),
        ("source_changed_at", "hs_lastmodifieddate", moment),
    ),
}


def sync(url: str, token: str, database_url: str) -> dict[str, int]:
    with ThreadPoolExecutor(len(COLUMNS)) as threads:
        fetched = threads.map(lambda kind: sync_type(kind, url, token, database_url), COLUMNS)
        return {"fetched": sum(fetched)}


def sync_type(kind: str, url: str, token: str, database_url: str) -> int:
    names = [column for column, _, _ in COLUMNS[kind]] + (["callee_contact_id"] if kind == "calls" else [])
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        rows = ([row(kind, record) for record in page] for page in pages(client, kind))
        return store(database_url, kind, ("id", *names, "raw_json"), rows)


def pages(client: httpx.Client, kind: str) -> Iterator[list[dict[str, Any]]]:
    names = [d["name"] for d in ask(client, "GET", f"/crm/v3/properties/{kind}")["results"]]
    wide = len(",".join(names)) > LONGEST_URL
    params = {"limit": str(PAGE), "properties": "hs_object_id" if wide else ",".join(names)}
    after: str | None = None
    while True:
        found = ask(client, "GET", f"/crm/v3/objects/{kind}", params=params | ({"after": after} if after else {}))
        page: list[dict[str, Any]] = found["results"]
        if wide and page:
            wanted = {"inputs": [{"id": record["id"]} for record in page], "properties": names}
            page = ask(client, "POST", f"/crm/v3/objects/{kind}/batch/read", json=wanted)["results"]
        yield page
        after = found.get("paging", {}).get("next", {}).get("after")
        if after is None:
            return


def ask(client: httpx.Client, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = client.request(method, path, **more)
    answer.raise_for_status()
    found: dict[str, Any] = json.loads(answer.content)
    return found


def row(kind: str, record: dict[str, Any]) -> tuple[Any, ...]:
    values = record["properties"]
    typed = [cast(values.get(name)) for _, name, cast in COLUMNS[kind]]
    if kind == "calls":
        of_contact = (values.get("hs_call_callee_object_type") or "").upper() in ("CONTACT", "0-1")
        typed.append(whole(values.get("hs_call_callee_object_id")) if of_contact else None)
    return (int(record["id"]), *typed, json.dumps(record, ensure_ascii=False))
