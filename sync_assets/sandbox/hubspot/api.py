"""HubSpot's HTTP dialect: what its clients see, and how it says no.

Promise: envelopes, headers, caps and refusals as recorded or documented. The non-obvious decision: the portal is
founded when somebody first looks at it, so a sandbox that only serves other systems pays nothing for its 38,000
records.
"""

import gzip
import random
import threading
import uuid
from typing import Any

from msgspec import MsgspecError

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Answer, Record, RefusedError, Request, Throttle, decode, encode
from sync_assets.sandbox.founding import FoundedLate
from sync_assets.sandbox.hubspot import errors, life, search, seed, truth
from sync_assets.sandbox.hubspot.company import HubSpotCompany, UnknownPropertyError
from sync_assets.sandbox.hubspot.errors import JSON, ApiError
from sync_assets.sandbox.hubspot.limits import Budgets, Usage
from sync_assets.sandbox.hubspot.names import KINDS, Kind, kind_of, millis
from sync_assets.sandbox.hubspot.routes import ROUTES, Route
from sync_assets.sandbox.hubspot.shelf import Thing
from sync_assets.sandbox.hubspot.webhooks import HubSpotWebhooks

WORTH_ZIPPING = 1000
REMEMBERED = 400


class HubSpot(FoundedLate[HubSpotCompany]):
    name = "hubspot"

    def __init__(
        self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str], size: str
    ) -> None:
        super().__init__(dice, clock, lock, switches, size)
        self._token = f"pat-eu1-{uuid.UUID(int=dice.getrandbits(128), version=4)}"
        self.usage = Usage(clock, int(switches["hubspot.daily"]))
        self.vendors = (HubSpotWebhooks(self, switches),)
        self._found: dict[bytes, list[Thing]] = {}
        self._zipped: dict[int, bytes] = {}
        self._found_revision = -1
        self._last_kind = "contacts"

    def first_day(self) -> HubSpotCompany:
        company = HubSpotCompany(self._dice, self.clock, self.lock, self.switches)
        seed.found(company, self._size)
        return company

    def credentials(self) -> dict[str, str]:
        return {"token": self._token}

    def limiter(self, rates: dict[str, float]) -> Budgets:
        return Budgets(rates, float(self.switches["hubspot.interval_ms"]) / 1000, self.usage)

    # Refusals.

    def refuse(self, request: Request) -> Answer | None:
        if len(request.target) > int(self.switches["hubspot.url_bytes"]):
            return errors.too_long()
        given = request.headers.get("authorization", "")
        return None if given == f"Bearer {self._token}" else errors.unauthenticated()

    def denied(self, status: int, request: Request | None = None) -> Answer:
        if status == 401 or request is None:
            return errors.unauthenticated()
        for route in ROUTES:
            if (match := route.pattern.fullmatch(request.path.rstrip("/"))) and route.method == request.method:
                return errors.unscoped(_scopes(route, match.groupdict()) or ["oauth"]).answer()
        return errors.unscoped(["oauth"]).answer()

    def missing(self) -> Answer:
        return errors.not_found("0").answer()

    def throttled(self, throttle: Throttle) -> Answer:
        policy = throttle.policy or "burst"
        if policy == "search" and self.switches["hubspot.search_429"] == "policy":
            policy = "secondly"
        answer = errors.throttled("burst" if policy == "associations" else policy)
        answer.headers |= self._daily()
        return answer

    def disguised(self, variant: str, retry_after: Any) -> Answer:
        """A2: how this vendor asks to wait without looking like it."""
        if variant == "locked":
            return errors.locked()
        if variant == "migration":
            return errors.migrating(retry_after)
        answer = errors.throttled(variant)
        answer.headers |= self._daily()
        return answer

    def limit_headers(self, throttle: Throttle) -> dict[str, str]:
        """Searches carry no burst headers; nothing that is not enforced is a limit, though its headers still come."""
        headers = self._daily()
        if throttle.policy != "search" and throttle.limit > 0:
            headers |= {
                "x-hubspot-ratelimit-interval-milliseconds": self.switches["hubspot.interval_ms"],
                "x-hubspot-ratelimit-max": str(throttle.limit),
                "x-hubspot-ratelimit-remaining": str(throttle.remaining),
                "x-hubspot-ratelimit-secondly": str(max(1, throttle.limit // 10)),
                "x-hubspot-ratelimit-secondly-remaining": str(max(0, throttle.limit // 10 - 1)),
            }
        return headers

    def _daily(self) -> dict[str, str]:
        if self.usage.most <= 0:
            return {}
        return {
            "x-hubspot-ratelimit-daily": str(self.usage.most),
            "x-hubspot-ratelimit-daily-remaining": str(self.usage.remaining),
        }

    def finish(self, request: Request, answer: Answer) -> None:
        """Every answer of HubSpot's own bears a correlation id; gzip goes to whoever accepts it."""
        headers = answer.headers
        if answer.status != 414:
            headers.setdefault("x-hubspot-correlation-id", str(uuid.uuid4()))
        wanted = "gzip" in request.headers.get("accept-encoding", "") and self.switches["hubspot.gzip"] == "yes"
        body = answer.content()
        if wanted and len(body) > WORTH_ZIPPING and "content-encoding" not in headers:
            headers["content-encoding"] = "gzip"
            answer.body = self._zip(body)

    def _zip(self, body: bytes) -> bytes:
        """Remembered by content, so that whoever reads a page twice pays for packing it once."""
        key = hash(body)
        if key not in self._zipped:
            if len(self._zipped) > REMEMBERED:
                self._zipped.clear()
            self._zipped[key] = gzip.compress(body, 1, mtime=0)
        return self._zipped[key]

    # Reads and writes.

    def answer(self, request: Request) -> Answer:
        path = request.path.rstrip("/")
        try:
            for route in ROUTES:
                if route.method == request.method and (match := route.pattern.fullmatch(path)) is not None:
                    return self._carry_out(route, request, match.groupdict())
            known = any(route.pattern.fullmatch(path) for route in ROUTES)
            raise ApiError(405 if known else 404, "HTTP 405 Method Not Allowed" if known else "resource not found")
        except ApiError as error:
            return error.answer()
        except UnknownPropertyError as error:
            return errors.unknown_property(str(error)).answer()
        except RefusedError as error:
            if "already exists" in str(error):
                return errors.refusal(409, str(error), "CONFLICT")
            return errors.refusal(404 if str(error).startswith("no ") else 400, str(error), "OBJECT_NOT_FOUND")
        except (ValueError, TypeError, KeyError, AttributeError, MsgspecError) as error:
            return errors.refusal(400, f"Invalid input JSON: {error}", "VALIDATION_ERROR")

    def _carry_out(self, route: Route, request: Request, named: dict[str, Any]) -> Answer:
        if "version" in named and named["version"] is None:
            named["version"] = "v4"
        for name in ("kind", "to"):
            if name in named:
                kind = kind_of(named[name])
                if kind is None:
                    raise ApiError(400, f"Unable to infer object type from: {named[name]}")
                named[name] = kind
        lacking = [scope for scope in _scopes(route, named) if scope not in self._granted(request)]
        if lacking:
            raise errors.unscoped(lacking)
        if isinstance(named.get("kind"), Kind):
            self._last_kind = named["kind"].name
        answer = route.handler(self, request, **named)
        answer.content_type = JSON
        return answer

    def _granted(self, request: Request) -> set[str]:
        fault = request.faults.get("A11")
        if fault is None:
            return self.company.scopes
        fault.strikes += 1
        return self.company.scopes - {str(fault.option("scope", ""))}

    def hits(self, request: Request, kind: Kind, body: Record, lag: float) -> list[Thing]:
        """What a search finds before it is paged; remembered until the company changes."""
        company, shelf = self.company, self.company.shelves[kind.name]
        things = shelf.living
        if lag > 0:
            things = shelf.as_of(millis(company.clock.peek()) - int(lag * 1000))
        asked = {name: body.get(name) for name in ("filterGroups", "filters", "sorts", "query")}
        key = kind.name.encode() + encode(asked)
        if self._found_revision != company.revision:
            self._found.clear()
            self._found_revision = company.revision
        if things is shelf.living and key in self._found:
            return self._found[key]
        found = search.found(shelf, things.values(), company.definitions[kind.name], company.links, body)
        if things is shelf.living:
            self._found[key] = found
        return found

    # Truth and life.

    def entities(self) -> tuple[str, ...]:
        others = ("owners", "pipelines", "stages", "property_definitions", "associations")
        return (*KINDS, *others, "archived", "merged", "erased", "callers")

    def truth(self, entity: str) -> list[bytes]:
        return truth.rows(self.company, entity)

    def live(self, rng: random.Random) -> None:
        life.step(self.company, rng)

    def touch(self, record: int, turn: int) -> int:
        id = self.company.shelves["contacts"].ids[record]
        self.company.update("contacts", id, firstname=f"Turn {turn}")
        return id

    def afflict(self, fault: str, options: Record | None = None) -> None:
        life.afflict(self.company, fault, options or {})

    def disturb(self, rows: list[bytes], insert: int, delete: int) -> None:
        life.disturb(self.company, self._last_kind, _ids(rows), insert, delete)

    def edit(self, rows: list[bytes], count: int, which: str) -> None:
        life.edit(self.company, self._last_kind, _ids(rows), count, which)


def _ids(rows: list[bytes]) -> list[int]:
    return [int(decode(row)["id"]) for row in rows]


def _scopes(route: Route, named: dict[str, Any]) -> list[str]:
    """The scopes that a route takes for these kinds."""
    if route.right not in ("read", "write"):
        return [route.right]
    kinds = (named[name] for name in ("kind", "to") if name in named)
    known = (kind if isinstance(kind, Kind) else kind_of(kind) for kind in kinds)
    return list(dict.fromkeys(f"{kind.scope}.{route.right}" for kind in known if kind is not None))
