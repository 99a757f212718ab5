"""Values: texts that are not of their column's type, codes that nobody declared, records that were refused."""

from typing import Any

import pytest

from sync_assets_tests.check.look import found_by_its_query, look
from sync_assets_tests.company import Company

VALUE_CHECKS = ("columns_parse", "values_known", "nothing_rejected")


@pytest.fixture
def card(company: Company) -> int:
    """A card in the middle of a page."""
    return sorted(company.truth("cards"))[7]


def cards_with(company: Company, fault: str, card: int, **options: Any) -> int:
    """Syncs all cards, one of them damaged. Answers the number of the sync."""
    company.sandbox.faults.set(fault, system="kaiten", path=r"/cards$", record=card, **options)
    outcome = company.sync("full", "kaiten", "cards")["cards"]
    company.sandbox.faults.clear()
    return outcome.log_id  # type: ignore[union-attr]


@pytest.mark.parametrize("check", VALUE_CHECKS)
def test_a_check_of_values_is_green_where_nothing_is_wrong(company: Company, check: str) -> None:
    sync = company.synced("full", "kaiten", "cards")["cards"].log_id
    assert look(company, check).passed and look(company, check, syncs=(sync,)).passed


@pytest.mark.parametrize("variant", ["dotted", "zero", "feb30", "year10000", "unix"])
def test_columns_parse_is_red_for_a_date_in_no_declared_format_v4(company: Company, card: int, variant: str) -> None:
    sync = cards_with(company, "V4", card, field="due_date", variant=variant)
    finding = look(company, "columns_parse", syncs=(sync,))
    assert not finding.passed and finding.severity == "ERROR"
    assert finding.facts["columns"] == {"due_at": 1} and finding.facts["count"] == 1
    assert [str(i) for i in finding.facts["sample"]] == [str(card)] == found_by_its_query(company, finding)
    assert "due_at" in finding.says and "02.03.2025" not in str(finding)
    ((text, column),) = company.query("select raw_json ->> 'due_date', due_at from kaiten.cards where id = %s", (card,))
    assert text and column is None


def test_columns_parse_is_green_for_an_empty_text_v4(company: Company, card: int) -> None:
    cards_with(company, "V4", card, field="due_date", variant="empty")
    assert look(company, "columns_parse").passed


def test_columns_parse_counts_every_column_and_shows_the_rows_of_one(company: Company) -> None:
    company.synced("full", "kaiten", "cards")
    company.query("""update kaiten.cards set raw_json = raw_json || '{"size": "big", "due_date": "soon"}'""")
    company.query("""update kaiten.cards set raw_json = raw_json || '{"due_date": null}' where id % 2 = 0""")
    finding = look(company, "columns_parse")
    total = company.count("cards")
    assert finding.facts["columns"]["size"] == total > finding.facts["columns"]["due_at"] > 0
    assert len(finding.facts["sample"]) == 10
    assert set(map(str, finding.facts["sample"])) <= set(found_by_its_query(company, finding))


def test_values_known_is_red_for_an_invented_code_v5(company: Company, card: int) -> None:
    sync = cards_with(company, "V5", card, field="state")
    finding = look(company, "values_known", syncs=(sync,))
    assert not finding.passed and finding.severity == "WARN"
    assert finding.facts == {"count": 1, "values": {"state": {"99": 1}}}
    assert company.query("select state from kaiten.cards where id = %s", (card,)) == [(99,)]


def test_values_known_measures_what_could_be_markup_instead_of_showing_it(company: Company) -> None:
    company.synced("full", "worksection", "projects")
    company.query(
        "update worksection.projects set raw_json = raw_json || jsonb_build_object('status',"
        " case row_number when 1 then '![a](http://trap)' when 2 then '![b](http://trap)' else 'on hold' end)"
        " from (select id, row_number() over (order by id) from worksection.projects) n where n.id = projects.id"
    )
    finding = look(company, "values_known", "projects", "worksection")
    total = company.count("projects", "worksection")
    assert finding.facts["values"] == {"status": {"(17 characters)": 2, "on hold": total - 2}}
    assert finding.facts["count"] == total > 2
    assert "http" not in str(finding)


def test_nothing_rejected_is_red_for_a_record_without_a_key_v7(company: Company, card: int) -> None:
    sync = cards_with(company, "V7", card, variant="missing")
    finding = look(company, "nothing_rejected", syncs=(sync,))
    assert not finding.passed and finding.severity == "WARN"
    assert finding.facts["count"] == 1 and "key" in finding.facts["sample"][0]
    assert found_by_its_query(company, finding) == ["kaiten"]


def test_nothing_rejected_is_green_for_a_record_that_was_mended_v1(company: Company, card: int) -> None:
    cards_with(company, "V1", card)
    assert company.query("select kept from sync.rejected") == [(True,)]
    assert look(company, "nothing_rejected").passed


def test_after_a_sync_only_its_own_rows_are_looked_at(company: Company, card: int) -> None:
    bad = cards_with(company, "V7", card, variant="null")
    company.sandbox.world.advance(3)
    next_one = company.synced("incremental", "kaiten", "cards")["cards"].log_id
    company.query(
        """update kaiten.cards set raw_json = raw_json || '{"state": 99, "due_date": "soon"}', sync_id = %s"""
        " where id = (select max(id) from kaiten.cards)",
        (bad,),
    )
    for check in VALUE_CHECKS:
        assert look(company, check, syncs=(next_one,)).passed, check
        assert not look(company, check, syncs=(bad, next_one)).passed, check
        assert not look(company, check).passed, check
