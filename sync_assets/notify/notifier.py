"""A way to tell people, and the door that every one of them goes through.

What leaves here as an error names the host and a short reason with secrets masked, never the address: for an incoming
webhook, that is the secret itself.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from sync_assets.errors import BadCredentials, RecordRejected, SourceUnavailable, SyncError, Throttled
from sync_assets.extract.mask import Mask
from sync_assets.extract.post import Reply, request
from sync_assets.notify.message import Message
from sync_assets.settings import SyncSettings

DEADLINE = 10.0
"""Seconds for one message, from its first byte to the answer: a tick of the sensor must not wait longer for anybody."""

HEAD = 2048
"""Bytes of an answer that may say why a message was refused."""

SAID = 120
"""Characters of that reason."""


class Notifier(ABC):
    """One per kind of receiver; made from the settings, or not at all where they name none."""

    name: ClassVar[str]

    def __init__(self, *secrets: str) -> None:
        self._mask = Mask(secrets)

    @classmethod
    @abstractmethod
    def of(cls, settings: SyncSettings) -> Self | None:
        """None where the settings do not name this one."""

    @abstractmethod
    def send(self, message: Message) -> None:
        """Raises SourceUnavailable or Throttled where it may be sent again, other SyncErrors where it is refused."""

    @abstractmethod
    def reach(self) -> str:
        """Sends nothing; answers what was found. Raises the SyncErrors of `send`."""

    def _ask(self, method: str, url: str, body: Mapping[str, Any] | None, setting: str) -> Reply:
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"User-Agent": "sync-assets", "Accept-Encoding": "identity"}
        return request(method, url, content, headers, deadline=DEADLINE, setting=setting, head=HEAD, trust_env=True)

    def _taken(self, reply: Reply, url: str, *, setting: str, said: str = "") -> None:
        """Raises the error that an answer other than 2xx means; `said` is the reason in the receiver's words."""
        if reply.status < 300:
            return
        host = urlsplit(url).hostname or ""
        why = f": {self._mask(said)[:SAID]}" if said else ""
        what = f"{host} answers {reply.status}{why}"
        error: SyncError = RecordRejected(what, next_step=f"correct {setting}, then run sync-assets alerts test")
        if reply.status < 400:
            error = RecordRejected(
                f"{what}: a redirect, which is not followed",
                next_step=f"correct {setting}, then run sync-assets alerts test",
            )
        elif reply.status == 429:
            error = Throttled(what, seconds=_seconds(reply.headers.get("retry-after", "")))
        elif reply.status in (401, 403, 404, 410):
            error = BadCredentials(what, next_step=f"correct {setting}, then run sync-assets alerts test")
        elif reply.status in (408, 425) or reply.status >= 500:
            error = SourceUnavailable(what)
        raise error


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
