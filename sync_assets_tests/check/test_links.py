"""Links: waiting is a warning for an hour and an error after it; what the source denied is named with its words."""

import pytest

from sync_assets.check import checks_of
from sync_assets.check.finding import SAMPLE
from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company


@pytest.fixture
def alone(company: Company) -> Company:
    """Cards whose parents nobody has synced; boards come by id, columns and lanes cannot."""
    company.synced("full", "kaiten", "cards")
    return company


def test_links_resolve_is_green_where_every_parent_is_here(company: Company) -> None:
    done = company.synced()
    for syncs in ((), (done["cards"].log_id,)):
        finding = look(company, "links_resolve", syncs=syncs)
        assert finding.passed and finding.facts["waiting"] == 0
    assert "links_resolve" not in checks_of(company.entity("tags"))


def test_links_resolve_warns_of_parents_that_wait(alone: Company) -> None:
    finding = look(alone, "links_resolve")
    assert not finding.passed and finding.severity == "WARN"
    waiting = alone.query("select distinct entity, key from sync.missing_parents where state = 'waiting'")
    assert len(waiting) == finding.facts["waiting"] > 0
    assert {entity for entity, _ in waiting} >= {"columns", "lanes"}
    assert "boards" not in {entity for entity, _ in waiting}
    assert len(finding.facts["sample"]) == SAMPLE
    assert len(alone.query(finding.facts["query"])) == finding.facts["waiting"]


def test_links_resolve_is_red_for_a_parent_waited_for_longer_than_an_hour(alone: Company) -> None:
    alone.query("update sync.missing_parents set waiting_since = now() - interval '59 minutes'")
    assert look(alone, "links_resolve").severity == "WARN"
    alone.query(
        "update sync.missing_parents set waiting_since = now() - interval '61 minutes'"
        " where (entity, key) = (select entity, key from sync.missing_parents where entity = 'lanes' limit 1)"
    )
    ((lane,),) = alone.query(
        "select key from sync.missing_parents where waiting_since < now() - interval '1 hour' and entity = 'lanes'"
    )
    finding = look(alone, "links_resolve")
    assert not finding.passed and finding.severity == "ERROR"
    assert finding.facts["waiting_too_long"] == 1
    assert finding.facts["sample"] == [f"lane_id -> lanes {lane}: waiting"]


def test_links_resolve_is_green_again_when_the_parents_have_come(alone: Company) -> None:
    alone.query("update sync.missing_parents set waiting_since = now() - interval '2 hours'")
    alone.synced()
    assert look(alone, "links_resolve").passed


@pytest.mark.parametrize(("status", "state"), [(404, "gone"), (402, "unreachable")])
def test_links_resolve_names_what_the_source_denied(company: Company, status: int, state: str) -> None:
    company.sandbox.faults.set("A3", system="kaiten", path=r"/boards/\d+$", status=status)
    company.synced("full", "kaiten", "cards")
    company.sandbox.faults.clear()
    company.synced("full", "kaiten", ["users", "card_types"])
    company.query("delete from sync.missing_parents where entity in ('columns', 'lanes')")
    finding = look(company, "links_resolve", syncs=(1,))
    boards = len(company.truth("boards"))
    assert finding.severity == "WARN" and not finding.passed
    assert finding.facts[state] == boards and finding.facts["waiting"] == 0
    assert all(f": {state} (" in line and f"{status}" in line for line in finding.facts["sample"])
    company.query("update sync.missing_parents set waiting_since = now() - interval '1 day'")
    assert look(company, "links_resolve", syncs=(1,)).severity == "WARN"


def test_links_resolve_finds_in_the_whole_table_what_no_sync_has_met(company: Company) -> None:
    done = company.synced()
    ((lane, cards),) = company.query("select lane_id, count(*) from kaiten.cards group by 1 order by 2 desc limit 1")
    assert cards > 1
    company.query("delete from kaiten.lanes where id = %s", (lane,))
    assert look(company, "links_resolve", syncs=(done["cards"].log_id,)).passed
    finding = look(company, "links_resolve")
    assert not finding.passed and finding.facts["sample"] == [f"lane_id -> lanes {lane}: waiting"]
