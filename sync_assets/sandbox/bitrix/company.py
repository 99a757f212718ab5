"""The shop: its orders and what belongs to them, its goods, the people who sell and those who buy.

Promise: saving an order moves its dateUpdate and version, whatever part of it was edited, and what is deleted leaves
its id in `gone`. The non-obvious decision: a buyer is a person without a row, because user.get shows no shop users:
all that is known of them stands in the properties of their orders.
"""

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sync_assets.sandbox.bitrix.php import number
from sync_assets.sandbox.bitrix.shapes import KINDS, USER
from sync_assets.sandbox.bitrix.table import Key, Table
from sync_assets.sandbox.clock import FOUNDED, Clock
from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.webhooks.news import News

SCOPES = ("sale", "catalog", "crm", "user")
CURRENCY, SITE, GOODS, OFFERS = "KZT", "s1", 23, 24
PROPERTIES = {"FIO": 20, "EMAIL": 21, "PHONE": 22, "CITY": 23, "ADDRESS": 26, "DELIVERY_DATE": 27}
DELIVERED = "DF"


class BitrixCompany:
    def __init__(self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str]) -> None:
        self.dice, self.clock, self.lock, self.switches = dice, clock, lock, switches
        self.zone = ZoneInfo(switches["bitrix.zone"])
        self.revision, self.news = 0, News()
        self.tables = {name: Table(kind, self.news) for name, kind in KINDS.items()}
        # By id, as user.get spells them; the buyers are those whom it never shows.
        self.users: dict[int, Record] = {}
        self.buyers: dict[int, Record] = {}
        # Products that lists leave out and that can be read by id all the same.
        self.unlisted: set[int] = set()
        self.scopes = set(SCOPES)
        # Whether the webhook's user may read and change the shop, which scopes alone do not give.
        self.may_read = self.may_modify = True

    @contextmanager
    def changing(self) -> Iterator[None]:
        with self.lock, self.news.scope():
            yield
            self.revision += 1

    def stamp(self, at: datetime | None = None) -> str:
        """In the portal's zone and without fractions: changes within one second look simultaneous."""
        return (at or self.clock.now()).astimezone(self.zone).isoformat(timespec="seconds")

    def xml_id(self) -> str:
        return f"bx_{self.dice.getrandbits(52):013x}"

    def table(self, entity: str) -> Table:
        if entity not in self.tables:
            raise RefusedError(f"no Bitrix table {entity!r}; known: {', '.join(self.tables)}")
        return self.tables[entity]

    def get(self, entity: str, id: Key) -> Record:
        return self.table(entity).get(id)

    def change(self, entity: str, id: Key, **fields: Any) -> None:
        """Any field of any row, without the effects that people's edits have."""
        with self.changing():
            self.table(entity).change(id, **fields)

    # Orders.

    def create_order(
        self,
        user: int | None = None,
        items: Sequence[Mapping[str, Any]] | None = None,
        at: datetime | None = None,
        properties: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> int:
        """`items` are {"productId": .., "quantity": ..}, with `name` and `price` where the catalogue does not say."""
        with self.changing():
            orders, now = self.tables["orders"], self.stamp(at)
            id = orders.next_id(5000)
            if user is None:
                user = self.dice.choice(sorted(self.buyers or self.users))
            who = self.buyers.get(user, {"name": "", "email": "", "phone": ""})
            values = {"id": id, "accountNumber": str(id), "userId": user, "currency": CURRENCY, "lid": SITE}
            values |= {"dateInsert": now, "dateStatus": now, "dateUpdate": now, "statusId": "N", "personTypeId": 3}
            orders.add(**values | {"xmlId": self.xml_id(), "responsibleId": min(self.users, default=None)} | fields)
            for code, value in {"FIO": who["name"], "EMAIL": who["email"], "PHONE": who["phone"]}.items():
                self._property(id, code, value)
            for code, value in (properties or {}).items():
                self._property(id, code, value)
            if items is None:
                known = self.tables["products"].ids
                items = [{"productId": self.dice.choice(known)} for _ in range(self.dice.randint(1, 5))]
            for item in items:
                self._add_item(id, item, now)
            shipping = self.dice.choice((0, 500, 1500))
            common = {"orderId": id, "currency": CURRENCY}
            self.tables["shipments"].add(
                **common | {"id": self.tables["shipments"].next_id(300), "accountNumber": f"{id}/2", "dateInsert": now},
                statusId="DN", deliveryId=1 if shipping else 2, deliveryName="Курьер" if shipping else "Самовывоз",
                priceDelivery=shipping, basePriceDelivery=shipping, xmlId=self.xml_id(),
            )  # fmt: skip
            self.tables["payments"].add(
                **common | {"id": self.tables["payments"].next_id(100), "accountNumber": f"{id}/1", "dateBill": now},
                paySystemId=6, paySystemName="Kaspi", paySystemXmlId="bx_64134ba550ffa", xmlId=self.xml_id(),
            )  # fmt: skip
            self._sum(id)
            return id

    def _property(self, order: int, code: str, value: str | None) -> None:
        table = self.tables["order_properties"]
        numbers = {"id": table.next_id(1500), "orderId": order, "orderPropsId": PROPERTIES.get(code, 99)}
        table.add(**numbers, code=code, name=code.capitalize(), value=value)

    def _add_item(self, order: int, item: Mapping[str, Any], now: str) -> None:
        goods, items = self.tables["products"], self.tables["order_items"]
        product = item.get("productId", 0)
        known = goods.get(product) if product in goods.rows else {}
        price = item.get("price", self.price(product))
        values = {"name": known.get("name", "Сборка"), "quantity": 1, "price": price, "basePrice": price} | dict(item)
        values |= {"measureCode": "796", "measureName": "шт", "sort": 100, "currency": CURRENCY, "orderId": order}
        values |= {"productXmlId": str(product) if product else "", "module": "catalog" if product else ""}
        items.add(**values | {"id": items.next_id(6000), "dateInsert": now, "dateUpdate": now, "xmlId": self.xml_id()})

    def price(self, product: int) -> int | float:
        prices = self.tables["prices"]
        own = prices.children(product)
        found: int | float = prices.get(own[0])["price"] if own else 1000
        return found

    def _sum(self, order: int) -> None:
        items = (self.get("order_items", id) for id in self.tables["order_items"].children(order))
        shipments = (self.get("shipments", id) for id in self.tables["shipments"].children(order))
        total = sum(item["price"] * item["quantity"] for item in items)
        total = number(total + sum(shipment["priceDelivery"] for shipment in shipments))
        self.tables["orders"].change(order, price=total, taxValue=number(total * 3 / 28))
        for payment in self.tables["payments"].children(order)[:1]:
            self.tables["payments"].change(payment, sum=total)

    def update_order(self, id: int, at: datetime | None = None, **fields: Any) -> None:
        """What the shop's staff saves; a new status or a cancellation moves its own date too."""
        orders = self.tables["orders"]
        with self.changing():
            before, now = orders.get(id), self.stamp(at)
            staff = min(self.users, default=1)
            if fields.get("statusId", before["statusId"]) != before["statusId"]:
                self._is_status(fields["statusId"], "O")
                fields = {"dateStatus": now, "empStatusId": staff} | fields
            if fields.get("canceled", before["canceled"]) != before["canceled"]:
                fields = {"dateCanceled": now, "empCanceledId": staff} | fields
            orders.change(id, **{"dateUpdate": now, "version": before["version"] + 1} | fields)

    def _is_status(self, code: Any, type: str) -> None:
        statuses = self.tables["statuses"]
        if code not in statuses.rows or statuses.get(code)["type"] != type:
            raise RefusedError(f"no status {code} of type {type}")

    def set_status(self, id: int, code: str) -> None:
        self.update_order(id, statusId=code)

    def cancel_order(self, id: int, reason: str = "") -> None:
        """Cancelling is a flag, not a status."""
        self.update_order(id, canceled="Y", reasonCanceled=reason)

    def replace_items(self, id: int, items: Sequence[Mapping[str, Any]], at: datetime | None = None) -> None:
        """The items before are gone without a trace but a changed order: no date filter ever shows them."""
        with self.changing():
            self.tables["orders"].get(id)
            for item in self.tables["order_items"].children(id):
                self.tables["order_items"].drop(item)
            for item in items:
                self._add_item(id, item, self.stamp(at))
            self._sum(id)
            self.update_order(id, at)

    def pay_order(self, id: int, at: datetime | None = None) -> None:
        with self.changing():
            for payment in self.tables["payments"].children(id):
                self.tables["payments"].change(payment, paid="Y", datePaid=self.stamp(at))
            self._saved_with(id, at, payed="Y")

    def ship_order(self, id: int, status: str = DELIVERED, tracking: str = "", at: datetime | None = None) -> None:
        self._is_status(status, "D")
        with self.changing():
            out, now = ("Y", self.stamp(at)) if status == DELIVERED else ("N", None)
            for shipment in self.tables["shipments"].children(id):
                fields = {"statusId": status, "deducted": out, "trackingNumber": tracking, "dateDeducted": now}
                self.tables["shipments"].change(shipment, **fields)
            self._saved_with(id, at, deducted=out)

    def _saved_with(self, order: int, at: datetime | None, **fields: Any) -> None:
        """A payment or shipment was saved: whether the order counts as saved, too, is a switch."""
        if self.switches["bitrix.payment_touches"] == "yes":
            self.update_order(order, at, **fields)
        else:
            self.tables["orders"].change(order, **fields)

    def delete_order(self, id: int) -> None:
        with self.changing():
            for name in ("order_items", "payments", "shipments", "order_properties"):
                for child in self.tables[name].children(id):
                    self.tables[name].drop(child)
            self.tables["orders"].drop(id)

    # Goods.

    def create_product(self, name: str, price: float = 1000, iblock: int = GOODS, **fields: Any) -> int:
        with self.changing():
            table, now = self.tables["products"], self.stamp()
            id = table.next_id(1200)
            values = {
                "id": id,
                "name": name,
                "iblockId": iblock,
                "dateCreate": now,
                "timestampX": now,
                "xmlId": str(id),
            }
            kinds = {"type": 1 if iblock == GOODS else 4, "detailTextType": "text", "previewTextType": "text"}
            table.add(**values | kinds | {"createdBy": 1, "modifiedBy": 1, "measure": 5, "sort": 500} | fields)
            self.set_price(id, price)
            return id

    def update_product(self, id: int, **fields: Any) -> None:
        with self.changing():
            self.tables["products"].change(id, **{"timestampX": self.stamp()} | fields)

    def set_price(self, product: int, price: float) -> None:
        """Prices bear no date; whether the product's moves is a switch."""
        prices = self.tables["prices"]
        with self.changing():
            if own := prices.children(product):
                prices.change(own[0], price=number(price))
                if self.switches["bitrix.price_touches"] == "yes":
                    self.update_product(product)
            else:
                numbers = {"id": prices.next_id(380), "productId": product, "price": number(price)}
                prices.add(**numbers, catalogGroupId=1, currency=CURRENCY)

    def delete_product(self, id: int) -> None:
        with self.changing():
            for price in self.tables["prices"].children(id):
                self.tables["prices"].drop(price)
            self.tables["products"].drop(id)
            self.unlisted.discard(id)

    def hide_product(self, id: int) -> None:
        """No list shows it any more; by its id it can be read."""
        with self.changing():
            self.tables["products"].get(id)
            self.unlisted.add(id)

    def lists(self, product: int) -> bool:
        """Whether the product's list shows it."""
        inactive = b'"active":"N"' in self.tables["products"].rows[product]
        return product not in self.unlisted and not (inactive and self.switches["bitrix.inactive"] == "hidden")

    # People.

    def _new_person(self) -> int:
        return max([0, *self.users, *self.buyers]) + 1

    def create_user(self, name: str, last_name: str = "", **fields: Any) -> int:
        with self.changing():
            id = self._new_person()
            self.users[id] = self._person(id, name, last_name, f"staff{id}@example.test", "employee") | fields
            self.news.tell("add", "users", id, {}, self.users[id])
            return id

    def update_user(self, id: int, **fields: Any) -> None:
        with self.changing():
            self.users[id] |= fields

    def create_buyer(self, name: str, email: str, phone: str) -> int:
        with self.changing():
            id = self._new_person()
            self.buyers[id] = {"id": id, "name": name, "email": email, "phone": phone}
            return id

    def _person(self, id: int, name: str, last_name: str, email: str, type: str) -> Record:
        own = {"ID": str(id), "XML_ID": f"u{id}", "NAME": name, "LAST_NAME": last_name, "EMAIL": email}
        since = self.stamp(FOUNDED)
        return USER | own | {"LAST_LOGIN": since, "DATE_REGISTER": since, "USER_TYPE": type}

    def people(self) -> dict[int, Record]:
        """Whom user.get shows: the staff, and with `bitrix.buyers=listed` those who buy."""
        shown = dict(self.users)
        if self.switches["bitrix.buyers"] == "listed":
            for id, who in self.buyers.items():
                shown[id] = self._person(id, who["name"], "", who["email"], "shop") | {"PERSONAL_MOBILE": who["phone"]}
        return shown
