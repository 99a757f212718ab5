"""Kommo's HTTP dialect: what its clients see, and how it says no.

Promise: envelopes, thin writes, an empty 204 for nothing, refusals that are JSON only when the application itself
refuses. The non-obvious decision: the account is founded when somebody first looks at it, while its tokens exist from
the start, so that a sandbox can say where everything is and pay nothing for what nobody reads.
"""

import random
import re
import threading
import uuid
from typing import Any

from msgspec import MsgspecError

from sync_assets.sandbox.clock import FOUNDED, Clock
from sync_assets.sandbox.dialect import Answer, Record, RefusedError, Request, Throttle, decode
from sync_assets.sandbox.founding import FoundedLate
from sync_assets.sandbox.kommo import errors, life, queries, seed, truth
from sync_assets.sandbox.kommo.auth import ADMIN, Auth
from sync_assets.sandbox.kommo.company import KommoCompany
from sync_assets.sandbox.kommo.errors import HAL, ApiError
from sync_assets.sandbox.kommo.limits import Guard
from sync_assets.sandbox.kommo.routes import ROUTES
from sync_assets.sandbox.kommo.shapes import ACCOUNT_ID, KINDS, SUBDOMAIN, Thing, self_link
from sync_assets.sandbox.kommo.webhooks import KommoWebhooks
from sync_assets.sandbox.kommo.writes import TooLarge

PREFIX = re.compile(r"/api/v4(/.*)")


class Kommo(FoundedLate[KommoCompany]):
    name = "kommo"

    def __init__(
        self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str], size: str
    ) -> None:
        super().__init__(dice, clock, lock, switches, size)
        # Dice of its own: a token drawn before the account is founded must not make it another company.
        self.auth = Auth(random.Random(dice.getrandbits(64)), clock, switches)
        self.webhooks = KommoWebhooks(self, switches)
        self.vendors = (self.webhooks,)
        self.guard = self._guard(0.0)
        self._found: dict[tuple[str, str], list[Thing]] = {}
        self._ordered: dict[tuple[str, tuple[tuple[str, bool], ...], bool], list[Thing]] = {}
        self._found_revision = -1
        self._last_kind = "leads"

    def first_day(self) -> KommoCompany:
        company = KommoCompany(self._dice, self.clock, self.lock, self.switches)
        seed.found(company, self._size)
        return company

    def credentials(self) -> dict[str, str]:
        return self.auth.credentials()

    def limiter(self, rates: dict[str, float]) -> Guard:
        self.guard = self._guard(rates[self.name])
        return self.guard

    def _guard(self, rate: float) -> Guard:
        most, seconds = int(self.switches["kommo.block_after"]), float(self.switches["kommo.block_seconds"])
        return Guard(rate, self.clock, most, seconds)

    # Refusals.

    def refuse(self, request: Request) -> Answer | None:
        return self.auth.refuse(request)

    def denied(self, status: int, request: Request | None = None) -> Answer:
        return ApiError(401, "Unauthorized").answer() if status == 401 else errors.unscoped().answer()

    def missing(self) -> Answer:
        if self.switches["kommo.missing"] == "404":
            return ApiError(404, "Entity not found").answer()
        return Answer(204, b"", content_type=HAL)

    def throttled(self, throttle: Throttle) -> Answer:
        if throttle.policy == "blocked":
            return errors.page(403)
        answer = errors.throttled(self.switches["kommo.throttle_body"])
        if self.switches["kommo.retry_after"] == "yes":
            answer.headers["retry-after"] = str(max(1, round(throttle.wait)))
        return answer

    def disguised(self, variant: str, retry_after: Any) -> Answer:
        """A2: a 429 that is no JSON and counts as a breach, and the locked door that comes after too many."""
        if variant == "burst":
            self.guard.breach()
        elif variant != "blocked":
            return super().disguised(variant, retry_after)
        blocked = variant == "blocked" or self.guard.blocked
        return self.throttled(Throttle(False, 0, 1.0, "blocked" if blocked else ""))

    def finish(self, request: Request, answer: Answer) -> None:
        """What the application itself answered bears an id; nginx's pages do not."""
        if answer.content_type in (HAL, errors.PROBLEM):
            answer.headers.setdefault("x-request-id", str(uuid.uuid4()))

    # Reads and writes.

    def answer(self, request: Request) -> Answer:
        path = request.path.rstrip("/")
        match request.method, path:
            case "POST", "/oauth2/access_token":
                return self.auth.exchange(request)
            case "GET", "/oauth":
                return self.auth.consent(request)
            case "GET", "/oauth2/account/subdomain" | "/oauth2/account/current/subdomain":
                return self.auth.subdomain(request)
        try:
            return self._route(request, path)
        except ApiError as error:
            return error.answer()
        except TooLarge:
            return errors.page(504)
        except (RefusedError, ValueError, TypeError, KeyError, AttributeError, MsgspecError) as error:
            return ApiError(400, str(error)).answer()

    def _route(self, request: Request, path: str) -> Answer:
        if (found := PREFIX.fullmatch(path)) is None:
            return errors.page(404)
        routes = [(m, match, handler) for m, p, handler in ROUTES if (match := p.fullmatch(found[1])) is not None]
        if not routes:
            raise ApiError(404, "Page not found.")
        resource = found[1].split("/")[1]
        if resource in self._refused(request):
            raise errors.unscoped()
        for method, match, handler in routes:
            if method == request.method:
                named = match.groupdict()
                self._last_kind = named.get("kind", "leads" if resource not in KINDS else resource)
                return handler(self, request, **named)
        raise ApiError(405, f"{request.method} is not allowed here")

    def _refused(self, request: Request) -> set[str]:
        fault = request.faults.get("A11")
        if fault is None:
            return self.company.refused
        fault.strikes += 1
        return self.company.refused | {str(fault.option("scope", ""))}

    def found(self, request: Request, kind: str, query: queries.Query) -> list[Thing]:
        """What a list finds before it is paged; remembered until the company changes."""
        company, lag = self.company, request.faults.get("P8")
        if self._found_revision != company.revision:
            self._found.clear()
            self._ordered.clear()
            self._found_revision = company.revision
        key = (kind, queries.without_page(request.raw_query))
        if lag is None and key in self._found:
            return self._found[key]
        things = company.journal.events if kind == "events" else company.living[kind]
        if lag is not None and kind != "events":
            lag.strikes += 1
            past = self.clock.peek().timestamp() - float(lag.option("lag", 60))
            things = company.as_of(kind, int(past * 1000))
        if kind == "leads" and "only_deleted" in query.asked:
            things = company.binned[kind]
        if lag is not None:
            return queries.found(
                kind, query, queries.ordered(kind, query, list(things.values()), self.switches), self.switches
            )
        order = (kind, query.order, "only_deleted" in query.asked)
        if order not in self._ordered:
            self._ordered[order] = queries.ordered(kind, query, list(things.values()), self.switches)
        self._found[key] = queries.found(kind, query, self._ordered[order], self.switches)
        return self._found[key]

    def account(self, asked: frozenset[str]) -> Record:
        company, born = self.company, int(FOUNDED.timestamp()) - 2 * int(seed.HISTORY)
        types = ((1, "Связаться", "FOLLOW_UP"), (2, "Встреча", "MEETING"), (31_415, "Замер", None))
        named = ("id", "name", "color", "icon_id", "code")
        inside: Record = {
            "amojo_rights": {"can_direct": True, "can_create_groups": True},
            "users_groups": [{"id": 0, "name": "Отдел продаж", "uuid": None}]
            + [group | {"uuid": None} for group in company.groups.values()],
            "task_types": [dict(zip(named, (id, name, None, None, code), strict=True)) for id, name, code in types],
            "datetime_settings": {
                "date_pattern": "d.m.Y H:i", "short_date_pattern": "d.m.Y", "short_time_pattern": "H:i",
                "date_formant": "d.m.Y", "time_format": "H:i:s", "timezone": "Europe/Moscow",
                "timezone_offset": "+03:00",
            },
        }  # fmt: skip
        own = {
            "id": ACCOUNT_ID, "name": "Стройка", "subdomain": SUBDOMAIN, "created_at": born, "created_by": ADMIN,
            "updated_at": born, "updated_by": ADMIN, "current_user_id": ADMIN, "country": "RU",
            "customers_mode": "unavailable", "is_unsorted_on": True, "is_loss_reason_enabled": True,
            "is_helpbot_enabled": False, "is_technical_account": False, "contact_name_display_order": 1,
        }  # fmt: skip
        extra = {"amojo_id": str(uuid.UUID(int=ACCOUNT_ID)), "uuid": str(uuid.UUID(int=ADMIN)), "version": 11}
        own |= {name: value for name, value in extra.items() if name in asked} | {"_links": self_link("account")}
        parts = {name: value for name, value in inside.items() if name in asked}
        return own | ({"_embedded": parts} if parts else {})

    # Truth and life.

    def entities(self) -> tuple[str, ...]:
        return (*KINDS, "events", *truth.SMALL, "links", *truth.LEFT)

    def truth(self, entity: str) -> list[bytes]:
        return truth.rows(self.company, entity)

    def live(self, rng: random.Random) -> None:
        life.step(self.company, rng)

    def touch(self, record: int, turn: int) -> int:
        id = list(self.company.living["leads"])[record]
        self.company.update("leads", id, price=turn)
        return id

    def afflict(self, fault: str, options: Record | None = None) -> None:
        given = options or {}
        if fault != "A10":
            life.afflict(self.company, fault, given)
        elif given.get("variant") == "revoked":
            self.auth.uninstall()
        else:
            self.auth.expire(int(given.get("uses", 0)))

    def disturb(self, rows: list[bytes], insert: int, delete: int) -> None:
        life.disturb(self.company, self._last_kind, _ids(rows), insert, delete)

    def edit(self, rows: list[bytes], count: int, which: str) -> None:
        life.edit(self.company, self._last_kind, _ids(rows), count, which)


def _ids(rows: list[bytes]) -> list[int]:
    """Of events none: nothing can happen to them."""
    return [id for id in (decode(row).get("id") for row in rows) if isinstance(id, int)]
