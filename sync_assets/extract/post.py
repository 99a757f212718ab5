"""The other way out: one POST to an address that the operator allowed, where nothing is read but whether it was taken.

What passes here bears none of our secrets. Redirects are not followed, a name that leads into a private network is
refused, and of the answer no more is read than its status.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import httpx

from sync_assets.errors import (
    RecordRejected,
    SourceUnavailable,
    SyncError,
    UnsafeSetting,
    UntrustedServer,
)
from sync_assets.extract.deadline import Transport, within
from sync_assets.extract.http import ours
from sync_assets.settings import LOOPBACK, safe_url


def post(url: str, body: bytes, headers: Mapping[str, str], *, allowed: Collection[str], deadline: float) -> int:
    """The status of the answer, which is 2xx.

    Raises UnsafeSetting for an address that is not allowed, SourceUnavailable where it may be tried again,
    RecordRejected where the answer is a refusal.
    """
    parts = urlsplit(safe_url(url, setting="the address of http_post"))
    host = parts.hostname or ""
    if parts.netloc not in allowed:
        raise UnsafeSetting(f"{parts.netloc} is not in SYNC_HTTP_ALLOW", next_step="add it there, then requeue this")
    try:
        if host not in LOOPBACK:
            _must_be_public(host, parts.port or 443)
        with (
            within(deadline),
            httpx.Client(
                follow_redirects=False,
                trust_env=False,
                timeout=httpx.Timeout(deadline, connect=min(deadline, 10.0)),
                transport=Transport(trust_env=False),
            ) as client,
            client.stream("POST", url, content=body, headers={"Content-Type": "application/json", **headers}) as answer,
        ):
            return _judged(host, answer.status_code)
    except httpx.HTTPError as e:
        raise ours(e, deadline) from None
    except httpx.InvalidURL:
        raise UnsafeSetting("the address of http_post is none", next_step="correct it, then requeue this") from None
    except ssl.SSLError:
        raise UntrustedServer() from None


def _judged(host: str, status: int) -> int:
    if status < 300:
        return status
    error: SyncError = RecordRejected(f"{host} answers {status}")
    if status < 400:
        error = RecordRejected(f"{host} answers with a redirect ({status}); redirects are not followed")
    if status in (408, 425, 429) or status >= 500:
        error = SourceUnavailable(f"{host} answers {status}")
    raise error


def _must_be_public(host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except OSError:
        raise SourceUnavailable(f"{host} has no address") from None
    if not all(ipaddress.ip_address(address[0]).is_global for *_, address in found):
        raise UnsafeSetting(f"{host} leads into a private network", next_step="correct SYNC_HTTP_ALLOW")
