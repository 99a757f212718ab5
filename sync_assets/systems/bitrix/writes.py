"""What may be written back to Bitrix, field by field: an order's status, as `sync.status_map` spells it.

Bitrix drops fields whose names or values it does not take and answers as if all were well, so only what a read shows
afterwards was written. Cancelling is a flag, and nothing of ours ever takes it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sync_assets.entity import Whole
from sync_assets.errors import RecordGone, SyncError, WrongShape
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import MALFORMED, Page
from sync_assets.operation import (
    Agrees,
    Held,
    Impossible,
    Letter,
    Looked,
    Operation,
    Outbound,
    Verdict,
    Writable,
    Write,
    Yields,
)
from sync_assets.systems.bitrix.api import is_gone
from sync_assets.systems.bitrix.commands import COMMANDS, SPELLED, Command, Refused, carried_out, query
from sync_assets.systems.bitrix.entities import ENTITIES, ORDERS
from sync_assets.systems.bitrix.lookup import Lookup

CANCELLED = "cancelled"

STATUS = Writable(
    "crm_status",
    # On the way to the buyer. What leads off it (cancelled, refunded, problem) is no progress: there Bitrix wins.
    path=("new", "confirmed", "paid", "in_work", "ready", "in_delivery", "completed"),
    final={"completed": ("refunded", "problem"), CANCELLED: ()},
)

KNOWN = """
select m.code, m.canonical::text, m.inbound, m.outbound_default,
       exists (select from order_statuses s where s.id = m.code)
  from sync.status_map m where m.system = 'bitrix' and m.scope = 'O'
"""


LIST = Whole(ORDERS.path, at=f"{ORDERS.at}")
ONE = next(e.one for e in ENTITIES if isinstance(e.one, Lookup) and e.name == "orders")


class _Order(msgspec.Struct):
    statusId: str | None = None  # noqa: N815  Bitrix's spelling
    canceled: str | None = None
    dateUpdate: str | None = None  # noqa: N815  Bitrix's spelling
    version: int | None = None


def judge(letter: Letter, held: Held | None, known: Sequence[tuple[Any, ...]]) -> Verdict:
    words = {code: canonical for code, canonical, inbound, *_ in known if inbound}
    listed = {code for code, *_, there in known if there}
    codes = {canonical: code for code, canonical, _, outbound, _ in known if outbound}
    ours, current = str(letter.payload[STATUS.name]), (held or Held({})).values
    theirs, base = _word(current, words), _word(letter.base, words)
    if theirs is None:
        return Impossible(
            f"Bitrix's status {str(current.get('statusId'))[:20]} is not in sync.status_map:"
            " nothing is written over what is not known. Next: add it there, then requeue this"
        )
    if theirs == ours:
        return Agrees()
    decision, conflict = STATUS.decide(base, theirs, ours)
    if decision == "theirs":
        assert conflict is not None  # noqa: S101  without one ours is written
        return Yields(conflict)
    if ours == CANCELLED:
        return Write({"canceled": "Y", "reasonCanceled": "cancelled in Postgres"}, conflict)
    if (code := codes.get(ours)) is None:
        return Impossible(
            f"sync.status_map has no code to write for {ours}. Next: set outbound_default for one, then requeue this"
        )
    if code not in listed:
        return Impossible(
            f"Bitrix lists no order status {code}. Next: sync bitrix/order_statuses or correct sync.status_map,"
            " then requeue this"
        )
    return Write({"statusId": code}, conflict)


def look(fetch: Fetch, letters: Sequence[Letter]) -> Looked:
    """The orders as their list shows them, which is how they are mirrored; whom it does not show, one by one."""
    found: dict[int, Held | SyncError] = {}
    hidden: list[Letter] = []
    for letter, outcome in _each(fetch, letters, lambda key: Command(LIST.path, query({"id": key}, start=-1))):
        if isinstance(outcome, Refused):
            found[letter.id] = _refusal(outcome)
            continue
        page = fetch.splitter.page(f"{LIST.path}, id {letter.key}", LIST, outcome)
        if page.keys == [letter.key]:
            found[letter.id] = _held(page)
        else:
            hidden.append(letter)
    for letter, outcome in _each(fetch, hidden, lambda key: Command(ONE.get, {"id": key})):
        if isinstance(outcome, Refused):
            gone = is_gone(outcome.refusal)
            found[letter.id] = RecordGone(_refusal(outcome).what) if gone else _refusal(outcome)
        else:
            found[letter.id] = _held(fetch.splitter.page(f"{ONE.get}, id {letter.key}", ONE, outcome))
    return found


def _each(
    fetch: Fetch, letters: Sequence[Letter], command: Callable[[str], Command]
) -> Iterator[tuple[Letter, Answer | Refused]]:
    """One command per letter, in one request: one that is refused is its own letter's alone."""
    if letters:
        outcomes = carried_out(fetch, [command(letter.key) for letter in letters])
        yield from ((letter, outcomes.outcome(n)) for n, letter in enumerate(letters))


def update(fetch: Fetch, writes: Sequence[tuple[Letter, Mapping[str, Any]]]) -> dict[int, SyncError | None]:
    """One request for all of them; one that is refused stops no other."""
    fields = {letter.key: its for letter, its in writes}
    outcomes = _each(fetch, [letter for letter, _ in writes], lambda key: _command(key, fields[key]))
    return {letter.id: _refusal(found) if isinstance(found, Refused) else None for letter, found in outcomes}


def _command(key: str, fields: Mapping[str, Any]) -> Command:
    if wrong := [name for name in fields if not SPELLED.fullmatch(name)]:
        raise ValueError(f"{wrong[0]!r} is no camelCase: Bitrix would drop it and say that all is well")
    return Command("sale.order.update", {"id": key, **{f"fields[{name}]": value for name, value in fields.items()}})


def _refusal(refused: Refused) -> SyncError:
    """With Bitrix's own words: they say what is wrong with a value."""
    if refused.refusal.error_description:
        refused.error.what += f": {refused.refusal.error_description[:200]}"
    return refused.error


def _word(values: Mapping[str, Any], words: Mapping[str, str]) -> str | None:
    """A cancelled order is told by its flag, whatever its status."""
    return CANCELLED if values.get("canceled") == "Y" else words.get(str(values.get("statusId")))


def _held(page: Page) -> Held:
    try:
        order = msgspec.json.decode(page.records[0], type=_Order)
    except MALFORMED:
        raise WrongShape("an order has no status as Bitrix spells it", page=page.name) from None
    return Held(msgspec.structs.asdict(order), page)


OUTBOUND = Outbound(
    "order_status_push",
    operations=(
        Operation(
            "set_order_status",
            "orders",
            judge,
            update,
            look,
            knows=KNOWN,
            in_step="orders_in_step",
            apart="orders_out_of_step",
            coalesces=True,
            at_once=COMMANDS,
        ),
    ),
    parents=("orders", "order_statuses"),
    scopes={"O": ("order_statuses", "orders", "crm_status", "status_id")},
    doc="Order statuses that were changed here (`orders.crm_status`), written to the shop.",
)
