"""What Bitrix is asked for: up to fifty commands in one request, each a method with a query.

Bitrix drops a filter whose name it does not know and answers with the whole table. So a name that is not spelled its
way never leaves, and what comes back is looked at by the reads.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from sync_assets.errors import RetryLater, SyncError, WrongShape
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer, Pause
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import MALFORMED
from sync_assets.systems.bitrix.api import Batch, Nexts, Refusal, Refusals, refused

PAGE = 50
COMMANDS = 50

OPERATORS = re.compile(r"^(?:>=|<=|[><@!])?")
SPELLED = re.compile(r"[a-z][a-z0-9]*(?:[A-Z][a-z0-9]+)*[A-Z]?")


def query(
    filter: Mapping[str, object] | None = None,
    order: str = "",
    select: Sequence[str] = (),
    **more: str | int,
) -> dict[str, str | int]:
    """The parameters of a list. Raises ValueError for a name that Bitrix would drop without a word."""
    for name in (*(filter or {}), *select, *([order] if order else [])):
        if name != "*" and not SPELLED.fullmatch(OPERATORS.sub("", name)):
            raise ValueError(f"{name!r} is no camelCase: Bitrix would drop it and answer with the whole table")
    return {
        **{f"filter[{name}]": str(value) for name, value in (filter or {}).items()},
        **({f"order[{order}]": "asc"} if order else {}),
        **{f"select[{n}]": name for n, name in enumerate(select)},
        **more,
    }


@dataclass(frozen=True)
class Command:
    method: str
    query: Mapping[str, str | int]

    def __str__(self) -> str:
        return f"{self.method}?{urlencode(self.query)}"


@dataclass(frozen=True)
class Refused:
    """What the source said of a command, and what that means."""

    refusal: Refusal
    error: SyncError
    seen: int

    @property
    def passes(self) -> bool:
        return isinstance(self.error, RetryLater | Pause)


class Results:
    """What the commands of one batch gave, by their position."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        try:
            found = msgspec.json.decode(answer.body, type=Batch).result
            self._results: dict[str, Any] = _map(found.result)
            self._errors: dict[str, Refusal] = _map(found.result_error)
            self._nexts: dict[str, int] = _map(found.result_next)
        except msgspec.ValidationError as e:
            raise WrongShape(f"the answer is no batch's: {e}") from None
        except MALFORMED:
            self._by_tokens(answer.body)

    def more(self, position: int) -> bool:
        """Whether rows follow those of a list that was counted."""
        return f"c{position}" in self._nexts

    def answer(self, position: int) -> Answer:
        """A command's result as if it had been asked for alone. Raises WrongShape where there is none."""
        if (found := self._results.get(f"c{position}")) is None:
            raise WrongShape(f"the batch has neither a result nor an error for its command {position}")
        return Answer(200, self._answer.headers, bytes(found), self._answer.seen, self._answer.path)

    def refused(self, position: int) -> SyncError | None:
        refusal = self._errors.get(f"c{position}")
        return refused(refusal, self._answer) if refusal else None

    def outcome(self, position: int) -> Answer | Refused:
        refusal = self._errors.get(f"c{position}")
        if refusal is None:
            return self.answer(position)
        return Refused(refusal, refused(refusal, self._answer), self._answer.seen)

    def _by_tokens(self, body: bytes) -> None:
        """For a batch in which a record is damaged so that no parser takes it."""
        inner = dict(scan.fields(dict(scan.fields(body)).get("result", b"")))
        self._results = dict(scan.fields(inner.get("result", b"")))
        try:
            self._errors = _map(msgspec.json.decode(inner.get("result_error", b"[]"), type=Refusals))
            self._nexts = _map(msgspec.json.decode(inner.get("result_next", b"[]"), type=Nexts))
        except msgspec.DecodeError as e:
            raise WrongShape(f"the answer is no batch's: {e}") from None


class Answered(Results):
    """What was answered earlier, each command by a batch of its own perhaps."""

    def __init__(self, places: Sequence[tuple[Results, int]]) -> None:
        self._places = places

    def more(self, position: int) -> bool:
        results, there = self._places[position]
        return results.more(there)

    def answer(self, position: int) -> Answer:
        results, there = self._places[position]
        return results.answer(there)

    def refused(self, position: int) -> SyncError | None:
        results, there = self._places[position]
        return results.refused(there)

    def outcome(self, position: int) -> Answer | Refused:
        results, there = self._places[position]
        return results.outcome(there)


def carried_out(fetch: Fetch, commands: Sequence[Command], stop: threading.Event | None = None) -> Results:
    """One request with up to fifty commands, of which one that fails stops no other; none if all were asked ahead."""
    if places := fetch.along.taken([str(command) for command in commands]):
        return Answered(places)
    body = {"halt": 0, "cmd": {f"c{n}": str(command) for n, command in enumerate(commands)}}
    path = f"batch/{commands[0].method}"
    return Results(fetch.ask(path, {}, stop or threading.Event(), body=msgspec.json.encode(body)))


def what_each_gave(fetch: Fetch, commands: Sequence[Command], ahead: Sequence[Command] = ()) -> list[Answer | Refused]:
    """The results of one batch; a command that failed for a reason that may pass is tried once more, alone.

    Those `ahead` are in the same batch, for whoever carries them out next.
    Raises what a command failed for the second time.
    """
    found = carried_out(fetch, [*commands, *ahead])
    fetch.along.answers |= {str(command): (found, n) for n, command in enumerate(ahead, len(commands))}
    outcomes = []
    for n, command in enumerate(commands):
        outcome = found.outcome(n)
        if isinstance(outcome, Refused) and outcome.passes:
            outcome = carried_out(fetch, [command]).outcome(0)
            if isinstance(outcome, Refused) and outcome.passes:
                raise outcome.error
        outcomes.append(outcome)
    return outcomes


def _map(found: Any) -> dict[str, Any]:
    """PHP writes an empty map as a list."""
    return found if isinstance(found, dict) else {}
