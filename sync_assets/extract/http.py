"""The one way out: every request to a source passes this door, paced, bounded, retried and masked.

What leaves as an exception is ours and is raised `from None`: httpx's own exceptions print full URLs, and Dagster
stores every chained cause in its event log. Redirects are not followed, and no URL is ever taken from an answer.
"""

from __future__ import annotations

import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from sync_assets.entity import Params
from sync_assets.errors import (
    AnswerTooLarge,
    BadCredentials,
    CallVendor,
    RecordGone,
    RetryLater,
    SourceUnavailable,
    SyncError,
    Throttled,
    UntrustedServer,
    WrongShape,
)
from sync_assets.extract.budget import Budget
from sync_assets.extract.dialect import Answer, Api, Outgoing, Pause
from sync_assets.extract.mask import Mask
from sync_assets.extract.oauth import OAuth, Pair, TokenStore
from sync_assets.extract.stopwatch import Stopwatch
from sync_assets.extract.transport import Transport, ours, unpacked

MAX_BODY = 256 * 1024 * 1024
"""Bytes of one answer after decompression; a 10,000-task answer of Worksection is below 40 MB."""

HEAD = 64 * 1024
"""Bytes kept of an answer that was larger."""

BACKOFF = 0.5
"""Seconds before the first retry; doubled each time, with up to half as much again at random."""


CHARSET = re.compile(r"charset=\"?([\w-]+)", re.IGNORECASE)

ALWAYS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "sync_assets"}
"""What every request says of itself."""


class Door:
    """Asks one account's API. Safe to use from several threads."""

    def __init__(
        self,
        api: Api,
        budget: Budget,
        mask: Mask,
        *,
        retries: int,
        deadline: float,
        max_wait: float,
        system: str,
        tokens: TokenStore | None = None,
        trust: Callable[[], None] = lambda: None,
    ) -> None:
        """`trust` raises where our secrets must not go where `api` would send them; it is asked before the first."""
        self.api = api
        self.budget = budget
        self.requests = 0
        self.asking = Stopwatch()
        self.skew: float | None = None
        self._told: str | None = None
        self._mask = mask
        self._tokens = tokens
        self._retries = retries
        self._deadline = deadline
        self._max_wait = max_wait
        self._system = system
        self._count = threading.Lock()
        self._refused: SyncError | None = None
        self._trust: Callable[[], None] | None = trust
        self._origins: dict[str, httpx.URL] = {}
        loopback = urlsplit(api.outgoing("", {}).url).hostname in ("127.0.0.1", "localhost")
        # Without httpx's client: it knows of cookies, redirects and proxies, which we do not, and takes a fifth of a
        # page's time for that.
        self._transport = Transport(trust_env=not loopback)
        self._timeout = httpx.Timeout(deadline, connect=10.0).as_dict()

    def close(self) -> None:
        self._transport.close()

    def source_now(self) -> datetime:
        """The source's clock, as its last answer told it; ours where it told none."""
        return datetime.fromtimestamp(time.time() - (self.skew or 0.0), UTC)

    def ask(
        self,
        path: str,
        params: Params,
        *,
        body: bytes | None = None,
        method: str = "POST",
        by_key: bool = False,
        once: bool = False,
        stop: threading.Event | None = None,
    ) -> Answer:
        """One answer of JSON, of the kind that the dialect calls good; a `body`, of JSON too, is sent by `method`.

        `once`: what may have arrived is not sent again; only what the source turned away unread is.

        Raises RecordGone (only with `by_key`), the errors of `Api.check`, SourceUnavailable after the last retry,
        Throttled where the source asks for a longer pause than a run may wait.
        """
        if self._trust:
            self._trust()
            self._trust = None
        if self._refused:
            raise copy(self._refused)  # a copy: each entity adds its own name
        where = {"system": self._system, "endpoint": self._mask(path)}
        bucket, part = self.api.bucket(path), self.api.part(path)
        for attempt in range(1, self._retries + 1):
            if part:
                self.budget.take(part, stop=stop, max_wait=self._max_wait)
            seen = self.budget.take(bucket, stop=stop, max_wait=self._max_wait)
            try:
                answer = self._once(path, params, body, method, seen)
                if by_key and self.api.gone(answer):
                    raise RecordGone(self.api.gone(self._masked(answer)) or "", seen=seen)
                self._check(self.api.check, answer)
                if answer.status == 204 and self.api.empty is not None:
                    answer = replace(answer, body=self.api.empty)
                _must_be_json(answer)
                self._heed(bucket, answer)
                return answer
            except Pause as e:
                wait = e.seconds if e.seconds is not None and e.seconds > 0 else self._backoff(attempt)
                self.budget.pause({"part": part, "bucket": bucket, "account": None}[e.reach], wait, why=e.what)
                if wait > self._max_wait:
                    raise Throttled(f"{e.what}: {wait:.0f} s", seconds=wait, **where) from None
                error: SyncError = Throttled(f"told to wait {attempt} times in a row", seconds=wait, **where)
            except (SourceUnavailable, WrongShape) as e:
                error = e.at(**where)
                if once:
                    break
                if attempt < self._retries:
                    self.budget.sleep(self._backoff(attempt), stop)
            except (RetryLater, CallVendor, RecordGone) as e:
                raise e.at(**where) from None
            except SyncError as e:
                # What only the operator can mend is refused once: the other entities need not ask again.
                self._refused = e.at(**where) if isinstance(e, BadCredentials) else None
                raise e.at(**where) from None
        raise error from None

    def _heed(self, bucket: str, answer: Answer) -> None:
        for name, rate in self.api.rates(bucket, answer).items():
            self.budget.allow(name, rate)
        if (spent := self.api.spent(answer)) and spent.seconds is not None:
            self.budget.pause(None, spent.seconds, why=spent.what)

    def _check(self, check: Callable[[Answer], None], answer: Answer) -> None:
        try:
            check(answer)
        except SyncError:
            check(self._masked(answer))
            raise

    def _masked(self, answer: Answer) -> Answer:
        """For words that go into errors: a source may repeat our secrets in its refusal."""
        return replace(answer, body=self._mask(answer.body.decode("utf-8", "replace")).encode())

    def _once(self, path: str, params: Params, body: bytes | None, method: str, seen: int) -> Answer:
        out = self.api.outgoing(path, params)
        if body is not None:
            out = replace(out, method=method, content=body, headers={**out.headers, "Content-Type": "application/json"})
        return self._send(out, path, seen) if self._tokens is None else self._send_signed(out, path, seen, self._tokens)

    def _send_signed(self, out: Outgoing, path: str, seen: int, tokens: TokenStore) -> Answer:
        """A token that is refused for its age is renewed once, and the request repeated once."""

        def renew(refresh: str) -> Pair:
            try:
                return self._renew(refresh, tokens.oauth)
            except SyncError as e:
                raise e.at(endpoint="of tokens") from None

        def signed(refused: str | None = None) -> tuple[str, Outgoing]:
            token = tokens.access(renew, refused=refused)
            self._mask.learn(token)
            return token, tokens.oauth.signed(out, token)

        token, request = signed()
        answer = self._send(request, path, seen)
        if not tokens.oauth.ended(answer):
            return answer
        _, request = signed(refused=token)
        return self._send(request, path, self._slot(path))

    def _renew(self, refresh: str, oauth: OAuth) -> Pair:
        out = oauth.renewal(refresh)
        self._mask.learn(refresh)
        path = urlsplit(out.url).path
        answer = self._send(out, path, self._slot(path))
        self._check(oauth.check, answer)
        pair = oauth.pair(answer)
        self._mask.learn(pair.access, pair.refresh)
        return pair

    def _slot(self, path: str) -> int:
        return self.budget.take(self.api.bucket(path), stop=None, max_wait=self._max_wait)

    def _send(self, out: Outgoing, path: str, seen: int) -> Answer:
        origin, target = self._apart(out.url)
        request = httpx.Request(
            out.method,
            origin,
            headers=ALWAYS | out.headers,
            content=out.content,
            extensions={"target": target, "timeout": self._timeout},
        )
        with self._count:
            self.requests += 1
        try:
            with self.asking, closing(self._transport.handle_request(request)) as response:
                parts: list[bytes] = []
                size = 0
                for part in unpacked(response):
                    size += len(part)
                    if size > MAX_BODY:
                        what = f"the answer is larger than {MAX_BODY >> 20} MB"
                        raise AnswerTooLarge(what, head=(parts or [part])[0][:HEAD], size=size, seen=seen)
                    parts.append(part)
                # httpx would go through all of them for each that is asked for.
                headers = {name.decode("latin-1").lower(): v.decode("latin-1") for name, v in response.headers.raw}
                self._watch_clock(headers)
                return Answer(response.status_code, headers, b"".join(parts), seen, path)
        except httpx.HTTPError as e:
            raise ours(e, self._deadline) from None
        except ssl.SSLError:
            raise UntrustedServer() from None

    def _apart(self, url: str) -> tuple[httpx.URL, bytes]:
        """Where a request goes, and what it asks for there, byte by byte as the dialect spelled it.

        httpx would look at each character of a URL, and there are thousands where properties are asked for by name.
        """
        scheme, _, rest = url.partition("://")
        host, _, target = rest.partition("/")
        origin = f"{scheme}://{host}"
        if origin not in self._origins:
            self._origins[origin] = httpx.URL(origin)
        return self._origins[origin], f"/{target}".encode("ascii")

    def _watch_clock(self, headers: Mapping[str, str]) -> None:
        told = headers.get("date")
        if told == self._told:
            return  # the first answer of a second tells it best
        self._told = told
        if date := Answer(200, headers, b"").date:
            self.skew = time.time() - date.timestamp()

    @staticmethod
    def _backoff(attempt: int) -> float:
        return float(min(30.0, BACKOFF * 2 ** (attempt - 1)) * (1 + random.random() / 2))  # noqa: S311  jitter


def _must_be_json(answer: Answer) -> None:
    body = answer.body.strip()
    kind = answer.headers.get("content-type", "no content type")
    charset = CHARSET.search(kind)
    if charset and charset.group(1).lower() not in ("utf-8", "utf8", "us-ascii"):
        raise SourceUnavailable(f"the answer declares the charset {charset.group(1)[:20]}; JSON is UTF-8")
    if body[:1] not in (b"[", b"{"):
        tag = re.match(rb"<[!/]?[A-Za-z]+>?", body)
        start = f", starts with {tag.group().decode()}" if tag else ""
        start = ", starts with a byte order mark" if body[:3] == b"\xef\xbb\xbf" else start
        raise SourceUnavailable(f"the answer is not JSON: {kind.split(';')[0][:40]}, {len(answer.body)} bytes{start}")
    if body[-1:] != (b"]" if body[:1] == b"[" else b"}"):
        raise SourceUnavailable(f"the answer was cut short after {len(answer.body)} bytes")
