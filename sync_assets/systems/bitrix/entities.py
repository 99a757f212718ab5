"""Bitrix's entities: orders and what belongs to them, goods, people, and the codes of orders and deliveries."""

from __future__ import annotations

from dataclasses import replace

from sync_assets.entity import Changes, Entity, Link, Tells
from sync_assets.systems.bitrix.commands import query
from sync_assets.systems.bitrix.keyset import Keyset
from sync_assets.systems.bitrix.lookup import Lookup, PeopleLookup
from sync_assets.systems.bitrix.numbered import Numbered, People
from sync_assets.systems.bitrix.pushed import PUSHED_PERSON, PUSHED_PRODUCT
from sync_assets.systems.bitrix.sets import OfChangedOrders

DOCS = "https://apidocs.bitrix24.com/api-reference"
WHOLE_ORDER = (
    "basketItems", "clients", "payments", "propertyValues", "requisiteLink", "shipments", "tradeBindings",
)  # fmt: skip
EVERYTHING = ("id", "iblockId", "*")
"""A product's list demands the first two by their names."""

RECENTLY = 600.0
"""Seconds before its watermark that an incremental read begins."""

USER = Link("bitrix_user_id", "users", none=("0",), order=False)
CATALOG = Link("iblock_id", "catalogs")


def changes(read: Keyset | OfChangedOrders) -> Changes:
    return lambda _ask, moment, _now: [replace(read, since=moment)]


def codes(name: str, kind: str, doc: str) -> Entity:
    return Entity(
        name,
        read=Numbered("sale.status.list", params=query({"type": kind}), at="result.statuses", filter={"type": kind}),
        tells_totals=True,
        doc=doc,
        url=f"{DOCS}/sale/status/sale-status-list.html",
    )


def part_of_order(name: str, method: str, rows: str, *links: Link, doc: str, hints: tuple[str, ...] = ()) -> Entity:
    """What has no dates to go by, or none that tell everything: its order's change is its change."""
    sets = OfChangedOrders(f"{method}.list", at=rows)
    return Entity(
        name,
        read=Keyset(f"{method}.list", at=rows, entity=name, early=True),
        one=Lookup(f"{method}.list", rows=rows, get=f"{method}.get", at=rows.removesuffix("s")),
        changes=changes(sets),
        of_parents=lambda orders: [replace(sets, these=tuple(orders))],
        follows="orders",
        overlap=RECENTLY,
        links=(Link("bitrix_order_id", "orders"), *links),
        doc=doc,
        url=f"{DOCS}/sale/index.html",
        hints=hints,
    )


ORDERS = Keyset("sale.order.list", at="orders", entity="orders", stamp="dateUpdate")
PRODUCTS = Keyset(
    "catalog.product.list", at="products", entity="products", select=EVERYTHING, per="iblockId", stamp="timestampX"
)

ALONG = ("dateUpdate", "version", "lockedBy", "dateLock", "dateStatus", "empStatusId", "dateCanceled", "empCanceledId")
"""What moves with any change of an order."""

ENTITIES = (
    codes("order_statuses", "O", "Codes of orders; a shop adds its own."),
    codes("delivery_statuses", "D", "Codes of shipments."),
    Entity(
        "status_langs",
        key=("status_id", "lid"),
        read=Numbered("sale.statusLang.list", at="result.statusLangs"),
        tells_totals=True,
        doc="What the codes are called, by language.",
        url=f"{DOCS}/sale/status-lang/index.html",
    ),
    Entity(
        "users",
        read=People("user.get", params={"sort": "ID", "order": "ASC"}, at="result"),
        one=PeopleLookup("user.get"),
        pushed=PUSHED_PERSON,
        tells_totals=True,
        doc="People, by the parts that are named in the product. The API shows no shop's buyers; the shop sends them.",
        url=f"{DOCS}/user/user-get.html",
        hints=("ONUSERADD",),
    ),
    Entity(
        "catalogs",
        key="iblock_id",
        read=Numbered("catalog.catalog.list", at="result.catalogs"),
        tells_totals=True,
        doc="Information blocks with goods.",
        url=f"{DOCS}/catalog/catalog/catalog-catalog-list.html",
    ),
    Entity(
        "sections",
        read=Keyset("catalog.section.list", at="sections", entity="sections", per="iblockId"),
        one=Lookup("catalog.section.list", rows="sections", get="catalog.section.get", at="section", per="iblockId"),
        links=(CATALOG, Link("parent_id", "sections", order=False)),
        doc="The tree of goods.",
        url=f"{DOCS}/catalog/section/catalog-section-list.html",
    ),
    Entity(
        "products",
        read=PRODUCTS,
        one=Lookup(
            "catalog.product.list", rows="products", get="catalog.product.get", at="product", per="iblockId",
            select=EVERYTHING,
        ),
        changes=changes(PRODUCTS),
        pushed=PUSHED_PRODUCT,
        overlap=RECENTLY,
        links=(CATALOG, Link("section_id", "sections", order=False)),
        doc="Goods and their variants.",
        url=f"{DOCS}/catalog/product/catalog-product-list.html",
        hints=tuple(f"CATALOG.PRODUCT.ON.{action}" for action in ("ADD", "UPDATE", "DELETE")),
    ),
    Entity(
        "prices",
        read=Keyset("catalog.price.list", at="prices", entity="prices"),
        one=Lookup("catalog.price.list", rows="prices", get="catalog.price.get", at="price"),
        links=(Link("product_id", "products", order=False),),
        doc="Prices of goods. They bear no date, so every sync reads all of them.",
        url=f"{DOCS}/catalog/price/catalog-price-list.html",
        hints=tuple(f"CATALOG.PRICE.ON.{action}" for action in ("ADD", "UPDATE", "DELETE")),
    ),
    Entity(
        "orders",
        read=ORDERS,
        one=Lookup("sale.order.list", rows="orders", get="sale.order.get", at="order", adds=WHOLE_ORDER),
        changes=changes(ORDERS),
        overlap=RECENTLY,
        links=(
            USER,
            Link("responsible_id", "users", none=("0",), order=False),
            Link("status_id", "order_statuses", order=False),
        ),
        own=("crm_status",),
        tells=Tells(stage=("statusId", "canceled"), responsible="responsibleId", along=ALONG),
        doc="Orders of the shop.",
        url=f"{DOCS}/sale/order/sale-order-list.html",
        hints=("ONSALEORDERSAVED", "ONSALEBEFOREORDERDELETE", "ONORDERENTITYSAVED", "ONORDERDELETED"),
    ),
    part_of_order(
        "order_items", "sale.basketitem", "basketItems", Link("product_id", "products", none=("0",), order=False),
        doc="What was ordered; product 0 is not from the catalogue.",
    ),
    part_of_order(
        "payments", "sale.payment", "payments", doc="Payments of orders.",
        hints=("ONPAYMENTENTITYSAVED", "ONPAYMENTDELETED"),
    ),
    part_of_order(
        "shipments", "sale.shipment", "shipments", Link("status_id", "delivery_statuses", order=False),
        doc="Deliveries of orders.", hints=("ONSHIPMENTENTITYSAVED", "ONSHIPMENTDELETED"),
    ),
    part_of_order(
        "order_properties", "sale.propertyvalue", "propertyValues",
        doc="What the buyer entered: name, phone, address, wishes.",
        hints=("ONPROPERTYVALUEENTITYSAVED", "ONPROPERTYVALUEDELETED"),
    ),
)  # fmt: skip
