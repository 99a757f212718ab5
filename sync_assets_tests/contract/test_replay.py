"""Answers that live Kaiten accounts really gave, replayed: rows and values are those of the recorded files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company

RECORDED = {
    "spaces": ("spaces_list",),
    "users": ("users_list", "member_users", "users_current", "user_current"),
    "card_types": ("card_types*",),
    "tags": ("tags_list",),
    "cards": ("cards_list", "card_get_full"),
}
"""The listing of each entity, and where else its records were recorded. Boards are missing: the recordings hold boards
of spaces that they do not list."""


@pytest.fixture(scope="module")
def recordings(shared: Path) -> Path:
    return shared / "kaiten"


def recorded(folder: Path, pattern: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted(folder.rglob(f"{pattern}.json")):
        content = json.loads(file.read_bytes())
        found += content if isinstance(content, list) else [content]
    return found


def test_recorded_answers_are_stored_value_by_value(
    recordings: Path, make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(replay=recordings))
    company.synced("full")
    company.assert_ledger_adds_up()
    for entity, (listed, *elsewhere) in RECORDED.items():
        records = recorded(recordings, listed)
        assert records, f"no recording of {entity}"
        also = [r for pattern in elsewhere for r in recorded(recordings, pattern)]
        held = company.raw(entity)
        dropped = {"boards"} if entity == "spaces" else set()
        for record in records:
            for name in record.keys() - dropped:
                values = [r[name] for r in (*records, *also) if r["id"] == record["id"] and name in r]
                assert held[record["id"]][name] in values, f"{entity} {record['id']}: {name} was never recorded so"


def test_typed_columns_of_recorded_answers_lose_nothing(
    recordings: Path, make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(replay=recordings))
    company.synced("full")
    with company.connected() as connection:
        for entity in company.accounts["kaiten"].entities:
            for column in connection.target(entity.name).typed:
                lost = company.query(
                    f"select count(*) from kaiten.{entity.name}"
                    f" where ({column.source}) is not null and {column.name} is null"
                )
                assert lost == [(0,)], f"{entity.name}.{column.name} lost values of {column.source}"
