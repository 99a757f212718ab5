"""Kommo's values: NUL, moments in no declared form, and codes that nobody knows. One bad value costs its own column."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg2 import sql

from sync_assets_tests.check.look import found_by_its_query, look
from sync_assets_tests.company import Company


@pytest.fixture
def lead(company: Company) -> int:
    """A lead in the middle of its page."""
    found = sorted(company.truth("leads", "kommo").items(), key=lambda item: item[1]["updated_at"])
    return int(found[len(found) // 2][0])


def spoil(company: Company, fault: str, record: int, path: str = "/leads$", **options: Any) -> Any:
    return company.sandbox.faults.set(fault, system="kommo", path=path, record=record, **options)


def assert_others_are_whole(company: Company, lead: int) -> None:
    truth, held = company.truth("leads", "kommo"), company.raw("leads", "kommo")
    assert truth.keys() == held.keys()
    assert all(held[key] == record for key, record in truth.items() if key != lead)


def assert_heals(company: Company, *entities: str) -> None:
    company.sandbox.faults.clear()
    company.synced("full", "kommo", entities)
    for entity in entities:
        assert company.raw(entity, "kommo") == company.truth(entity, "kommo")
    company.assert_ledger_adds_up()


def test_v1_a_name_with_nul_is_mended_noted_and_kept_as_evidence(company: Company, lead: int) -> None:
    struck = spoil(company, "V1", lead, field="name")
    totals = company.synced("full", "kommo", "leads")["leads"].totals
    assert struck.strikes and totals["rejected"] == 0
    held = company.raw("leads", "kommo")[lead]
    assert held.pop("_notes") == ["NUL replaced"]
    assert held == company.truth("leads", "kommo")[lead] | {"name": "before\ufffdafter"}
    ((key, kept, payload),) = company.query("select key, kept, payload from sync.rejected where account = 'kommo'")
    assert (key, kept) == (str(lead), True) and b"before\\u0000after" in bytes(payload)
    assert_others_are_whole(company, lead)
    assert_heals(company, "leads")


MOMENTS = [
    ("dotted", "created_at", b'"02.03.2025"', True),
    ("site's own", "closed_at", b'"02.03.2025 14:30"', True),
    ("without a zone", "closed_at", b'"2025-03-02 14:30:00"', True),
    ("zero", "closed_at", b'"0000-00-00"', True),
    ("30 February", "created_at", b'"2025-02-30"', True),
    ("year 10000", "closest_task_at", b"253402300800000", True),
    ("milliseconds", "created_at", b"1740873600000", True),
    ("empty", "closed_at", b'""', False),
]


@pytest.mark.parametrize(("field", "value", "red"), [m[1:] for m in MOMENTS], ids=[m[0] for m in MOMENTS])
def test_v4_a_moment_in_no_declared_form_is_kept_as_it_is_and_never_guessed(
    company: Company, lead: int, field: str, value: bytes, red: bool
) -> None:
    spoil(company, "V4", lead, field=field, value=value)
    totals = company.synced("full", "kommo", "leads")["leads"].totals
    assert totals["rejected"] == 0
    column = sql.SQL("select {}, raw_json ->> %s from kommo.leads where id = %s").format(sql.Identifier(field))
    assert company.query(column, [field, lead]) == [(None, value.decode().strip('"'))]
    finding = look(company, "columns_parse", "leads", "kommo")
    assert finding.passed is not red
    if red:
        assert finding.severity == "ERROR" and finding.facts["columns"] == {field: 1}
        assert found_by_its_query(company, finding) == [str(lead)] and value.decode() not in str(finding)
    assert_others_are_whole(company, lead)
    assert_heals(company, "leads")


@pytest.mark.parametrize("value", [b'"1740873600"', b"1740873600"], ids=["text", "number"])
def test_v4_seconds_since_1970_are_one_moment_in_either_spelling(company: Company, lead: int, value: bytes) -> None:
    spoil(company, "V4", lead, field="created_at", value=value)
    company.synced("full", "kommo", "leads")
    ((moment,),) = company.query("select created_at::text from kommo.leads where id = %s", [lead])
    assert moment == "2025-03-02 00:00:00+00"
    assert_heals(company, "leads")


@pytest.mark.parametrize("value", [b'"02.03.2025"', b'""', b"null"], ids=["dotted", "empty", "null"])
def test_v4_a_lead_that_does_not_tell_when_it_changed_stops_nobody_who_is_read_after_it(
    company: Company, lead: int, value: bytes
) -> None:
    spoil(company, "V4", lead, field="updated_at", value=value)
    company.synced("full", "kommo", "leads")
    assert company.query("select source_changed_at from kommo.leads where id = %s", [lead]) == [(None,)]
    assert_others_are_whole(company, lead)
    assert look(company, "columns_parse", "leads", "kommo").passed is (value != b'"02.03.2025"')
    assert_heals(company, "leads")


def test_v5_a_stage_that_nobody_declared_is_kept_and_its_link_waits_with_a_name(grown: Company, lead: int) -> None:
    grown.sandbox.world.kommo.update("leads", lead, name="moved")
    spoil(grown, "V5", lead, field="status_id", variant="number")
    done = grown.synced("incremental", "kommo", "leads")["leads"]
    ((status, pipeline),) = grown.query("select status_id, pipeline_id from kommo.leads where id = %s", [lead])
    assert status == 99 and done.waiting == 1
    finding = look(grown, "links_resolve", "leads", "kommo", syncs=(done.log_id,))
    assert not finding.passed and finding.severity == "WARN"
    assert finding.facts["sample"] == [f"pipeline_id, status_id -> statuses {pipeline}/99: waiting"]
    grown.sandbox.faults.clear()
    grown.sandbox.world.kommo.update("leads", lead, name="moved back")
    assert grown.synced("incremental", "kommo", "leads")["leads"].waiting == 0
    assert_heals(grown, "leads")


def test_v5_a_code_that_is_new_to_us_is_kept_and_warned_of(company: Company) -> None:
    task = min(company.truth("tasks", "kommo"))
    spoil(company, "V5", task, path="/tasks$", field="entity_type", value=b'"invented"')
    sync = company.synced("full", "kommo", "tasks")["tasks"].log_id
    assert company.query("select entity_type from kommo.tasks where id = %s", [task]) == [("invented",)]
    finding = look(company, "values_known", "tasks", "kommo", syncs=(sync,))
    assert not finding.passed and finding.severity == "WARN"
    assert finding.facts == {"count": 1, "values": {"entity_type": {"invented": 1}}}
    assert_heals(company, "tasks")
    assert look(company, "values_known", "tasks", "kommo").passed
