"""`batch`: up to fifty commands in one request, each with its own result or error, in an answer that is always 200.

The non-obvious decision: the rows of the first list in a batch are the rows of the answer, so every fault that damages
records strikes inside a batch as well.
"""

import re
from typing import TYPE_CHECKING

from sync_assets.sandbox.bitrix import errors, php
from sync_assets.sandbox.bitrix.errors import ApiError
from sync_assets.sandbox.bitrix.results import Outcome
from sync_assets.sandbox.dialect import Answer, Record, Request, decode, encode
from sync_assets.sandbox.faults import Fault

if TYPE_CHECKING:
    from sync_assets.sandbox.bitrix.api import Bitrix

MOST = 50
_ROWS = b"\x00rows\x00"
REFERENCE = re.compile(r"\$(?:result|total|next)\[([^\[\]]+)\]((?:\[[^\[\]]*\])*)")
NESTED = ApiError(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
TOO_LONG = ApiError(400, "ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")


def carried_out(api: "Bitrix", request: Request, given: Record) -> Answer:
    given = {name.upper(): value for name, value in given.items()}
    commands = php.pairs(given.get("CMD"))
    if len(commands) > MOST and api.switches["bitrix.batch_length"] == "400":
        raise TOO_LONG
    began = api.now()
    results: dict[str, Outcome] = {}
    refused: dict[str, bytes] = {}
    times: dict[str, bytes] = {}
    failing = _failing(request.faults.get("P11"), len(commands))
    for position, (key, command) in enumerate(commands.items()):
        if not isinstance(command, str):
            continue
        method, _, query = command.partition("?")
        started = api.now()
        try:
            if position >= MOST:
                raise TOO_LONG
            if position in failing:
                raise failing[position]
            if api.plain(method) == "batch":
                raise NESTED
            results[key] = api.call(method, _resolved(api, query, results), request)
            times[key] = encode(api.time(started, api.plain(method)))
        except ApiError as error:
            refused[key] = encode(error.body())
            if php.truthy(given.get("HALT")):
                break
    return _answer(api, results, refused, times, began)


def _resolved(api: "Bitrix", query: str, results: dict[str, Outcome]) -> Record:
    given = php.parse(query)
    if "$" not in query and "%24" not in query:
        return given
    # A chain of fifty refers each to the one before: nothing else is taken apart.
    named: dict[str, set[int]] = {}
    for key, rest in REFERENCE.findall(str(given)):
        named.setdefault(key, set()).update(int(place) for place in re.findall(r"\[(\d+)\]", rest))
    known: Record = {
        "result": {key: decode(_part(results[key], places)) for key, places in named.items() if key in results},
        "total": {key: outcome.total for key, outcome in results.items()},
        "next": {key: outcome.next for key, outcome in results.items()},
    }
    resolved: Record = php.resolved(given, known, api.switches["bitrix.unresolved"])
    return resolved


def _part(outcome: Outcome, places: set[int]) -> bytes:
    """The content, of its rows only those in these places, if any are named."""
    rows = [row if n in places else b"null" for n, row in enumerate(outcome.rows or ())] if places else outcome.rows
    return outcome.head + b",".join(rows or ()) + outcome.tail


def _failing(fault: Fault | None, count: int) -> dict[int, ApiError]:
    """P11: which commands fail, and how; with a share of a half it is every second one."""
    if fault is None:
        return {}
    fault.strikes += 1
    share, code = float(fault.option("share", 0.5)), str(fault.option("code", "INTERNAL_SERVER_ERROR"))
    error = errors.too_many() if code == "QUERY_LIMIT_EXCEEDED" else ApiError(500, code, "Internal server error")
    if code == "OPERATION_TIME_LIMIT":
        error = errors.exhausted(429)
    return {n: error for n in range(count) if int((n + 1) * share) > int(n * share)}


def _answer(
    api: "Bitrix",
    results: dict[str, Outcome],
    refused: dict[str, bytes],
    times: dict[str, bytes],
    began: float,
) -> Answer:
    first = next((key for key, one in results.items() if one.rows and one.head.endswith(b"[")), None)
    contents = {key: one.head + _ROWS + one.tail if key == first else one.content() for key, one in results.items()}
    totals = {key: encode(one.total) for key, one in results.items() if one.total is not None}
    nexts = {key: encode(one.next) for key, one in results.items() if one.next is not None}
    parts = (("result", contents), ("result_error", refused), ("result_total", totals), ("result_next", nexts))
    inside = b",".join(
        b'"%s":%s' % (name.encode(), php.written(part)) for name, part in (*parts, ("result_time", times))
    )
    whole = b'{"result":{%s},"time":%s}' % (inside, encode(api.time(began, "batch")))
    if first is None:
        return Answer(200, whole)
    head, _, tail = whole.partition(_ROWS)
    return Answer(rows=results[first].rows, head=head, tail=tail)
