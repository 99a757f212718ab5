"""Reading contacts, deals, calls: list, one by id, batch, search.

The non-obvious decision: a merged-away id answers with its survivor when it is asked for alone and is dropped without
a word from a batch, as seen live; so "asked, neither found nor refused" is a case of its own for every client.
"""

import random
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Any

from sync_assets.sandbox.dialect import Answer, Record, Request, decode, encode, of_record
from sync_assets.sandbox.hubspot import associations, paging
from sync_assets.sandbox.hubspot.errors import invalid, not_found
from sync_assets.sandbox.hubspot.names import Kind, millis, stamp
from sync_assets.sandbox.hubspot.shelf import Shelf, Thing

if TYPE_CHECKING:
    from sync_assets.sandbox.hubspot.api import HubSpot

MOST_INPUTS, MOST_FOUND = 100, 200


def listed(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    want, shelf, switches = paging.asked(request), api.company.shelves[kind.name], api.switches
    limit = paging.limit_of(want, switches["hubspot.limit"])
    if switches["hubspot.short_pages"] == "yes":
        # Short, sometimes empty, and there is more all the same.
        limit = max(1, limit * 3 // 5)
    style = switches["hubspot.after"]
    first = paging.start(style, request.query.get("after"))
    things, more = _page(api, request, shelf, want, first, limit)
    selection = shelf.selection(want.properties)
    rows = [shelf.row(thing, selection) for thing in things]
    if want.associations:
        rows = [
            associations.inline(api, request, kind, thing.id, row, want.associations)
            for thing, row in zip(things, rows, strict=True)
        ]
    tail = b"]"
    if more is not None:
        token = paging.cursor(style, things[-1].id if things else more - 1, more)
        if "P1" in request.faults:
            token = paging.cursor(style, 0, 0)
        tail = b'],"paging":' + encode(paging.following(request, token))
    return Answer(rows=rows, head=b'{"results":[', tail=tail + b"}")


def _page(
    api: "HubSpot", request: Request, shelf: Shelf, want: paging.Asked, first: int, limit: int
) -> tuple[list[Thing], int | None]:
    """One page in the order of the ids, and the id that the next one begins with."""
    table = api.company.binned(shelf.kind.name) if want.archived else shelf.living
    ids = list(table) if want.archived else shelf.ids
    if request.keep is not None:
        ids = [id for id in ids if request.keep(id)]
    if api.switches["hubspot.order"] == "lexicographic":
        spelled = sorted(map(str, ids))
        at = bisect_left(spelled, str(first)) if first else 0
        ids = [int(text) for text in spelled]
    else:
        at = bisect_left(ids, first)
    if (repeat := request.faults.get("P2")) is not None:
        at = max(0, at - int(repeat.option("rows", 3)))
    page = ids[at : at + limit]
    following = ids[at + len(page)] if at + len(page) < len(ids) else None
    if api.switches["hubspot.short_pages"] == "yes" and page:
        if at and ids[at] != first and at % 3 == 0:
            # Nothing between the cursor and the next record, and a cursor that says so.
            return [], ids[at]
        following = page[-1] + 1 if following is not None else None
    return [table[id] for id in page], following


def one(api: "HubSpot", request: Request, kind: Kind, id: str) -> Answer:
    want, shelf = paging.asked(request), api.company.shelves[kind.name]
    if request.query.get("idProperty") == "email":
        found = api.company.by_email(id.lower())
        id = str(found) if found is not None else id
    if not id.isdigit():
        raise not_found(id)
    number = api.company.survivor(kind.name, int(id))
    thing = shelf.living.get(number)
    if thing is None and want.archived:
        thing = api.company.binned(kind.name).get(int(id))
    if thing is None:
        raise not_found(id)
    row = shelf.row(thing, shelf.selection(want.properties))
    return of_record(associations.inline(api, request, kind, thing.id, row, want.associations))


def batch_read(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    body, shelf = given(request), api.company.shelves[kind.name]
    inputs = body.get("inputs") or []
    if len(inputs) > MOST_INPUTS:
        raise invalid(
            f"The maximum number of inputs supported in a batch request for this object type is {MOST_INPUTS}"
        )
    archived = paging.asked(request).archived
    table = api.company.binned(kind.name) if archived else shelf.living
    selection = shelf.selection(body.get("properties") or None)
    things: dict[int, Thing] = {}
    missing = []
    for text in [str(one.get("id")) for one in inputs]:
        id = int(text) if text.isdigit() else (api.company.by_email(text.lower()) or 0)
        merged = id in api.company.merged[kind.name]
        if merged and api.switches["hubspot.merged_batch"] == "alias":
            id = api.company.survivor(kind.name, id)
        hidden = request.strict and request.keep is not None and not request.keep(id)
        if id in table and not hidden:
            things[id] = table[id]
        elif not merged or api.switches["hubspot.merged_batch"] == "error":
            missing.append(text)
    # Nothing promises the order of the inputs.
    rows = [shelf.row(things[id], selection) for id in sorted(things, reverse=True)]
    return completed(api, rows, _errors(kind, missing))


def _errors(kind: Kind, missing: list[str]) -> list[Record]:
    if not missing:
        return []
    word = kind.singular.upper()
    message = f"Could not get some {word} objects, they may be deleted or not exist. Check that ids are valid."
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": missing}}
    return [error]


def completed(api: "HubSpot", rows: list[bytes], errors: list[Record], status: int = 200) -> Answer:
    """The envelope of every batch: 207 as soon as one input failed."""
    now = millis(api.company.clock.peek())
    tail: Record = {"numErrors": len(errors), "errors": errors} if errors else {}
    tail |= {"startedAt": stamp(now), "completedAt": stamp(now)}
    head = b'{"status":"COMPLETE","results":['
    return Answer(207 if errors else status, rows=rows, head=head, tail=b"]," + encode(tail)[1:])


def searched(api: "HubSpot", request: Request, kind: Kind) -> Answer:
    body, shelf, faults = given(request), api.company.shelves[kind.name], request.faults
    limit, after = _whole(body.get("limit", 10), "limit"), _whole(body.get("after") or 0, "after")
    if not 0 <= limit <= MOST_FOUND:
        raise invalid(f"limit must be between 0 and {MOST_FOUND}")
    cap = int(_option(faults, "P5", "cap", api.switches["hubspot.search_cap"]))
    if after >= cap or (after + limit > cap and api.switches["hubspot.cap_edge"] == "400"):
        raise invalid(f"The maximum number of results for a search query is {cap}")
    hits = api.hits(request, kind, body, float(_option(faults, "P8", "lag", api.switches["hubspot.index_lag"])))
    if request.keep is not None:
        hits = [thing for thing in hits if request.keep(thing.id)]
    total = len(hits) + int(_option(faults, "P10", "by", 0))
    if hide := int(_option(faults, "P10", "hide", 0)):
        # Counted, and never given.
        hits = hits[: len(hits) // 2] + hits[len(hits) // 2 + hide :]
    page = hits[after : after + limit]
    if (shuffle := faults.get("P7")) is not None:
        page = _shuffled(shelf, hits, page, after, shuffle)
    if (late := faults.get("P8")) is not None and late.option("rows", "") == "current":
        page = [shelf.living.get(thing.id, thing) for thing in page]
    selection = shelf.selection(body.get("properties") or None)
    tail = b"]"
    if after + limit < len(hits) and limit:
        tail += b',"paging":' + encode({"next": {"after": str(after + limit)}})
    head = b'{"total":%d,"results":[' % total
    return Answer(rows=[shelf.row(thing, selection) for thing in page], head=head, tail=tail + b"}")


def _shuffled(shelf: Shelf, hits: list[Thing], page: list[Thing], after: int, fault: Any) -> list[Thing]:
    """Out of order within a page, or over all pages; and rows that the filters did not ask for."""
    fault.strikes += 1
    dice = random.Random(len(hits))
    if fault.option("variant", "page") == "all":
        mixed = dice.sample(hits, len(hits))
        page = mixed[after : after + len(page)]
    else:
        page = dice.sample(page, len(page))
    asked = {thing.id for thing in hits}
    strangers = (t for t in shelf.living.values() if t.id not in asked)
    return page + list(islice(strangers, int(fault.option("outside", 0))))


def _option(faults: dict[str, Any], id: str, name: str, default: Any) -> Any:
    fault = faults.get(id)
    if fault is None or name not in fault.options:
        return default
    fault.strikes += 1
    return fault.options[name]


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not str(value).isdigit():
        raise invalid(f"{name} must be an integer")
    return int(value)


def given(request: Request) -> Record:
    body = decode(request.body) if request.body else {}
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON")
    return body
