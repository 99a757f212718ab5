"""Answers of HubSpot that are too large, addresses that are too long: bombs, giant records, hundreds of names."""

import resource
import threading
from pathlib import Path

import pytest

from sync_assets.errors import AnswerTooLarge
from sync_assets.extract import http
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import failed
from sync_assets_tests.systems.hubspot_reads import CONTACTS, MakePortal, assert_equal, in_step, make_portal, pages_of

__all__ = ["make_portal"]

LIST = f"{CONTACTS}$"
BATCH = f"{CONTACTS}/batch/read"
MB = 1 << 20


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def recovered(company: Company) -> None:
    company.sandbox.faults.clear()
    company.synced("full", "hubspot", "contacts")
    assert_equal(company)


# A9


def test_a9_a_bomb_stops_at_the_door_and_costs_no_memory(
    make_portal: MakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as a slow machine may take to read so much: a request out of time would be asked again.
    company, sandbox = make_portal(300, env={"SYNC_REQUEST_SECONDS": "120"})
    in_step(company)
    monkeypatch.setattr(http, "MAX_BODY", 16 * MB)
    fault = sandbox.faults.set("A9", path=LIST, mb=512)
    peak, before, done = 0, resident(), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        error = failed(company.sync("full", "hubspot", "contacts"), "contacts", AnswerTooLarge)
    finally:
        done.set()
        watcher.join()
    assert "larger than 16 MB" in error.what
    assert fault.strikes == 2, "once whole, once with ids alone; never the same again"
    assert peak - before < 250 * MB
    monkeypatch.undo()
    recovered(company)


@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_a9_one_giant_record_is_rejected_with_its_size_and_the_rest_goes_on(
    make_portal: MakePortal, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    company, sandbox = make_portal(600)
    portal = sandbox.world.hubspot
    giant, fresh = portal.shelves["contacts"].ids[130:132]
    if kind == "incremental":
        in_step(company)
        portal.stamp_all("contacts")
    portal.update("contacts", giant, firstname="a giant")
    portal.update("contacts", fresh, firstname="its neighbour")
    monkeypatch.setattr(http, "MAX_BODY", 4 * MB)
    sandbox.faults.set("A9", system="hubspot", variant="giant", mb=6, record=giant, field="firstname")
    with pages_of(sandbox, BATCH) as batches:
        done = company.synced(kind, "hubspot", "contacts")["contacts"]
    assert done.totals["rejected"] == 1
    assert done.totals["updated" if kind == "incremental" else "created"] == 599
    assert company.query(
        "select key::bigint, reason, kept, size > 4000000, size < 12000000, length(digest), length(payload) <= 65536"
        " from sync.rejected"
    ) == [(giant, "the answer is larger than 4 MB", False, True, True, 16, True)]
    assert company.query("select status from sync.logs where entity = 'contacts' order by id desc limit 1") == [
        ("partial",)
    ]
    # Two more for each time that a hundred was halved, until the giant stood alone.
    assert (7 if kind == "full" else 3) <= len(batches) <= 30
    assert company.raw("contacts", "hubspot")[fresh]["properties"]["firstname"] == "its neighbour"
    assert (giant in company.raw("contacts", "hubspot")) == (kind == "incremental"), "what we hold of it stays"
    assert company.query("select * from sync.tombstones") == []
    monkeypatch.undo()
    recovered(company)


def test_a9_a_page_that_is_too_large_is_read_in_smaller_parts(
    make_portal: MakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    company, sandbox = make_portal(300, properties="200", empty="0.1")
    monkeypatch.setattr(http, "MAX_BODY", 200_000)
    with pages_of(sandbox, BATCH) as batches:
        assert in_step(company).totals["rejected"] == 0
    assert len(batches) > 6


# A12


@pytest.mark.parametrize("ids", ["eras", "even"])
def test_a12_four_hundred_properties_are_all_asked_for_in_short_addresses(make_portal: MakePortal, ids: str) -> None:
    company, sandbox = make_portal(1150, properties="400", ids=ids)
    for _ in range(2):
        with pages_of(sandbox, BATCH) as batches, pages_of(sandbox) as pages:
            in_step(company)
        assert 12 <= len(batches) <= 12 + 4
        assert 12 <= len(pages) <= 12 + 4
    assert not [r for r in sandbox.requests if r.status == 414]
    sandbox.world.hubspot.stamp_all("contacts", sandbox.world.hubspot.shelves["contacts"].ids[:250])
    assert in_step(company, kind="incremental").totals["updated"] == 250


def test_a12_two_thousand_properties_and_a_server_of_short_addresses(make_portal: MakePortal) -> None:
    company, sandbox = make_portal(250, properties="2000", empty="0.5", url_bytes="300")
    sandbox.faults.set("A12", system="hubspot", url_bytes=300)
    in_step(company)
    in_step(company, kind="incremental")
    assert not [r for r in sandbox.requests if r.status == 414]
    [(widest,)] = company.query(
        "select max((select count(*) from jsonb_object_keys(raw_json -> 'properties'))) from hubspot.contacts"
    )
    assert widest > 900


@pytest.mark.parametrize("url_bytes", [400, 700])
def test_a12_an_address_that_is_too_long_where_nobody_said_so_is_made_shorter(
    make_portal: MakePortal, url_bytes: int
) -> None:
    company, sandbox = make_portal(300, properties="40", url_bytes=str(url_bytes))
    with pages_of(sandbox, BATCH) as batches:
        in_step(company)
    assert len(batches) == 3


def test_a12_records_deleted_between_the_ids_and_the_batch_are_left_to_the_next_look(make_portal: MakePortal) -> None:
    company, sandbox = make_portal(2300, properties="400")
    sandbox.faults.set("P3", path=LIST, insert=0, delete=3, times=15)
    company.synced("full", "hubspot", "contacts")
    recovered(company)
