"""L1-L3: parents that come last, never, or go away, and rings. The child is stored as it is; what waits has a name."""

from __future__ import annotations

from typing import Any

import pytest

from sync_assets.load import parents
from sync_assets.load.database import Database
from sync_assets.load.target import targets
from sync_assets_tests.company import Company

LISTS = r"/spaces/\d+/boards$"


def waiting(company: Company, entity: str = "boards") -> list[tuple[Any, ...]]:
    return company.query(
        "select key::bigint, child_entity, child_columns, state, tries, evidence from sync.missing_parents"
        " where account = 'kaiten' and entity = %s order by 1, 2",
        [entity],
    )


def assert_heals(company: Company) -> None:
    company.sandbox.faults.clear()
    company.synced()
    assert company.query("select * from sync.missing_parents") == []
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


def test_l1_children_whose_parents_no_list_shows_are_stored_and_the_parents_are_fetched_by_id(company: Company) -> None:
    company.sandbox.faults.set("L1", system="kaiten", path=LISTS, share=1.0)
    outcome = company.synced()["cards"]
    assert company.raw("cards").keys() == company.truth("cards").keys()
    assert company.raw("boards").keys() == company.truth("boards").keys()
    assert waiting(company) == []
    # Columns and lanes come inside the listing of boards only: these links wait, each under its name.
    columns = {card["column_id"] for card in company.truth("cards").values()}
    assert waiting(company, "columns") == [(key, "cards", "column_id", "waiting", 0, None) for key in sorted(columns)]
    assert outcome.waiting == len(columns) + len(waiting(company, "lanes"))
    assert_heals(company)


def test_l1_parents_that_come_last_are_relinked_the_moment_they_come(company: Company) -> None:
    company.sandbox.faults.set("L1", system="kaiten", path=LISTS, share=1.0, times=len(company.truth("spaces")))
    company.synced(only=("spaces", "users", "card_types", "boards", "columns", "lanes", "cards"))
    assert waiting(company, "columns")
    company.synced(only="boards")
    assert waiting(company, "columns")
    company.synced(only="columns")
    assert waiting(company, "columns") == []
    assert waiting(company, "lanes")
    assert_heals(company)


def test_l1_parents_that_never_come_are_gone_with_how_we_know(company: Company) -> None:
    company.sandbox.faults.set("L1", system="kaiten", path="/boards", share=1.0, by_id="no")
    company.synced()
    boards = sorted({card["board_id"] for card in company.truth("cards").values()})
    evidence = "asked for by id: 403 without a body"
    assert waiting(company) == [(key, "cards", "board_id", "gone", 1, evidence) for key in boards]
    assert company.raw("cards").keys() == company.truth("cards").keys()
    company.sandbox.requests.clear()
    company.synced()
    assert not [r.path for r in company.sandbox.requests if r.path.rpartition("/")[2] in map(str, boards)]
    assert_heals(company)


def test_l1_a_parent_that_cannot_be_asked_for_now_waits_longer_each_time(company: Company) -> None:
    company.sandbox.faults.set("L1", system="kaiten", path=LISTS, share=1.0)
    company.sandbox.faults.set("A3", system="kaiten", path=r"/boards/\d+$")
    company.synced()
    boards = len({card["board_id"] for card in company.truth("cards").values()})
    assert [(s, t, e) for *_, s, t, e in waiting(company)] == [("waiting", 1, "the source answers 503")] * boards
    company.sandbox.requests.clear()
    company.synced()
    assert [t for *_, t, _ in waiting(company)] == [1] * boards
    waits = "select extract(epoch from min(next_try_at) - now()) from sync.missing_parents where entity = 'boards'"
    [(first,)] = company.query(waits)
    company.query("update sync.missing_parents set next_try_at = now()")
    company.synced()
    [(second,)] = company.query(waits)
    assert 0 < first < 2 * first < second + 5
    assert_heals(company)


def test_l1_a_parent_that_is_no_longer_pointed_at_is_no_longer_waited_for(company: Company) -> None:
    company.sandbox.faults.set("L1", system="kaiten", path="/boards", share=1.0, by_id="no")
    company.synced()
    key, *_ = waiting(company)[0]
    world = company.sandbox.world.kaiten
    for card in [k for k, c in world.cards.items() if c.board_id == key]:
        world.delete_card(card)
    company.synced("full", allow_deletions=1000)
    assert key not in [k for k, *_ in waiting(company)]
    assert_heals(company)


def test_l1_unreachable_is_not_gone(grown: Company) -> None:
    database, account = Database(grown.database_url), grown.accounts["kaiten"]
    try:
        grown.query(
            "insert into sync.missing_parents (account, entity, key, child_entity, child_columns)"
            " values ('kaiten', 'boards', '7', 'cards', 'board_id'), ('kaiten', 'boards', '8', 'cards', 'board_id')"
        )
        boards = database.transaction(lambda c: targets(c, account, ["boards"])["boards"])
        found = {"7": ("unreachable", "the token may not read this (403)"), "8": ("gone", "404")}
        database.transaction(lambda c: parents.tried(c, boards, found))
        assert [(key, state) for key, _, _, state, *_ in waiting(grown)] == [(7, "unreachable"), (8, "gone")]
        grown.query("update sync.missing_parents set next_try_at = now()")
        assert database.transaction(lambda c: parents.due(c, boards)) == ["7"]
    finally:
        database.close()


def test_l2_a_parent_that_is_deleted_later_leaves_its_children_and_a_date(grown: Company) -> None:
    world = grown.sandbox.world.kaiten
    owner = next(iter(world.cards.values())).owner_id
    children = {k for k, c in world.cards.items() if c.owner_id == owner}
    world.delete("users", owner)
    grown.synced()
    grown.synced()
    assert {k for k, card in grown.raw("cards").items() if card["owner_id"] == owner} == children
    [(key, child, column, state, _, evidence)] = waiting(grown, "users")
    assert (key, child, column, state) == (owner, "cards", "owner_id", "gone")
    assert evidence.startswith("gone since 20")
    assert evidence.endswith("absent from a complete listing")
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_l3_rings_and_self_parents_are_stored_and_the_tree_ends(grown: Company, kind: str) -> None:
    cards = list(grown.sandbox.world.kaiten.cards)
    grown.sandbox.faults.set("L3")
    grown.synced(kind)
    edges = set(grown.query("select card_id, child_id from kaiten.card_children"))
    ring = [(cards[0], cards[1]), (cards[1], cards[2]), (cards[2], cards[0]), (cards[3], cards[3])]
    assert set(ring) <= edges
    rings = {root for (root,) in grown.query("select distinct root_id from kaiten.card_tree where is_ring")}
    assert rings >= set(cards[:4])
    assert grown.query("select max(depth) <= 50 from kaiten.card_tree") == [(True,)]
    grown.assert_world_equals_postgres(copies=kind == "full")
    grown.assert_ledger_adds_up()
