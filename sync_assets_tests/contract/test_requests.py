"""What a full sync costs: the least possible requests, computed from the world, and at most five more."""

from math import ceil

import pytest

from sync_assets.extract.fetch import IN_FLIGHT
from sync_assets_tests.company import Company

SPARE = 5
assert IN_FLIGHT - 1 <= SPARE


def pages(records: int, size: int = 100) -> int:
    """Pages that overlap by one row; a last page that is full, or looks capped, needs one more to prove the end."""
    return max(1, ceil((records - 1) / (size - 1))) if records else 1


def least(company: Company) -> int:
    kaiten = company.sandbox.world.kaiten
    tables = kaiten.tables
    selects = [d for d in tables["property_definitions"].values() if d["type"] == "select"]
    return sum(
        (
            1,  # preflight
            1,  # spaces
            pages(len(tables["users"])),
            pages(len(tables["card_types"])),
            pages(len(tables["tags"])),
            1,  # property definitions
            len(selects),
            len(tables["spaces"]),  # boards; columns and live lanes come with them
            2 * len(tables["boards"]),  # archived and deleted lanes
            pages(len(kaiten.cards)),
        )
    )


@pytest.mark.parametrize("cards", [0, 1, 99, 100, 1000])
def test_a_full_sync_of_kaiten_asks_no_more_than_it_must(make_company, make_sandbox, cards: int) -> None:  # type: ignore[no-untyped-def]
    company = make_company(make_sandbox(cards=cards))
    company.synced("full")
    asked, fewest = len(company.sandbox.requests), least(company)
    print(f"{cards} cards: {asked} requests, {fewest} are the least possible")
    assert fewest <= asked <= fewest + SPARE
    assert asked == sum(n for (n,) in company.query("select requests from sync.logs")) + 1  # preflight
    company.assert_world_equals_postgres()


def test_a_full_sync_of_worksection_asks_once_per_listing(company: Company) -> None:
    company.synced("full", "worksection")
    asked = [entry.query["action"] for entry in company.sandbox.requests]
    assert sorted(asked) == sorted(
        ["get_project_groups", "get_projects", "get_users", "get_task_tags", "get_project_tags", "get_all_tasks"]
    )


def test_an_incremental_sync_of_cards_asks_for_the_changed_ones(grown: Company) -> None:
    grown.sandbox.world.advance(1)
    before = len(grown.sandbox.requests)
    outcome = grown.synced("incremental", only="cards")["cards"]
    asked = [entry for entry in grown.sandbox.requests[before:] if entry.path.endswith("/cards")]
    assert len(asked) == 1
    assert "updated_after" in asked[0].query
    assert outcome.totals["fetched"] < 30
