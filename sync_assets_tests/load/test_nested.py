"""Entities that come inside another's answer: built from the stored parents, without a request of their own."""

from __future__ import annotations

import json

import pytest

from sync_assets_tests.company import Company

LISTS = r"/spaces/\d+/boards$"


@pytest.fixture
def board(grown: Company) -> int:
    """A board with a subcolumn."""
    columns = grown.truth("columns").values()
    return int(next(c["board_id"] for c in columns if c["column_id"]))


def put_columns(company: Company, board: int, *columns: object) -> None:
    value = json.dumps(columns).encode()
    company.sandbox.faults.set("V6", system="kaiten", path=LISTS, record=board, field="columns", value=value)


def assert_heals(company: Company) -> None:
    company.sandbox.faults.clear()
    company.synced()
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


def test_columns_and_subcolumns_come_without_a_request(grown: Company) -> None:
    truth = grown.truth("columns")
    assert any(c["column_id"] for c in truth.values())
    grown.query("delete from kaiten.columns")
    grown.sandbox.requests.clear()
    outcome = grown.synced(only="columns")["columns"]
    assert (outcome.totals["created"], outcome.totals["requests"]) == (len(truth), 0)
    assert grown.raw("columns") == truth


def test_a_derivation_that_finds_nothing_new_writes_nothing(grown: Company) -> None:
    before = grown.query("select id, xmin::text, synced_at from kaiten.columns order by id")
    totals = grown.synced(only=("boards", "columns"))["columns"].totals
    assert totals["unchanged"] == totals["fetched"] == len(before)
    assert grown.query("select id, xmin::text, synced_at from kaiten.columns order by id") == before


def test_columns_that_left_their_board_are_buried(grown: Company, board: int) -> None:
    columns = grown.truth("columns")
    sub = next(key for key, c in columns.items() if c["column_id"])
    grown.sandbox.world.kaiten.delete("columns", sub)
    totals = grown.synced()["columns"].totals
    assert totals["deleted"] == 1
    assert grown.query("select key, evidence from sync.tombstones where entity = 'columns'") == [
        (str(sub), "no longer in the stored boards")
    ]
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_v7_keyless_columns_are_rejected_and_repeated_ones_counted(grown: Company, board: int) -> None:
    own = [c for c in grown.truth("columns").values() if c["board_id"] == board]
    others = len(grown.truth("columns")) - len(own)
    put_columns(grown, board, {"id": 5, "title": "a"}, {"title": "b"}, {"id": "x"}, {"id": None}, {"id": "005"})
    outcome = grown.synced(only=("boards", "columns"))["columns"]
    totals = outcome.totals
    assert (totals["created"], totals["rejected"], totals["repeated"], totals["unchanged"]) == (1, 3, 1, others)
    # One of the keyless may be one of those that are missing: nothing is deleted on such evidence.
    assert totals["deleted"] == 0
    assert "3 records came without a key" in outcome.note
    assert grown.query("select count(*), bool_or(kept) from sync.rejected where entity = 'columns'") == [(3, False)]
    assert grown.raw("columns").keys() >= {5, *(c["id"] for c in own)}
    assert_heals(grown)


def test_v6_columns_that_are_no_list_are_no_columns(grown: Company, board: int) -> None:
    value = b'{"was":"a list"}'
    grown.sandbox.faults.set("V6", system="kaiten", path=LISTS, record=board, field="columns", value=value)
    grown.synced(only=("boards", "columns"))
    assert_heals(grown)


def test_a_composite_key_needs_both_parts(grown: Company) -> None:
    before = grown.raw("stages", "worksection")
    project = grown.query(
        "select id from worksection.projects p where exists"
        " (select from worksection.stages s where s.project_id = p.id) order by id limit 1"
    )[0][0]
    grown.query(
        "update worksection.projects set raw_json = jsonb_set(raw_json, '{tags}', raw_json -> 'tags' ||"
        " jsonb_build_object('a/b', 'Стадия с косой чертой')) where id = %s",
        [project],
    )
    totals = grown.synced(account="worksection", only="stages")["stages"].totals
    assert (totals["rejected"], totals["unchanged"]) == (1, len(before))
    assert grown.raw("stages", "worksection") == before
