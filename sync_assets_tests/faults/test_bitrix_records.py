"""V1-V8, L1-L3 and D1 for Bitrix: a bad order costs one order, a missing parent none, and a kill nothing."""

import signal
from typing import Any

import pytest

from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company
from sync_assets_tests.faults.bitrix import ORDERS, ORDERS_AND_ITEMS, assert_heals, named, spoil
from sync_assets_tests.faults.moments import process
from sync_assets_tests.systems.bitrix_requests import batches

DAMAGE: list[tuple[str, dict[str, Any], str]] = [
    ("V1", {"field": "comments"}, "kept"),
    ("V2", {"field": "comments", "variant": "surrogate"}, "kept"),
    ("V2", {"field": "comments", "variant": "bytes"}, "kept"),
    ("V3", {"field": "price", "variant": "overflow"}, "rejected"),
    ("V3", {"field": "price", "variant": "nan"}, "rejected"),
    ("V3", {"field": "price", "variant": "infinity"}, "rejected"),
    ("V3", {"field": "version", "variant": "int64"}, "unparsed"),
    ("V3", {"field": "price", "variant": "comma"}, "unparsed"),
    ("V6", {"field": "comments", "variant": "nested"}, "rejected"),
    ("V6", {"field": "comments", "variant": "long_key"}, "kept"),
    ("V6", {"field": "price", "variant": "wrong_type"}, "unparsed"),
    ("V7", {"variant": "missing"}, "rejected"),
    ("V7", {"variant": "null"}, "rejected"),
    ("V7", {"variant": "string"}, "kept"),
    ("V7", {"variant": "duplicate"}, "kept"),
    ("V8", {"field": "comments"}, "kept"),
]


@pytest.mark.parametrize(("fault", "options", "fate"), DAMAGE, ids=map(named, DAMAGE))
def test_v1_to_v8_one_bad_order_costs_one_order(
    company: Company, fault: str, options: dict[str, Any], fate: str
) -> None:
    order = sorted(company.truth("orders", "bitrix"))[7]
    struck = spoil(company, fault, record=order, **options)
    done = company.synced("full", "bitrix", "orders")["orders"].totals
    assert struck.strikes
    held, truth = company.raw("orders", "bitrix"), company.truth("orders", "bitrix")
    assert {k: v for k, v in held.items() if k != order} == {k: v for k, v in truth.items() if k != order}
    assert (order in held) == (fate != "rejected") and done["rejected"] == (fate == "rejected")
    finding = look(company, "columns_parse", "orders", "bitrix")
    assert finding.passed == (fate != "unparsed")
    if fate == "unparsed":
        assert finding.facts["columns"] == {options["field"]: 1} and finding.facts["sample"] == [str(order)]
    assert look(company, "nothing_rejected", "orders", "bitrix").passed == (fate != "rejected")
    assert_heals(company, ["orders"])


DATES = {
    "dotted": "02.03.2025",
    "dotted with time": "02.03.2025 10:00:00",
    "zoneless": "2025-03-02 10:00:00",
    "zoneless iso": "2025-03-02T10:00:00",
    "zero": "0000-00-00",
    "feb30": "2025-02-30T10:00:00+03:00",
    "year10000": "10000-01-01T00:00:00+03:00",
    "unix": "1740873600",
}


@pytest.mark.parametrize(
    ("kind", "date"),
    [*(("full", date) for date in DATES), *(("incremental", date) for date in ("dotted", "zoneless", "zoneless iso"))],
)
def test_v4_a_date_of_another_form_is_kept_as_text_and_never_guessed(company: Company, kind: str, date: str) -> None:
    world = company.sandbox.world.bitrix
    order = sorted(company.truth("orders", "bitrix"))[7]
    if kind == "incremental":
        company.synced("full", "bitrix", "orders")
        company.sandbox.world.clock.advance(3600)
        world.set_status(order, "CO")
    text = DATES[date]
    spoil(company, "V4", record=order, field="dateUpdate", value=f'"{text}"')
    company.synced(kind, "bitrix", "orders")
    ((stamp, raw),) = company.query(
        "select source_changed_at, raw_json ->> 'dateUpdate' from bitrix.orders where id = %s", [order]
    )
    assert (stamp, raw) == (None, text)
    finding = look(company, "columns_parse", "orders", "bitrix")
    assert not finding.passed and finding.severity == "ERROR" and finding.facts["columns"] == {"source_changed_at": 1}
    # The watermark comes from the dates that are some.
    assert company.query("select watermark < now() + interval '1 day' from sync.metadata where entity = 'orders'") == [
        (True,)
    ]
    assert_heals(company, ["orders"])


def test_v4_an_empty_date_is_no_date_and_no_fault(company: Company) -> None:
    order = sorted(company.truth("orders", "bitrix"))[7]
    spoil(company, "V4", record=order, field="dateStatus", variant="empty")
    company.synced("full", "bitrix", "orders")
    assert look(company, "columns_parse", "orders", "bitrix").passed
    assert_heals(company, ["orders"])


def test_v5_a_status_that_nobody_declared_is_kept_and_the_check_names_it(company: Company) -> None:
    company.synced("full", "bitrix", ["order_statuses", "users"])
    order = sorted(company.truth("orders", "bitrix"))[7]
    spoil(company, "V5", record=order, field="statusId")
    company.synced("full", "bitrix", "orders")
    assert company.query("select status_id from bitrix.orders where id = %s", [order]) == [("invented_stage",)]
    finding = look(company, "links_resolve", "orders", "bitrix")
    assert finding.severity == "WARN" and finding.facts["waiting"] == 1
    company.query("delete from sync.missing_parents where entity = 'users'")
    finding = look(company, "links_resolve", "orders", "bitrix", [1])
    assert finding.facts["sample"] == ["status_id -> order_statuses invented_stage: waiting"]
    assert_heals(company, ["orders"])
    assert company.query("select count(*) from sync.missing_parents where entity = 'order_statuses'") == [(0,)]


def test_l1_orders_that_no_list_shows_are_fetched_for_their_items_and_look_the_same(company: Company) -> None:
    spoil(company, "L1", ORDERS, share=0.5)
    company.synced("full", "bitrix", ["orders"])
    assert 10 < company.count("orders", "bitrix") < 50
    company.synced("full", "bitrix", "order_items")
    assert company.raw("orders", "bitrix") == company.truth("orders", "bitrix")
    gets = [batch for batch in batches(company.sandbox) if batch[0].startswith("sale.order.get")]
    assert len(gets) == 1, "what the list does not show is asked for by itself, fifty at a time"
    assert_heals(company, ORDERS_AND_ITEMS)


def test_l1_orders_that_never_come_are_gone_and_their_items_stay(company: Company) -> None:
    spoil(company, "L1", ORDERS + "|sale.order.get", share=0.5, by_id="no")
    company.synced("full", "bitrix", ORDERS_AND_ITEMS)
    hidden = company.truth("orders", "bitrix").keys() - company.raw("orders", "bitrix").keys()
    assert hidden and company.raw("order_items", "bitrix") == company.truth("order_items", "bitrix")
    rows = company.query("select key::bigint, state, evidence from sync.missing_parents where entity = 'orders'")
    assert {row[0] for row in rows} == hidden
    assert {row[1:] for row in rows} == {("gone", "asked for by id: error 200540400001, it does not exist")}
    # They come after all: every link closes.
    company.sandbox.faults.clear()
    company.synced("full", "bitrix", "orders")
    assert company.query("select count(*) from sync.missing_parents where entity = 'orders'") == [(0,)]
    assert_heals(company, ORDERS_AND_ITEMS)


def test_l1_a_parents_missing_parents_are_fetched_level_by_level_and_the_last_may_be_missing(company: Company) -> None:
    world = company.sandbox.world.bitrix
    with world.changing():
        for id, above in ((90, 91), (91, 92), (92, 999)):
            world.tables["sections"].add(id=id, iblockId=23, name=f"Section {id}", iblockSectionId=above)
    product = min(id for id in world.tables["products"].ids if world.get("products", id)["iblockId"] == 23)
    world.unlisted.clear()
    world.update_product(product, iblockSectionId=90)
    spoil(company, "L1", "catalog.section.list", share=1.0)
    company.synced("full", "bitrix", ["catalogs", "sections"])
    assert company.count("sections", "bitrix") == 0
    company.synced("full", "bitrix", "products")
    assert {90, 91, 92} <= company.raw("sections", "bitrix").keys()
    assert company.query("select key, state, tries from sync.missing_parents where entity = 'sections'") == [
        ("999", "gone", 1)
    ]
    company.assert_ledger_adds_up()


def test_l2_a_person_and_a_product_that_leave_later_leave_their_orders_alone(company: Company) -> None:
    every = ["catalogs", "products", "orders", "order_items"]
    company.synced("full", "bitrix", every)
    world = company.sandbox.world.bitrix
    items = company.raw("order_items", "bitrix")
    gone = next(i["productId"] for i in items.values() if i["productId"] in world.tables["products"].rows)
    world.delete_product(gone)
    company.synced("full", "bitrix", every)
    assert company.raw("order_items", "bitrix") == items
    finding = look(company, "links_resolve", "order_items", "bitrix")
    assert finding.severity == "WARN"
    [(state, evidence)] = company.query(
        "select state, evidence from sync.missing_parents where entity = 'products' and key = %s", [str(gone)]
    )
    assert state == "gone" and evidence.startswith("gone since 20")
    company.assert_ledger_adds_up()


def test_l3_rings_of_sections_are_stored_and_every_link_resolves(company: Company) -> None:
    company.synced("full", "bitrix", ["catalogs", "sections"])
    company.sandbox.faults.set("L3", system="bitrix")
    company.synced("full", "bitrix", "sections")
    rows = dict(company.query("select id, parent_id from bitrix.sections where id in (30, 31, 32)"))
    assert rows == {30: 31, 31: 30, 32: 32}
    assert look(company, "links_resolve", "sections", "bitrix").passed
    assert_heals(company, ["sections"])


# Processes.


@pytest.mark.parametrize("point", ["before commit", "after commit", "in sweep"])
def test_d1_killed_while_items_leave_their_orders_the_next_sync_makes_it_whole(company: Company, point: str) -> None:
    company.synced("full", "bitrix", ORDERS_AND_ITEMS)
    company.sandbox.world.clock.advance(3600)
    world = company.sandbox.world.bitrix
    for order in sorted(world.tables["orders"].ids)[:5]:
        world.replace_items(order, [{"productId": 0, "name": "Сборка", "price": 10}])
    company.synced("incremental", "bitrix", "orders")
    killed = process(company, "order_items", ACCOUNT="bitrix", KIND="incremental", SYNC_ASSETS_CRASH_AT=point)
    words, _ = killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL, words
    company.synced("incremental", "bitrix", "order_items")
    assert company.raw("order_items", "bitrix") == company.truth("order_items", "bitrix")
    company.assert_ledger_adds_up()
