"""What belongs to orders that have changed, or that are named, order by order, so that each order's set is whole.

An item that was taken out of its order is shown by no filter on dates: only the whole set tells.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial, reduce
from typing import Any

from sync_assets.entity import Own
from sync_assets.errors import WrongShape
from sync_assets.extract.fetch import IN_FLIGHT, Fetch, in_order
from sync_assets.extract.pages import Page
from sync_assets.systems.bitrix.commands import COMMANDS, PAGE, Command, carried_out, query
from sync_assets.systems.bitrix.keyset import obeyed


@dataclass(frozen=True)
class OfChangedOrders(Own):
    """The list method `path` for each order that has changed `since`, one command per order."""

    since: datetime | None = None
    these: tuple[str, ...] = ()  # the ids of orders, whether they are here or not

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """Raises WrongShape where an order's rows are not its own."""
        moved = f"source_changed_at >= '{self.since.isoformat()}'" if self.since else "true"
        named = [int(order) for order in self.these if order.isdigit()]
        orders = named if self.these else fetch.parents("orders", moved)
        chunks = (orders[i : i + COMMANDS] for i in range(0, len(orders), COMMANDS))
        yield from in_order((partial(self._sets, fetch, chunk) for chunk in chunks), lambda _: IN_FLIGHT)

    def _sets(self, fetch: Fetch, orders: Sequence[int], stop: threading.Event) -> Page:
        left = dict.fromkeys(orders, 0)  # the id behind which an order's set goes on
        parts: dict[int, list[Page]] = {order: [] for order in orders}
        refused: list[int] = []
        while left:
            alone = bool(refused)
            batch = [refused.pop(0)] if alone else list(left)
            found = carried_out(fetch, [self.command(order, left[order]) for order in batch], stop)
            for n, order in enumerate(batch):
                if (refusal := found.refused(n)) is not None:
                    if alone:
                        raise refusal.at(page=self._name(order))
                    refused.append(order)
                    continue
                page = fetch.splitter.page(self._name(order), self, found.answer(n))
                if page.records:
                    obeyed(page, {"orderId": order})
                parts[order].append(page)
                ids = [int(key) for key in page.keys if key is not None]
                if len(page.records) < PAGE or not ids:
                    del left[order]
                elif max(ids) <= left[order]:
                    raise WrongShape("an order's rows begin again instead of going on", page=page.name)
                else:
                    left[order] = max(ids)
        pages = [page for order in orders for page in parts[order]]
        whole = reduce(Page.joined, pages)
        whole.sets = ("bitrix_order_id", [str(order) for order in orders])
        return whole

    def command(self, order: int, after: int = 0) -> Command:
        """Asks for an order's rows behind that id."""
        return Command(self.path, query({"orderId": order, ">id": after}, order="id", start=-1))

    def _name(self, order: int) -> str:
        return f"{self.path} of order {order}"
