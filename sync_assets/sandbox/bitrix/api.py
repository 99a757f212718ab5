"""Bitrix's HTTP dialect: a secret in the path, methods of any case, and refusals in two families of codes.

Promise: envelopes, paging, batches and limits as documented or seen in the module's source; what only the source of
one version shows is a switch. The non-obvious decision: the shop is founded when somebody first looks at it, so a
sandbox that serves other systems pays nothing for it.
"""

import random
import re
import threading
from typing import Any

from sync_assets.sandbox.bitrix import batch, errors, life, php, query, seed, truth
from sync_assets.sandbox.bitrix.company import BitrixCompany
from sync_assets.sandbox.bitrix.errors import ApiError
from sync_assets.sandbox.bitrix.limits import Bucket, Operating
from sync_assets.sandbox.bitrix.methods import METHODS
from sync_assets.sandbox.bitrix.results import Call, Outcome
from sync_assets.sandbox.bitrix.shop_handler import ShopHandler
from sync_assets.sandbox.bitrix.table import Key, Table
from sync_assets.sandbox.bitrix.webhooks import BitrixWebhooks
from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Answer, Record, RefusedError, Request, Throttle, decode, encode
from sync_assets.sandbox.founding import FoundedLate

USER = 1
REMEMBERED = 300
PATH = re.compile(r"/rest/(?P<user>\d+)/(?P<secret>[^/]+)/(?P<method>[^/]+?)(?:\.json)?/?")


class Bitrix(FoundedLate[BitrixCompany]):
    name = "bitrix"

    def __init__(
        self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str], size: str
    ) -> None:
        super().__init__(dice, clock, lock, switches, size)
        self._secret = f"{dice.getrandbits(80):020x}"
        self.vendors = (BitrixWebhooks(self, switches), ShopHandler(self, switches))
        self.operating = Operating(clock, float(switches["bitrix.operating_limit"]))
        self._found: dict[Any, list[Key]] = {}
        self._found_revision = -1
        # The table that was listed last; between two pages, it is the one that changes.
        self.last = "orders"

    def first_day(self) -> BitrixCompany:
        company = BitrixCompany(self._dice, self.clock, self.lock, self.switches)
        seed.found(company, self._size)
        return company

    def credentials(self) -> dict[str, str]:
        """The webhook's path is the whole credential: it is appended to the address."""
        return {"path": f"/rest/{USER}/{self._secret}/"}

    def limiter(self, rates: dict[str, float]) -> Bucket:
        return Bucket(rates[self.name], int(self.switches["bitrix.burst"]))

    # Refusals.

    def refuse(self, request: Request) -> Answer | None:
        match = PATH.fullmatch(request.path)
        if match is None:
            if request.path.startswith("/rest/"):
                return errors.no_auth().answer()
            return Answer(404, b"<html><body>404 Not Found</body></html>", content_type="text/html")
        if self.switches["bitrix.https"] == "yes":
            return ApiError(400, "INVALID_REQUEST", "Https required.").answer()
        if (match["user"], match["secret"]) != (str(USER), self._secret):
            return self.denied(401)
        return None

    def denied(self, status: int, request: Request | None = None) -> Answer:
        if status == 401:
            return errors.wrong_secret(int(self.switches["bitrix.credentials_status"])).answer()
        return errors.unscoped(int(self.switches["bitrix.scope_status"])).answer()

    def missing(self) -> Answer:
        return errors.no_method().answer()

    def throttled(self, throttle: Throttle) -> Answer:
        return errors.too_many().answer()

    def disguised(self, variant: str, retry_after: Any) -> Answer:
        """A2: the several ways to be asked to wait; with `200` behind it, an error inside a success."""
        kind, inside, _ = variant.partition("200")
        match kind:
            case "operation":
                more = {"time": {"operating_reset_at": int(self.now() + float(retry_after)), "operating": 480.5}}
                error = errors.exhausted(429, **(more if self.switches["bitrix.error_time"] == "yes" else {}))
            case "overload":
                error = errors.overloaded()
            case _:
                error = errors.too_many()
        answer = error.answer()
        answer.status = 200 if inside else answer.status
        return answer

    # Calls.

    def plain(self, method: str) -> str:
        return method.strip().lower().removesuffix(".json")

    def now(self) -> float:
        return self.clock.peek().timestamp()

    def time(self, began: float, method: str) -> Record:
        """`time` of an answer; how long it took is invented, but never nothing."""
        finish = max(self.now(), began + 0.001)
        zone = self.company.zone
        moment = self.clock.peek()
        used = self.operating.used(method)
        return {
            "start": round(began, 6),
            "finish": round(finish, 6),
            "duration": finish - began,
            "processing": (finish - began) / 2,
            "date_start": moment.fromtimestamp(began, zone).isoformat(timespec="seconds"),
            "date_finish": moment.fromtimestamp(finish, zone).isoformat(timespec="seconds"),
            "operating_reset_at": self.operating.resets_at(method),
            "operating": php.number(used),
        }

    def answer(self, request: Request) -> Answer:
        match = PATH.fullmatch(request.path)
        method, given, began = self.plain(match["method"] if match else ""), php.parameters(request), self.now()
        try:
            if method == "batch":
                return batch.carried_out(self, request, given)
            outcome = self.call(method, given, request)
        except ApiError as error:
            return error.answer()
        ends: Record = {"next": outcome.next, "total": outcome.total, "time": self.time(began, method)}
        tail = encode({name: value for name, value in ends.items() if value is not None})
        return Answer(rows=outcome.rows, head=b'{"result":' + outcome.head, tail=outcome.tail + b"," + tail[1:])

    def call(self, name: str, given: Record, request: Request) -> Outcome:
        """One method, asked for alone or in a batch."""
        name = self.plain(name)
        method = METHODS.get(name)
        if method is None:
            raise errors.no_method()
        if method.scope and method.scope not in self._granted(request):
            raise errors.unscoped(int(self.switches["bitrix.scope_status"]))
        shop = method.scope in ("sale", "catalog")
        if shop and not self.company.may_read:
            raise errors.access_denied()
        if method.writes and not self.company.may_modify:
            raise errors.access_denied(errors.NO_MODIFY)
        if self.operating.blocked(name):
            more = {"time": self.time(self.now(), name)} if self.switches["bitrix.error_time"] == "yes" else {}
            raise errors.exhausted(429, **more)
        self.operating.spend(name, float(self.switches["bitrix.operating_cost"]))
        try:
            return method.handler(self, Call(name, given, request, self.switches))
        except RefusedError as error:
            raise errors.invalid(str(error)) from None

    def _granted(self, request: Request) -> set[str]:
        fault = request.faults.get("A11")
        if fault is None or "scope" not in fault.options:
            return self.company.scopes
        fault.strikes += 1
        return self.company.scopes - {str(fault.option("scope", ""))}

    def found(self, table: Table, asked: query.Asked) -> list[Key]:
        """What a list finds before its key's bounds and its page; remembered until the company changes."""
        company = self.company
        if self._found_revision != company.revision or len(self._found) > REMEMBERED:
            self._found.clear()
            self._found_revision = company.revision
        key = (table.kind.name, asked.conditions, asked.order)
        if key not in self._found:
            self._found[key] = query.found(table, asked)
        return self._found[key]

    # Truth and life.

    def entities(self) -> tuple[str, ...]:
        return truth.ENTITIES

    def truth(self, entity: str) -> list[bytes]:
        return truth.rows(self.company, entity)

    def live(self, rng: random.Random) -> None:
        life.step(self.company, rng)

    def touch(self, record: int, turn: int) -> Key:
        id = self.company.tables["orders"].ids[record]
        self.company.update_order(id, userDescription=f"Turn {turn}")
        return id

    def afflict(self, fault: str, options: Record | None = None) -> None:
        life.afflict(self.company, fault, options or {})

    def disturb(self, rows: list[bytes], insert: int, delete: int) -> None:
        life.disturb(self.company, self.last, _ids(rows), insert, delete)

    def edit(self, rows: list[bytes], count: int, which: str) -> None:
        life.edit(self.company, self.last, _ids(rows), count, which)


def _ids(rows: list[bytes]) -> list[Any]:
    records: list[Record] = [decode(row) for row in rows]
    return [record.get("id", record.get("ID")) for record in records]
