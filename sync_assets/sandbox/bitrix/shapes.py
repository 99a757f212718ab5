"""What each record of the shop looks like over REST: every field with the value it has when nobody set it.

The non-obvious decision: a field's type is read from its name and its empty value, as the vendor has one too, and
that one table of names also drives what a filter understands and what it silently drops.
"""

import re
from dataclasses import dataclass, field

from sync_assets.sandbox.dialect import Record, RefusedError

DIMENSIONS = 'a:3:{s:5:"WIDTH";N;s:6:"HEIGHT";N;s:6:"LENGTH";N;}'
_READ_ONLY = """accountNumber dateCanceled dateLock dateMarked dateStatus dateUpdate deducted id payed
    personTypeXmlId statusXmlId taxValue version"""
READ_ONLY = frozenset(_READ_ONLY.split())
# What filters of older modules do not know.
STAMPS = frozenset({"dateUpdate", "timestampX"})
IMMUTABLE = frozenset({"currency", "lid", "personTypeId", "userId"})
REQUIRED = IMMUTABLE - {"userId"}


def shape(texts: str = "", nulls: str = "", no: str = "", yes: str = "", numbers: str = "", **others: object) -> Record:
    """All fields with their empty values, in the alphabetical order of the wire."""
    empty: Record = dict.fromkeys(texts.split(), "") | dict.fromkeys(nulls.split(), None) | others
    empty |= dict.fromkeys(no.split(), "N") | dict.fromkeys(yes.split(), "Y") | dict.fromkeys(numbers.split(), 0)
    return dict(sorted(empty.items()))


ORDER = shape(
    "accountNumber additionalInfo comments currency dateInsert dateStatus dateUpdate id1c lid lockedBy orderTopic "
    "personTypeXmlId reasonCanceled reasonMarked recurringId statusId statusXmlId userDescription version1c xmlId",
    "affiliateId companyId dateCanceled dateLock dateMarked empCanceledId empMarkedId empStatusId responsibleId",
    "canceled deducted externalOrder marked payed updated1c",
    "recountFlag",
    "discountValue id personTypeId price taxValue userId version",
)
ITEM = shape(
    "catalogXmlId currency dateInsert dateUpdate measureCode measureName module name productXmlId xmlId",
    "setParentId type vatRate",
    "customPrice",
    "canBuy vatIncluded",
    "basePrice discountPrice id orderId price productId quantity sort weight",
    dimensions=DIMENSIONS,
    properties=[],
    reservations=[],
)
PAYMENT = shape(
    "accountNumber comments currency dateBill id1c payReturnComment payReturnNum paySystemName paySystemXmlId "
    "payVoucherNum psCurrency psStatus psStatusCode psStatusDescription psStatusMessage reasonMarked version1c xmlId",
    "companyId dateMarked datePaid datePayBefore dateResponsibleId empMarkedId empPaidId empResponsibleId empReturnId "
    "payReturnDate payVoucherDate psInvoiceId psResponseDate psSum responsibleId",
    "externalPayment isReturn marked paid paySystemIsCash updated1c",
    numbers="id orderId paySystemId sum",
    priceCod="0.000000",
)
SHIPMENT = shape(
    "accountNumber comments currency dateInsert deliveryDocNum deliveryName deliveryXmlId id1c reasonMarked "
    "reasonUndoDeducted statusId statusXmlId trackingDescription trackingLastCheck trackingNumber trackingStatus "
    "version1c xmlId",
    "dateAllowDelivery dateCanceled dateDeducted dateMarked dateResponsibleId deliveryDocDate discountPrice "
    "empAllowDeliveryId empCanceledId empDeductedId empMarkedId empResponsibleId",
    "allowDelivery canceled customPriceDelivery deducted externalDelivery marked system updated1c",
    numbers="basePriceDelivery companyId deliveryId id orderId priceDelivery responsibleId",
)
PROPERTY = shape("code name", "orderPropsXmlId value", numbers="id orderId orderPropsId")
STATUS = shape("color id type", "xmlId", yes="notify", numbers="sort")
STATUS_LANG = shape("description lid name statusId")
PERSON_TYPE = shape("name sort", numbers="id")
PRODUCT = shape(
    "code dateCreate detailTextType name previewTextType purchasingCurrency recurSchemeType timestampX xmlId",
    "dateActiveFrom dateActiveTo detailPicture detailText iblockSectionId previewPicture previewText property258 "
    "property259 trialPriceId vatId",
    "barcodeMulti bundle withoutOrder",
    "active available canBuyZero quantityTrace subscribe vatIncluded",
    "createdBy height iblockId id length measure modifiedBy purchasingPrice quantity quantityReserved "
    "recurSchemeLength sort type weight width",
)
# What catalog.product.get leaves out, though the list has it.
LIST_ONLY = frozenset({"barcodeMulti", "recurSchemeLength", "recurSchemeType", "trialPriceId", "withoutOrder"})
PRICE = shape("currency", numbers="catalogGroupId id price productId")
SECTION = shape("code description descriptionType name xmlId", "iblockSectionId", "", "active", "iblockId id sort")
CATALOG = shape("lid name", "productIblockId skuPropertyId vatId", "subscription", "", "iblockId iblockTypeId id")


# user.get keeps an order of its own, and capitals.
_PERSONAL = "PERSONAL_GENDER PERSONAL_WWW PERSONAL_BIRTHDAY PERSONAL_MOBILE PERSONAL_CITY WORK_PHONE WORK_POSITION"
_NAMES = "LAST_NAME SECOND_NAME EMAIL LAST_LOGIN DATE_REGISTER TIME_ZONE"
USER: Record = {"ID": "", "XML_ID": "", "ACTIVE": True, "NAME": "", **dict.fromkeys(_NAMES.split(), "")}
USER |= {"IS_ONLINE": "N", **dict.fromkeys(_PERSONAL.split(), ""), "UF_EMPLOYMENT_DATE": "", "UF_DEPARTMENT": [1]}
USER |= {"USER_TYPE": "employee"}


@dataclass(frozen=True)
class Kind:
    """One table of the shop and the methods that read it."""

    name: str
    method: str
    many: str
    one: str
    empty: Record
    parent: str = ""
    # Filter fields without which the list refuses.
    needs: tuple[str, ...] = ()
    key: str = "id"
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        return self.method.partition(".")[0]

    def fresh(self, values: Record) -> Record:
        if unknown := values.keys() - self.empty.keys():
            raise RefusedError(f"no {sorted(unknown)} in {self.name}")
        return self.empty | values


def snake(name: str) -> str:
    """camelCase to UPPER_SNAKE the vendor's way, which mangles whatever has capitals already: STATUS_ID, too."""
    return re.sub(r"(\d+)", r"_\1", re.sub(r"(.)([A-Z])", r"\1_\2", name)).upper()


def type_of(kind: Kind, name: str) -> str:
    empty = kind.empty[name]
    if name.startswith("date") or name.endswith("Date") or name == "timestampX":
        return "datetime"
    if re.search(r"[pP]rice$|[vV]alue$|^sum$|Sum$|Rate$|^quantity", name) and not isinstance(empty, str):
        return "double" if kind.name != "order_properties" else "string"
    if isinstance(empty, int) or (empty is None and name.endswith("Id")):
        return "integer"
    return "char" if empty in ("Y", "N") or name in ("statusId", "lockedBy", "recurringId") else "string"


def _kind(name: str, method: str, many: str, one: str, empty: Record, **more: object) -> Kind:
    columns = {snake(field): field for field in empty}
    return Kind(name, method, many, one, empty, columns=columns, **more)  # type: ignore[arg-type]


_IBLOCK = ("iblockId",)
KINDS = {
    kind.name: kind
    for kind in (
        _kind("orders", "sale.order", "orders", "order", ORDER),
        _kind("order_items", "sale.basketitem", "basketItems", "basketItem", ITEM, parent="orderId"),
        _kind("payments", "sale.payment", "payments", "payment", PAYMENT, parent="orderId"),
        _kind("shipments", "sale.shipment", "shipments", "shipment", SHIPMENT, parent="orderId"),
        _kind("order_properties", "sale.propertyvalue", "propertyValues", "propertyValue", PROPERTY, parent="orderId"),
        _kind("statuses", "sale.status", "statuses", "status", STATUS),
        _kind("status_langs", "sale.statuslang", "statusLangs", "statusLang", STATUS_LANG, key="statusId"),
        _kind("person_types", "sale.persontype", "personTypes", "personType", PERSON_TYPE),
        _kind("products", "catalog.product", "products", "product", PRODUCT, parent="iblockId", needs=_IBLOCK),
        _kind("prices", "catalog.price", "prices", "price", PRICE, parent="productId"),
        _kind("sections", "catalog.section", "sections", "section", SECTION, parent="iblockId", needs=_IBLOCK),
        _kind("catalogs", "catalog.catalog", "catalogs", "catalog", CATALOG, key="iblockId"),
    )
}


def fields(kind: Kind, dated: str = "yes") -> Record:
    """What getFields says."""
    order = kind.name == "orders"
    return {
        name: {
            "isImmutable": order and name in IMMUTABLE,
            "isReadOnly": name == kind.key or (order and name in READ_ONLY),
            "isRequired": order and name in REQUIRED,
            "type": type_of(kind, name),
        }
        for name in kind.empty
        if dated != "no" or name not in STAMPS
    }
