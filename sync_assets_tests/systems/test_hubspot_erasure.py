"""A person who was erased for good (GDPR): of them no text stays, in no table, though their key does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg2 import sql

from sync_assets_tests.company import Company
from sync_assets_tests.mirror import WAYS, Mirror, Way

EMAIL, PHONE, MOBILE, NAME = "erase.me@person.test", "+7 999 765-43-21", "+79991234567", "Неповторима"
PERSON = (EMAIL, PHONE, MOBILE, NAME)

KEPT = {"hubspot.calls", "public.hubspot_calls_raw", "hubspot.call_contacts"}
"""A call keeps the numbers that it was made between: HubSpot keeps them too, they are the call's and no contact's."""

RELATIONS = """
select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum),
       array_agg(a.atttypid = 'bytea'::regtype order by a.attnum)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where n.nspname in ('hubspot', 'sync', 'public') and c.relkind in ('r', 'v', 'm', 'p')
 group by 1, 2
"""


def places(company: Company, *texts: str) -> set[str]:
    """Every table and view, of all columns as text, where one of the texts is."""
    found = set()
    for schema, table, columns, binary in company.query(RELATIONS):
        spelled = (sql.SQL("encode({}, 'escape')" if b else "{}::text") for b in binary)
        row = sql.SQL(", ").join(text.format(sql.Identifier(c)) for text, c in zip(spelled, columns, strict=True))
        asked = sql.SQL("select exists (select from {} where array_to_string(array[{}], '\n') ilike any(%s))")
        if company.query(asked.format(sql.Identifier(schema, table), row), [[f"%{t}%" for t in texts]])[0][0]:
            found.add(f"{schema}.{table}")
    return found


def person(mirror: Mirror, *, damaged: str = "") -> int:
    """A new contact with a call and a deal, in step; `damaged`: their record came broken once, its bytes are kept."""
    portal = mirror.portal
    id = portal.create("contacts", email=EMAIL, phone=PHONE, mobilephone=MOBILE, firstname=NAME)
    call = portal.create(
        "calls", hs_call_direction="INBOUND", hs_call_from_number=MOBILE, hs_call_to_number="+74950000000"
    )
    portal.associate("calls", call, "contacts", id)
    portal.associate("deals", *mirror.some("deals"), "contacts", id)
    mirror.synced()
    if damaged:
        mirror.company.sandbox.faults.set(damaged, system="hubspot", path="/objects/contacts", record=id)
        portal.update("contacts", id, city="Пермь")
        mirror.synced(only="contacts")
        mirror.company.sandbox.faults.clear()
        portal.update("contacts", id, city="Уфа")
        mirror.synced()
    return id


def assert_erased(mirror: Mirror, *ids: int) -> None:
    assert places(mirror.company, *PERSON) <= KEPT
    assert {id: mirror.tombstones().get(id) for id in ids} == dict.fromkeys(ids, ("erased", None))
    found = mirror.company.query(
        "select distinct raw_json from sync.tombstones where entity = 'contacts' and key = any(%s)", [[*map(str, ids)]]
    )
    assert found == [({"erased": True},)]
    mirror.assert_in_step()
    for way in WAYS:
        mirror.synced(way)
    assert places(mirror.company, *PERSON) <= KEPT
    mirror.assert_in_step()


@pytest.mark.parametrize("damaged", ["", "V1", "V6"])
def test_a_living_person_who_is_erased_leaves_no_text_after_the_next_full_sync(mirror: Mirror, damaged: str) -> None:
    id = person(mirror, damaged=damaged)
    where = {"hubspot.contacts", *(["sync.rejected"] if damaged else [])}
    assert places(mirror.company, EMAIL) >= where, "else there is nothing to erase"
    mirror.portal.gdpr_delete(id)
    mirror.synced()
    assert EMAIL in {email for (email,) in mirror.company.query("select email from hubspot.contacts")}, (
        "erased people are in no list of changes and no bin: an incremental sync cannot know"
    )
    mirror.synced("full")
    assert_erased(mirror, id)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("damaged", ["", "V1", "V6"])
def test_a_person_erased_out_of_the_bin_leaves_no_text_after_the_next_sync(
    mirror: Mirror, damaged: str, way: Way
) -> None:
    id = person(mirror, damaged=damaged)
    mirror.portal.archive("contacts", id)
    mirror.synced()
    assert mirror.tombstones() == {id: ("binned", None)}
    assert places(mirror.company, EMAIL) >= {"sync.tombstones", *(["sync.rejected"] if damaged else [])}
    mirror.portal.gdpr_delete(id)
    mirror.synced(way)
    assert_erased(mirror, id)


@pytest.mark.parametrize("merge", ["new", "keep"])
@pytest.mark.parametrize("binned", [False, True])
def test_whoever_was_merged_into_an_erased_person_is_that_person(
    make_mirror: Callable[..., Mirror],
    merge: str,
    binned: bool,
) -> None:
    """Their contents lie in the tombstones of merges, each link of the chain."""
    mirror = make_mirror(merge=merge)
    id = person(mirror, damaged="V1")
    survivor = id
    for other in mirror.some("contacts", 2, 50):
        survivor = mirror.portal.merge("contacts", other, survivor)
        mirror.synced()
    losers = [*mirror.merged()]
    assert len(losers) >= 2 and places(mirror.company, EMAIL) >= {"sync.tombstones", "sync.rejected"}
    if binned:
        mirror.portal.archive("contacts", survivor)
        mirror.synced()
    mirror.portal.gdpr_delete(survivor)
    mirror.synced("full")
    assert_erased(mirror, survivor, *losers)


def test_others_keep_what_is_theirs(mirror: Mirror) -> None:
    """In the bin, rejected or living: the neighbour of an erased person is not touched."""
    id, (binned, damaged) = person(mirror), mirror.some("contacts", 2, 60)
    mirror.company.sandbox.faults.set("V1", system="hubspot", path="/objects/contacts", record=damaged)
    mirror.portal.update("contacts", damaged, email="neighbour@person.test")
    mirror.synced(only="contacts")
    mirror.company.sandbox.faults.clear()
    mirror.portal.update("contacts", binned, email="binned@person.test")
    mirror.synced()
    mirror.portal.archive("contacts", binned)
    mirror.synced()
    mirror.portal.gdpr_delete(id)
    mirror.synced("full")
    assert "sync.rejected" in places(mirror.company, "neighbour@person.test")
    assert "sync.tombstones" in places(mirror.company, "binned@person.test")
    assert mirror.tombstones() == {binned: ("binned", None), id: ("erased", None)}
