"""The plain baseline: pages one after another, typed in Python, upserted 500 rows at a time.

Nothing here is slow on purpose. It keeps the same content as ours (the record itself and the same typed columns, under
the same indexes), because a table without tags, members and properties would be another product.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx

from sync_assets_tests.bench.plain import store

VARIABLES = {"API_URL": "url", "API_TOKEN": "token"}
PAGE = 100

TABLES = """
create schema plain;
create table plain.cards (
  id bigint primary key, title text, description text, board_id bigint, column_id bigint, lane_id bigint,
  space_id bigint, owner_id bigint, type_id bigint, state bigint, condition bigint, archived boolean, asap boolean,
  blocked boolean, size numeric, size_text text, due_at timestamptz, completed_at timestamptz,
  last_moved_at timestamptz, time_spent bigint, sort_order numeric, version bigint, external_id text,
  created_at timestamptz, source_changed_at timestamptz, raw_json jsonb not null,
  synced_at timestamptz not null default now()
);
create index cards_board on plain.cards (board_id);
create index cards_synced_at on plain.cards (synced_at);
"""

COLUMNS = (
    "id", "title", "description", "board_id", "column_id", "lane_id", "space_id", "owner_id", "type_id", "state",
    "condition", "archived", "asap", "blocked", "size", "size_text", "due_at", "completed_at", "last_moved_at",
    "time_spent", "sort_order", "version", "external_id", "created_at", "source_changed_at", "raw_json",
)  # fmt: skip


def sync(url: str, token: str, database_url: str) -> dict[str, int]:
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        rows = ([row(card) for card in page] for page in pages(client, url))
        return {"fetched": store(database_url, "cards", COLUMNS, rows)}


def pages(client: httpx.Client, url: str) -> Iterator[list[dict[str, Any]]]:
    offset = 0
    while True:
        answer = client.get(
            f"{url}/api/latest/cards",
            params={"additional_card_fields": "description", "order_by": "id", "limit": PAGE, "offset": offset},
        )
        answer.raise_for_status()
        page = json.loads(answer.content)
        yield page
        if len(page) < PAGE:
            return
        offset += PAGE


def row(card: dict[str, Any]) -> tuple[Any, ...]:
    return (
        card["id"],
        card.get("title"),
        card.get("description"),
        card.get("board_id"),
        card.get("column_id"),
        card.get("lane_id"),
        ((card.get("path_data") or {}).get("space") or {}).get("id"),
        card.get("owner_id"),
        card.get("type_id"),
        card.get("state"),
        card.get("condition"),
        card.get("archived"),
        card.get("asap"),
        card.get("blocked"),
        card.get("size"),
        card.get("size_text"),
        moment(card.get("due_date")),
        moment(card.get("completed_at")),
        moment(card.get("last_moved_at")),
        card.get("time_spent_sum"),
        card.get("sort_order"),
        card.get("version"),
        card.get("external_id"),
        moment(card.get("created")),
        moment(card.get("updated")),
        json.dumps(card, ensure_ascii=False),
    )


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
