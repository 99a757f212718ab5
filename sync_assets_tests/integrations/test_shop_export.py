"""The shop's export heals what the API does not show, from PHP to Postgres."""

from collections.abc import Callable

from sync_assets_tests.check.look import look
from sync_assets_tests.company import Company
from sync_assets_tests.integrations.site import Receiver, Site
from sync_assets_tests.systems.shop_hooks import worked_off
from sync_assets_tests.systems.test_bitrix_parents import gaps, missing


def test_the_export_of_a_shop_closes_the_gaps_of_its_orders(
    make_shop: Callable[..., Company], site: Site, receiver: Receiver
) -> None:
    company = make_shop(orders="53", orphans="33")
    company.synced("full", "bitrix")
    lacking = {kind: {key for _, entity, key, _ in gaps(company) if entity == kind} for kind in ("users", "products")}
    assert all(lacking.values())
    block = min(company.raw("catalogs", "bitrix"))
    site.configure(url=receiver.url, iblocks=[block])
    site.shop = {
        "users": [{"ID": str(id), "NAME": f"Покупатель {id}", "ACTIVE": "Y"} for id in lacking["users"]],
        "elements": [{"ID": str(id), "NAME": f"n{id}", "IBLOCK_ID": str(block)} for id in lacking["products"]],
    }
    for kind, keys in lacking.items():
        assert site.php("export.php", kind, "--size=7") == f"{len(keys)} {kind} sent\n"
    worked_off(company, receiver.events)
    assert gaps(company) == set() and missing(company) == {}
    assert {row["name"] for row in company.rows("users", "bitrix")} >= {f"Покупатель {id}" for id in lacking["users"]}
    for entity in ("orders", "order_items", "products"):
        assert look(company, "links_resolve", entity, "bitrix").passed
    company.synced("incremental", "bitrix")
    assert gaps(company) == set()
    company.assert_ledger_adds_up()
