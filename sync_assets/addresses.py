"""What an address or a secret of our own making must be like, before anything is sent there or hangs on it.

Kept apart from the settings because those who act on addresses at run time ask by the same rules.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from sync_assets.errors import UnsafeSetting

LOOPBACK = ("127.0.0.1", "localhost")

SECRET_LENGTH = 24
"""Characters of a secret that alone proves who calls; 24 of base64 are 144 bits."""


def safe_url(value: str, *, setting: str) -> str:
    """`value` without its last slash. Raises UnsafeSetting for anything but https to a public host, or 127.0.0.1."""
    url = urlsplit(value)
    host = url.hostname or ""
    if host in LOOPBACK and url.scheme in ("http", "https"):
        return value.rstrip("/")
    if url.scheme != "https" or not host:
        raise UnsafeSetting(f"{setting} must start with https://", next_step=f"correct {setting}")
    try:
        private = not ipaddress.ip_address(host).is_global
    except ValueError:
        # A last part that is a number makes an address of the whole: 127.1, 0x7f.1
        number = re.fullmatch(r"\d+|0x[0-9a-f]*", host.rpartition(".")[2])
        private = "." not in host or bool(number) or host.endswith((".local", ".internal", ".localhost"))
    if private or url.username or url.password:
        raise UnsafeSetting(
            f"{setting} names a private host or carries a password",
            next_step=f"set {setting} to the public address of the account",
        )
    return value.rstrip("/")


def host_of(url: str) -> str:
    """Whom a URL leads to. On this machine any port: what runs here is ours."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return host if host in LOOPBACK or parts.port in (None, 443) else f"{host}:{parts.port}"


def unguessable(value: str, *, setting: str) -> str:
    """A secret of our own making; "" where none is set.

    Raises UnsafeSetting for one that is short, dull or needs encoding in an address.
    """
    if not value:
        return value
    if len(value) < SECRET_LENGTH or len(set(value)) < SECRET_LENGTH // 3:
        raise UnsafeSetting(
            f"{setting} can be guessed: it needs {SECRET_LENGTH} characters or more, at random",
            next_step="make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if not re.fullmatch(r"[A-Za-z0-9_.~-]+", value):
        raise UnsafeSetting(
            f"{setting} has characters that an address cannot bear as they are",
            next_step="use letters, digits, - and _ only",
        )
    return value
