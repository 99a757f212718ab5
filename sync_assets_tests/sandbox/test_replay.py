"""A world rebuilt from recordings gives them back and adds nothing; the samples here are the project's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from sync_assets.sandbox.dialect import RefusedError
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED, Client

FILES: dict[str, Any] = {
    "cli/spaces_list": [{"id": 1, "title": "One"}],
    "client/spaces_list": [{"id": 1, "title": "One", "updated": "2026-01-01T00:00:00.000Z"}],
    "cli/boards_list": [{"id": 5, "title": "Board", "space_id": 1, "sort_order": 1.5}],
    "cli/board_get": {"id": 5, "title": "Board", "columns": [{"id": 7, "board_id": 5, "title": "To do"}], "lanes": []},
    "client/board_get": {"id": 5, "columns": [{"id": 7, "board_id": 5, "title": "To do", "type": 1}]},
    "cli/cards_list": [{"id": 9, "title": "old", "board_id": 5, "version": 1, "sort_order": 2}],
    "client/card_get_full": {
        "id": 9,
        "title": "new",
        "board_id": 5,
        "version": 2,
        "description": "d",
        "checklists": [],
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        file = tmp_path / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return tmp_path


def test_the_newest_and_most_complete_value_wins(folder: Path) -> None:
    with Sandbox(replay=folder, rates=UNLIMITED) as sb:
        client = Client(sb)
        with client.http:
            card = {"id": 9, "title": "new", "board_id": 5, "version": 2, "sort_order": 2}
            assert client.cards() == [card]
            assert client.cards(additional_card_fields="description") == [{**card, "description": "d"}]
            assert client.kaiten("/cards/9").json() == {**card, "description": "d", "checklists": []}
            board = client.kaiten("/spaces/1/boards").json()[0]
            column = {"id": 7, "board_id": 5, "title": "To do", "type": 1}
            assert board == {
                "id": 5,
                "title": "Board",
                "space_id": 1,
                "sort_order": 1.5,
                "columns": [column],
                "lanes": [],
            }
            for empty in ("/users", "/tags", "/company/custom-properties", "/boards/5/lanes"):
                assert client.kaiten(empty).json() == []
            assert client.kaiten("/cards/1").status_code == 403
            assert client.kaiten("/users/current").status_code == 404


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no folder"):
        Sandbox(replay=tmp_path / "nowhere")


def test_the_shared_recordings_come_back_value_by_value(shared: Path) -> None:
    recorded = shared / "kaiten"
    with Sandbox(replay=recorded, rates=UNLIMITED) as sb:
        client = Client(sb)
        with client.http:
            full = json.loads((recorded / "client/card_get_full.json").read_text())
            served = client.kaiten(f"/cards/{full['id']}").json()
            assert {name: served[name] for name in full} == full
            listed = {card["id"]: card for card in client.cards()}
            recorded_list = json.loads((recorded / "cli/cards_list.json").read_text())
            assert listed.keys() == {card["id"] for card in recorded_list}
            assert listed[67089470] == recorded_list[1]
            for path, file in (("/tags", "tags_list"), ("/card-types", "card_types_list"), ("/spaces", "spaces_list")):
                found = {row["id"]: row for row in client.kaiten(path).json()}
                for row in json.loads((recorded / f"cli/{file}.json").read_text()):
                    assert row.items() <= found[row["id"]].items()
            boards = [
                b for s in client.kaiten("/spaces").json() for b in client.kaiten(f"/spaces/{s['id']}/boards").json()
            ]
            assert {board["id"] for board in boards} == {1826105, 1826106, 1826109}
            assert {c["id"] for b in boards for c in b["columns"]} == {6308511, 6308512, 6308513}
            assert len(client.kaiten("/users").json()) == 3
