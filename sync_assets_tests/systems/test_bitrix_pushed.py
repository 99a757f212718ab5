"""People and goods that the shop sends: kept where the API shows none, and for as long as the shop has them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sync_assets.entity import Entity
from sync_assets.errors import FixConfig
from sync_assets.load.deletions import FUSE_FLOOR
from sync_assets.sandbox.bitrix.company import GOODS
from sync_assets.sync import Request, sync_entity
from sync_assets.systems.bitrix.pushed import PERSON
from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company
from sync_assets_tests.receiving import receiving
from sync_assets_tests.systems.bitrix_requests import asked_for, mark
from sync_assets_tests.systems.shop_hooks import SECRET, events, inbox_worked_off, told, worked_off
from sync_assets_tests.systems.test_bitrix_parents import gaps, missing


@pytest.fixture
def shop(make_shop: Callable[..., Company]) -> Company:
    return make_shop(orders="53", orphans="33")


def buyer(id: int, **more: Any) -> dict[str, Any]:
    return told("user.update", ID=str(id), NAME=f"Buyer {id}", EMAIL=f"b{id}@example.test", ACTIVE="Y", **more)


def article(id: int, **more: Any) -> dict[str, Any]:
    return told("product.update", ID=str(id), NAME=f"Bouquet {id}", IBLOCK_ID=str(GOODS), ACTIVE="N", **more)


def exported(company: Company) -> tuple[set[int], set[int]]:
    """Sends everybody and everything that orders name in vain, as the shop's export does. Answers who and what."""
    holes = gaps(company)
    people, goods = ({key for _, entity, key, _ in holes if entity == kind} for kind in ("users", "products"))
    assert people and goods
    sent = [buyer(id) for id in people] + [article(id) for id in goods]
    worked_off(company, events({"events": sent}))
    return people, goods


def rows(company: Company, entity: str, key: int) -> list[tuple[Any, ...]]:
    return company.query(f"select payload_shape, name from bitrix.{entity} where id = %s", (key,))


def test_the_33_orphans_of_53_orders_are_healed_by_an_export_and_stay_healed(shop: Company) -> None:
    shop.synced("full", "bitrix")
    assert len(shop.sandbox.world.truth("bitrix", "orphans")) == 33
    people, goods = exported(shop)
    assert gaps(shop) == set() and missing(shop) == {}
    for entity in ("orders", "order_items"):
        finding = look(shop, "links_resolve", entity, "bitrix")
        assert finding.passed, finding
    since = mark(shop.sandbox)
    for kind in ("full", "incremental"):
        done = shop.synced(kind, "bitrix")
        assert [done[name].totals["deleted"] for name in ("users", "products")] == [0, 0]
        assert [done[name].note for name in ("users", "products")] == ["", ""]
    assert people <= shop.raw("users", "bitrix").keys() and goods <= shop.raw("products", "bitrix").keys()
    assert not people & set(asked_for(shop.sandbox, "user.get", "ID", since)), "no sweep asks for those it cannot see"
    assert gaps(shop) == set() and missing(shop) == {}
    for entity in ("users", "products"):
        assert look(shop, "columns_parse", entity, "bitrix").passed and look(shop, "volume", entity, "bitrix").passed
    shop.assert_ledger_adds_up()


def test_an_export_that_comes_again_changes_nothing(shop: Company) -> None:
    shop.synced("full", "bitrix")
    people, goods = exported(shop)
    done = worked_off(shop, events({"events": [*map(buyer, people), *map(article, goods)]}))
    for entity, sent in (("users", people), ("products", goods)):
        totals = done[entity].totals
        assert (totals["unchanged"], totals["fetched"], totals["deleted"]) == (len(sent), len(sent), 0)
    shop.assert_ledger_adds_up()


def test_an_orders_buyer_comes_with_the_order_and_loses_nothing_of_the_export(shop: Company) -> None:
    shop.synced("full", "bitrix")
    order, _, id, _ = min(hole for hole in gaps(shop) if hole[1] == "users")
    worked_off(shop, events(buyer(id, WORK_POSITION="florist", PERSONAL_PHONE="+7001")))
    worked_off(shop, events(told("order.update", ID=str(order), user={"ID": str(id), "NAME": "New", "PASSWORD": "x"})))
    held = shop.raw("users", "bitrix")[id]
    assert (held["NAME"], held["WORK_POSITION"], held["PERSONAL_PHONE"]) == ("New", "florist", "+7001")
    assert held.keys() <= PERSON


def test_of_several_events_that_are_worked_off_together_none_is_lost(shop: Company) -> None:
    shop.synced("full", "bitrix", "users")
    full, order = (
        buyer(900_001, WORK_POSITION="florist"),
        told("order.update", ID="1", user={"ID": "900001", "NAME": "N"}),
    )
    gone = told("user.delete", ID="900001")
    people = [e for e in events({"events": [full, order]}) if e.entity == "users"]
    worked_off(shop, people)
    held = shop.raw("users", "bitrix")[900_001]
    assert (held["NAME"], held["WORK_POSITION"], held["EMAIL"]) == ("N", "florist", "b900001@example.test")
    worked_off(shop, [e for e in events({"events": [full, gone, order]}) if e.entity == "users"])
    assert shop.raw("users", "bitrix")[900_001]["NAME"] == "N"
    worked_off(shop, events({"events": [full, gone]}))
    assert 900_001 not in shop.raw("users", "bitrix")


def test_w4_what_comes_late_does_not_undo_what_happened_after_it(shop: Company) -> None:
    shop.synced("full", "bitrix", "users")
    new, old = told("user.update", ID="900001", NAME="New"), told("user.update", ID="900001", NAME="Old")
    for event, minutes in zip(events({"events": [new, old]}), (2, 1), strict=True):
        shop.query(
            "insert into sync.webhook_events"
            " (account, system, event, entity, key, identity, is_unique, record, occurred_at) values"
            " ('bitrix', 'bitrix', %s, 'users', %s, %s, true, %s, now() + %s * interval '1 minute')",
            (event.name, event.key, event.identity.encode(), event.record, minutes),
        )
    inbox_worked_off(shop)
    assert rows(shop, "users", 900_001) == [("shop", "New")]


def test_what_the_api_shows_is_not_taken_from_the_shop(company: Company) -> None:
    company.synced("full", "bitrix")
    user, product = (min(company.raw(entity, "bitrix")) for entity in ("users", "products"))
    sent = [told("user.update", ID=str(user), NAME="?"), told("product.update", ID=str(product), NAME="?")]
    worked_off(company, events({"events": [*sent, told("product.delete", ID=str(product))]}))
    worked_off(company, events(told("user.delete", ID=str(user))))
    company.assert_world_equals_postgres("bitrix")
    company.assert_ledger_adds_up()


def test_what_the_api_shows_later_wins(shop: Company) -> None:
    shop.synced("full", "bitrix")
    id = min(key for _, entity, key, _ in gaps(shop) if entity == "users")
    worked_off(shop, events(buyer(id)))
    assert rows(shop, "users", id) == [("shop", f"Buyer {id}")]
    shop.sandbox.world.switches["bitrix.buyers"] = "listed"
    shop.synced("incremental", "bitrix", "users")
    assert shop.raw("users", "bitrix")[id] == shop.truth("users", "bitrix")[id]


def test_a_newer_date_from_the_shop_does_not_keep_the_apis_record_out(shop: Company) -> None:
    shop.synced("full", "bitrix")
    world = shop.sandbox.world.bitrix
    id = min(key for _, entity, key, _ in gaps(shop) if entity == "products")
    worked_off(shop, events(article(id, TIMESTAMP_X="2099-01-01T00:00:00+00:00")))
    assert rows(shop, "products", id) == [("shop", f"Bouquet {id}")]
    table = world.table("products")
    with world.changing():
        table.add(**{**table.get(min(table.rows)), "id": id, "name": "Shown at last"})
    shop.synced("full", "bitrix", "products")
    assert rows(shop, "products", id) == [("list", "Shown at last")]
    world.delete_product(id)
    assert shop.synced("full", "bitrix", "products")["products"].totals["deleted"] == 1, "now it is the API's to lose"


@pytest.mark.parametrize(("entity", "sent"), [("users", buyer), ("products", article)])
def test_what_the_shop_deletes_leaves_by_its_word_and_may_come_again(
    shop: Company, entity: str, sent: Callable[..., dict[str, Any]]
) -> None:
    shop.synced("full", "bitrix")
    id = min(key for _, name, key, _ in gaps(shop) if name == entity)
    worked_off(shop, events(sent(id)))
    assert rows(shop, entity, id)
    worked_off(shop, events(told(f"{entity.removesuffix('s')}.delete", ID=str(id))))
    assert not rows(shop, entity, id)
    buried = shop.query("select evidence from sync.tombstones where entity = %s and key = %s", (entity, str(id)))
    assert buried == [("whoever sends it says that it was deleted",)]
    worked_off(shop, events(sent(id)))
    assert rows(shop, entity, id) and not shop.query("select key from sync.tombstones where key = %s", (str(id),))
    shop.assert_ledger_adds_up()


def test_a_hint_at_a_pushed_record_does_not_bury_it(shop: Company) -> None:
    """The API denies it, as it always did."""
    shop.synced("full", "bitrix")
    id = min(key for _, entity, key, _ in gaps(shop) if entity == "products")
    worked_off(shop, events(article(id)))
    (event,) = events(article(id))
    with shop.connected("bitrix") as connection:
        sync_entity(connection, shop.entity("products", "bitrix"), Request("webhook", ids=(event.key,)))
    assert rows(shop, "products", id)


def test_many_pushed_records_neither_blow_the_fuse_nor_hide_that_it_must_blow(shop: Company) -> None:
    shop.synced("full", "bitrix", "users")
    worked_off(shop, events({"events": [buyer(900_000 + n) for n in range(300)]}))
    shop.synced("full", "bitrix", "users")
    assert shop.query("select count(*) from bitrix.users where payload_shape = 'shop'") == [(300,)]
    shop.synced("full", "bitrix", ["catalogs", "products"])
    world = shop.sandbox.world.bitrix
    worked_off(shop, events({"events": [article(900_000 + n) for n in range(300)]}))
    listed = [id for id in world.table("products").rows if world.lists(id)]
    assert len(listed) // 2 > FUSE_FLOOR
    for id in listed[::2]:
        world.delete_product(id)
    failed = shop.sync("full", "bitrix", "products")["products"]
    assert "would be deleted" in str(failed)


def test_that_the_shop_knows_fewer_fields_is_no_drift_of_the_api(shop: Company) -> None:
    shop.synced("full", "bitrix", ["catalogs", "products"])
    done = worked_off(shop, events({"events": [article(900_000 + n) for n in range(50)]}))
    assert done["products"].note == "" and done["products"].totals["created"] == 50
    assert look(shop, "fields_present", "products", "bitrix").passed
    assert shop.synced("full", "bitrix", "products")["products"].note == ""


def test_a_damaged_record_costs_itself_and_is_told(shop: Company) -> None:
    shop.synced("full", "bitrix", "users")
    done = worked_off(shop, events({"events": [buyer(900_001), buyer(900_002, LAST_NAME="a\u0000b\ud800")]}))
    assert done["users"].totals["created"] == 2
    assert shop.raw("users", "bitrix")[900_002]["LAST_NAME"] == "a\ufffdb\ufffd"
    assert shop.query("select key, kept from sync.rejected") == [("900002", True)]


def test_an_entity_that_takes_no_records_says_so(company: Company) -> None:
    entity: Entity = company.entity("orders", "bitrix")
    request = Request("webhook", ids=("999999",), pushed={"999999": [b'{"id":999999}']})
    with company.connected("bitrix") as connection, pytest.raises(FixConfig, match="takes no records"):
        sync_entity(connection, entity, request)


@pytest.mark.parametrize("proof", ["secret", "token"])
@pytest.mark.parametrize("stamp", ["epoch", "iso"])
def test_a_living_shop_is_followed_by_what_its_handler_posts(
    make_shop: Callable[..., Company], tmp_path: Path, proof: str, stamp: str
) -> None:
    """The sandbox's own handler: upper-case texts, dates of no zone, and buyers with their hashes."""
    zone = "Asia/Almaty" if proof == "token" else None
    env = {f"BITRIX_SHOP_{proof.upper()}": SECRET, "BITRIX_SHOP_TIMEZONE": zone}
    company = make_shop(orders="30", orphans="0", hook_user="all", hook_stamp=stamp, env=env)
    company.synced("full", "bitrix")
    hooks, world = company.sandbox.webhooks, company.sandbox.world
    with receiving(company, tmp_path) as reached:
        hooks.register("bitrix.shop", f"{reached.settings.sync_public_url}/webhooks/bitrix/shop", **{proof: SECRET})
        world.advance(20)
        buyer = world.bitrix.create_buyer("Новый", "new@example.test", "+7702")
        world.bitrix.create_order(buyer, [{"productId": 0, "name": "Сборка", "price": 10}])
        hooks.settled()
        work = inbox_worked_off(reached)
    assert {d.status for d in hooks.deliveries} == {200} and work.events > 20
    problems = company.query(
        "select event, reason from sync.webhook_events where state <> 'done' or reason is not null"
    )
    assert problems == [], "all of it is understood"
    assert company.raw("users", "bitrix")[buyer] == {
        "ID": str(buyer), "NAME": "Новый", "LAST_NAME": "", "EMAIL": "new@example.test", "PERSONAL_PHONE": "+7702",
    }  # fmt: skip
    for entity in ("orders", "products"):
        held, truth = company.raw(entity, "bitrix"), company.truth(entity, "bitrix")
        assert {key: row for key, row in held.items() if key in truth} == truth
    assert look(company, "columns_parse", "users", "bitrix").passed
    company.assert_ledger_adds_up()
