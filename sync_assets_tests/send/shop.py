"""A shop and its mirror, both of which may set an order's status: what tests of the way back ask of both."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sync_assets import crash
from sync_assets.sandbox.bitrix.company import BitrixCompany
from sync_assets.send.deliver import Delivered, deliver
from sync_assets.send.letters import Which, requeue
from sync_assets_tests.company import Company
from sync_assets_tests.systems.bitrix_requests import commands, mark

ORDERS = "12"
UPDATE = "sale.order.update"


@dataclass
class Shop:
    company: Company
    effective: list[tuple[int, str]] = field(default_factory=list)  # the writes that changed something in the shop

    def __post_init__(self) -> None:
        """Watches what the shop's interface is told to change; what its own people change goes by another way."""
        saved = BitrixCompany.update_order

        def watched(order: int, at: Any = None, **fields: Any) -> None:
            before = self.code(order)
            saved(self.world, order, at, **fields)
            if self.code(order) != before:
                self.effective.append((order, self.code(order)))

        self.world.update_order = watched  # type: ignore[method-assign]

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
        fields = {"canceled": "Y"} if code == "canceled" else {"statusId": code}
        BitrixCompany.update_order(self.world, order, **fields)

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

    def deliver(self, seconds: float = 60.0) -> Delivered:
        with self.company.connected("bitrix") as connection:
            return deliver(connection, seconds=seconds)

    def requeue(self) -> None:
        """Somebody sends again what was given up."""
        with self.company.connected("bitrix") as connection:
            assert requeue(connection.database, Which(account="bitrix"), by="Anna")

    def assert_at_rest(self) -> None:
        """Both sides agree, and however often it is synced and delivered, nothing more is written."""
        since = self.mark()
        for _ in range(2):
            self.sync()
            assert not self.deliver().states
        assert self.updates(since) == []
        words = dict(self.company.query("select code, canonical from sync.status_map where scope = 'O' and inbound"))
        for order in self.ids:
            ours, code = self.status(order)
            assert ours == ("cancelled" if code == "canceled" else words.get(code)), order
        self.company.assert_ledger_adds_up()

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


@pytest.fixture
def at_point(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """at_point(name, then) -> `then` happens once, when a delivery passes the point `name`; None: nothing any more."""

    def set_up(name: str, then: Callable[[], Any]) -> None:
        left = [name]

        def point(passed: str) -> None:
            if left == [passed]:
                left.clear()
                then()

        monkeypatch.setattr(crash, "point", point)

    return set_up
