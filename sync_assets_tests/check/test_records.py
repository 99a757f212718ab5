"""Fields, ledger, volume and age: what is true of all records of an entity together."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sync_assets.check import CHECKS, Scope, check_entity, checks_of
from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company
from sync_assets_tests.contract.declared import NAMES

FIELD = "title"


def test_fields_present_is_red_while_a_field_is_gone_and_its_values_are_kept_a13(company: Company) -> None:
    company.synced("full", "kaiten", "cards")
    titles = {key: card[FIELD] for key, card in company.raw("cards").items()}
    assert look(company, "fields_present").passed

    company.sandbox.faults.set("A13", system="kaiten", path=r"/cards$", variant="missing_field", field=FIELD)
    first = company.synced("full", "kaiten", "cards")["cards"]
    assert f"field gone from every record, values kept: {FIELD}" in first.note
    finding = look(company, "fields_present", syncs=(first.log_id,))
    assert not finding.passed and finding.severity == "ERROR"
    assert (
        finding.facts["fields"] == [FIELD] and FIELD in finding.says and "sync.metadata" in finding.facts["next_step"]
    )
    assert {key: card[FIELD] for key, card in company.raw("cards").items()} == titles

    again = company.synced("full", "kaiten", "cards")["cards"]
    assert "gone" not in again.note, "said once"
    assert not look(company, "fields_present").passed, "red as long as it is gone"

    company.sandbox.faults.clear()
    company.synced("full", "kaiten", "cards")
    assert look(company, "fields_present").passed
    assert {key: card[FIELD] for key, card in company.raw("cards").items()} == titles


def test_fields_present_is_green_where_few_records_lack_a_field(company: Company) -> None:
    company.synced("full", "kaiten", "cards")
    few = sorted(company.raw("cards"))[:19]
    company.sandbox.faults.set("A13", system="kaiten", path=r"/cards/\d+$", variant="missing_field", field=FIELD)
    company.synced("selective", "kaiten", "cards", ids=tuple(map(str, few)))
    assert look(company, "fields_present").passed
    assert all(FIELD not in company.raw("cards")[key] for key in few)


def test_a_new_field_is_noted_once_a13(company: Company) -> None:
    company.synced("full", "kaiten", "cards")
    company.sandbox.faults.set("A13", system="kaiten", path=r"/cards$", variant="new_field")
    assert company.synced("full", "kaiten", "cards")["cards"].note == "new field: brand_new_field"
    company.sandbox.world.advance(5)
    assert company.synced("full", "kaiten", "cards")["cards"].note == ""
    assert look(company, "fields_present").passed
    assert all("brand_new_field" in card for card in company.raw("cards").values())


def test_ledger_adds_up_is_red_for_a_sync_that_lost_count(company: Company) -> None:
    good = company.synced("full", "kaiten", "tags")["tags"].log_id
    assert look(company, "ledger_adds_up", "tags").passed
    company.query("alter table sync.logs drop constraint every_record_is_exactly_one_of_these")
    bad = company.synced("full", "kaiten", "tags")["tags"].log_id
    company.query("update sync.logs set fetched = fetched + 1 where id = %s", (bad,))
    finding = look(company, "ledger_adds_up", "tags", syncs=(bad,))
    assert not finding.passed and finding.severity == "ERROR"
    assert finding.facts == {"count": 1, "sample": [bad]}
    assert look(company, "ledger_adds_up", "tags", syncs=(good,)).passed
    assert look(company, "ledger_adds_up", "users").passed
    assert not look(company, "ledger_adds_up", "tags").passed


def test_volume_is_red_for_a_table_that_is_empty_now(company: Company) -> None:
    before = company.synced("full", "kaiten", "tags")["tags"].rows
    company.sandbox.faults.set("A14", system="kaiten", path=r"/tags$", forget=1.0)
    emptied = company.synced("full", "kaiten", "tags", allow_deletions=before)["tags"]
    finding = look(company, "volume", "tags", syncs=(emptied.log_id,))
    assert not finding.passed and finding.severity == "ERROR"
    assert finding.facts == {"rows": 0, "rows_before": before}


@pytest.mark.parametrize("left", [40, 4])
def test_volume_warns_of_a_table_that_lost_more_than_half(company: Company, left: int) -> None:
    before = company.synced("full", "kaiten", "cards")["cards"].rows
    company.query("delete from kaiten.cards where id not in (select id from kaiten.cards limit %s)", (left,))
    finding = look(company, "volume")
    assert not finding.passed and finding.severity == "WARN"
    assert finding.facts == {"rows": left, "rows_before": before}


def test_volume_is_compared_with_the_run_before_however_often_this_run_read(company: Company) -> None:
    """A run that heals parents syncs their entity twice."""
    before = company.synced("full", "kaiten", "cards")["cards"].rows
    company.query("delete from kaiten.cards where id not in (select id from kaiten.cards limit 40)")
    key = str(next(iter(company.raw("cards"))))
    one, two = (company.synced("selective", "kaiten", "cards", ids=(key,))["cards"] for _ in range(2))
    finding = look(company, "volume", syncs=(one.log_id, two.log_id))
    assert not finding.passed and finding.facts == {"rows": 40, "rows_before": before}


def test_volume_is_green_where_a_table_grew_or_is_small(company: Company) -> None:
    first = company.synced("full", "kaiten", ["cards", "tags"])
    company.sandbox.world.advance(10)
    second = company.synced("full", "kaiten", ["cards", "tags"])
    for done in (first, second):
        assert all(look(company, "volume", name, syncs=(o.log_id,)).passed for name, o in done.items())
    company.query("delete from kaiten.tags where id not in (select id from kaiten.tags limit 1)")
    assert look(company, "volume", "tags").passed


def test_fresh_is_red_for_an_entity_never_synced_or_too_long_ago(company: Company) -> None:
    finding = look(company, "fresh", "tags")
    assert not finding.passed and finding.severity == "WARN" and "never" in finding.says
    company.synced("full", "kaiten", "tags")
    assert look(company, "fresh", "tags").passed
    for hours, severity, age in ((14, "ERROR", "stale: "), (9, "WARN", "late: ")):
        company.query("update sync.metadata set last_full_at = now() - make_interval(hours => %s)", (hours,))
        finding = look(company, "fresh", "tags")
        assert not finding.passed and finding.severity == severity and finding.says.startswith(age)
        assert finding.facts["hours"] == pytest.approx(hours, abs=0.05) and finding.facts["allowed_hours"] == 13.0
    company.synced("incremental", "kaiten", "tags")
    assert look(company, "fresh", "tags").passed


def test_fresh_warns_of_an_entity_that_was_not_read_whole_for_long(company: Company) -> None:
    """Deletions that nobody tells of are noticed by full syncs only."""
    company.synced("full", "kaiten", "cards")
    company.query("update sync.metadata set last_full_at = now() - interval '16 days', last_incremental_at = now()")
    finding = look(company, "fresh")
    assert not finding.passed and finding.severity == "WARN" and "last read whole 16.0 days ago" in finding.says
    assert finding.facts["full_days"] == 16.0 and finding.facts["allowed_full_days"] == 15.0


@pytest.mark.parametrize("account", NAMES)
def test_everything_is_green_after_a_sync(company: Company, account: str) -> None:
    done = company.synced("full", account)
    with company.connected(account) as connection:
        for name, outcome in done.items():
            whole = Scope(connection.database, company.settings, company.entity(name, account), connection.target)
            for scope in (whole, replace(whole, sync_ids=(outcome.log_id,))):
                found = check_entity(scope)
                assert [f.name for f in found] == checks_of(company.entity(name, account))
                assert not [f for f in found if not f.passed], name


def test_every_check_has_a_test_that_makes_it_red() -> None:
    names = {
        name
        for path in Path(__file__).parent.glob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    for check in CHECKS:
        assert any(name.startswith(f"test_{check}_is_red") for name in names), check
        assert any(name.startswith(f"test_{check}_is_green") or "is_green_where_nothing" in name for name in names), (
            check
        )
