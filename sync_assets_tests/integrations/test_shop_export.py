"""From PHP to Postgres, by the receiver and the inbox: an export heals what the API does not show."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company
from sync_assets_tests.integrations.conftest import CHECK, HASH
from sync_assets_tests.integrations.site import Posted, Site
from sync_assets_tests.receiving import receiving
from sync_assets_tests.systems.shop_hooks import SECRET, inbox_worked_off
from sync_assets_tests.systems.test_bitrix_parents import gaps, missing


@pytest.fixture
def company(make_shop: Callable[..., Company]) -> Company:
    company = make_shop(orders="53", orphans="33", env={"BITRIX_SHOP_SECRET": SECRET})
    company.synced("full", "bitrix")
    return company


def test_the_export_of_a_shop_closes_the_gaps_of_its_orders(
    company: Company, site: Site, receiver: Posted, tmp_path: Path
) -> None:
    lacking = {kind: {key for _, entity, key, _ in gaps(company) if entity == kind} for kind in ("users", "products")}
    assert all(lacking.values())
    block = min(company.raw("catalogs", "bitrix"))
    site.shop = {
        "users": [{"ID": str(id), "NAME": f"Покупатель {id}", "ACTIVE": "Y"} for id in lacking["users"]],
        "elements": [{"ID": str(id), "NAME": f"n{id}", "IBLOCK_ID": str(block)} for id in lacking["products"]],
    }
    with receiving(company, tmp_path) as reached:
        url = f"{reached.settings.sync_public_url}/webhooks/bitrix/shop"
        site.configure(url=url, iblocks=[block])
        for kind, keys in lacking.items():
            assert site.php("export.php", kind, "--size=7") == f"{len(keys)} {kind} sent\n"
        work = inbox_worked_off(reached)
    assert work.events == sum(map(len, lacking.values()))
    assert gaps(company) == set() and missing(company) == {}
    assert company.raw("users", "bitrix")[min(lacking["users"])]["NAME"].startswith("Покупатель")
    for entity in ("orders", "order_items", "products"):
        assert look(company, "links_resolve", entity, "bitrix").passed
    company.synced("incremental", "bitrix")
    assert gaps(company) == set()
    company.assert_ledger_adds_up()


def test_an_order_that_the_shop_saves_is_here_with_its_buyer_and_what_belongs_to_it(
    company: Company, site: Site, receiver: Posted, tmp_path: Path
) -> None:
    world = company.sandbox.world.bitrix
    id = world.create_order(world.create_buyer("Айгуль", "a@example.test", "+7701"), [{"name": "Сборка", "price": 10}])
    buyer = world.get("orders", id)["userId"]
    site.shop = {
        "orders": [{"ID": str(id), "USER_ID": str(buyer), "STATUS_ID": "N"}],
        "users": [{"ID": str(buyer), "NAME": "Айгуль", "PASSWORD": HASH, "CHECKWORD": CHECK}],
    }
    with receiving(company, tmp_path) as reached:
        site.configure(url=f"{reached.settings.sync_public_url}/webhooks/bitrix/shop")
        site.hit(("sale", "OnSaleOrderSaved", {"ENTITY": id, "IS_NEW": True}))
        kept = company.query("select payload, record from sync.webhook_events")
        assert len(kept) == 2 and CHECK not in str([[bytes(part or b"") for part in row] for row in kept])
        inbox_worked_off(reached)
    assert company.raw("orders", "bitrix")[id] == company.truth("orders", "bitrix")[id]
    assert [row for row in company.raw("order_items", "bitrix").values() if row["orderId"] == id]
    assert company.raw("users", "bitrix")[buyer] == {"ID": str(buyer), "NAME": "Айгуль"}
    assert not [hole for hole in gaps(company) if hole[0] == id]
    company.assert_ledger_adds_up()


def test_w2_what_is_not_signed_rightly_reaches_no_table(
    company: Company, site: Site, receiver: Posted, tmp_path: Path
) -> None:
    with receiving(company, tmp_path) as reached:
        site.configure(
            url=f"{reached.settings.sync_public_url}/webhooks/bitrix/shop",
            secret="another-secret-of-more-than-32-characters",
        )
        site.hit(("main", "OnAfterUserUpdate", {"ID": 171001, "RESULT": True}))
    assert company.query("select count(*) from sync.webhook_events") == [(0,)]
    assert len(site.queue) == 1 and "the receiver answers 401" in site.log
