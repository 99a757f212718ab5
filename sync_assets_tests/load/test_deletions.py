"""Deletion needs proof: a complete sweep, a plausible number and, where the API can tell, a look by id."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sync_assets.errors import FuseBlown, SyncError
from sync_assets.load.deletions import missing
from sync_assets_tests.company import Company
from sync_assets_tests.load.hand import hand


def graves(company: Company, entity: str) -> list[tuple[object, ...]]:
    return company.query("select key::bigint, evidence from sync.tombstones where entity = %s order by 1", [entity])


def last_log(company: Company, columns: str, entity: str = "cards") -> list[tuple[object, ...]]:
    return company.query(f"select {columns} from sync.logs where entity = %s order by id desc limit 1", [entity])


def delete_cards(company: Company, count: int) -> list[int]:
    keys = sorted(company.sandbox.world.kaiten.cards)[:count]
    for key in keys:
        company.sandbox.world.kaiten.delete_card(key)
    return keys


def assert_in_step(company: Company) -> None:
    company.assert_world_equals_postgres()
    company.assert_ledger_adds_up()


def test_what_is_gone_moves_to_the_tombstones_with_how_we_know(grown: Company) -> None:
    world = grown.sandbox.world.kaiten
    held = grown.raw("cards")
    cards, tag = delete_cards(grown, 3), min(grown.raw("tags"))
    world.delete_tag(tag)
    done = grown.synced()
    assert (done["cards"].totals["deleted"], done["tags"].totals["deleted"]) == (3, 1)
    assert graves(grown, "cards") == [(key, "asked for by id: 403 without a body") for key in cards]
    assert graves(grown, "tags") == [(tag, "absent from a complete listing")]
    assert grown.query("select raw_json from sync.tombstones where key = %s", [str(cards[0])]) == [(held[cards[0]],)]
    assert last_log(grown, "id") == grown.query("select distinct sync_id from sync.tombstones where entity = 'cards'")
    assert_in_step(grown)


def test_what_comes_back_is_living_again(grown: Company) -> None:
    card = sorted(grown.sandbox.world.kaiten.cards)[5]
    kept = grown.sandbox.world.kaiten.cards[card]
    grown.sandbox.world.kaiten.delete_card(card)
    grown.synced()
    assert [key for key, _ in graves(grown, "cards")] == [card]
    with grown.sandbox.world.kaiten.changing():
        grown.sandbox.world.kaiten.cards[card] = kept
    grown.synced()
    assert graves(grown, "cards") == []
    assert_in_step(grown)


def test_an_incremental_sync_deletes_nothing(grown: Company) -> None:
    delete_cards(grown, 2)
    assert grown.synced("incremental")["cards"].totals["deleted"] == 0
    assert grown.count("cards") == len(grown.truth("cards")) + 2


def test_living_records_that_the_list_forgets_are_kept_and_refreshed(grown: Company) -> None:
    forgotten = grown.sandbox.faults.set("A14", system="kaiten", path="/cards$", forget=0.03)
    for key in list(grown.sandbox.world.kaiten.cards):
        grown.sandbox.world.kaiten.update_card(key, title="renamed")
    totals = grown.synced("full", only="cards")["cards"].totals
    assert forgotten.strikes
    assert (totals["deleted"], totals["updated"]) == (0, len(grown.truth("cards")))
    assert_in_step(grown)


@pytest.mark.parametrize(("entity", "share"), [("tags", 1.0), ("cards", 1.0), ("cards", 0.6)])
def test_a14_an_implausible_list_deletes_nothing_and_says_both_numbers(
    grown: Company, entity: str, share: float
) -> None:
    grown.sandbox.faults.set("A14", system="kaiten", path=f"/{entity}$", forget=share)
    before = grown.count(entity)
    grown.sandbox.requests.clear()
    error = grown.sync("full", only=entity)[entity]
    assert isinstance(error, FuseBlown)
    assert f"where {before} are stored" in str(error)
    assert "allow_deletions: " in str(error)
    assert not [r for r in grown.sandbox.requests if r.path.rpartition("/")[2].isdigit()], "nobody was asked for by id"
    assert grown.count(entity) == before
    assert last_log(grown, "status, deleted, error is not null", entity) == [("failed", 0, True)]
    grown.sandbox.faults.clear()
    grown.synced()
    assert_in_step(grown)


def test_a14_a_release_lets_its_number_pass_and_only_once(grown: Company) -> None:
    delete_cards(grown, 100)
    assert isinstance(grown.sync("full", only="cards")["cards"], FuseBlown)
    assert isinstance(grown.sync("full", only="cards", allow_deletions=99)["cards"], FuseBlown)
    assert grown.synced("full", only="cards", allow_deletions=100)["cards"].totals["deleted"] == 100
    assert_in_step(grown)
    delete_cards(grown, 100)
    assert isinstance(grown.sync("full", only="cards")["cards"], FuseBlown)
    assert grown.count("cards") == 150


def test_a_few_deletions_of_a_small_entity_need_no_release(grown: Company) -> None:
    for tag in sorted(grown.raw("tags"))[:9]:
        grown.sandbox.world.kaiten.delete_tag(tag)
    assert grown.synced(only="tags")["tags"].totals["deleted"] == 9


def test_a_record_that_came_while_the_sweep_was_under_way_is_not_missing(company: Company) -> None:
    account = company.accounts["kaiten"]
    with hand(company.database_url, account, account.entity("tags")) as tags:
        tags.load({"id": 1}, seen=9)
        tags.load({"id": 2}, seen=11)
        unseen = tags.database.transaction(lambda c: missing(c, tags.target, sweep=1, seen=10))
    assert (unseen.keys, unseen.living, unseen.seen) == (["1"], 2, 0)


@pytest.fixture
def broken(make_company: Callable[..., Company], grown: Company) -> Company:
    """A full sync of cards that ended after its second page."""
    company = make_company(grown.sandbox, database_url=grown.database_url, SYNC_BATCH_SIZE="1")
    company.sandbox.faults.set("A3", system="kaiten", path="offset=198")
    assert isinstance(company.sync("full", only="cards")["cards"], SyncError)
    company.sandbox.faults.clear()
    return company


def test_a_resumed_sweep_deletes_what_is_gone_and_nothing_that_it_saw_before(broken: Company) -> None:
    last = sorted(broken.sandbox.world.kaiten.cards)[-1]
    broken.sandbox.world.kaiten.delete_card(last)
    totals = broken.synced("full", only="cards")["cards"].totals
    assert totals["deleted"] == 1
    assert totals["fetched"] < 100
    assert_in_step(broken)


@pytest.mark.parametrize(
    "loss",
    [
        "delete from sync.sightings where page = (select min(page) from sync.sightings)",
        "truncate sync.sightings",
        "update sync.sightings set records = records - 1 where page = (select min(page) from sync.sightings)",
    ],
)
def test_sightings_that_do_not_add_up_forbid_deletion(broken: Company, loss: str) -> None:
    broken.query(loss)
    error = broken.sync("full", only="cards")["cards"]
    assert isinstance(error, FuseBlown)
    assert "do not add up" in str(error)
    assert broken.count("cards") == len(broken.truth("cards"))
    assert graves(broken, "cards") == []
    broken.synced()
    assert_in_step(broken)
