"""The switches: one per row of faults.md, set by its id, counted when it struck.

The non-obvious decision: a fault says *when* it acts (instead of the answer, on the request, on the rows,
on the body, on the wire, after the answer, on a webhook, on the world), so the frame stays one straight line and a new
system inherits all of them. `times` counts strikes, not requests: a fault aimed at a record waits until
that record comes by.
"""

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sync_assets.sandbox.dialect import RefusedError, Request


@dataclass(frozen=True)
class Kind:
    moment: str
    options: frozenset[str]
    title: str


def _kind(moment: str, options: str, title: str) -> Kind:
    return Kind(moment, frozenset(options.split()), title)


_RECORD = "record field value variant"

KINDS: dict[str, Kind] = {
    "A1": _kind(
        "instead", "retry_after reset status", "429; retry_after = seconds, date, absent; reset = epoch, seconds"
    ),
    "A2": _kind(
        "instead",
        "variant retry_after",
        "wait in disguise: search, secondly, burst, daily, locked, migration, blocked, query, operation, overload, "
        "query200, operation200",
    ),
    "A3": _kind("instead", "status seconds p", "5xx: times=, p= chance, or seconds= down from the first strike"),
    "A4": _kind("wire", "after", "connection reset, at once or after= bytes of the body"),
    "A5": _kind("wire", "bytes interval", "slow-loris: bytes= every interval= seconds"),
    "A6": _kind("wire", "keep with cut", "body cut: keep= share; with=chunked hides it; cut=[] is valid JSON"),
    "A7": _kind("body", "variant", "not JSON: html, login, empty, 204, bom, latin1"),
    "A8": _kind("body", "variant", "wrong shape: list_missing, null, object, error200, numbers"),
    "A9": _kind(
        "body", "mb variant record field", "gzip bomb of mb= megabytes; variant=giant: one record of that size"
    ),
    "A10": _kind("world", "uses variant", "access tokens expire, at once or after uses=; variant=revoked: refresh too"),
    "A11": _kind(
        "instead", "status scope narrow", "token revoked (401), right missing (403), scope=, or narrow= share unseen"
    ),
    "A12": _kind("instead", "status url_bytes", "endpoint gone: 404, 410; url_bytes=: 414 above so many"),
    "A13": _kind("rows", "variant field", "drift: new_field, missing_field, changed_type, renamed"),
    "A14": _kind("ask", "forget", "forget= share of rows missing from lists, always the same ones"),
    "L1": _kind("ask", "share by_id", "parents missing from lists; times=n: they come last; by_id=no: nowhere"),
    "L3": _kind("world", "", "rings of children and a record that is its own parent"),
    "L4": _kind("world", "count entity", "count= pairs of records are merged"),
    "L5": _kind("dialect", "limit variant", "association lists cut at limit=; variant=silent: without saying so"),
    "P1": _kind("ask", "loop", "paging runs in a ring of loop= pages (1: offset is ignored)"),
    "P2": _kind("ask", "rows variant", "rows= repeated from the page before; variant=within: twice in one page"),
    "P3": _kind("after", "insert delete", "the world changes between pages"),
    "P4": _kind("after", "edit which", "edit= records change between pages, those read or which=ahead"),
    "P5": _kind("dialect", "cap", "search ends at cap= results"),
    "P6": _kind("world", "count entity", "count= or all records stamped with one millisecond"),
    "P7": _kind("dialect", "variant outside", "search out of order: page, all; outside= rows nobody asked for"),
    "P8": _kind(
        "dialect", "lag rows", "search sees the world lag= seconds ago; rows=current: found by it, shown as now"
    ),
    "P9": _kind("wire", "skew", "Date header off by skew= seconds"),
    "P10": _kind("dialect", "by hide", "total is off by=; hide= rows counted and never given"),
    "P11": _kind("dialect", "share code", "batch: share= of its commands fail, each with code="),
    "P12": _kind("after", "insert", "firehose: insert= records appear after every page"),
    "S3": _kind("world", "", "hostile names: SQL, and names equal in their first 64 characters"),
    "S4": _kind("dialect", "url", "links in answers lead to url="),
    "S5": _kind("instead", "url status", "redirect to url="),
    "S7": _kind("world", "", "names that are Markdown or HTML"),
    "V1": _kind("rows", _RECORD, "NUL in a text"),
    "V2": _kind("rows", _RECORD, "surrogate or bytes: text that is not Unicode"),
    "V3": _kind("rows", _RECORD, "overflow, nan, infinity, digits, int64, comma"),
    "V4": _kind("rows", _RECORD, "empty, zero, feb30, year10000, dotted, unix"),
    "V5": _kind("rows", _RECORD, "invent_stage: an enum value nobody declared"),
    "V6": _kind("rows", _RECORD, "nested, long_key, wrong_type"),
    "V7": _kind("rows", _RECORD, "id missing, null, string, duplicate"),
    "V8": _kind("rows", "record field value", "a key twice in one object; the last is the true one"),
    "W1": _kind("delivery", "copies p", "webhooks arrive copies= more times, at once"),
    "W2": _kind("delivery", "variant p", "webhooks forged: variant= secret, body (changed), missing, truncated"),
    "W3": _kind("delivery", "age p", "webhooks signed age= seconds ago; less than 0: in the future"),
    "W4": _kind("delivery", "window delay p", "webhooks out of order: mixed within window=, or delay= seconds late"),
    "W5": _kind("world", "events records", "events= changes of records= records, as fast as they can be made"),
    "W11": _kind("delivery", "p", "webhooks are never sent: p= share of them"),
    "W12": _kind("world", "event entity key", "a webhook of something that did not happen"),
}


@dataclass
class Fault:
    id: str
    system: str | None
    path: str
    times: int | None
    options: dict[str, Any]
    kind: Kind
    strikes: int = 0
    began: float | None = None

    @property
    def moment(self) -> str:
        match self.id, self.options:
            case ("P2", {"variant": "within"}) | ("A9", {"variant": "giant"}):
                return "rows"
            case "A11", {"narrow": _}:
                return "ask"
            case "A11", {"scope": _}:
                return "dialect"
        return self.kind.moment

    def option(self, name: str, default: Any) -> Any:
        return self.options.get(name, default)

    def aims_at(self, system: str, request: Request) -> bool:
        if self.system not in (None, system) or (self.times is not None and self.strikes >= self.times):
            return False
        # A batch is aimed at by what it asks for.
        batch = request.body.decode("utf-8", "replace") if request.path.endswith("/batch") else ""
        return self.path in request.target or any(re.search(self.path, text) for text in (request.path, batch) if text)


class Faults:
    """The faults now in force; safe to change from a test's thread while the server answers."""

    def __init__(self, seed: int) -> None:
        self._active: list[Fault] = []
        self._lock = threading.Lock()
        self._dice = random.Random(f"faults {seed}")
        self.on_world: Callable[[Fault], None] | None = None

    def set(
        self, id: str, *, system: str | None = None, path: str = "", times: int | None = None, **options: Any
    ) -> Fault:
        kind = KINDS.get(id)
        if kind is None:
            raise RefusedError(f"no fault {id!r}; known: {', '.join(KINDS)}")
        if unknown := options.keys() - kind.options:
            raise RefusedError(f"fault {id} has no option {sorted(unknown)}; it has: {sorted(kind.options)}")
        try:
            re.compile(path)
        except re.error as error:
            raise RefusedError(f"path {path!r} is no pattern: {error}") from None
        fault = Fault(id, system, path, times, options, kind)
        if kind.moment == "world":
            if self.on_world is not None:
                self.on_world(fault)
            fault.strikes = 1
            return fault
        with self._lock:
            self._active.append(fault)
        return fault

    def parse(self, text: str) -> Fault:
        """`A3:kaiten:path=/cards,times=2`, the command line's form."""
        id, _, rest = text.partition(":")
        system, _, pairs = rest.partition(":")
        if "=" in system:
            system, pairs = "", rest
        options = dict(pair.partition("=")[::2] for pair in pairs.split(",") if pair)
        values = {name: _value(value) for name, value in options.items()}
        path, times = str(options.get("path", "")), values.pop("times", None)
        values.pop("path", None)
        return self.set(id, system=system or None, path=path, times=times, **values)

    def clear(self, id: str | None = None) -> None:
        with self._lock:
            self._active = [fault for fault in self._active if id is not None and fault.id != id]

    def active(self) -> list[Fault]:
        with self._lock:
            return list(self._active)

    def aimed(self, moment: str, system: str, request: Request) -> list[Fault]:
        if not self._active:
            return []
        return [f for f in self.active() if f.moment == moment and f.aims_at(system, request)]

    def strikes(self, fault: Fault) -> bool:
        """Whether an outage that is a matter of chance or time strikes now."""
        fault.began = fault.began if fault.began is not None else time.monotonic()
        if "seconds" in fault.options and time.monotonic() - fault.began > float(fault.options["seconds"]):
            return False
        if "p" in fault.options and self._dice.random() >= float(fault.options["p"]):
            return False
        fault.strikes += 1
        return True


def _value(text: str) -> Any:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
