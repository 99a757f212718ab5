"""The worker: events become fresh rows, burials and what belongs to them, by one read per record."""

from __future__ import annotations

from typing import Any

import pytest

from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, states, worked_off


def asked(company: Company, system: str) -> list[str]:
    return [r.path for r in company.sandbox.requests if r.system == system]


def contents(company: Company) -> list[Any]:
    return company.query("select id, raw_json, sync_id, synced_at from kaiten.cards order by id")


def test_a_changed_card_is_read_by_its_id_once_for_all_its_events(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    card = min(kaiten.cards)
    kaiten.update_card(card, title="new")
    grown.sandbox.requests.clear()
    hint(grown, "kaiten", "cards", card, card, card)
    work = worked_off(grown)
    assert (work.events, work.records, work.problems, work.waiting, work.dead) == (3, 1, [], 0, 0)
    assert work.outcomes["cards"].totals["updated"] == 1
    assert work.outcomes["cards"].rows == len(kaiten.cards)
    assert [p for p in asked(grown, "kaiten") if "/cards" in p] == [f"/api/latest/cards/{card}"]
    assert states(grown) == {"done": 3}
    [(log,)] = grown.query("select max(id) from sync.logs where (kind, status, updated) = ('webhook', 'success', 1)")
    assert grown.query("select distinct sync_id, attempts from sync.webhook_events") == [(log, 1)]
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_w12_a_delete_event_for_a_living_card_changes_nothing_and_a_dead_one_leaves(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    alone = [k for k, c in grown.truth("cards").items() if not c["children_ids"] and not c["parents_ids"]]
    living, gone = sorted(alone)[:2]
    kaiten.delete_card(gone)
    before = contents(grown)
    hint(grown, "kaiten", "cards", living, gone, event="card:delete")
    work = worked_off(grown)
    assert [work.outcomes["cards"].totals[n] for n in ("unchanged", "deleted")] == [1, 1]
    assert contents(grown) == [row for row in before if row[0] != gone], "the others were not written"
    assert grown.query("select key, evidence like 'asked for by id%%' from sync.tombstones") == [(str(gone), True)]
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_w12_unknown_events_and_entities_are_kept_and_counted(grown: Company) -> None:
    hint(grown, "kaiten", "", "", event="comment:add")
    hint(grown, "kaiten", "rockets", 7)
    work = worked_off(grown)
    assert (work.events, work.problems) == (0, []) and states(grown) == {"ignored": 2}
    assert grown.query("select reason from sync.webhook_events order by id") == [
        ("an event of nothing that is kept here",), ("there is no entity rockets",),
    ]  # fmt: skip


def test_what_cannot_be_a_key_is_done_with_its_reason(grown: Company) -> None:
    events = hint(grown, "kaiten", "cards", "x'; --", min(grown.sandbox.world.kaiten.cards))
    assert worked_off(grown).events == 2
    assert grown.query("select id, state, reason from sync.webhook_events order by id") == [
        (events[0], "done", "it cannot be a key of cards"), (events[1], "done", None),
    ]  # fmt: skip


def test_a_board_brings_its_columns_and_lanes_along(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    lane = next(id for id, lane in kaiten.table("lanes").items() if lane["condition"] == 1)
    board = kaiten.table("lanes")[lane]["board_id"]
    column = kaiten.create("columns", board_id=board, title="fresh", type=1, sort_order=99.0, col_count=1)
    kaiten.archive_lane(lane)
    hint(grown, "kaiten", "boards", board)
    work = worked_off(grown)
    assert work.problems == [] and column in grown.raw("columns")
    assert work.outcomes["columns"].totals["requests"] == 0
    assert grown.raw("lanes")[lane]["condition"] == 2
    grown.assert_world_equals_postgres(copies=False)
    grown.assert_ledger_adds_up()


def test_entities_without_a_read_by_id_are_read_once_for_all_their_events(grown: Company) -> None:
    worksection = grown.sandbox.world.worksection
    project = next(iter(grown.truth("projects", "worksection")))
    tasks = [t for t in grown.truth("tasks", "worksection").values() if t["project"]["id"] == project][:2]
    for task in tasks:
        worksection.rename_task(task["id"], "renamed")
    grown.sandbox.requests.clear()
    hint(grown, "worksection", "tasks", *("" for _ in tasks), "")
    work = worked_off(grown, "worksection")
    assert (work.events, work.records) == (3, 1) and len(asked(grown, "worksection")) <= 3
    assert work.outcomes.keys() == {"tasks", "objects", "sections"}, "and stages are tags of projects"
    grown.assert_world_equals_postgres("worksection")
    grown.assert_ledger_adds_up()


def test_a_pipeline_brings_its_statuses_along(grown: Company) -> None:
    pipeline = min(grown.truth("pipelines", "kommo"))
    status = next(s for of, s in grown.truth("statuses", "kommo") if of == pipeline)
    grown.sandbox.world.kommo.update_status(pipeline, status, name="renamed")
    hint(grown, "kommo", "pipelines", pipeline)
    work = worked_off(grown, "kommo")
    assert work.outcomes["statuses"].totals["updated"] == 1
    grown.assert_world_equals_postgres("kommo")


def test_an_order_brings_its_items_payments_shipments_and_properties_along(grown: Company) -> None:
    bitrix = grown.sandbox.world.bitrix
    first, second, gone, *_ = sorted(grown.truth("orders", "bitrix"))
    item = bitrix.get("order_items", bitrix.table("order_items").children(first)[0])
    bitrix.replace_items(first, [{"productId": item["productId"], "quantity": 3}])
    bitrix.pay_order(second)
    bitrix.ship_order(second)
    bitrix.delete_order(gone)
    grown.sandbox.requests.clear()
    hint(grown, "bitrix", "orders", first, second, gone)
    work = worked_off(grown, "bitrix")
    assert work.problems == [] and work.outcomes["order_items"].totals["deleted"] >= 2
    assert {"orders", "order_items", "payments", "shipments", "order_properties"} == work.outcomes.keys()
    assert len(asked(grown, "bitrix")) <= 4, "two to begin with, one for all of them, one for the order that is gone"
    grown.assert_world_equals_postgres("bitrix")
    grown.assert_ledger_adds_up()


def test_p11_what_was_refused_along_with_an_order_is_asked_for_by_itself(grown: Company) -> None:
    bitrix = grown.sandbox.world.bitrix
    orders = sorted(grown.truth("orders", "bitrix"))[:3]
    for order in orders:
        bitrix.replace_items(order, [{"productId": 0, "price": 7}])
    struck = grown.sandbox.faults.set("P11", system="bitrix", share=0.5, times=1, path="order.list")
    grown.sandbox.requests.clear()
    hint(grown, "bitrix", "orders", *orders)
    assert worked_off(grown, "bitrix").problems == [] and struck.strikes == 1
    grown.assert_world_equals_postgres("bitrix")


def test_more_orders_than_a_batch_holds_with_what_belongs_to_them(grown: Company) -> None:
    bitrix = grown.sandbox.world.bitrix
    orders = sorted(grown.truth("orders", "bitrix"))[:23]
    for order in orders:
        bitrix.replace_items(order, [{"productId": 0, "price": 7} for _ in range(60 if order == orders[0] else 1)])
    grown.sandbox.requests.clear()
    hint(grown, "bitrix", "orders", *orders)
    assert worked_off(grown, "bitrix").records == len(orders) == 23
    assert len(asked(grown, "bitrix")) <= 6, "two to begin with, three batches, and the second page of one order"
    grown.assert_world_equals_postgres("bitrix")
    grown.assert_ledger_adds_up()


def test_associations_of_named_records_are_read_whole(grown: Company) -> None:
    hubspot = grown.sandbox.world.hubspot
    held = grown.raw("contact_associations", "hubspot")
    to_type, contact = next(key for key in held if key[0] == "deals")
    other = next(d for d in hubspot.shelf("deals").ids if d != held[to_type, contact]["to"][0]["toObjectId"])
    for to in held[to_type, contact]["to"]:
        hubspot.dissociate("contacts", contact, "deals", int(to["toObjectId"]))
    fresh = next(c for c in hubspot.shelf("contacts").ids if ("deals", c) not in held)
    hubspot.associate("contacts", fresh, "deals", other)
    hint(grown, "hubspot", "contact_associations", contact, fresh)
    for deal in {*(int(to["toObjectId"]) for to in held[to_type, contact]["to"]), other}:
        hint(grown, "hubspot", "deal_associations", deal)
    work = worked_off(grown, "hubspot")
    done = work.outcomes["contact_associations"].totals
    assert (done["created"], done["deleted"]) == (1, 1), work.problems
    grown.assert_world_equals_postgres("hubspot")
    grown.assert_ledger_adds_up()


@pytest.mark.parametrize("named", ["loser", "survivor", "all"])
def test_a_merge_is_followed_whoever_is_named(mirror: Any, named: str) -> None:
    company = mirror.company
    first, second = mirror.some(count=2)
    survivor = mirror.portal.merge("contacts", first, second)
    keys = {"loser": [second], "survivor": [survivor], "all": [first, second, survivor]}[named]
    hint(company, "hubspot", "contacts", *keys)
    work = worked_off(company, "hubspot")
    assert work.problems == [] and survivor in mirror.held() and second not in mirror.held()
    assert mirror.tombstones()[second] == ("merged", survivor)
    company.assert_ledger_adds_up()


def test_an_erased_person_leaves_nothing_in_the_inbox(mirror: Any) -> None:
    company = mirror.company
    (person,) = mirror.some()
    hint(company, "hubspot", "contacts", person, payload=b'{"propertyValue": "Ann"}')
    assert worked_off(company, "hubspot").events == 1
    mirror.portal.gdpr_delete(person)
    hint(company, "hubspot", "contacts", person, payload=b'{"subscriptionType": "contact.privacyDeletion"}')
    assert worked_off(company, "hubspot").events == 1
    assert mirror.tombstones() == {person: ("erased", None)}
    assert company.query("select count(*), count(payload) from sync.webhook_events") == [(2, 0)]
