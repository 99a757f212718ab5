"""L4: merged records leave no gap: their old ids lead to the record of today, and nothing counts as deleted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sync_assets.errors import SourceUnavailable
from sync_assets.sync import Request, sync_entity
from sync_assets_tests.mirror import WAYS, Mirror, Way
from sync_assets_tests.pairs import every_pair

MERGES = [
    {"merge": merge, "merged_batch": batch, "merged_archived": archived}
    for merge, batch, archived in (
        ("new", "drop", "no"),
        ("new", "alias", "yes"),
        ("keep", "drop", "yes"),
        ("keep", "error", "no"),
    )
]


def named(choice: str | dict[str, str]) -> str:
    return choice if isinstance(choice, str) else " ".join(choice.values())


@pytest.fixture(params=MERGES, ids=named)
def merging(request: pytest.FixtureRequest, make_mirror: Callable[..., Mirror]) -> Mirror:
    return make_mirror(**request.param)


@pytest.mark.parametrize(
    ("merging", "entity", "way"), every_pair(MERGES, ["contacts", "deals"], WAYS), indirect=["merging"], ids=named
)
def test_l4_a_merge_is_no_deletion(merging: Mirror, entity: str, way: Way) -> None:
    one, two = merging.some(entity, 2)
    survivor = merging.portal.merge(entity, one, two)
    done = merging.synced(way)
    losers = {one, two} - {survivor}
    assert (done[entity].totals["deleted"], done[entity].totals["merged"]) == (0, len(losers))
    assert merging.tombstones(entity) == dict.fromkeys(losers, ("merged", survivor))
    assert merging.aliases(entity) == merging.merged(entity) == dict.fromkeys(losers, survivor)
    merging.assert_in_step()
    for again in WAYS:
        assert all(o.totals["merged"] == 0 for o in merging.synced(again).values())
    merging.assert_in_step()


@pytest.mark.parametrize(
    ("merging", "way", "syncs"), every_pair(MERGES, WAYS, ["one", "each"]), indirect=["merging"], ids=named
)
def test_l4_chains_of_merges_lead_to_the_record_of_today(merging: Mirror, way: Way, syncs: str) -> None:
    first, *others = merging.some("contacts", 5)
    for other in others:
        first = merging.portal.merge("contacts", first, other)
        if syncs == "each":
            merging.synced(way, "contacts")
    done = merging.synced(way)
    assert done["contacts"].totals["deleted"] == 0
    assert merging.aliases() == merging.merged()
    assert set(merging.aliases().values()) == {first}
    held = dict(merging.company.query("select old_id, id from hubspot.contact_aliases"))
    assert held == merging.aliases()
    ((merged, deleted),) = merging.company.query(
        "select sum(merged)::int, sum(deleted)::int from sync.logs where entity = 'contacts'"
    )
    assert deleted == 0 and merged == len(merging.tombstones())
    assert {state for state, _ in merging.tombstones().values()} == {"merged"}
    merging.assert_in_step()


def test_l4_a_survivor_that_is_merged_into_an_older_record(merging: Mirror) -> None:
    """A into B, then B into C: the links of a chain come from different records and different syncs."""
    a, b, c = merging.some("contacts", 3)
    merging.synced(only="contacts")
    ab = merging.portal.merge("contacts", b, a)
    merging.synced(only="contacts")
    merging.portal.merge("contacts", c, ab)
    merging.synced()
    assert merging.aliases() == merging.merged()
    merging.assert_in_step()


@pytest.mark.parametrize("way", WAYS)
def test_l4_what_belonged_to_the_merged_belongs_to_the_survivor(merging: Mirror, way: Way) -> None:
    """Also between two syncs, while only the contacts are up to date."""
    portal, query = merging.portal, merging.company.query
    one, two = merging.some("contacts", 2, 40)
    (deal,), (call,) = merging.some("deals"), merging.some("calls")
    portal.associate("deals", deal, "contacts", two, "Decision maker")
    portal.associate("calls", call, "contacts", two)
    portal.update("calls", call, hs_call_callee_object_type="CONTACT", hs_call_callee_object_id=two)
    merging.synced()
    survivor = portal.merge("contacts", one, two)
    merging.synced(way, "contacts")
    for rest in (False, True):
        if rest:
            merging.synced(way)
        assert (survivor, deal) in query("select * from hubspot.contact_deals")
        assert (survivor, call) in query("select * from hubspot.contact_calls")
        shown = query("select from_type, from_id, to_type, to_id, label from hubspot.associations")
        assert ("contacts", survivor, "deals", deal, "Decision maker") in shown
        assert ("deals", deal, "contacts", survivor, "Decision maker") in shown
        assert not merging.merged().keys() & {r[1] for r in shown if r[0] == "contacts"}
        assert not merging.merged().keys() & {r[3] for r in shown if r[2] == "contacts"}
        assert len(shown) == len(set(shown))
    assert query("select callee_contact_id from hubspot.calls where id = %s", [call]) == [(two,)]
    assert query("select * from sync.missing_parents where entity = 'contacts'") == []
    merging.assert_in_step()


@pytest.mark.parametrize("way", WAYS)
def test_l4_links_to_a_contact_merged_away_before_we_knew_it_are_not_missing(mirror: Mirror, way: Way) -> None:
    one, two, (call,) = *mirror.some("contacts", 2), mirror.some("calls")
    survivor = mirror.portal.merge("contacts", one, two)
    mirror.portal.update("calls", call, hs_call_callee_object_type="CONTACT", hs_call_callee_object_id=two)
    done = mirror.synced(way)
    assert done["calls"].waiting == 0
    assert mirror.company.query("select * from sync.logs where kind = 'reconcile' and account = 'hubspot'") == [], (
        "nor is anybody asked for them"
    )
    assert mirror.company.query("select * from sync.missing_parents where entity = 'contacts'") == []
    assert mirror.aliases()[two] == survivor


@pytest.mark.parametrize("way", WAYS)
def test_l4_a_mass_merge_blows_no_fuse(merging: Mirror, way: Way) -> None:
    """Most of the contacts, which as deletions would blow it; their sets of associations go with them."""
    ids = merging.some("contacts", 240, 30)
    for start in range(0, len(ids), 4):
        first, *others = ids[start : start + 4]
        for other in others:
            first = merging.portal.merge("contacts", first, other)
    done = merging.synced(way)
    assert done["contacts"].totals["deleted"] == 0
    assert done["contacts"].totals["merged"] == len(set(ids) & merging.merged().keys()) >= 180
    assert merging.aliases() == merging.merged()
    merging.assert_in_step()


@pytest.mark.parametrize("way", WAYS)
def test_l4_merges_that_a_failed_sync_has_read_are_known_to_the_next(
    make_mirror: Callable[..., Mirror],
    way: Way,
) -> None:
    """It fails when the survivors are stored; they are not written again, so must not be asked only when they are."""
    mirror = make_mirror(merge="keep", env={"SYNC_BATCH_SIZE": "100"})
    ids = mirror.some("contacts", 200, 0)
    for one, two in zip(ids[:100], ids[100:], strict=True):
        mirror.portal.merge("contacts", one, two)
    sandbox = mirror.company.sandbox
    sandbox.faults.set("A3", system="hubspot", path="after=")  # the first page comes, whose are survivors

    contacts = mirror.company.entity("contacts", "hubspot")
    with mirror.company.connected("hubspot") as connection, pytest.raises(SourceUnavailable):
        sync_entity(connection, contacts, Request("full"))
    assert mirror.company.query("select updated from sync.logs where status = 'failed'") == [(100,)]
    assert mirror.tombstones() == {}
    sandbox.faults.clear()
    done = mirror.synced(way)
    assert (done["contacts"].totals["deleted"], done["contacts"].totals["merged"]) == (0, 100)
    assert mirror.aliases() == mirror.merged()
    mirror.assert_in_step()


def test_l4_a_survivor_asked_for_by_id_takes_the_place_of_whom_it_took_in(mirror: Mirror) -> None:
    one, two = mirror.some("contacts", 2)
    survivor = mirror.portal.merge("contacts", one, two)
    done = mirror.company.synced("selective", "hubspot", "contacts", ids=(str(survivor),))
    assert (done["contacts"].totals["created"], done["contacts"].totals["merged"]) == (1, 2)
    assert mirror.tombstones() == {one: ("merged", survivor), two: ("merged", survivor)}
    mirror.synced()
    mirror.assert_in_step()


def test_l4_whoever_is_asked_for_by_an_old_id_is_loaded_under_the_new_one(merging: Mirror) -> None:
    one, two = merging.some("contacts", 2)
    survivor = merging.portal.merge("contacts", one, two)
    merging.company.synced("selective", "hubspot", "contacts", ids=(str(two),))
    assert two not in merging.held()
    merging.synced()
    assert merging.aliases()[two] == survivor and survivor in merging.held()
    assert merging.aliases() == merging.merged()
    assert {state for state, _ in merging.tombstones().values()} == {"merged"}
    merging.assert_in_step()


@pytest.mark.parametrize("batch", ["drop", "alias", "error"])
def test_l4_p8_merged_away_is_not_binned_though_the_bin_shows_it_before_the_search_its_survivor(
    make_mirror: Callable[..., Mirror],
    batch: str,
) -> None:
    mirror = make_mirror(merged_archived="yes", merged_batch=batch)
    one, two = mirror.some("contacts", 2)
    survivor = mirror.portal.merge("contacts", one, two)
    mirror.company.sandbox.faults.set("P8", system="hubspot", lag=3000)
    mirror.synced()
    assert not {one, two} & mirror.held()
    mirror.company.sandbox.faults.clear()
    mirror.synced()
    assert mirror.tombstones() == {one: ("merged", survivor), two: ("merged", survivor)}
    mirror.assert_in_step()


def test_l4_the_fault_of_that_name_merges_pairs(mirror: Mirror) -> None:
    for entity in ("contacts", "deals"):
        mirror.company.sandbox.faults.set("L4", system="hubspot", count=5, entity=entity)
    done = mirror.synced()
    assert [done[e].totals["deleted"] for e in ("contacts", "deals")] == [0, 0]
    for entity in ("contacts", "deals"):
        assert mirror.aliases(entity) == mirror.merged(entity)
    mirror.assert_in_step()


@pytest.mark.parametrize("most", [0, 1, 2_000])
@pytest.mark.parametrize("way", WAYS)
def test_what_follows_from_the_written_is_found_however_many_are_looked_up(
    mirror: Mirror, way: Way, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_assets.sync.entity_sync.MOST", most)
    one, two = mirror.some("contacts", 2)
    survivor = mirror.portal.merge("contacts", one, two)
    for call, callee in zip(mirror.some("calls", 2), (999_999_999_991, 999_999_999_992), strict=True):
        mirror.portal.update("calls", call, hs_call_callee_object_type="CONTACT", hs_call_callee_object_id=callee)
    mirror.synced(way)
    assert mirror.aliases() == dict.fromkeys({one, two} - {survivor}, survivor)
    waiting = mirror.company.query("select key from sync.missing_parents where entity = 'contacts' order by key")
    assert waiting == [("999999999991",), ("999999999992",)]
    for call in mirror.some("calls", 2):
        mirror.portal.update("calls", call, hs_call_callee_object_id=survivor)
    mirror.synced(way)
    assert mirror.company.query("select key from sync.missing_parents where entity = 'contacts'") == []
