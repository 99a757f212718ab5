"""The methods of the shop that read and write it, by their names in lower case.

The non-obvious decision: a method gives its result as serialised rows between a head and a tail, not as an answer, so
the same result stands alone or is one of fifty in a batch, and the frame's faults can reach its records in either.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.bitrix import errors, php, query, shapes
from sync_assets.sandbox.bitrix.people import user_current, user_fields, user_get, user_search
from sync_assets.sandbox.bitrix.results import Call, Outcome, page, value
from sync_assets.sandbox.bitrix.shapes import KINDS, Kind
from sync_assets.sandbox.bitrix.table import Key
from sync_assets.sandbox.dialect import Record, decode, encode

if TYPE_CHECKING:
    from sync_assets.sandbox.bitrix.api import Bitrix

Handler = Callable[["Bitrix", Call], Outcome]


@dataclass(frozen=True)
class Method:
    scope: str
    handler: Handler
    writes: bool = False


def _list(kind: Kind) -> Handler:
    def listed(api: "Bitrix", call: Call) -> Outcome:
        table, faults = api.company.tables[kind.name], call.request.faults
        _demanded(kind, call.given)
        asked = query.asked(kind, call.given, api.switches, api.company.zone)
        every = api.found(table, asked)
        if kind.name == "products":
            every = [id for id in every if api.company.lists(id)]
        if call.request.keep is not None:
            every = [id for id in every if call.sees(id)]
        ids = every if "P1" in faults else query.bounded(every, asked)
        if "P2" in faults and asked.bounds and ids:
            # As when rows are inserted in front of a cursor: nothing is skipped, something is seen again.
            ids = every[max(0, every.index(ids[0]) - int(faults["P2"].option("rows", 3))) :]
        api.last = kind.name
        chosen, total, following = page(call, ids)
        rows = [table.rows[id] for id in chosen]
        if asked.select is not None:
            rows = [_some(row, asked.select) for row in rows]
        if (shuffle := faults.get("P7")) is not None:
            shuffle.strikes += 1
            rows = random.Random(len(ids)).sample(rows, len(rows))
        return Outcome(rows, b'{"%s":[' % kind.many.encode(), b"]}", total, following)

    return listed


def _demanded(kind: Kind, given: Record) -> None:
    filters = {kind.columns.get(shapes.snake(name.lstrip("=@"))) for name in php.pairs(given.get("filter"))}
    if lacking := [name for name in kind.needs if name not in filters]:
        raise errors.invalid(f"Required filter fields: {', '.join(lacking)}")
    if kind.name == "products":
        select = php.values(given.get("select") or ())
        if "*" not in select and not {"id", "iblockId"} <= set(select):
            raise errors.invalid("Required select fields: id, iblockId")


def _some(row: bytes, names: frozenset[str]) -> bytes:
    record: Record = decode(row)
    return encode({name: record[name] for name in record if name in names})


def _one(kind: Kind) -> Handler:
    def one(api: "Bitrix", call: Call) -> Outcome:
        row = encode(_record(api, call, kind))
        return Outcome([row], b'{"%s":' % kind.one.encode(), b"}")

    return one


def _id(call: Call, kind: Kind) -> Key:
    given = call.given.get("id")
    if given is None:
        raise errors.lacking("id")
    return php.whole(given) if isinstance(kind.empty[kind.key], int) else str(given)


def _record(api: "Bitrix", call: Call, kind: Kind) -> Record:
    id, table = _id(call, kind), api.company.tables[kind.name]
    if id not in table.rows or (call.request.strict and not call.sees(id)):
        raise errors.unknown(kind.method)
    record = table.get(id)
    if kind.name == "products":
        # One by one a product has fewer fields, and its cost as text.
        record = {name: record[name] for name in record if name not in shapes.LIST_ONLY}
        record["purchasingPrice"] = f"{record['purchasingPrice']:.6f}"
    return _whole_order(api, record) if kind.name == "orders" else record


def _whole_order(api: "Bitrix", order: Record) -> Record:
    """An order with all that belongs to it; in here, the ids of its items are texts."""
    company, id = api.company, order["id"]

    def below(entity: str) -> list[Record]:
        return [company.get(entity, child) for child in company.tables[entity].children(id)]

    shipped = [{"basketId": item["id"], "quantity": item["quantity"]} for item in below("order_items")]
    properties = [{name: row[name] for name in row if name != "orderId"} for row in below("order_properties")]
    parts: Record = {
        "basketItems": [i | {"id": str(i["id"]), "orderId": str(i["orderId"])} for i in below("order_items")],
        "clients": [],
        "payments": below("payments"),
        "propertyValues": properties,
        "requisiteLink": {},
        "shipments": [shipment | {"shipmentItems": shipped} for shipment in below("shipments")],
        "tradeBindings": [],
    }
    return dict(sorted((order | parts).items()))


def _get_fields(kind: Kind) -> Handler:
    return lambda api, _call: value({kind.one: shapes.fields(kind, api.switches["bitrix.dated"])})


# Writes: no more than moves the world over HTTP.


def _given_fields(api: "Bitrix", call: Call) -> Record:
    """Unknown, read-only and immutable ones vanish without a word."""
    kind = KINDS["orders"]
    fields: Record = {}
    for raw, given in php.pairs(call.given.get("fields")).items():
        name = kind.columns.get(shapes.snake(raw), "id")
        if name in shapes.READ_ONLY or name in shapes.IMMUTABLE:
            continue
        match shapes.type_of(kind, name):
            case "integer":
                fields[name] = php.whole(given)
            case "double":
                fields[name] = php.number(php.real(given))
            case "datetime":
                if (at := query.moment(given, api.company.zone)) is not None:
                    fields[name] = api.company.stamp(api.company.clock.peek().fromtimestamp(at, api.company.zone))
            case _:
                fields[name] = str(given)
    return fields


def _order(call: Call, api: "Bitrix") -> Key:
    id = _id(call, KINDS["orders"])
    if id not in api.company.tables["orders"].rows:
        raise errors.unknown("sale.order")
    return id


def _update(api: "Bitrix", call: Call) -> Outcome:
    id = _order(call, api)
    api.company.update_order(id, **_given_fields(api, call))
    order = api.company.get("orders", id) | {"clients": [], "requisiteLink": []}
    return Outcome([encode(dict(sorted(order.items())))], b'{"order":', b"}")


def _delete(api: "Bitrix", call: Call) -> Outcome:
    api.company.delete_order(_order(call, api))
    return value(True)


# What every portal has.


def _methods(api: "Bitrix", _call: Call) -> Outcome:
    return value([name for name, method in METHODS.items() if method.scope in ("", *api.company.scopes)])


def _method_get(api: "Bitrix", call: Call) -> Outcome:
    method = METHODS.get(str(call.given.get("name", "")).lower())
    available = method is not None and method.scope in ("", *api.company.scopes)
    return value({"isExisting": method is not None, "isAvailable": available})


def _profile(api: "Bitrix", _call: Call) -> Outcome:
    who: Any = api.company.users[min(api.company.users)]
    shown = {name: who[name] for name in ("ID", "NAME", "LAST_NAME", "PERSONAL_GENDER", "TIME_ZONE")}
    return value(shown | {"ADMIN": api.company.may_read})


METHODS: dict[str, Method] = {
    "scope": Method("", lambda api, _: value(sorted(api.company.scopes))),
    "methods": Method("", _methods),
    "method.get": Method("", _method_get),
    "server.time": Method("", lambda api, _: value(api.company.stamp(api.company.clock.peek()))),
    "profile": Method("", _profile),
    "user.get": Method("user", user_get),
    "user.search": Method("user", user_search),
    "user.current": Method("user", user_current),
    "user.fields": Method("user", user_fields),
    "sale.order.update": Method("sale", _update, writes=True),
    "sale.order.delete": Method("sale", _delete, writes=True),
}
for _kind in KINDS.values():
    METHODS[f"{_kind.method}.list"] = Method(_kind.scope, _list(_kind))
    METHODS[f"{_kind.method}.getfields"] = Method(_kind.scope, _get_fields(_kind))
    if _kind.name != "status_langs":
        METHODS[f"{_kind.method}.get"] = Method(_kind.scope, _one(_kind))
