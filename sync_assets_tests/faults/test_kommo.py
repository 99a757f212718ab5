"""Kommo under the faults of its API: what passes is waited out, what does not costs its entity alone.

One table for all: a fault, what its entity must say, and whether the sync ends well in spite of it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from sync_assets.errors import CallVendor, PageLoop, RetryLater, SyncError
from sync_assets.sandbox.server import Sandbox
from sync_assets.systems.kommo import reads
from sync_assets_tests.company import Company

LEADS = r"/api/v4/leads$"
PASSES: list[tuple[str, dict[str, Any]]] = [
    ("A1", {"times": 1, "retry_after": "absent"}),
    ("A1", {"times": 1, "retry_after": 0.2}),
    ("A1", {"times": 1, "retry_after": "date"}),
    ("A2", {"times": 1, "variant": "burst"}),
    ("A3", {"times": 2, "status": 502}),
    ("A4", {"times": 1}),
    ("A6", {"times": 1, "keep": 0.6}),
    ("A6", {"times": 1, "keep": 0.6, "with": "chunked"}),
    ("A7", {"times": 1, "variant": "html"}),
    ("A7", {"times": 1, "variant": "bom"}),
    ("P2", {"rows": 3}),
    ("P2", {"rows": 3, "variant": "within"}),
]
STAYS: list[tuple[str, dict[str, Any], type[SyncError]]] = [
    ("A3", {"status": 503}, RetryLater),
    ("A7", {"variant": "login"}, RetryLater),
    ("A8", {"variant": "list_missing"}, CallVendor),
    ("A8", {"variant": "object"}, CallVendor),
    ("A12", {"status": 404}, CallVendor),
    ("P1", {"loop": 1}, PageLoop),
    ("P7", {"variant": "all"}, RetryLater),
]


def named(case: tuple[Any, ...]) -> str:
    return "_".join([case[0], *(str(v) for v in case[1].values())]).lower()


@pytest.mark.parametrize(("fault", "options"), PASSES, ids=map(named, PASSES))
def test_what_passes_is_waited_out(company: Company, fault: str, options: dict[str, Any]) -> None:
    struck = company.sandbox.faults.set(fault, system="kommo", path=LEADS, **options)
    company.synced("full", "kommo")
    assert struck.strikes
    company.sandbox.faults.clear()
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()


@pytest.mark.parametrize(("fault", "options", "error"), STAYS, ids=map(named, STAYS))
def test_what_stays_costs_its_entity_alone(
    make_company: Callable[..., Company],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    options: dict[str, Any],
    error: type[SyncError],
) -> None:
    monkeypatch.setattr(reads, "SIZE", 50)  # three pages of leads
    company = make_company(SYNC_RETRIES="2")
    company.sandbox.faults.set(fault, system="kommo", path=LEADS, **options)
    done = company.sync("full", "kommo")
    assert {name for name, o in done.items() if isinstance(o, SyncError)} == {"leads"}
    assert isinstance(done["leads"], error), done["leads"]
    company.sandbox.faults.clear()
    company.synced("full", "kommo")
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()


@pytest.mark.parametrize(
    ("fault", "options"),
    [("V2", {"field": "name", "variant": "surrogate"}), ("V7", {"variant": "missing"})],
)
def test_one_bad_lead_costs_one_lead(company: Company, fault: str, options: dict[str, Any]) -> None:
    lead = sorted(company.truth("leads", "kommo"))[7]
    company.sandbox.faults.set(fault, system="kommo", path=LEADS, record=lead, **options)
    company.synced("full", "kommo")
    held, truth = company.raw("leads", "kommo"), company.truth("leads", "kommo")
    assert {k: v for k, v in held.items() if k != lead} == {k: v for k, v in truth.items() if k != lead}
    assert company.query("select count(*) from sync.rejected where account = 'kommo'")[0][0] == 1
    company.sandbox.faults.clear()
    company.synced("full", "kommo")
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()


def test_a3_a_read_that_stopped_between_two_pages_goes_on_without_losing_the_rest(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = make_sandbox(switches={"kommo.leads": "700"})
    company = make_company(sandbox, SYNC_RETRIES="1", SYNC_BATCH_SIZE="1")
    sandbox.faults.set("A3", system="kommo", path="page=3", status=503)
    done = company.sync("full", "kommo", ["events"])
    assert isinstance(done["events"], RetryLater) and company.count("events", "kommo") > 0
    sandbox.faults.clear()
    company.synced("full", "kommo")
    company.assert_world_equals_postgres("kommo")
    company.assert_ledger_adds_up()
