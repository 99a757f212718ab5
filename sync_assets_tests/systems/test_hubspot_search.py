"""HubSpot's search loses nothing: shuffles, caps, a lagging index, equal milliseconds, edits while it is paged."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company
from sync_assets_tests.systems.hubspot_reads import CONTACTS, MakePortal, assert_equal, in_step, make_portal, pages_of

__all__ = ["make_portal"]

SEARCH = f"{CONTACTS}/search"
TYPES = ("contacts", "deals", "calls")
MINUTE = timedelta(minutes=1)
WINDOWS = "windows instead"


@pytest.fixture
def portal(make_portal: MakePortal) -> tuple[Company, Sandbox]:
    """In step, with 1,000 contacts; the index of the search shows no more than 1,000 results."""
    company, sandbox = make_portal(1000, search_cap="1000")
    in_step(company)
    return company, sandbox


def now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def watermark(company: Company, entity: str = "contacts") -> datetime:
    [(found,)] = company.query("select watermark from sync.metadata where entity = %s", [entity])
    assert isinstance(found, datetime)
    return found


@pytest.mark.parametrize("order", ["sorted", "page", "all"])
def test_p6_any_number_of_rows_may_share_a_millisecond(portal: tuple[Company, Sandbox], order: str) -> None:
    company, sandbox = portal
    ids, clock = sandbox.world.hubspot.shelves["contacts"].ids, sandbox.world.clock
    if order != "sorted":
        sandbox.faults.set("P7", system="hubspot", path=SEARCH, variant=order)
    for rows in (1, 199, 200, 201, 399, 450, 1000):
        clock.advance(3600)  # each of them crowds another millisecond, and leaves the last one
        sandbox.world.hubspot.stamp_all("contacts", ids[:rows], at=clock.now())
        with pages_of(sandbox, SEARCH) as searches:
            done = in_step(company, kind="incremental")
        assert done.totals["updated"] == rows
        assert "counts" not in done.note, "the whole list had to help"
        # Without any order, windows and ids are halved until they fit: a bounded price, whatever the number of rows.
        assert len(searches) <= (5 + rows // 200 if order == "sorted" else 150), rows


@pytest.mark.parametrize("late", [0, 1, 30])
def test_p6_rows_around_a_crowded_millisecond(portal: tuple[Company, Sandbox], late: int) -> None:
    company, sandbox = portal
    hubspot, at = sandbox.world.hubspot, now() - 5 * MINUTE
    ids = hubspot.shelves["contacts"].ids
    hubspot.stamp_all("contacts", ids[:150], at=at - timedelta(milliseconds=1))
    hubspot.stamp_all("contacts", ids[150:600], at=at)
    hubspot.stamp_all("contacts", ids[600 : 600 + late], at=at + timedelta(milliseconds=1))
    done = in_step(company, kind="incremental")
    assert done.totals["updated"] == 600 + late
    assert done.note == ""


def test_p6_neighbours_among_the_ids_of_one_millisecond(portal: tuple[Company, Sandbox]) -> None:
    company, sandbox = portal
    at = now()
    for n in range(950):
        sandbox.world.hubspot.create("contacts", {"firstname": f"imported {n}"}, id=713_900_000_000 + n, at=at)
    done = in_step(company, kind="incremental")
    assert (done.totals["created"], done.note) == (950, "")


@pytest.mark.parametrize("cap", [200, 300, 1000])
def test_p5_more_rows_than_the_search_shows(portal: tuple[Company, Sandbox], cap: int) -> None:
    company, sandbox = portal
    hubspot, at = sandbox.world.hubspot, now() - 20 * MINUTE
    for n, id in enumerate(hubspot.shelves["contacts"].ids):
        hubspot.update("contacts", id, firstname=f"edit {n}", at=at + timedelta(seconds=n))
    fault = sandbox.faults.set("P5", path=SEARCH, cap=cap)
    done = in_step(company, kind="incremental")
    assert fault.strikes
    assert done.totals["updated"] == 1000
    assert done.totals["requests"] < 16
    assert done.note == ""


@pytest.mark.parametrize("options", [{"variant": "page"}, {"variant": "all"}, {"outside": 3}], ids=str)
def test_p7_a_search_out_of_order_is_noticed_and_read_in_another_way(
    portal: tuple[Company, Sandbox], options: dict[str, Any]
) -> None:
    company, sandbox = portal
    hubspot, at = sandbox.world.hubspot, now() - 20 * MINUTE
    for n, id in enumerate(hubspot.shelves["contacts"].ids[:700]):
        hubspot.update("contacts", id, firstname=f"edit {n}", at=at + timedelta(milliseconds=900 * n))
    sandbox.faults.set("P7", path=SEARCH, **options)
    done = in_step(company, kind="incremental")
    assert WINDOWS in done.note
    assert "counts" not in done.note
    assert done.totals["updated"] == 700


def test_p7_windows_reach_stamps_far_in_the_future(portal: tuple[Company, Sandbox]) -> None:
    company, sandbox = portal
    hubspot = sandbox.world.hubspot
    ids = hubspot.shelves["contacts"].ids
    hubspot.update("contacts", ids[0], firstname="from next year", at=now() + timedelta(days=400))
    hubspot.stamp_all("contacts", ids[1:50], at=now())
    sandbox.faults.set("P7", path=SEARCH, variant="page")
    assert in_step(company, kind="incremental").totals["updated"] == 50


def test_p7_a_row_that_shows_a_newer_stamp_than_it_is_sorted_by_hides_no_other(
    portal: tuple[Company, Sandbox],
) -> None:
    company, sandbox = portal
    hubspot, at = sandbox.world.hubspot, now() - 20 * MINUTE
    ids = hubspot.shelves["contacts"].ids
    for n, id in enumerate(ids[:700]):
        hubspot.update("contacts", id, firstname=f"edit {n}", at=at + timedelta(seconds=n))
    # The index does not know yet that the last row of the first page has changed again; the row itself shows it.
    sandbox.world.clock.advance(60)
    hubspot.update("contacts", ids[199], firstname="again", at=at + timedelta(seconds=690))
    sandbox.faults.set("P8", path=SEARCH, lag=30, rows="current")
    done = in_step(company, kind="incremental")
    assert WINDOWS in done.note
    assert done.totals["updated"] == 700


def test_p8_what_the_index_shows_late_comes_with_the_second_look(portal: tuple[Company, Sandbox]) -> None:
    company, sandbox = portal
    hubspot = sandbox.world.hubspot
    ids = hubspot.shelves["contacts"].ids
    sandbox.faults.set("P8", path=SEARCH, lag=1800)
    hubspot.update("contacts", ids[0], firstname="late")
    assert company.synced("incremental", "hubspot", "contacts")["contacts"].totals["updated"] == 0
    sandbox.world.clock.advance(1200)
    hubspot.update("contacts", ids[1], firstname="later")
    company.synced("incremental", "hubspot", "contacts")
    sandbox.world.clock.advance(1801)
    assert in_step(company, kind="incremental").totals["updated"] == 2


def test_p4_rows_that_change_while_the_search_is_paged(portal: tuple[Company, Sandbox]) -> None:
    company, sandbox = portal
    sandbox.world.hubspot.stamp_all("contacts", at=now() - 5 * MINUTE)
    for which in ("read", "ahead"):
        sandbox.faults.set("P4", path=SEARCH, edit=4, which=which, times=3)
    company.synced("incremental", "hubspot", "contacts")
    sandbox.faults.clear()
    in_step(company, kind="incremental")


@pytest.mark.parametrize(
    "since",
    [datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 0, 999_000, UTC), datetime(1960, 1, 1, tzinfo=UTC)],
)
def test_a_search_never_begins_at_the_epoch_itself(portal: tuple[Company, Sandbox], since: datetime) -> None:
    company, sandbox = portal
    before = watermark(company)
    with pages_of(sandbox, SEARCH) as searches:
        done = company.synced("incremental", "hubspot", "contacts", since=since)["contacts"]
    assert len(searches) >= 5
    assert done.totals["created"] + done.totals["updated"] == 0
    assert done.totals["fetched"] - done.totals["repeated"] >= 1000
    assert not [r for r in sandbox.requests if r.status == 500]
    assert watermark(company) == before


def test_contacts_are_searched_by_their_own_property_and_not_by_the_stale_one(
    portal: tuple[Company, Sandbox],
) -> None:
    company, sandbox = portal
    id = sandbox.world.hubspot.shelves["contacts"].ids[7]
    sandbox.world.hubspot.update("contacts", id, hs_lastmodifieddate="2020-01-01T00:00:00Z", firstname="fresh")
    assert in_step(company, kind="incremental").totals["updated"] == 1


def test_an_unchanged_portal_costs_one_search_per_type(portal: tuple[Company, Sandbox]) -> None:
    company, sandbox = portal
    sandbox.world.clock.advance(7200)
    in_step(company, kind="incremental")
    with pages_of(sandbox, SEARCH) as searches:
        done = in_step(company, kind="incremental")
    assert len(searches) == 1
    assert done.totals["fetched"] == done.totals["unchanged"] < 10


# Random histories

EDIT = st.tuples(
    st.sampled_from(["update", "create", "stamp", "crowd"]),
    st.sampled_from(TYPES),
    st.integers(0, 10_000),  # which
    st.integers(0, 1_700_000),  # milliseconds after the last sync
)
FAULTS = st.lists(
    st.sampled_from([
        ("P7", {"variant": "page"}), ("P7", {"variant": "all"}), ("P7", {"outside": 2}),
        ("P5", {"cap": 200}), ("P8", {"lag": 600}), ("P8", {"lag": 600, "rows": "current"}),
        ("P4", {"edit": 2, "which": "read", "times": 3}), ("P4", {"edit": 2, "which": "ahead", "times": 3}),
    ]),
    max_size=2, unique_by=lambda fault: fault[0],
)  # fmt: skip


@pytest.fixture
def living(make_portal: MakePortal) -> Iterator[tuple[Company, Sandbox]]:
    company, sandbox = make_portal(460, deals="230", calls="230")
    company.synced("full", "hubspot", TYPES)
    yield company, sandbox


@given(history=st.lists(EDIT, min_size=1, max_size=25), faults=FAULTS)
@settings(
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_whatever_was_edited_the_incremental_read_finds_it(
    living: tuple[Company, Sandbox], history: list[tuple[str, str, int, int]], faults: list[tuple[str, dict[str, Any]]]
) -> None:
    company, sandbox = living
    hubspot, clock = sandbox.world.hubspot, sandbox.world.clock
    base = clock.now()
    clock.advance(1800)
    for n, (what, kind, which, later) in enumerate(sorted(history, key=lambda edit: edit[3])):
        at = base + timedelta(milliseconds=later)
        shelf = hubspot.shelves[kind]
        name = {"contacts": "firstname", "deals": "dealname", "calls": "hs_call_title"}[kind]
        if what == "update":
            hubspot.update(kind, shelf.ids[which % len(shelf.ids)], {name: f"edit {n}"}, at=at)
        elif what == "create":
            hubspot.create(kind, {name: f"new {n}"}, at=at)
        else:
            first = which % len(shelf.ids)
            hubspot.stamp_all(kind, shelf.ids[first : first + (450 if what == "crowd" else 3)], at=at)
    for id, options in faults:
        sandbox.faults.set(id, system="hubspot", path="/search", **options)
    company.synced("incremental", "hubspot", TYPES)
    moved = [options for id, options in faults if id in ("P4", "P8")]
    sandbox.faults.clear()
    if moved:
        # The second look: the lag has passed, nobody edits any more.
        clock.advance(601)
        company.synced("incremental", "hubspot", TYPES)
    assert_equal(company, *TYPES)
    for kind in TYPES:
        assert watermark(company, kind) <= clock.peek()
