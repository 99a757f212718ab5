"""Checks that only HubSpot gives a reason to be red: retired properties, totals that do not add up.

A retired property is an error only where a column shows it: portals retire properties every week.
"""

import pytest

from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company


def test_fields_present_is_red_for_a_retired_property_that_a_column_shows_a13(company: Company) -> None:
    company.synced("full", "hubspot", "contacts")
    assert look(company, "fields_present", "contacts", "hubspot").passed
    before = company.query("select id, vsl_watch_duration from hubspot.contacts order by id")
    assert any(value is not None for _, value in before)

    company.sandbox.world.hubspot.retire("contacts", "vsl_watch_duration")
    first = company.synced("full", "hubspot", "contacts")["contacts"]
    assert first.note.count("no longer defined, values kept: /properties/vsl_watch_duration") == 1
    finding = look(company, "fields_present", "contacts", "hubspot", syncs=(first.log_id,))
    assert (finding.passed, finding.severity) == (False, "ERROR")
    assert finding.facts["columns"] == {"vsl_watch_duration": "/properties/vsl_watch_duration"}
    assert company.query("select id, vsl_watch_duration from hubspot.contacts order by id") == before

    assert company.synced("full", "hubspot", "contacts")["contacts"].note == "", "said once"


def test_fields_present_warns_of_a_retired_property_that_no_column_shows_a13(company: Company) -> None:
    company.synced("full", "hubspot", "contacts")
    company.sandbox.world.hubspot.retire("contacts", "interests")
    company.synced("full", "hubspot", "contacts")
    finding = look(company, "fields_present", "contacts", "hubspot")
    assert (finding.passed, finding.severity) == (False, "WARN")
    assert "interests" in finding.says


@pytest.mark.parametrize("hidden", [3, 0])
def test_totals_match_is_red_where_a_search_counts_more_than_it_shows_p10(company: Company, hidden: int) -> None:
    company.synced("full", "hubspot", "deals")
    company.sandbox.world.hubspot.stamp_all("deals")
    if hidden:
        company.sandbox.faults.set("P10", system="hubspot", path="/search", by=hidden)
    outcome = company.synced("incremental", "hubspot", "deals")["deals"]
    finding = look(company, "totals_match", "deals", "hubspot", syncs=(outcome.log_id,))
    assert finding.passed is (hidden == 0)
    if hidden:
        assert finding.severity == "ERROR"
        assert finding.facts["claimed"] - finding.facts["shown"] == hidden
        assert "the whole list was read" in outcome.note
