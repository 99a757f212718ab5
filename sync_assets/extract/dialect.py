"""What the frame asks of a system's dialect, and what an HTTP status means everywhere."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from sync_assets.entity import Params
from sync_assets.errors import BadCredentials, Forbidden, NotFound, SourceUnavailable, SyncError, WrongShape

if TYPE_CHECKING:
    from sync_assets.extract.oauth import OAuth


@dataclass(frozen=True)
class Outgoing:
    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None = None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # by names in lower case
    body: bytes
    seen: int = 0
    path: str = ""  # what was asked for

    @property
    def date(self) -> datetime | None:
        """The source's own clock, from the Date header; whole seconds."""
        try:
            return email.utils.parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None


class Api(Protocol):
    """A system's dialect: how to ask, and what its answers mean."""

    at: str
    """The field of the answer that holds the records; "" where the answer is the list itself."""

    empty: bytes | None = None
    """What an answer 204 without a body stands for; None where it is no answer."""

    oauth: OAuth | None = None
    """How access tokens are renewed; None where one token is all there is, and `outgoing` signs with it."""

    def outgoing(self, path: str, params: Params) -> Outgoing: ...

    def bucket(self, path: str) -> str: ...

    def part(self, path: str) -> str | None:
        """What the source may make wait by itself within a bucket: a method, for instance."""
        return None

    def check(self, answer: Answer) -> None:
        """Raises what a refusal means; Pause for "wait and ask again"."""

    def gone(self, answer: Answer) -> str | None:
        """For a record asked for by key: the evidence that it is not there, in words."""

    def opened(self, answer: Answer) -> None:
        """Told the answer to the system's preflight."""

    def rates(self, bucket: str, answer: Answer) -> Mapping[str, float]:
        """Requests per second that an answer says are allowed, by bucket."""
        return {}

    def spent(self, answer: Answer) -> Pause | None:
        """After a good answer: why the account must ask nothing more for a while."""
        return None


class Pause(SyncError):
    """The source asks to wait. `seconds` as told, or None where it tells nothing; who waits is the `reach`."""

    def __init__(
        self, seconds: float | None, what: str = "", *, reach: Literal["part", "bucket", "account"] = "bucket"
    ) -> None:
        super().__init__(what or "the source asks to wait")
        self.seconds = seconds
        self.reach = reach


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by the Retry-After header, in seconds or as an HTTP date; None where it is absent or no use."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError):
        return None


def check_status(answer: Answer) -> None:
    """What an HTTP status means everywhere. Raises nothing for 2xx."""
    status = answer.status
    if status < 300:
        return
    if status < 400:
        raise WrongShape(
            f"the answer is a redirect ({status}); redirects are not followed",
            next_step="set the account's address to where the API really is",
        )
    if status == 401:
        raise BadCredentials("the source refuses the token (401)", next_step="issue a new token and set it")
    if status == 403:
        raise Forbidden("the token may not read this (403)", next_step="give the token's user the right to read it")
    if status in (404, 405, 410):
        raise NotFound(f"the endpoint answers {status}")
    if status == 429:
        raise Pause(retry_after(answer.headers, time.time()))
    if status >= 500 or status == 408:
        raise SourceUnavailable(f"the source answers {status}")
    raise WrongShape(f"the source answers {status}, {len(answer.body)} bytes")
