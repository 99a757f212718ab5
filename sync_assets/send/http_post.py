"""What http_post says to addresses of the operator's own choice: an account of the outbox like any other.

It is no source, so nothing can be looked up there. Each letter bears one Idempotency-Key in all of its tries and may
therefore be sent again after an unknown result; whose receiver is down is that letter's matter alone, and closes the
way for no other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sync_assets.account import Account, System
from sync_assets.entity import Bucket, Params
from sync_assets.errors import RecordRejected, SyncError
from sync_assets.extract.dialect import Answer, Api, Outgoing
from sync_assets.extract.post import post
from sync_assets.operation import HTTP, Held, Letter, Looked, Operation, Outbound, Verdict, Write
from sync_assets.settings import AccountSettings, SyncSettings

MOST_BODY = 64 * 1024
PER_SECOND = 5.0
DONE = "answered"
"""Of a letter: that its receiver took it."""


class Nowhere(Api):
    """Nothing is asked of it: an address is in each letter."""

    at = ""

    def __init__(self, _settings: AccountSettings) -> None:
        pass

    def outgoing(self, path: str, params: Params) -> Outgoing:
        return Outgoing("GET", "https://127.0.0.1/", {})

    def bucket(self, path: str) -> str:
        return "post"

    def check(self, answer: Answer) -> None:
        return None


def http_accounts(settings: SyncSettings) -> list[Account]:
    """The account that http_post goes through; none where nobody may be called."""
    if not settings.http_hosts:
        return []
    write = partial(_write, allowed=settings.http_hosts, deadline=settings.sync_request_seconds)
    system = System(
        HTTP,
        title="HTTP",
        settings=AccountSettings,
        api=Nowhere,
        entities=lambda _: (),
        buckets=(Bucket("post", rate=PER_SECOND),),
        preflight=("", {}),
        outbound=Outbound(
            "post",
            operations=(Operation("http_post", "", _judge, write, _look, at_once=1),),
            doc="What rules and sequences say to the hosts of SYNC_HTTP_ALLOW.",
        ),
    )
    return [Account(HTTP, system, AccountSettings())]


def _look(_fetch: Any, letters: Sequence[Letter]) -> Looked:
    return {letter.id: Held({DONE: None}) for letter in letters}


def _judge(letter: Letter, _held: Held | None, _known: Sequence[tuple[Any, ...]]) -> Verdict:
    return Write({DONE: True, "url": letter.payload["url"]})


def _write(
    reach: Any, writes: Sequence[tuple[Letter, Mapping[str, Any]]], *, allowed: Collection[str], deadline: float
) -> dict[int, SyncError | Held | None]:
    answers: dict[int, SyncError | Held | None] = {}
    for letter, _ in writes:
        body = json.dumps(letter.payload["body"], ensure_ascii=False).encode()
        headers = {"Idempotency-Key": letter.payload["idempotency_key"], "User-Agent": "sync-assets"}
        try:
            if len(body) > MOST_BODY:
                raise RecordRejected(f"a body of {len(body)} bytes is larger than {MOST_BODY}")
            reach.door.budget.take("post", stop=None, max_wait=deadline)
            post(letter.payload["url"], body, headers, allowed=allowed, deadline=deadline)
            answers[letter.id] = Held({DONE: True})
        except SyncError as e:
            answers[letter.id] = e
    return answers
