"""Lists that are short: page after page, each beginning where the one before it said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from sync_assets.entity import Own
from sync_assets.errors import PageLoop
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import Fetch, met_before
from sync_assets.extract.pages import MALFORMED, Page
from sync_assets.systems.bitrix.keyset import Filter, obeyed


class _Ends(msgspec.Struct):
    next: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class Numbered(Own):
    filter: Filter = field(default_factory=dict)  # what each row must be, for the first row to be held against

    def pages(self, fetch: Fetch, start: dict[str, Any]) -> Iterator[Page]:
        """Raises PageLoop where a page comes again."""
        met: dict[int, int] = {}
        at = shown = 0
        while True:
            answer = self.cleaned(fetch.ask(self.path, {**self.params, "start": at}, threading.Event()))
            page = fetch.splitter.page(f"{self.path}, row {at}", self, answer)
            if page.records:
                obeyed(page, self.filter)
            if len(page.keys) > 1 and met_before(met, page, at) is not None:
                raise PageLoop(f"the page at row {at} came before", page=page.name)
            shown += len(page.records)
            ends = _ends(answer.body)
            yield page
            if ends.next is None:
                if ends.total is not None:
                    fetch.claims.append((ends.total, shown))
                return
            if ends.next <= at:
                raise PageLoop(f"row {at} leads back to row {ends.next}", page=page.name)
            at = ends.next

    def cleaned(self, answer: Answer) -> Answer:
        """The answer without what must not be kept."""
        return answer


@dataclass(frozen=True)
class People(Numbered):
    """Users, of whom only the parts named in `ALLOWED` ever go further than this."""

    def cleaned(self, answer: Answer) -> Answer:
        return replace(answer, body=allowed(answer.body))


ALLOWED = frozenset(
    (
        *("ID", "XML_ID", "ACTIVE", "NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "DATE_REGISTER", "TIME_ZONE"),
        *("PERSONAL_MOBILE", "PERSONAL_CITY", "WORK_PHONE", "WORK_POSITION"),
        *("UF_DEPARTMENT", "UF_EMPLOYMENT_DATE", "USER_TYPE"),
    )
)
"""A user's row may hold a password's hash and a checkword: what is not named here is not read."""


def allowed(body: bytes) -> bytes:
    """An answer of user.get, of whose rows only the allowed parts are left. Damaged rows keep the damage of those.

    Raises WrongShape where the rows are not where the API has them: by the reader that splits what is left.
    """
    try:
        rows = scan.elements(body, "result")
    except ValueError:
        # No rows, no people: whatever else came goes no further either.
        return b'{"result":null}'
    kept = b",".join(scan.only(row, ALLOWED) for row in rows)
    ends = _ends(body)
    return b'{"result":[%s],%s' % (kept, msgspec.json.encode({"next": ends.next, "total": ends.total})[1:])


def _ends(body: bytes) -> _Ends:
    try:
        return msgspec.json.decode(body, type=_Ends)
    except MALFORMED:
        told = {name: scan.field(body, name) for name in ("next", "total")}
        return _Ends(**{name: int(value) for name, value in told.items() if value and value.isdigit()})
