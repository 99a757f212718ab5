"""Lists in HAL envelopes, and records by id.

The non-obvious decision: pages are numbers over a list that moves, as live: a record that changes while somebody reads
on shifts its neighbours from one page to another, and only a window that is closed at both ends stands still.
"""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sync_assets.sandbox.dialect import Answer, Record, Request, encode, of_record
from sync_assets.sandbox.kommo import queries, shapes
from sync_assets.sandbox.kommo.errors import HAL, ApiError
from sync_assets.sandbox.kommo.shapes import WITH, Thing

if TYPE_CHECKING:
    from sync_assets.sandbox.kommo.api import Kommo

MOST, USUAL = 250, 50
T = TypeVar("T")


def base(request: Request) -> str:
    """Where a page's links point: to whom the request was sent, or with S4 to somebody else."""
    if (fault := request.faults.get("S4")) is not None:
        fault.strikes += 1
        return str(fault.option("url", "http://trap.test"))
    return f"http://{request.headers.get('host', shapes.DOMAIN)}"


def window(api: "Kommo", request: Request, most: int = MOST) -> tuple[int, int]:
    """Page and limit."""
    page, limit = (queries.whole(request.query.get(n) or d, n) for n, d in (("page", "1"), ("limit", str(USUAL))))
    if page < 1 or limit < 1 or (limit > most and api.switches["kommo.limit"] == "400"):
        raise ApiError(400, f"page {page}, limit {limit}: at least 1, and at most {most} on a page")
    return page, min(limit, most)


def paged(
    api: "Kommo", request: Request, name: str, found: Sequence[T], row: Callable[[T], bytes], most: int = MOST,
    *, counted: bool = False,
) -> Answer:  # fmt: skip
    """One page of what was found, 204 where there is nothing on it; P1, P2, P7 and P10 strike here."""
    page, limit = window(api, request, most)
    start, shown = limit * (page - 1), page
    if (ring := request.faults.get("P1")) is not None:
        shown = (page - 1) % int(ring.option("loop", 1)) + 1
        start = limit * (shown - 1)
    elif (repeat := request.faults.get("P2")) is not None:
        start = max(0, start - int(repeat.option("rows", 3)) * (page - 1))
    chosen = list(found[start : start + limit])
    if (shuffle := request.faults.get("P7")) is not None:
        shuffle.strikes += 1
        mixed = random.Random(len(found)).sample(list(found), len(found))
        everywhere = shuffle.option("variant", "page") == "all"
        chosen = mixed[start : start + limit] if everywhere else random.Random(page).sample(chosen, len(chosen))
    if not chosen:
        return Answer(204, b"", content_type=HAL)
    more = start + limit < len(found) or ring is not None
    if api.switches["kommo.next"] == "full":
        more = more or len(chosen) == limit
    head: Record = {"_total_items": _total(request, len(found))} if counted else {}
    head |= {"_page": page} | ({"_page_count": -(-len(found) // limit)} if counted else {})
    head["_links"] = _links(request, page, limit, (shown if ring else page) + 1 if more else 0)
    rows = [row(one) for one in chosen]
    return Answer(rows=rows, head=_head(head, name), tail=b"]}}", content_type=HAL)


def _links(request: Request, page: int, limit: int, following: int) -> Record:
    rest = queries.without_page(request.raw_query)
    path = f"{base(request)}{request.path}?{rest}{'&' if rest else ''}limit={limit}&page="
    pages = {"self": page} | ({"next": following} if following else {})
    if page > 1:
        pages |= {"first": 1, "prev": page - 1}
    return {name: {"href": f"{path}{number}"} for name, number in pages.items()}


def whole(request: Request, name: str, records: list[Record], *, counted: bool = True) -> Answer:
    """A list that is not paged: pipelines, statuses."""
    if request.keep is not None:
        records = [record for record in records if request.keep(record.get("id"))]
    head: Record = {"_total_items": _total(request, len(records))} if counted else {}
    head["_links"] = {"self": {"href": f"{base(request)}{request.path}"}}
    return Answer(rows=[encode(record) for record in records], head=_head(head, name), tail=b"]}}", content_type=HAL)


def _total(request: Request, count: int) -> int:
    if (fault := request.faults.get("P10")) is None:
        return count
    fault.strikes += 1
    return count + int(fault.option("by", 0))


def _head(head: Record, name: str) -> bytes:
    return encode(head)[:-1] + b',"_embedded":{"%s":[' % name.encode()


# Leads, contacts, companies, tasks, events.


def listed(api: "Kommo", request: Request, kind: str) -> Answer:
    query = queries.parse(queries.without_page(request.raw_query))
    found = api.found(request, kind, query)
    if request.keep is not None:
        found = [thing for thing in found if request.keep(thing.id)]
    if kind == "leads" and "only_deleted" in query.asked:
        return paged(api, request, kind, found, lambda thing: shapes.deleted(api.company, thing))
    asked = query.asked & WITH.get(kind, frozenset())
    most = min(MOST, int(api.switches["kommo.event_limit"])) if kind == "events" else MOST
    return paged(api, request, kind, found, lambda thing: shapes.row(api.company, kind, thing, asked), most)


def one(api: "Kommo", request: Request, kind: str, id: Any) -> Answer:
    company, asked = api.company, queries.parse(request.raw_query).asked
    if kind == "events":
        thing: Thing | None = company.journal.events.get(id)
    else:
        thing = company.living[kind].get(int(id))
        if thing is None and api.switches["kommo.deleted_by_id"] == "row":
            thing = company.binned[kind].get(int(id))
    if thing is None:
        return api.missing()
    return single(shapes.row(company, kind, thing, asked & WITH.get(kind, frozenset())))


def single(row: bytes) -> Answer:
    answer = of_record(row)
    answer.content_type = HAL
    return answer


# The small tables.


def small(api: "Kommo", request: Request, name: str, records: list[Record], *, counted: bool = True) -> Answer:
    """A paged list of what is few; `filter[id]` works here too."""
    query = queries.parse(queries.without_page(request.raw_query))
    if wanted := {value for _, value in query.filters.get("id", ())}:
        records = [record for record in records if str(record["id"]) in wanted]
    if request.keep is not None:
        records = [record for record in records if request.keep(record["id"])]
    return paged(api, request, name, records, encode, counted=counted)


def users(api: "Kommo", request: Request) -> Answer:
    asked = queries.parse(request.raw_query).asked & WITH["users"]
    rows = [shapes.user(api.company, user, asked) for user in api.company.users.values()]
    return small(api, request, "users", rows)


def user(api: "Kommo", request: Request, id: str) -> Answer:
    found = api.company.users.get(int(id))
    asked = queries.parse(request.raw_query).asked & WITH["users"]
    return single(encode(shapes.user(api.company, found, asked))) if found else api.missing()


def pipelines(api: "Kommo", request: Request) -> Answer:
    own = [shapes.pipeline(api.company, pipeline) for pipeline in api.company.pipelines.values()]
    return whole(request, "pipelines", own)


def pipeline(api: "Kommo", _request: Request, id: str) -> Answer:
    found = api.company.pipelines.get(int(id))
    return single(encode(shapes.pipeline(api.company, found))) if found else api.missing()


def statuses(api: "Kommo", request: Request, id: str) -> Answer:
    found = api.company.pipelines.get(int(id))
    if found is None:
        return api.missing()
    return whole(request, "statuses", shapes.pipeline(api.company, found)["_embedded"]["statuses"])


def status(api: "Kommo", _request: Request, id: str, status: str) -> Answer:
    found = api.company.statuses.get((int(id), int(status)))
    return single(encode(shapes.status(found))) if found else api.missing()


def loss_reasons(api: "Kommo", request: Request) -> Answer:
    return small(api, request, "loss_reasons", [shapes.loss_reason(r) for r in api.company.loss_reasons.values()])


def custom_fields(api: "Kommo", request: Request, kind: str) -> Answer:
    known = api.company.definitions[kind].values()
    return small(api, request, "custom_fields", [shapes.custom_field(definition) for definition in known])


def custom_field(api: "Kommo", _request: Request, kind: str, id: str) -> Answer:
    found = api.company.definitions[kind].get(int(id))
    return single(encode(shapes.custom_field(found))) if found else api.missing()


def tags(api: "Kommo", request: Request, kind: str) -> Answer:
    names = ("id", "name") if api.switches["kommo.era"] == "2020" else ("id", "name", "color")
    known = [{name: tag[name] for name in names} for tag in api.company.tags[kind].values()]
    return small(api, request, "tags", known, counted=False)


def links(api: "Kommo", request: Request, kind: str, id: str) -> Answer:
    if int(id) not in api.company.living[kind]:
        return api.missing()
    return whole(request, "links", linked(api, kind, int(id)))


def linked(api: "Kommo", kind: str, id: int) -> list[Record]:
    shown = []
    for other, one in api.company.links.all_of(kind, id):
        if one in api.company.living[other]:
            main = api.company.links.of(kind, id, other)[one] if (kind, other) == ("leads", "contacts") else None
            metadata = None if main is None else {"main_contact": main}
            shown.append({"to_entity_id": one, "to_entity_type": other, "metadata": metadata})
    return shown


def account(api: "Kommo", request: Request) -> Answer:
    return single(encode(api.account(queries.parse(request.raw_query).asked)))
