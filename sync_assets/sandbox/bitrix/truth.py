"""What is true of the shop, told without its API: the oracle that Postgres is compared with.

The non-obvious decision: beside the rows there is the truth about what no list shows: who bought, which orders point
at people or goods that cannot be read, and which ids are gone.
"""

from sync_assets.sandbox.bitrix.company import BitrixCompany
from sync_assets.sandbox.bitrix.shapes import KINDS
from sync_assets.sandbox.dialect import Record, RefusedError, encode

ENTITIES = (*KINDS, "order_statuses", "delivery_statuses", "users", "buyers", "unlisted", "orphans", "deleted")


def rows(company: BitrixCompany, entity: str) -> list[bytes]:
    tables = company.tables
    if entity in tables:
        table = tables[entity]
        shown = (id for id in table.ids if not (entity == "products" and not company.lists(id)))
        return [table.rows[id] for id in shown]
    match entity:
        case "order_statuses" | "delivery_statuses":
            type = b'"type":"O"' if entity == "order_statuses" else b'"type":"D"'
            return [row for row in rows(company, "statuses") if type in row]
        case "users":
            return [encode(row) for _, row in sorted(company.people().items())]
        case "buyers":
            return [encode(row) for _, row in sorted(company.buyers.items())]
        case "unlisted":
            return [tables["products"].rows[id] for id in tables["products"].ids if not company.lists(id)]
        case "orphans":
            return [encode(row) for row in _orphans(company)]
        case "deleted":
            return [encode({"entity": name, "id": id}) for name, table in tables.items() for id in table.gone]
    raise RefusedError(f"no Bitrix entity {entity!r}; known: {', '.join(ENTITIES)}")


def _orphans(company: BitrixCompany) -> list[Record]:
    """Orders whose user or products no list shows; of a product 0 nothing was ever promised."""
    people, goods = company.people(), company.tables["products"]
    listed = {id for id in goods.ids if company.lists(id)}
    found = []
    for order in company.tables["orders"].ids:
        user = company.get("orders", order)["userId"]
        items = (company.get("order_items", id) for id in company.tables["order_items"].children(order))
        products = sorted({item["productId"] for item in items} - listed - {0})
        if user not in people or products:
            found.append({"id": order, "userId": None if user in people else user, "productIds": products})
    return found
