"""What the tests of Bitrix's faults share: a fault aimed at its lists, and the return to health."""

from typing import Any

from sync_assets.sandbox.faults import Fault
from sync_assets_tests.company import Company

ORDERS = "sale.order.list"
ORDERS_AND_ITEMS = ["orders", "order_items"]


def named(case: tuple[Any, ...]) -> str:
    return "_".join([case[0], *(str(v) for v in case[1].values())]).lower()


def spoil(company: Company, fault: str, path: str = ORDERS, **options: Any) -> Fault:
    """`path` may be a method: a batch is aimed at by its commands."""
    return company.sandbox.faults.set(fault, system="bitrix", path=path, **options)


def assert_heals(company: Company, entities: list[str]) -> None:
    company.sandbox.faults.clear()
    company.query("update sync.budgets set paused_until = now()")
    company.synced("full", "bitrix", entities)
    for entity in entities:
        assert company.raw(entity, "bitrix") == company.truth(entity, "bitrix"), entity
    company.assert_ledger_adds_up()
