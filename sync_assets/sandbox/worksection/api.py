"""Worksection's HTTP dialect: one endpoint, an `action`, and HTTP 200 for nearly everything.

Promise: ids are strings, absent means none, errors are the documented codes, nothing is paged and 10,000
records are too many. The non-obvious decision: parameters are the query, overlaid with a JSON or form body,
because the vendor's own client posts JSON while its documentation hashes queries, and both must work
unmodified.
"""

import random
import threading
from typing import Any
from urllib.parse import parse_qsl

from msgspec import MsgspecError

from sync_assets.sandbox import words
from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import (
    JSON,
    Answer,
    Record,
    RefusedError,
    Request,
    Throttle,
    decode,
    encode,
    of_json,
)
from sync_assets.sandbox.founding import FoundedLate
from sync_assets.sandbox.limits import Limit
from sync_assets.sandbox.worksection import auth, seed
from sync_assets.sandbox.worksection.actions import ACTIONS
from sync_assets.sandbox.worksection.company import WorksectionCompany
from sync_assets.sandbox.worksection.failures import FailureError
from sync_assets.sandbox.worksection.views import Views
from sync_assets.sandbox.worksection.webhooks import WorksectionWebhooks

ADMIN, USER = "/api/admin/v2", "/api/oauth2"


class Worksection(FoundedLate[WorksectionCompany]):
    name = "worksection"

    def __init__(
        self, dice: random.Random, clock: Clock, lock: threading.RLock, switches: dict[str, str], size: str
    ) -> None:
        super().__init__(dice, clock, lock, switches, size)
        self._key = f"{dice.getrandbits(128):032x}"
        self._token = words.uid(dice)
        self.views = Views(self, child_tags=switches["worksection.child_tags"] == "yes")
        self.webhooks = WorksectionWebhooks(switches, clock, lock)
        self.vendors = (self.webhooks,)
        self._cache: dict[str, Answer] = {}
        self._cached_revision = -1

    def first_day(self) -> WorksectionCompany:
        offset = float(self.switches["worksection.utc_offset"])
        company = WorksectionCompany(self._dice, self.clock, self.lock, offset)
        seed.found(company, self._size)
        return company

    def credentials(self) -> dict[str, str]:
        return {"key": self._key, "access_token": self._token}

    def refuse(self, request: Request) -> Answer | None:
        path, parameters = request.path.rstrip("/"), self._parameters(request)
        if path == ADMIN:
            skew = float(self.switches["worksection.skew"])
            if auth.admin(request, parameters.get("action", ""), self._key, skew):
                return None
            return self.denied(401)
        if path == USER:
            if auth.user(request, parameters, self._token):
                return None
            return of_json({"error": "invalid_token", "errorDescription": "The access token is invalid"}, 401)
        return Answer(404, b"Not found", content_type="text/html")

    def limiter(self, rates: dict[str, float]) -> Limit:
        return Limit(rates[self.name])

    def denied(self, status: int, request: Request | None = None) -> Answer:
        if status == 401:
            return FailureError(2, "Action hash is missed or invalid").answer()
        return FailureError(20, "Access denied").answer()

    def missing(self) -> Answer:
        return FailureError(5, "Task is invalid").answer()

    def throttled(self, throttle: Throttle) -> Answer:
        answer = FailureError(0, "Too many requests").answer()
        if self.switches["worksection.throttle"] == "429":
            answer.status = 429
            answer.headers["retry-after"] = str(max(1, round(throttle.wait)))
        return answer

    def answer(self, request: Request) -> Answer:
        if self._cached_revision != self.company.revision:
            self._cache.clear()
            self._cached_revision = self.company.revision
        key = request.raw_query.partition("&hash=")[0] + "\n" + request.body.decode("utf-8", "replace")
        cacheable = not request.altered and "get_events" not in key and "webhook" not in key
        if not cacheable or key not in self._cache:
            revision = self.company.revision
            answer = self._act(request)
            if not cacheable or revision != self.company.revision:
                return answer
            answer.content()
            self._cache[key] = answer
        cached = self._cache[key]
        return Answer(cached.status, cached.body, cached.rows, cached.head, cached.tail)

    def _act(self, request: Request) -> Answer:
        parameters = self._parameters(request)
        action = ACTIONS.get(parameters.get("action", ""))
        if action is None:
            return FailureError(3, "Action is invalid").answer()
        try:
            data = action(self, parameters)
        except FailureError as failure:
            return failure.answer()
        except RefusedError as error:
            return FailureError(5, "Task is invalid", str(error)).answer()
        if isinstance(data, Answer):
            return data
        if data is None:
            return of_json({"status": "ok"})
        if isinstance(data, list):
            if _count(data) > int(self.switches["worksection.cap"]):
                return FailureError(0, "Too many tasks (10000 max)").answer()
            rows = request.kept([(row.get("id"), encode(row)) for row in data])
            return Answer(rows=rows, head=b'{"status":"ok","data":[', tail=b"]}")
        if "status" in data and "name" not in data:
            return of_json(data)
        return Answer(rows=[encode(data)], head=b'{"status":"ok","data":', tail=b"}")

    def _parameters(self, request: Request) -> dict[str, str]:
        parameters = dict(request.query)
        if request.body:
            if request.headers.get("content-type", "").startswith(JSON.partition(";")[0]):
                given = _object(request.body)
                parameters |= {k: v if isinstance(v, str) else encode(v).decode() for k, v in given.items()}
            else:
                parameters |= dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        return parameters

    # Truth and life.

    def entities(self) -> tuple[str, ...]:
        return ("projects", "users", "task_tags", "project_tags", "tasks", "stages", "objects", "sections")

    def truth(self, entity: str) -> list[bytes]:
        company, views = self.company, self.views
        match entity:
            case "projects":
                found = [views.project(id, set()) for id in company.projects]
            case "users":
                found = list(company.users.values())
            case "task_tags" | "project_tags":
                found = list(company.tags[entity.removesuffix("_tags")].values())
            case "tasks":
                found = views.all_tasks({"text", "subtasks", "archive"}, active=False)
            case "stages" | "objects" | "sections":
                found = company.hierarchy()[entity]
            case _:
                raise RefusedError(f"no Worksection entity {entity!r}; known: {', '.join(self.entities())}")
        return [encode(row) for row in found]

    def live(self, rng: random.Random) -> None:
        seed.step(self.company, rng)

    def touch(self, record: int, turn: int) -> str:
        id = list(self.company.tasks)[record]
        self.company.rename_task(id, f"Turn {turn}")
        return id

    def afflict(self, fault: str, options: Record | None = None) -> None:
        names = {
            "S3": ['x"; drop table tasks; --', "x" * 64 + "one", "x" * 64 + "two"],
            "S7": ["![x](http://trap.test/x.png)", "<script>alert(1)</script>"],
        }.get(fault, [])
        for name, task, project in zip(names, self.company.tasks, self.company.projects, strict=False):
            self.company.rename_task(task, name)
            self.company.rename_project(project, name)


def _object(body: bytes) -> Record:
    """A body that is no JSON object is no parameters: the vendor then misses the required ones."""
    try:
        return decode(body, type=dict[str, Any])
    except MsgspecError:
        return {}


def _count(rows: list[Record]) -> int:
    return sum(1 + _count(row.get("child", [])) for row in rows)
