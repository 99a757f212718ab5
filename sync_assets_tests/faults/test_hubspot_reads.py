"""HubSpot's reads under faults: cursors in a ring, repeated rows, floods, wrong totals, skewed clocks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync_assets.errors import PageLoop, RetryLater
from sync_assets.sync import Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import failed
from sync_assets_tests.systems.hubspot_reads import (
    CONTACTS,
    ONE,
    MakePortal,
    assert_equal,
    in_step,
    make_portal,
    pages_of,
)

__all__ = ["make_portal"]

LIST = f"{CONTACTS}$"
SEARCH = f"{CONTACTS}/search"


def recovered(company: Company) -> None:
    company.sandbox.faults.clear()
    company.synced("full", "hubspot", "contacts")
    assert_equal(company)


def watermark(company: Company) -> datetime:
    [(found,)] = company.query("select watermark from sync.metadata where entity = 'contacts'")
    assert isinstance(found, datetime)
    return found


# P1, P2


@pytest.mark.parametrize("contacts", [700, 2600], ids=["one cursor", "several cursors"])
def test_p1_a_cursor_that_was_given_before_ends_the_sync_and_loses_nothing(
    make_portal: MakePortal, contacts: int
) -> None:
    company, sandbox = make_portal(contacts)
    in_step(company)
    before = watermark(company)
    sandbox.faults.set("P1", path=LIST)
    with pages_of(sandbox) as pages:
        error = failed(company.sync("full", "hubspot", "contacts"), "contacts", PageLoop)
    assert "given before" in error.what
    assert len(pages) <= 4, "it ran in circles"
    assert watermark(company) == before
    assert company.query("select * from sync.tombstones") == []
    recovered(company)


def test_p1_a_ring_that_begins_in_the_middle_of_several_segments(make_portal: MakePortal) -> None:
    company, sandbox = make_portal(2600)
    in_step(company)
    ids = sandbox.world.hubspot.shelves["contacts"].ids
    # The first answer that begins at the last quarter points back to the beginning; the first cursor comes there too.
    sandbox.faults.set("P1", path=f"after={ids[2600 * 3 // 4 // 100 * 100]}", times=1)
    with pages_of(sandbox) as pages:
        done = company.synced("full", "hubspot", "contacts")["contacts"]
    assert ONE in done.note, "the first cursor had to go on alone"
    assert len(pages) <= 26 + 30
    recovered(company)


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_p2_rows_that_stand_on_two_pages_are_stored_once(make_portal: MakePortal, rows: int) -> None:
    company, sandbox = make_portal(2600)
    sandbox.faults.set("P2", path=LIST, rows=rows)
    totals = company.synced("full", "hubspot", "contacts")["contacts"].totals
    assert totals["created"] == 2600
    assert totals["repeated"] + totals["unchanged"] > 0
    assert_equal(company)
    recovered(company)


def test_p2_rows_twice_in_one_page_are_counted(make_portal: MakePortal) -> None:
    company, sandbox = make_portal(300)
    sandbox.faults.set("P2", path=LIST, rows=5, variant="within")
    totals = company.synced("full", "hubspot", "contacts")["contacts"].totals
    assert (totals["created"], totals["repeated"]) == (300, 15)
    recovered(company)


# P12


def left_in_time(company: Company, kind: str, more_than: int) -> None:
    """A sync of contacts that its time ends, with so many of them stored; a slow machine is given longer for as many
    pages."""
    for minutes in (0.02, 0.1, 2.0):
        company.settings = company.settings.model_copy(update={"sync_max_minutes": minutes})
        assert "SYNC_MAX_MINUTES" in str(failed(company.sync(kind, "hubspot", "contacts"), "contacts", RetryLater))
        if company.count("contacts", "hubspot") > more_than:
            break
    assert company.count("contacts", "hubspot") > more_than, "what was read is kept"


@pytest.mark.parametrize("after", ["id", "opaque"])
def test_p12_a_list_that_never_ends_is_left_in_time_and_gone_on_from(make_portal: MakePortal, after: str) -> None:
    company, sandbox = make_portal(2300, after=after)
    sandbox.faults.set("P12", path=LIST, insert=110)
    left_in_time(company, "full", 1000)
    held = company.count("contacts", "hubspot")
    sandbox.faults.clear()
    company.settings = company.settings.model_copy(update={"sync_max_minutes": 5.0})
    with pages_of(sandbox) as pages:
        done = in_step(company)
    assert "unfinished sweep" in done.note
    assert len(pages) <= (len(sandbox.world.hubspot.shelves["contacts"].ids) - held) // 100 + 8


def test_p12_a_search_that_never_ends_is_left_in_time(make_portal: MakePortal) -> None:
    company, sandbox = make_portal(300)
    in_step(company)
    before = watermark(company)
    sandbox.world.hubspot.stamp_all("contacts")
    sandbox.faults.set("P12", path=SEARCH, insert=220)
    left_in_time(company, "incremental", 300)
    assert watermark(company) == before
    sandbox.faults.clear()
    company.settings = company.settings.model_copy(update={"sync_max_minutes": 5.0})
    in_step(company, kind="incremental")


# P10


@pytest.mark.parametrize("options", [{"hide": 3}, {"by": 3}], ids=["hidden", "miscounted"])
def test_p10_a_total_that_is_not_shown_makes_the_sync_read_the_whole_list(
    make_portal: MakePortal, options: dict[str, Any]
) -> None:
    company, sandbox = make_portal(1000)
    in_step(company)
    ids = sandbox.world.hubspot.shelves["contacts"].ids
    sandbox.world.clock.advance(7200)
    for n, id in enumerate(ids[:120]):
        sandbox.world.hubspot.update("contacts", id, firstname=f"edit {n}")
    fault = sandbox.faults.set("P10", path=SEARCH, **options)
    with pages_of(sandbox) as pages:
        done = in_step(company, kind="incremental")
    assert fault.strikes
    assert "the whole list was read" in done.note
    assert len(pages) >= 10
    assert done.totals["updated"] == 120
    [(claimed, shown)] = company.query(
        "select claimed, shown from sync.logs where entity = 'contacts' order by id desc limit 1"
    )
    assert claimed - shown == 3
    sandbox.faults.clear()
    assert in_step(company, kind="incremental").note == ""
    assert company.query(
        "select claimed = shown from sync.logs where entity = 'contacts' order by id desc limit 1"
    ) == [(True,)]


def test_p10_records_deleted_while_they_are_searched_are_no_miscount(make_portal: MakePortal) -> None:
    company, sandbox = make_portal(1000, env={"SYNC_BATCH_SIZE": "100"})
    in_step(company)
    portal = sandbox.world.hubspot
    portal.stamp_all("contacts", at=datetime.now(UTC) - timedelta(minutes=5))
    sandbox.latency = 0.1  # until then: what is deleted after the first commit is still far ahead of the reader
    leaving = portal.shelves["contacts"].ids[-5:]

    def leave(*_: object) -> None:
        while leaving:
            portal.archive("contacts", leaving.pop())
        sandbox.latency = 0

    with company.connected("hubspot") as connection:
        done = sync_entity(connection, company.entity("contacts", "hubspot"), Request("incremental"), progress=leave)
    assert done.totals["deleted"] <= 5 and not leaving
    assert "counts" not in done.note
    in_step(company, kind="incremental")


# P9


@pytest.mark.parametrize("skew", [-600, 600])
def test_p9_a_watermark_is_of_the_source_and_never_ahead_of_it(make_portal: MakePortal, skew: int) -> None:
    company, sandbox = make_portal(300)
    in_step(company)
    hubspot = sandbox.world.hubspot
    ids = hubspot.shelves["contacts"].ids
    sandbox.faults.set("P9", system="hubspot", skew=skew)
    newest = datetime.now(UTC)
    hubspot.update("contacts", ids[0], firstname="now", at=newest)
    in_step(company, kind="incremental")
    assert watermark(company) <= newest
    assert watermark(company) <= datetime.now(UTC) + timedelta(seconds=skew)
    for n in range(1, 4):
        hubspot.update("contacts", ids[n], firstname="later")
        assert in_step(company, kind="incremental").totals["updated"] == 1


@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_p9_a_stamp_in_the_future_holds_the_watermark_back_and_not_the_row(make_portal: MakePortal, kind: str) -> None:
    company, sandbox = make_portal(300)
    in_step(company)
    hubspot = sandbox.world.hubspot
    ids = hubspot.shelves["contacts"].ids
    future = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    hubspot.update("contacts", ids[0], firstname="from the future", at=future)
    in_step(company, kind=kind)
    assert watermark(company) <= datetime.now(UTC)
    assert company.raw("contacts", "hubspot")[ids[0]]["properties"]["firstname"] == "from the future"
    hubspot.update("contacts", ids[1], firstname="from today")
    assert in_step(company, kind="incremental").totals["updated"] == 1
