"""The plain baseline: orders and items in two threads, page after page, typed in Python, upserted 500 rows at a time;
and the careful one, which asks for fifty pages in a batch.

Nothing here is slow on purpose. They keep what ours keeps: the record and the same typed columns, as well indexed.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx

from sync_assets_tests.bench.plain import store

VARIABLES = {"WEBHOOK_URL": "url"}
PAGE = COMMANDS = 50

TABLES = """
create schema plain;
create table plain.orders (
  id bigint primary key, bitrix_order_id bigint, bitrix_user_id bigint, responsible_id bigint, account_number text,
  status_id text, status_changed_at timestamptz, price numeric, discount numeric, tax numeric, currency text,
  paid boolean, shipped boolean, canceled boolean, reason_canceled text, canceled_at timestamptz, site text,
  person_type_id bigint, comments text, user_description text, xml_id text, external_id text, version bigint,
  created_at timestamptz, source_changed_at timestamptz, raw_json jsonb not null,
  synced_at timestamptz not null default now()
);
create index orders_bitrix_order_id on plain.orders (bitrix_order_id);
create index orders_bitrix_user_id on plain.orders (bitrix_user_id);
create index orders_source_changed_at on plain.orders (source_changed_at);
create index orders_synced_at on plain.orders (synced_at);
create table plain.order_items (
  id bigint primary key, bitrix_order_id bigint, product_id bigint, name text, quantity numeric, price numeric,
  base_price numeric, discount numeric, currency text, vat_rate numeric, vat_included boolean, measure text,
  product_xml_id text, xml_id text, created_at timestamptz, source_changed_at timestamptz, raw_json jsonb not null,
  synced_at timestamptz not null default now()
);
create index order_items_bitrix_order_id on plain.order_items (bitrix_order_id);
create index order_items_product_id on plain.order_items (product_id);
create index order_items_synced_at on plain.order_items (synced_at);
"""


def same(value: Any) -> Any:
    return value


def flag(value: str | None) -> bool | None:
    return {"Y": True, "N": False}.get(value or "")


def moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


Column = tuple[str, str, Callable[[Any], Any]]

COLUMNS: dict[str, tuple[Column, ...]] = {
    "orders": (
        ("bitrix_order_id", "id", same), ("bitrix_user_id", "userId", same), ("responsible_id", "responsibleId", same),
        ("account_number", "accountNumber", same), ("status_id", "statusId", same),
        ("status_changed_at", "dateStatus", moment), ("price", "price", same), ("discount", "discountValue", same),
        ("tax", "taxValue", same), ("currency", "currency", same), ("paid", "payed", flag),
        ("shipped", "deducted", flag), ("canceled", "canceled", flag), ("reason_canceled", "reasonCanceled", same),
        ("canceled_at", "dateCanceled", moment), ("site", "lid", same), ("person_type_id", "personTypeId", same),
        ("comments", "comments", same), ("user_description", "userDescription", same), ("xml_id", "xmlId", same),
        ("external_id", "id1c", same), ("version", "version", same), ("created_at", "dateInsert", moment),
        ("source_changed_at", "dateUpdate", moment),
    ),
    "order_items": (
        ("bitrix_order_id", "orderId", same), ("product_id", "productId", same), ("name", "name", same),
        ("quantity", "quantity", same), ("price", "price", same), ("base_price", "basePrice", same),
        ("discount", "discountPrice", same), ("currency", "currency", same), ("vat_rate", "vatRate", same),
        ("vat_included", "vatIncluded", flag), ("measure", "measureName", same),
        ("product_xml_id", "productXmlId", same), ("xml_id", "xmlId", same), ("created_at", "dateInsert", moment),
        ("source_changed_at", "dateUpdate", moment),
    ),
}  # fmt: skip
LISTS = {"orders": ("sale.order.list", "orders"), "order_items": ("sale.basketitem.list", "basketItems")}


Pages = Callable[[httpx.Client, str, str], Iterator[list[dict[str, Any]]]]


def sync(url: str, database_url: str) -> dict[str, int]:
    return both(one_after_another, url, database_url)


def sync_in_batches(url: str, database_url: str) -> dict[str, int]:
    return both(in_batches, url, database_url)


def both(pages: Pages, url: str, database_url: str) -> dict[str, int]:
    with ThreadPoolExecutor(len(COLUMNS)) as threads:
        return {"fetched": sum(threads.map(lambda kind: sync_list(kind, pages, url, database_url), COLUMNS))}


def sync_list(kind: str, pages: Pages, url: str, database_url: str) -> int:
    columns = ("id", *(column for column, _, _ in COLUMNS[kind]), "raw_json")
    with httpx.Client(base_url=url, timeout=60) as client:
        rows = ([row(kind, record) for record in page] for page in pages(client, *LISTS[kind]))
        return store(database_url, kind, columns, rows)


def one_after_another(client: httpx.Client, method: str, part: str) -> Iterator[list[dict[str, Any]]]:
    start: int | None = 0
    while start is not None:
        found = ask(client, method, {"order": {"id": "asc"}, "start": start})
        yield found["result"][part]
        start = found.get("next")


def in_batches(client: httpx.Client, method: str, part: str) -> Iterator[list[dict[str, Any]]]:
    first = ask(client, f"{method}?order[id]=asc", {})
    yield first["result"][part]
    starts = range(PAGE, first["total"], PAGE)
    for i in range(0, len(starts), COMMANDS):
        cmd = {f"p{start}": f"{method}?order[id]=asc&start={start}" for start in starts[i : i + COMMANDS]}
        found = ask(client, "batch", {"halt": 0, "cmd": cmd})["result"]["result"]
        for page in found.values():
            yield page[part]


def ask(client: httpx.Client, method: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(method, json=body)
    answer.raise_for_status()
    found: dict[str, Any] = json.loads(answer.content)
    return found


def row(kind: str, record: dict[str, Any]) -> tuple[Any, ...]:
    typed = [cast(record.get(name)) for _, name, cast in COLUMNS[kind]]
    return (record["id"], *typed, json.dumps(record, ensure_ascii=False))
