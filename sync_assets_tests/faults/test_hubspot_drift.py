"""A13: properties that come, change their type, go and return, as the portal's own definitions tell it."""

from __future__ import annotations

import pytest

from sync_assets_tests.mirror import WAYS, Mirror, Way


def told(mirror: Mirror, words: str, entity: str = "contacts") -> int:
    """How many syncs said so."""
    found = mirror.company.query(
        "select count(*)::int from sync.logs where entity = %s and strpos(note, %s) > 0", [entity, words]
    )
    return int(found[0][0])


def assert_in_step_but(mirror: Mirror, name: str, kept: dict[int, str]) -> None:
    """All contacts as in the portal, with the values of one property carried over."""
    world, held = mirror.company.truth("contacts", "hubspot"), mirror.company.raw("contacts", "hubspot")
    assert world.keys() == held.keys()
    for id, record in world.items():
        values = {n: v for n, v in record["properties"].items() if v is not None}
        assert held[id]["properties"] == values | ({name: kept[id]} if id in kept else {}), id
    mirror.company.assert_ledger_adds_up()


def values(mirror: Mirror, name: str) -> dict[int, str]:
    held = mirror.company.raw("contacts", "hubspot").items()
    return {id: record["properties"][name] for id, record in held if name in record["properties"]}


@pytest.mark.parametrize("way", WAYS)
def test_a13_a_new_property_is_told_once_and_filled_by_the_next_full_sync(mirror: Mirror, way: Way) -> None:
    (id,) = mirror.some()
    mirror.portal.define("contacts", "favourite_tea")
    mirror.portal.update("contacts", id, touch=False, favourite_tea="green")
    for _ in range(2):
        mirror.all_synced(way)
        assert told(mirror, "new in properties: favourite_tea (string)") == 1
    mirror.all_synced("full")
    assert told(mirror, "favourite_tea") == 1
    assert values(mirror, "favourite_tea") == {id: "green"}
    mirror.assert_in_step()


def test_a13_a_property_made_anew_with_another_type_is_told_once(mirror: Mirror) -> None:
    before = values(mirror, "city")
    mirror.portal.retype("contacts", "city", "number", "number")
    for way in (*WAYS, *WAYS):
        mirror.all_synced(way)
        assert told(mirror, "properties: city was string and is number") == 1
    assert values(mirror, "city") == before
    mirror.assert_in_step()


@pytest.mark.parametrize("way", WAYS)
def test_a13_a_retired_property_keeps_its_values_however_often_the_record_changes(mirror: Mirror, way: Way) -> None:
    phones = values(mirror, "phone")
    id = next(id for id in mirror.some("contacts", 50) if phones.get(id))
    column = mirror.company.query("select id, phone from hubspot.contacts order by id")
    mirror.portal.retire("contacts", "phone")
    for name in ("Анна", "Инна"):
        mirror.portal.update("contacts", id, firstname=name)
        mirror.all_synced(way)
        assert mirror.company.query("select firstname from hubspot.contacts where id = %s", [id]) == [(name,)]
        assert told(mirror, "no longer defined, values kept: /properties/phone") == 1
    mirror.all_synced("full")
    assert mirror.company.query("select id, phone from hubspot.contacts order by id") == column
    assert_in_step_but(mirror, "phone", phones)
    fresh = mirror.portal.create("contacts", firstname="Нина")
    mirror.all_synced(way)
    assert fresh in mirror.held() and fresh not in values(mirror, "phone")
    assert_in_step_but(mirror, "phone", phones)
    assert told(mirror, "no longer defined") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a13_a_property_that_is_back_is_carried_no_more(mirror: Mirror, way: Way) -> None:
    """Made again under its old name it is another property, empty until somebody fills it."""
    phones = values(mirror, "phone")
    emptied, filled = [id for id in mirror.some("contacts", 50) if phones.get(id)][:2]
    mirror.portal.retire("contacts", "phone")
    mirror.all_synced("full")
    mirror.portal.define("contacts", "phone", "string", "phonenumber")
    mirror.portal.update("contacts", emptied, phone=None)
    mirror.portal.update("contacts", filled, phone="+79161234567")
    mirror.all_synced(way)
    assert told(mirror, "new in properties: phone (string)") == 1
    rows = dict(mirror.company.query("select id, phone from hubspot.contacts"))
    assert (rows[emptied], rows[filled]) == (None, "+79161234567")
    mirror.all_synced("full")
    mirror.assert_in_step()


def test_a13_what_is_carried_over_survives_a_bad_record_beside_it(mirror: Mirror) -> None:
    """The way record by record carries as the quick one does."""
    phones = values(mirror, "phone")
    one, two = [id for id in mirror.some("contacts", 50) if phones.get(id)][:2]
    mirror.portal.retire("contacts", "phone")
    mirror.all_synced()
    mirror.company.sandbox.faults.set("V1", system="hubspot", path="/objects/contacts", record=one)
    for id in (one, two):
        mirror.portal.update("contacts", id, city="Уфа")
    mirror.synced(only="contacts")
    assert {id: values(mirror, "phone")[id] for id in (one, two)} == {id: phones[id] for id in (one, two)}
    mirror.company.sandbox.faults.clear()
    mirror.all_synced("full")
    assert_in_step_but(mirror, "phone", phones)


@pytest.mark.parametrize("variant", ["new_field", "missing_field", "changed_type", "renamed"])
def test_a13_rows_of_another_shape_are_whole_again_with_the_next_sync(mirror: Mirror, variant: str) -> None:
    fault = mirror.company.sandbox.faults.set("A13", system="hubspot", path="/objects/contacts", variant=variant)
    mirror.company.sync("full", "hubspot", only=("contacts",))
    assert fault.strikes
    assert len(mirror.held()) == len(mirror.company.truth("contacts", "hubspot"))
    mirror.company.sandbox.faults.clear()
    mirror.all_synced("full")
    mirror.assert_in_step()
