"""Contacts, deals and calls that leave into the bin, come back out of it, or are nowhere any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sync_assets_tests.mirror import WAYS, Mirror, Way
from sync_assets_tests.pairs import every_pair

TYPES = ("contacts", "deals", "calls")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entity", TYPES)
def test_an_archived_record_is_buried_with_its_content(mirror: Mirror, entity: str, way: Way) -> None:
    (id,) = mirror.some(entity)
    raw = mirror.company.raw(entity, "hubspot")[id]
    mirror.portal.archive(entity, id)
    done = mirror.synced(way)
    assert (done[entity].totals["deleted"], done[entity].totals["merged"]) == (1, 0)
    assert mirror.tombstones(entity) == {id: ("binned", None)}
    ((evidence, buried),) = mirror.company.query(
        "select evidence, raw_json from sync.tombstones where key = %s", [str(id)]
    )
    assert "recycle bin" in evidence and buried == raw
    mirror.assert_in_step()
    assert all(o.totals["deleted"] == 0 for o in mirror.synced(way).values()), "who left leaves once"
    mirror.assert_in_step()


@pytest.mark.parametrize(("entity", "restore", "way"), every_pair(TYPES, ["silent", "touch"], WAYS))
def test_a_restored_record_is_back_at_the_next_sync(
    make_mirror: Callable[..., Mirror],
    entity: str,
    restore: str,
    way: Way,
) -> None:
    mirror = make_mirror(restore=restore)
    (id,) = mirror.some(entity)
    mirror.portal.archive(entity, id)
    mirror.synced()
    mirror.portal.restore(entity, id)
    done = mirror.synced(way)
    assert done[entity].totals["created"] == 1
    assert mirror.tombstones(entity) == {}
    mirror.assert_in_step()


def test_a_record_may_go_and_come_back_time_and_again(mirror: Mirror) -> None:
    (id,) = mirror.some()
    for _ in range(2):
        mirror.portal.archive("contacts", id)
        mirror.synced(only="contacts")
        assert mirror.tombstones() == {id: ("binned", None)}
        mirror.portal.restore("contacts", id)
        mirror.synced(only="contacts")
        assert mirror.tombstones() == {}
    mirror.portal.archive("contacts", id)
    mirror.synced()
    mirror.assert_in_step()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entity", ["deals", "calls"])
def test_a_record_that_is_nowhere_is_gone_and_keeps_its_content(mirror: Mirror, entity: str, way: Way) -> None:
    """Purged, and we never saw it in the bin: a full sync misses it. From the bin: any sync does."""
    (id,) = mirror.some(entity)
    mirror.portal.archive(entity, id)
    if way == "incremental":
        mirror.synced()
    with mirror.portal.changing():
        del mirror.portal.shelf(entity).archived[id]
    mirror.synced(way)
    assert mirror.tombstones(entity) == {id: ("gone", None)}
    ((raw,),) = mirror.company.query("select raw_json from sync.tombstones where key = %s", [str(id)])
    assert raw["id"] == str(id) and raw["properties"]
    mirror.assert_in_step()


@pytest.mark.parametrize("entity", ["contacts", "deals"])
def test_what_the_bin_forgot_by_its_age_is_not_looked_at_again(mirror: Mirror, entity: str) -> None:
    """90 days; the world's clock and the tombstone's are moved together."""
    (id,) = mirror.some(entity)
    mirror.portal.archive(entity, id)
    mirror.synced()
    mirror.portal.clock.advance(91 * 86_400)
    mirror.company.query("update sync.tombstones set deleted_at = deleted_at - interval '91 days'")
    assert not mirror.portal.binned(entity)
    before = len(mirror.company.sandbox.requests)
    mirror.synced(only=entity)
    asked = {entry.path for entry in mirror.company.sandbox.requests[before:]}
    assert not [path for path in asked if path.endswith("/batch/read") or path.endswith(f"/{id}")]
    assert mirror.tombstones(entity) == {id: ("binned", None)}, "as it was when it was seen last, content and all"
    mirror.synced("full")
    mirror.assert_in_step()
