"""Kaiten's HTTP dialect: what its clients see, and how it says no.

Promise: key sets, caps and refusals as seen live (a missing card is an empty 403, a larger limit is capped
without a word, unpaged lists ignore `limit`). The non-obvious decision: pages of cards are remembered by
their query until the company's revision moves, so a client that reads twice is served bytes, not work.
"""

import random
import re
import threading
import time
import uuid
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import MsgspecError

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import (
    Answer,
    Record,
    RefusedError,
    Request,
    Throttle,
    decode,
    encode,
    of_json,
    of_record,
    of_rows,
)
from sync_assets.sandbox.founding import FoundedLate
from sync_assets.sandbox.kaiten import life, queries, replay, seed, shapes
from sync_assets.sandbox.kaiten.company import ACTIVE, KaitenCompany
from sync_assets.sandbox.kaiten.routes import ROUTES
from sync_assets.sandbox.kaiten.webhooks import KaitenWebhooks
from sync_assets.sandbox.limits import Limit

PREFIX = re.compile(r"/api/(?:v1|latest)(/.*)")
PAGE = 100
CACHED_PAGES = 256


class Kaiten(FoundedLate[KaitenCompany]):
    name = "kaiten"

    def __init__(
        self,
        dice: random.Random,
        clock: Clock,
        lock: threading.RLock,
        switches: dict[str, str],
        size: str,
        cards: int | None,
        recorded: Path | None,
    ) -> None:
        super().__init__(dice, clock, lock, switches, size)
        self._token = str(uuid.UUID(int=dice.getrandbits(128), version=4))
        self._cards, self._recorded = cards, recorded
        self.webhooks = KaitenWebhooks(self, switches)
        self.vendors = (self.webhooks,)
        self._pages: dict[str, Answer] = {}
        self._paged_revision = -1
        if recorded is not None:
            # Read at once: a folder that cannot be replayed is refused where it was named.
            _ = self.company

    def first_day(self) -> KaitenCompany:
        company = KaitenCompany(self._dice, self.clock, self.lock, bare=self._recorded is not None)
        if self._recorded is not None:
            replay.load(company, self._recorded)
        else:
            seed.found(company, self._size, self._cards)
        return company

    def credentials(self) -> dict[str, str]:
        return {"token": self._token}

    def refuse(self, request: Request) -> Answer | None:
        given = request.headers.get("authorization", "")
        return None if given == f"Bearer {self._token}" else self.denied(401)

    def limiter(self, rates: dict[str, float]) -> Limit:
        return Limit(rates[self.name])

    def denied(self, status: int, request: Request | None = None) -> Answer:
        return Answer(status, b"Invalid token" if status == 401 else b"", content_type="text/html; charset=utf-8")

    def missing(self) -> Answer:
        return Answer(403, b"")

    def limit_headers(self, throttle: Throttle) -> dict[str, str]:
        seconds = self.switches["kaiten.reset"] == "seconds"
        reset = max(1, round(throttle.wait)) if seconds else int(time.time() + throttle.wait) + 1
        return {"x-ratelimit-remaining": str(throttle.remaining), "x-ratelimit-reset": str(reset)}

    def throttled(self, throttle: Throttle) -> Answer:
        body = b"" if self.switches["kaiten.throttle_body"] == "empty" else b'{"message":"Too many requests"}'
        return Answer(429, body, headers=self.limit_headers(throttle))

    def answer(self, request: Request) -> Answer:
        found = PREFIX.fullmatch(request.path)
        path = found[1].rstrip("/") if found else ""
        known = False
        for method, pattern, handler in ROUTES:
            if (match := pattern.fullmatch(path)) is None:
                continue
            known = True
            if method == request.method:
                try:
                    return handler(self, request, **{k: int(v) for k, v in match.groupdict().items()})
                except RefusedError as error:
                    return of_json({"message": str(error)}, 404)
                except (ValueError, TypeError, KeyError, MsgspecError) as error:
                    return of_json({"message": f"Invalid value: {error}"}, 400)
        return of_json({"message": "Method not allowed" if known else "Not found"}, 405 if known else 404)

    def written(self, row: bytes | Record) -> Answer:
        if self.switches["kaiten.writes"] == "empty":
            return Answer(200, b"")
        return of_record(row if isinstance(row, bytes) else encode(row))

    # What a record looks like when it is read.

    def row(self, entity: str, record: Record, *, single: bool = False) -> bytes:
        if entity == "boards":
            return encode(self._board(record, single=single))
        if entity == "spaces" and not self.company.bare:
            boards = self.company.tables["boards"].values()
            stubs = [shapes.only(b, ("id", "uid", "title")) for b in boards if b["space_id"] == record["id"]]
            return encode(record | {"boards": stubs})
        if entity == "columns":
            return encode(self._column(record))
        return encode(record)

    def _board(self, record: Record, *, single: bool) -> Record:
        tables, own = self.company.tables, record["id"]
        columns = (c for c in tables["columns"].values() if c["board_id"] == own and not c.get("column_id"))
        lanes = (x for x in tables["lanes"].values() if x["board_id"] == own and x.get("condition", 1) == ACTIVE)
        shown = record | {"columns": [self._column(c) for c in columns], "lanes": list(lanes)}
        if single:
            here = (c for c in self.company.cards.values() if c.board_id == own and c.condition == ACTIVE)
            shown["cards"] = [decode(self.company.shelf.row(card)) for card in here]
            # Seen live: the answer by id does not say where the board is.
            for name in ("space_id", "top", "left", "sort_order", "type"):
                shown.pop(name, None)
        return shown

    def _column(self, record: Record) -> Record:
        if self.company.bare:
            return record
        inner = (c for c in self.company.tables["columns"].values() if c["column_id"] == record["id"])
        return record | {"subcolumns": [self._column(c) for c in inner]}

    # Reads.

    def listed(self, request: Request, entity: str, *, paged: bool = False, **where: Any) -> Answer:
        table = self.company.tables[entity]
        found = [r for r in table.values() if all(r.get(k) == v for k, v in where.items())]
        if ids := request.query.get("ids"):
            wanted = {int(id) for id in ids.split(",")}
            found = [r for r in found if r["id"] in wanted]
        if text := request.query.get("query", "").lower():
            found = [r for r in found if text in str(r.get("name") or r.get("full_name") or "").lower()]
        if request.keep is not None:
            found = [r for r in found if request.keep(r["id"])]
        if paged:
            limit, offset = _window(request)
            found = found[offset : offset + limit]
        return of_rows([self.row(entity, r) for r in found])

    def one(self, entity: str, id: int) -> Answer:
        record = self.company.tables[entity].get(id)
        return of_record(self.row(entity, record, single=True)) if record else of_json({"message": "Not found"}, 404)

    def card(self, _request: Request, id: int) -> Answer:
        card = self.company.cards.get(id)
        if card is None:
            return self.missing() if self.switches["kaiten.missing_card"] == "403" else self.one("spaces", -1)
        return of_record(self.company.shelf.full(card))

    def card_list(self, request: Request) -> Answer:
        if request.altered:
            return of_rows(self._card_rows(request))
        if self._paged_revision != self.company.revision or len(self._pages) > CACHED_PAGES:
            self._pages.clear()
            self._paged_revision = self.company.revision
        key = request.raw_query
        if key not in self._pages:
            rows = self._card_rows(request)
            self._pages[key] = Answer(rows=rows, body=b"[" + b",".join(rows) + b"]")
        cached = self._pages[key]
        return Answer(rows=cached.rows, body=cached.body)

    def _card_rows(self, request: Request) -> list[bytes]:
        query, shelf = request.query, self.company.shelf
        found = shelf.find(query, queries.wanted(query, self.company), queries.order(query))
        if request.keep is not None:
            found = [card for card in found if request.keep(card.id)]
        limit, offset = _window(request)
        page = found[offset : offset + limit]
        if query.get("relations") == "none":
            return [card.flat for card in page]
        described = "description" in query.get("additional_card_fields", "")
        return [shelf.row(card, description=described) for card in page]

    def card_part(self, _request: Request, id: int, part: str) -> Answer:
        card = self.company.cards.get(id)
        if card is None:
            return self.missing()
        if part == "children":
            children = card.fields().get("children_ids") or ()
            cards = self.company.cards
            return of_rows([self.company.shelf.row(cards[c]) for c in children if c in cards])
        return of_rows([encode(row) for row in decode(self.company.shelf.full(card)).get(part) or ()])

    # Truth and life.

    def entities(self) -> tuple[str, ...]:
        return (*self.company.tables, "cards")

    def truth(self, entity: str) -> list[bytes]:
        if entity == "cards":
            shelf = self.company.shelf
            return [shelf.row(card, description=True) for card in self.company.cards.values()]
        table = self.company.table(entity)
        if entity == "columns":
            return [encode(record) for record in table.values()]
        return [self.row(entity, record) for record in table.values()]

    def live(self, rng: random.Random) -> None:
        if not self.company.bare:
            life.step(self.company, rng)

    def touch(self, record: int, turn: int) -> int:
        tables = self.company.tables
        of_living = {
            id for id, board in tables["boards"].items() if not tables["spaces"][board["space_id"]]["archived"]
        }
        id = next(islice((id for id, card in self.company.cards.items() if card.board_id in of_living), record, None))
        self.company.update_card(id, title=f"Turn {turn}")
        return id

    def afflict(self, fault: str, options: Record | None = None) -> None:
        life.afflict(self.company, fault)

    def disturb(self, rows: list[bytes], insert: int, delete: int) -> None:
        for row in rows[:delete]:
            id = decode(row).get("id")
            if id in self.company.cards:
                self.company.delete_card(id)
        for _ in range(insert):
            self.company.create_card(title="Appeared between two pages")


def _window(request: Request) -> tuple[int, int]:
    return min(int(request.query.get("limit") or PAGE), PAGE), int(request.query.get("offset") or 0)
