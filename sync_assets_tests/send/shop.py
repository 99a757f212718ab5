"""A shop and its mirror, both of which may set an order's status: what tests of the way back ask of both."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sync_assets.sandbox.bitrix.company import BitrixCompany
from sync_assets.send.deliver import Delivered, deliver
from sync_assets_tests.company import Company
from sync_assets_tests.systems.bitrix_requests import commands, mark

ORDERS = "12"
UPDATE = "sale.order.update"


@dataclass
class Shop:
    company: Company

    @property
    def world(self) -> BitrixCompany:
        return self.company.sandbox.world.bitrix

    @property
    def ids(self) -> list[int]:
        return list(self.world.tables["orders"].ids)

    def here(self, order: int, status: str) -> None:
        """Somebody sets it in Postgres."""
        self.company.query("update bitrix.orders set crm_status = %s where id = %s", (status, order))

    def there(self, order: int, code: str) -> None:
        """Somebody sets it in the shop, an hour later."""
        self.company.sandbox.world.clock.advance(3600)
        self.world.set_status(order, code)

    def status(self, order: int) -> tuple[str | None, str]:
        """Our word, and the shop's code."""
        ((ours,),) = self.company.query("select crm_status from bitrix.orders where id = %s", (order,))
        return ours, self.code(order)

    def code(self, order: int) -> str:
        held = self.world.get("orders", order)
        return "canceled" if held["canceled"] == "Y" else str(held["statusId"])

    def sync(self, *orders: int) -> None:
        """A poll, or with orders what a webhook about them leads to."""
        if orders:
            self.company.synced("reconcile", "bitrix", "orders", ids=tuple(map(str, orders)))
        else:
            self.company.synced("incremental", "bitrix", "orders")

    def deliver(self) -> Delivered:
        with self.company.connected("bitrix") as connection:
            return deliver(connection)

    def due_now(self) -> None:
        """Every wait is over."""
        self.company.query(
            "update sync.outbox set next_try_at = clock_timestamp() where done_at is null;"
            "update sync.outbox set lease_until = clock_timestamp() where lease_until is not null;"
            "update sync.delivery set closed_until = null"
        )

    def letters(self, order: int | None = None) -> list[tuple[str, str | None]]:
        """State and reason of each, the oldest first."""
        which = str(order) if order else None
        query = "select state, reason from sync.outbox where key = coalesce(%s, key) order by id"
        found = self.company.query(query, (which,))
        return [(state, reason) for state, reason in found]

    def states(self, order: int | None = None) -> list[str]:
        return [state for state, _ in self.letters(order)]

    def updates(self, since: int = 0) -> list[tuple[int, str]]:
        """Each write that was sent: the order, and what was set."""
        found = (re.search(r"id=(\d+)&fields\[(\w+)\]=(\w+)", c) for c in commands(self.company.sandbox, UPDATE, since))
        return [(int(m[1]), m[3] if m[2] == "statusId" else m[2]) for m in found if m]

    def mark(self) -> int:
        return mark(self.company.sandbox)

    def conflicts(self) -> list[tuple[Any, ...]]:
        return self.company.query("select base, theirs, ours, decision from sync.conflicts order by outbox_id")


Open = Callable[..., Shop]


@pytest.fixture
def open_shop(make_shop: Callable[..., Company]) -> Open:
    """open_shop(**env) -> a shop whose orders are all new, in step with its mirror; its way back is on."""

    def make(orders: str = ORDERS, **env: str | None) -> Shop:
        settings: dict[str, str | None] = {"SYNC_WAY_BACK": "on", "SYNC_WAY_BACK_FUSE_PERCENT": "100", **env}
        company = make_shop(settings, orders=orders, orphans="0", buyers="listed")
        world = company.sandbox.world.bitrix
        for order in world.tables["orders"].ids:
            world.change("orders", order, statusId="N", canceled="N")
        company.synced("full", "bitrix", ["order_statuses", "orders"])
        return Shop(company)

    return make


@pytest.fixture
def shop(open_shop: Open) -> Shop:
    return open_shop()
