"""HubSpot's lists by several cursors: everything once, in few requests, whatever a cursor is and wherever one stops."""

import signal
from typing import Any

import pytest

from sync_assets.errors import RetryLater, SyncError
from sync_assets.sandbox.server import Sandbox
from sync_assets.sync import Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import process
from sync_assets_tests.systems.hubspot_reads import (
    ALL,
    CONTACTS,
    ONE,
    MakePortal,
    assert_equal,
    in_step,
    make_portal,
    make_short,
    pages_of,
)

__all__ = ["make_portal", "make_short"]

CURSORS = ("id", "last", "opaque")


def quarters(sandbox: Sandbox) -> set[int]:
    ids = sandbox.world.hubspot.shelves["contacts"].ids
    return {ids[len(ids) * i // 4] for i in (1, 2, 3)}


def starts(pages: list[dict[str, str]]) -> set[int]:
    return {int(q["after"]) for q in pages if q.get("after", "").isdigit()}


@pytest.mark.parametrize("ids", ["eras", "even"])
@pytest.mark.parametrize("after", CURSORS)
def test_every_contact_comes_once_however_a_cursor_is_spelled(make_short: MakePortal, after: str, ids: str) -> None:
    company, sandbox = make_short(after=after, ids=ids)
    with pages_of(sandbox) as first, pages_of(sandbox, f"{CONTACTS}/search") as searches:
        done = in_step(company)
    assert done.totals["created"] == done.totals["fetched"] == ALL, "a contact came twice"
    assert len(first) == 32 if after == "id" else 32 <= len(first) <= 32 + 3, "a page was read by two cursors"
    assert len(searches) == (0 if after == "opaque" else 4)
    assert (ONE in done.note) == (after == "opaque")
    # The second time the rows that are here say where to part the list.
    with pages_of(sandbox) as second, pages_of(sandbox, f"{CONTACTS}/search") as searches:
        again = in_step(company)
    assert again.totals["unchanged"] == again.totals["fetched"] == ALL
    assert len(second) == 32 if after == "id" else 32 <= len(second) <= 32 + 3, "a page was read by two cursors"
    assert searches == []
    assert (quarters(sandbox) <= starts(second)) == (after != "opaque")


def test_the_first_cursor_reads_on_while_the_search_tells_where_to_part_the_list(make_short: MakePortal) -> None:
    company, sandbox = make_short()
    sandbox.faults.set("A5", path=f"{CONTACTS}/search", times=1, bytes=100, interval=0.3)
    assert in_step(company).totals["fetched"] == ALL
    asked = [r.path for r in sandbox.requests if r.path.startswith(CONTACTS)]
    one, two = [i for i, path in enumerate(asked) if path.endswith("/search")][:2]
    assert two - one > 5


def test_each_cursor_starts_as_soon_as_its_place_is_known(make_short: MakePortal) -> None:
    company, sandbox = make_short()
    assert in_step(company).totals["fetched"] == ALL
    asked = [(r.path, r.query.get("after")) for r in sandbox.requests if r.path.startswith(CONTACTS)]
    last_search = [i for i, (path, _) in enumerate(asked) if path.endswith("/search")][3]
    assert (CONTACTS, str(min(quarters(sandbox)))) in asked[:last_search]


@pytest.mark.parametrize("after", ["id", "last"])
@pytest.mark.parametrize("late", [(0,), (0, 1, 2)])
def test_whoever_comes_to_a_place_whose_first_page_is_late_reads_nothing_of_it(
    make_short: MakePortal, after: str, late: tuple[int, ...]
) -> None:
    company, sandbox = make_short(after=after)
    in_step(company)
    places = sorted(quarters(sandbox))
    for id in sandbox.world.hubspot.shelves["contacts"].ids[10:40]:
        sandbox.world.hubspot.archive("contacts", id)  # now no page ends where the next cursor begins
    slow = [sandbox.faults.set("A5", path=f"after={places[i]}", times=1, bytes=2_000, interval=0.15) for i in late]
    with pages_of(sandbox) as pages:
        done = in_step(company)
    assert [fault.strikes for fault in slow] == [1] * len(late)
    assert done.totals["fetched"] == ALL - 30, "a page was lost or read twice"
    assert len(pages) <= 32 + 3
    assert done.note == ""


@pytest.mark.parametrize("begins", ["1", "9007199254740991"])
@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_v8_who_begins_with_another_id_is_not_lost_where_two_cursors_meet(
    make_short: MakePortal, beside: int, begins: str
) -> None:
    company, sandbox = make_short()
    ids = sandbox.world.hubspot.shelves["contacts"].ids
    place = ids.index(sorted(quarters(sandbox))[1]) + beside
    fault = sandbox.faults.set("V8", path=CONTACTS, record=ids[place], field="id", value=begins)
    for new, known in ((ALL, 0), (0, ALL)):
        done = in_step(company)
        assert (done.totals["fetched"], done.totals["created"], done.totals["unchanged"]) == (ALL, new, known)
        assert done.note == ""
    assert fault.strikes >= 2


@pytest.mark.parametrize("after", CURSORS)
def test_short_and_empty_pages_end_no_list(make_short: MakePortal, after: str) -> None:
    company, _ = make_short(after=after, short_pages="yes")
    for _ in range(2):
        done = in_step(company)
        assert done.totals["fetched"] == ALL
        assert (ONE in done.note) == (after == "opaque")


@pytest.mark.parametrize("after", ["id", "opaque"])
@pytest.mark.parametrize("ids", ["eras", "even"])
def test_ids_sorted_as_text_leave_a_list_to_one_cursor(make_short: MakePortal, ids: str, after: str) -> None:
    company, _ = make_short(after=after, order="lexicographic", ids=ids)
    for _ in range(2):
        done = in_step(company)
        # Where all ids have as many digits, both orders are one.
        assert (ONE in done.note) == (ids == "eras" or after == "opaque")


def test_ids_that_look_ascending_at_first_and_are_sorted_as_text_lose_nobody(make_short: MakePortal) -> None:
    company, sandbox = make_short(contacts=600, order="lexicographic", ids="even")
    # As text they stand between those of twelve digits, far behind the first page.
    for id in range(713_802_347, 713_802_347 - 700, -7):
        sandbox.world.hubspot.create("contacts", {"firstname": str(id)}, id=id)
    for _ in range(2):
        assert ONE in in_step(company).note


@pytest.mark.parametrize("cursors", [1, 2, 3])
def test_the_setting_says_how_many_cursors_there_are(make_short: MakePortal, cursors: int) -> None:
    company, sandbox = make_short(env={"HUBSPOT_LIST_CURSORS": str(cursors)})
    for _ in range(2):
        with pages_of(sandbox) as pages:
            done = in_step(company)
        assert done.totals["fetched"] == ALL
        assert len(pages) <= 32 + cursors
        assert done.note == ""
    ids = sandbox.world.hubspot.shelves["contacts"].ids
    parts = {ids[len(ids) * i // cursors // 25 * 25] for i in range(1, cursors)}
    assert parts <= starts(pages)
    if cursors == 1:
        assert starts(pages) == set(ids[25::25]), "a second cursor was at work"


@pytest.mark.parametrize("cursors", ["0", "5", "many"])
def test_a_number_of_cursors_that_makes_no_sense_is_named(make_portal: MakePortal, cursors: str) -> None:
    with pytest.raises(SyncError, match="HUBSPOT_LIST_CURSORS"):
        make_portal(env={"HUBSPOT_LIST_CURSORS": cursors})


def test_few_contacts_are_read_by_one_cursor_without_a_word(make_short: MakePortal) -> None:
    company, sandbox = make_short(contacts=375)
    with pages_of(sandbox) as pages:
        assert in_step(company).note == ""
    assert len(pages) == 15


@pytest.mark.parametrize("after", CURSORS)
def test_contacts_that_came_and_went_between_two_full_syncs(make_short: MakePortal, after: str) -> None:
    company, sandbox = make_short(after=after)
    in_step(company)
    portal = sandbox.world.hubspot
    ids = list(portal.shelves["contacts"].ids)
    # The very records that the stored keys part the list at, a stretch around one of them, and the ends.
    gone = {*quarters(sandbox), *ids[398:425], ids[0], ids[-1]}
    for id in gone:
        portal.archive("contacts", id)
    for n in range(38):
        portal.create("contacts", firstname=f"new {n}")
    done = in_step(company)
    assert done.totals["deleted"] == len(gone)
    assert done.totals["created"] == 38
    assert done.totals["repeated"] == 0
    assert done.totals["fetched"] == ALL - len(gone) + 38


@pytest.mark.parametrize("after", CURSORS)
@pytest.mark.parametrize(("insert", "delete"), [(1, 1), (0, 7), (5, 0)])
def test_p3_a_list_that_moves_while_it_is_read(make_short: MakePortal, after: str, insert: int, delete: int) -> None:
    company, sandbox = make_short(contacts=575, after=after)
    for _ in range(2):
        standing = set(sandbox.world.hubspot.shelves["contacts"].ids)
        fault = sandbox.faults.set("P3", path=f"{CONTACTS}$", insert=insert, delete=delete, times=20)
        company.synced("full", "hubspot", "contacts")
        assert fault.strikes == 20
        standing &= set(sandbox.world.hubspot.shelves["contacts"].ids)
        assert standing <= company.raw("contacts", "hubspot").keys()
        sandbox.faults.clear()
        in_step(company, kind="incremental")


def segments(company: Company) -> list[dict[str, Any]]:
    [(cursor,)] = company.query("select cursor -> 'position' from sync.metadata where entity = 'contacts'")
    found: list[dict[str, Any]] = cursor["segments"]
    return found


@pytest.mark.parametrize(("after", "several"), [("id", 4), ("last", 4), ("opaque", 1)])
def test_d1_killed_between_segments_it_goes_on_where_each_of_them_stopped(
    make_portal: MakePortal, after: str, several: int
) -> None:
    company, sandbox = make_portal(after=after)
    later = {"SYNC_BATCH_SIZE": "8000"}  # the first commit is a fourth of that: all segments have begun by then
    killed = process(company, "contacts", ACCOUNT="hubspot", SYNC_ASSETS_CRASH_AT="after commit", **later)
    words, _ = killed.communicate(timeout=40)
    assert killed.returncode == -signal.SIGKILL, words
    assert len(segments(company)) == several
    held = company.count("contacts", "hubspot")
    assert 500 <= held < 3200
    # Meanwhile somebody leaves and somebody comes.
    for start in [s["start"] for s in segments(company)[1:]]:
        if start in sandbox.world.hubspot.shelves["contacts"].living:
            sandbox.world.hubspot.archive("contacts", start)
    sandbox.world.hubspot.create("contacts", firstname="came meanwhile")
    with pages_of(sandbox) as pages:
        done = in_step(company)
    assert "unfinished sweep" in done.note
    assert done.totals["repeated"] == 0
    assert len(pages) <= (3200 - held) // 100 + 2 * several, "it read again what was committed"


@pytest.mark.parametrize("after", CURSORS)
def test_a3_a_list_that_fails_again_and_again_goes_on_each_time(make_short: MakePortal, after: str) -> None:
    # The first commit is a fourth of it: three pages for each stop, so eleven are the most.
    company, sandbox = make_short(after=after, env={"SYNC_BATCH_SIZE": "300"})
    entity = company.entity("contacts", "hubspot")

    def fail_from_here(*_: object) -> None:
        if not sandbox.faults.active():
            sandbox.faults.set("A3", path=f"{CONTACTS}$", status=502)

    stops = 0
    with pages_of(sandbox) as pages:
        while company.query("select 1 from sync.metadata where last_full_at is not null") == []:
            sandbox.faults.clear()
            try:
                with company.connected("hubspot") as connection:
                    sync_entity(connection, entity, Request("full"), progress=fail_from_here)
            except RetryLater:
                stops += 1
                assert stops < 12, "it comes no further"
    assert stops >= 2
    sandbox.faults.clear()
    assert_equal(company)
    [(fetched,)] = company.query("select sum(fetched) from sync.logs where entity = 'contacts'")
    assert fetched == ALL, "a page was lost or read twice"
    assert len(pages) <= 32 + 4 + 4 * stops


def test_a1_several_cursors_keep_the_limit_that_the_headers_tell(make_portal: MakePortal) -> None:
    """A window of four seconds: in one of a single second a busy machine's jitter alone would be a breach."""
    rates = {"kaiten": 0.0, "worksection": 0.0, "hubspot": 19.0, "hubspot.search": 5.0, "hubspot.associations": 10.0}
    company, sandbox = make_portal(4000, env={"HUBSPOT_RATE": None}, rates=rates, interval_ms="4000")
    sandbox.latency = 0.15
    in_step(company)
    in_step(company)
    assert sandbox.violations == []
