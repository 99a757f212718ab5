"""The other way out: one request to an address of the operator's own choice; nothing is read but how it was taken.

A secret may be part of the address, so what is raised names the host alone. Redirects are not followed, a name that
leads into a private network is refused, and of the answer no more is read than its status, unless a caller asks for the
beginning of its body.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from sync_assets.addresses import LOOPBACK, safe_url
from sync_assets.errors import (
    RecordRejected,
    SourceUnavailable,
    SyncError,
    UnsafeSetting,
    UntrustedServer,
)
from sync_assets.extract.transport import Transport, ours


@dataclass(frozen=True)
class Reply:
    """What came back: `head` is as much of the body as was asked for."""

    status: int
    headers: Mapping[str, str]
    head: bytes = b""


def post(url: str, body: bytes, headers: Mapping[str, str], *, allowed: Collection[str], deadline: float) -> int:
    """The status of the answer, which is 2xx.

    Raises UnsafeSetting for an address that is not allowed, SourceUnavailable where it may be tried again,
    RecordRejected where the answer is a refusal.
    """
    parts = urlsplit(safe_url(url, setting="the address of http_post"))
    if parts.netloc not in allowed:
        raise UnsafeSetting(f"{parts.netloc} is not in SYNC_HTTP_ALLOW", next_step="add it there, then requeue this")
    try:
        reply = request("POST", url, body, headers, deadline=deadline, setting="SYNC_HTTP_ALLOW")
    except httpx.InvalidURL:
        raise UnsafeSetting("the address of http_post is none", next_step="correct it, then requeue this") from None
    return _judged(parts.hostname or "", reply.status)


def request(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    deadline: float,
    setting: str,
    head: int = 0,
    trust_env: bool = False,
) -> Reply:
    """Whatever is answered within `deadline` seconds, with at most `head` bytes of its body.

    `trust_env`: SSL_CERT_FILE may name an authority of the company's own. Raises UnsafeSetting for a name that leads
    into a private network (`setting` says where it stands), SourceUnavailable and UntrustedServer.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        if host not in LOOPBACK:
            _must_be_public(host, parts.port or 443, setting)
        with (
            httpx.Client(
                follow_redirects=False,
                trust_env=False,
                timeout=httpx.Timeout(deadline, connect=min(deadline, 10.0)),
                transport=Transport(trust_env=trust_env),
            ) as client,
            client.stream(method, url, content=body, headers={"Content-Type": "application/json", **headers}) as answer,
        ):
            return Reply(answer.status_code, dict(answer.headers), _beginning(answer, head))
    except httpx.HTTPError as e:
        raise ours(e, deadline) from None
    except ssl.SSLError:
        raise UntrustedServer() from None


def _beginning(answer: httpx.Response, size: int) -> bytes:
    """Of the body as it comes over the line: nothing is unpacked, so nothing can swell."""
    found = b""
    for part in answer.iter_raw() if size else ():
        found += part
        if len(found) >= size:
            break
    return found[:size]


def _judged(host: str, status: int) -> int:
    if status < 300:
        return status
    error: SyncError = RecordRejected(f"{host} answers {status}")
    if status < 400:
        error = RecordRejected(f"{host} answers with a redirect ({status}); redirects are not followed")
    if status in (408, 425, 429) or status >= 500:
        error = SourceUnavailable(f"{host} answers {status}")
    raise error


def _must_be_public(host: str, port: int, setting: str) -> None:
    try:
        found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except OSError:
        raise SourceUnavailable(f"{host} has no address") from None
    if not all(ipaddress.ip_address(address[0]).is_global for *_, address in found):
        raise UnsafeSetting(f"{host} leads into a private network", next_step=f"correct {setting}")
