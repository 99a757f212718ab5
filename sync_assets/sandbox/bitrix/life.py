"""A day in the shop: orders come, change, are paid, shipped, cancelled, deleted; goods and prices move.

The non-obvious decision: on every day something changes that no date shows (a price, an item that left an order), as
that is what incremental reading misses.
"""

import random
from typing import Any

from sync_assets.sandbox import words
from sync_assets.sandbox.bitrix.company import GOODS, BitrixCompany
from sync_assets.sandbox.bitrix.seed import STATUSES
from sync_assets.sandbox.dialect import Record, RefusedError

FEW = 20


def step(company: BitrixCompany, dice: random.Random) -> None:
    orders, goods = company.tables["orders"], company.tables["products"]
    fresh = company.create_order(dice.choice(sorted(company.buyers or company.users)), _some_items(company, dice))
    company.set_status(dice.choice(orders.ids), dice.choice(list(STATUSES)))
    company.pay_order(dice.choice(orders.ids))
    company.ship_order(fresh, dice.choice(("DN", "DF")), f"KZ{dice.randrange(10**8)}")
    company.replace_items(dice.choice(orders.ids), _some_items(company, dice))
    company.set_price(dice.choice(goods.ids), dice.choice((990, 1500.25, 7000)))
    match dice.randrange(6):
        case 0:
            company.cancel_order(dice.choice(orders.ids), "Передумал")
        case 1:
            company.update_product(dice.choice(goods.ids), name=words.title(dice), active=dice.choice(("Y", "N")))
        case 2:
            company.create_product(words.title(dice), 2500, iblockSectionId=30)
        case 3:
            company.update_user(dice.choice(sorted(company.users)), WORK_POSITION=words.title(dice))
        case 4 if len(orders.ids) > FEW:
            company.delete_order(dice.choice(orders.ids))
        case 5 if len(goods.ids) > FEW:
            company.delete_product(dice.choice(goods.ids))


def _some_items(company: BitrixCompany, dice: random.Random) -> list[Record]:
    goods = company.tables["products"].ids
    return [{"productId": dice.choice(goods), "quantity": dice.randint(1, 3)} for _ in range(dice.randint(1, 4))]


def afflict(company: BitrixCompany, fault: str, options: Record) -> None:
    """L3, P6, S3 and S7 as facts of this shop."""
    match fault:
        case "L3":
            for section, above in ((30, 31), (31, 30), (32, 32)):
                company.change("sections", section, iblockSectionId=above)
        case "P6":
            ids, count = list(company.tables["orders"].ids), int(options.get("count", 0))
            at = company.clock.now()
            for id in ids[:count] if count else ids:
                company.update_order(id, at)
        case "S3":
            names = ['x"; drop table orders; --', "'); delete from sync.logs; --", "x" * 64 + "one", "x" * 64 + "two"]
            _rename(company, names)
        case "S7":
            _rename(
                company, ["![x](http://trap.test/x.png)", "[click](javascript:alert(1))", "<script>alert(1)</script>"]
            )


def _rename(company: BitrixCompany, names: list[str]) -> None:
    tables = company.tables
    for name, order, product, section in zip(
        names, tables["orders"].ids, tables["products"].ids, tables["sections"].ids, strict=False
    ):
        company.update_order(order, userDescription=name)
        company.update_product(product, name=name)
        company.change("sections", section, name=name)
        company.change("order_items", tables["order_items"].children(order)[0], name=name)


def disturb(company: BitrixCompany, last: str, given: list[Any], insert: int, delete: int) -> None:
    """Between two pages: delete some of what was already read, make something new."""
    if last == "products":
        for id in [id for id in given if id in company.tables[last].rows][:delete]:
            company.delete_product(id)
        for n in range(insert):
            company.create_product(f"Между страницами {n}", iblock=GOODS)
        return
    orders = _orders_of(company, last, given)
    for id in orders[:delete]:
        company.delete_order(id)
    for _ in range(insert):
        company.create_order(min(company.buyers or company.users), items=[{"productId": 0, "name": "Между страницами"}])


def _orders_of(company: BitrixCompany, last: str, given: list[Any]) -> list[int]:
    """The orders that these rows are or belong to."""
    table = company.tables.get(last)
    if table is None or table.kind.parent != "orderId":
        return [id for id in given if id in company.tables["orders"].rows]
    parents = (table.get(id)["orderId"] for id in given if id in table.rows)
    return list(dict.fromkeys(parents))


def edit(company: BitrixCompany, last: str, given: list[Any], count: int, which: str) -> None:
    """P4: records change between two pages, those just read or (`ahead`) those still to come."""
    table = company.tables.get(last)
    if table is None:
        raise RefusedError(f"{last} bear no date that an edit could move")
    if which == "ahead":
        given = [id for id in table.ids if not given or id > max(given)]
    if last == "products":
        for id in [id for id in given if id in table.rows][:count]:
            company.update_product(id)
        return
    for id in _orders_of(company, last, given)[:count]:
        company.update_order(id)
