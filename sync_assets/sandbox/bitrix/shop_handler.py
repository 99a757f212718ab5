"""The PHP handler in the shop: it posts the whole order or product, because REST does not show all of it.

Promise: columns of the shop's tables in capitals, every value a text, money with four digits, dates in the site's
format and zone. Proof is an HMAC over stamp and body, or with a `token` registered instead that token in the body. The
non-obvious decision: a delivery counts only if the answer says `success`, and after three attempts it is given up.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import MsgspecError

from sync_assets.sandbox.bitrix.people import CANARY
from sync_assets.sandbox.bitrix.shapes import snake
from sync_assets.sandbox.bitrix.webhooks import folded
from sync_assets.sandbox.dialect import Record, decode, encode
from sync_assets.sandbox.webhooks.news import Heard
from sync_assets.sandbox.webhooks.vendor import Event, Hook, Letter, Said, Vendor

if TYPE_CHECKING:
    from sync_assets.sandbox.bitrix.api import Bitrix

_COLUMNS = """ID LID PERSON_TYPE_ID PAYED DATE_PAYED EMP_PAYED_ID CANCELED DATE_CANCELED EMP_CANCELED_ID REASON_CANCELED
    STATUS_ID DATE_STATUS EMP_STATUS_ID PRICE_DELIVERY PRICE_PAYMENT ALLOW_DELIVERY DATE_ALLOW_DELIVERY
    EMP_ALLOW_DELIVERY_ID DEDUCTED DATE_DEDUCTED MARKED DATE_MARKED REASON_MARKED RESERVED PRICE CURRENCY DISCOUNT_VALUE
    USER_ID PAY_SYSTEM_ID DELIVERY_ID DATE_INSERT DATE_UPDATE USER_DESCRIPTION ADDITIONAL_INFO COMMENTS TAX_VALUE
    SUM_PAID STORE_ID ORDER_TOPIC CREATED_BY RESPONSIBLE_ID DATE_PAY_BEFORE ACCOUNT_NUMBER TRACKING_NUMBER XML_ID ID_1C
    VERSION_1C VERSION EXTERNAL_ORDER UPDATED_1C RECOUNT_FLAG"""
COLUMNS = tuple(_COLUMNS.split())
_MONEY = "PRICE PRICE_DELIVERY PRICE_PAYMENT DISCOUNT_VALUE TAX_VALUE SUM_PAID DISCOUNT_PRICE QUANTITY"
MONEY = frozenset(_MONEY.split())
BASKET = ("ID", "PRODUCT_ID", "NAME", "PRICE", "CURRENCY", "QUANTITY", "DISCOUNT_PRICE", "PRODUCT_XML_ID")
# Columns that are never null.
TEXTS = frozenset({"USER_DESCRIPTION", "NAME", "PRODUCT_XML_ID"})
RETRIES = 2


class ShopHandler(Vendor):
    name = "bitrix.shop"
    secrets: ClassVar[tuple[str, ...]] = ("secret", "token")
    timeout = 15.0

    def __init__(self, api: "Bitrix", switches: dict[str, str]) -> None:
        super().__init__(switches, api.clock, api.lock)
        self._api = api

    # Events.

    def events(self, heard: list[Heard]) -> Iterable[Event]:
        for (table, id), (what, before, after) in folded(heard).items():
            if table == "products":
                name = {"add": "create", "change": "update", "drop": "delete"}[what]
                yield self._event(f"product.{name}", table, id)
            elif table == "orders" and what != "drop":
                if what == "change" and before["statusId"] != after["statusId"]:
                    yield self._event("order.status_change", table, id)
                yield self._event("order.create" if what == "add" else "order.update", table, id)

    def _event(self, name: str, table: str, id: int) -> Event:
        return Event(name, table, str(id), lambda: (name, self._data(table, id)))

    def _data(self, table: str, id: int) -> Record:
        if id not in self._api.company.tables[table].rows:
            return {"ID": str(id)}
        return self._order(id) if table == "orders" else self._product(id)

    def invented(self, name: str, entity: str, key: str) -> Event:
        return self._event(name, entity or "orders", int(key))

    def _order(self, id: int) -> Record:
        company = self._api.company
        below = {
            name: [company.get(name, child) for child in company.tables[name].children(id)]
            for name in ("order_items", "payments", "shipments", "order_properties")
        }
        own = {snake(name): value for name, value in company.get("orders", id).items()}
        own |= _of_parts(below["payments"], below["shipments"]) | {"CREATED_BY": own["USER_ID"]}
        items = [{snake(name): value for name, value in item.items()} for item in below["order_items"]]
        now, epoch = self.clock.peek(), self.switches["bitrix.hook_stamp"] == "epoch"
        return self._texts(own, COLUMNS) | {
            "basket": [self._texts(item, BASKET) for item in items],
            "properties": {p["code"] or p["name"]: p["value"] for p in below["order_properties"]} or [],
            "user": self._user(own["USER_ID"]),
            "webhook_timestamp": int(now.timestamp()) if epoch else now.astimezone(company.zone).isoformat(),
            "webhook_source": "production_bitrix",
        }

    def _product(self, id: int) -> Record:
        company = self._api.company
        own = {snake(name): value for name, value in company.get("products", id).items()}
        prices = [company.get("prices", price) for price in company.tables["prices"].children(id)]
        spelled = [{snake(name): value for name, value in price.items()} for price in prices]
        return self._texts(own, tuple(own)) | {
            "PROPERTIES": [],
            "PRICES": [self._texts(price, tuple(price)) for price in spelled],
        }

    def _texts(self, row: Record, columns: tuple[str, ...]) -> Record:
        return {name: self._text(name, row.get(name)) for name in columns}

    def _text(self, name: str, value: Any) -> str | None:
        match value:
            case None | "":
                return "" if name in TEXTS else None
            case bool():
                return "Y" if value else "N"
            case _ if name in MONEY:
                return f"{float(value):.4f}"
            case str() if name.startswith("DATE_") or name == "TIMESTAMP_X":
                return f"{datetime.fromisoformat(value).astimezone(self._api.company.zone):%d.%m.%Y %H:%M:%S}"
            case dict() | list():
                return encode(value).decode()
        return str(value)

    def _user(self, id: int) -> Record:
        company = self._api.company
        who = company.buyers.get(id) or {}
        staff = company.users.get(id) or {}
        name, email = who.get("name", staff.get("NAME", "")), who.get("email", staff.get("EMAIL", ""))
        shown = {"ID": str(id), "LOGIN": f"user_{id}", "EMAIL": email, "NAME": name}
        shown |= {"LAST_NAME": staff.get("LAST_NAME", ""), "PERSONAL_PHONE": who.get("phone", "")}
        if self.switches["bitrix.hook_user"] == "all":
            shown |= {"PASSWORD": f"$6${CANARY}-{id}-password", "CHECKWORD": f"{CANARY}-{id}-checkword"}
        return shown

    # Letters.

    def letter(self, hook: Hook, said: Sequence[Said], attempt: int, moment: float) -> Letter:
        name, data = said[0].body
        token = {"token": hook.secrets["token"]} if "token" in hook.secrets else {}
        body = encode({"event": name} | token | {"data": data})
        headers = {"Content-Type": "application/json", "User-Agent": "Bitrix-Webhook/1.0"}
        if "secret" in hook.secrets:
            stamp = str(int(moment))
            signed = hmac.new(hook.secrets["secret"].encode(), f"{stamp}.".encode() + body, hashlib.sha256)
            headers |= {"X-Sync-Timestamp": stamp, "X-Sync-Signature": f"sha256={signed.hexdigest()}"}
        return Letter(hook.url, body, headers)

    def accepts(self, status: int, body: bytes) -> bool:
        try:
            return 200 <= status < 300 and decode(body, type=dict[str, object]).get("status") == "success"
        except MsgspecError:
            return False

    def waits(self, attempt: int, status: int) -> float | None:
        return 2.0 * 2**attempt if attempt < RETRIES else None


def _of_parts(payments: list[Record], shipments: list[Record]) -> Record:
    """Columns of the order's row that REST shows with its payments and shipments only."""
    paid, sent = [p for p in payments if p["paid"] == "Y"], [s for s in shipments if s["deducted"] == "Y"]
    yesno = "Y" if sent else "N"
    found: Record = {
        "SUM_PAID": sum(p["sum"] for p in paid),
        "DATE_PAYED": paid[0]["datePaid"] if paid else None,
        "PAY_SYSTEM_ID": payments[0]["paySystemId"] if payments else None,
        "PRICE_PAYMENT": 0,
        "PRICE_DELIVERY": sum(s["priceDelivery"] for s in shipments),
        "DELIVERY_ID": shipments[0]["deliveryId"] if shipments else None,
        "ALLOW_DELIVERY": yesno,
        "RESERVED": "N",
        "DATE_DEDUCTED": sent[0]["dateDeducted"] if sent else None,
    }
    tracking = next((s["trackingNumber"] for s in shipments if s["trackingNumber"]), None)
    return found | {"TRACKING_NUMBER": tracking}
