"""The plain baseline: leads page by page by number, typed in Python, upserted 500 rows at a time.

Nothing here is slow on purpose. It keeps what ours keeps: the record and the same typed columns, as well indexed.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from sync_assets_tests.bench.plain import store

VARIABLES = {"BASE_URL": "url", "ACCESS_TOKEN": "token"}
PAGE = 250
WITH = "contacts,catalog_elements,loss_reason,is_price_modified_by_robot,source_id"

TABLES = """
create schema plain;
create table plain.leads (
  id bigint primary key, name text, price numeric, pipeline_id bigint, status_id bigint, loss_reason_id bigint,
  responsible_user_id bigint, created_by bigint, updated_by bigint, created_at timestamptz, closed_at timestamptz,
  closest_task_at timestamptz, is_deleted boolean, source_changed_at timestamptz, raw_json jsonb not null,
  synced_at timestamptz not null default now()
);
create index leads_status on plain.leads (pipeline_id, status_id);
create index leads_synced_at on plain.leads (synced_at);
"""
AS_THEY_ARE = (
    "name", "price", "pipeline_id", "status_id", "loss_reason_id", "responsible_user_id", "created_by", "updated_by",
)  # fmt: skip
MOMENTS = ("created_at", "closed_at", "closest_task_at")
COLUMNS = ("id", *AS_THEY_ARE, *MOMENTS, "is_deleted", "source_changed_at", "raw_json")


def sync(url: str, token: str, database_url: str) -> dict[str, int]:
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        rows = ([row(lead) for lead in page] for page in pages(client, url))
        return {"fetched": store(database_url, "leads", COLUMNS, rows)}


def pages(client: httpx.Client, url: str) -> Iterator[list[dict[str, Any]]]:
    number = 1
    while True:
        answer = client.get(f"{url}/api/v4/leads", params={"with": WITH, "limit": PAGE, "page": number})
        answer.raise_for_status()
        if answer.status_code == 204:
            return
        found = json.loads(answer.content)
        yield found["_embedded"]["leads"]
        if "next" not in found["_links"]:
            return
        number += 1


def row(lead: dict[str, Any]) -> tuple[Any, ...]:
    return (
        lead["id"],
        *(lead.get(name) for name in AS_THEY_ARE),
        *(moment(lead.get(name)) for name in MOMENTS),
        lead.get("is_deleted"),
        moment(lead.get("updated_at")),
        json.dumps(lead, ensure_ascii=False),
    )


def moment(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
