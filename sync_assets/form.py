"""Forms as PHP writes them: names with brackets, percent-encoded or not, in whatever charset, up to a limit.

No tree is built of them: whoever reads a form knows the few names that it wants, and a name in a thousand is worth
decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

MOST = 50_000
"""Fields of one form that are looked at."""


def fields(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and value in their order, the value as it came; no more than MOST."""
    for pair in body.split(b"&", MOST)[:MOST]:
        name, _, value = pair.partition(b"=")
        if b"%" in name:
            name = name.replace(b"%5B", b"[").replace(b"%5D", b"]")
        yield (text(name) if b"%" in name or b"+" in name else name.decode("latin-1")), value


def cut(body: bytes) -> bool:
    """Whether a form has more fields than are looked at."""
    return body.count(b"&") >= MOST


def text(value: bytes) -> str:
    """A value decoded: UTF-8, and what is none as Latin-1."""
    raw = unquote_to_bytes(value.replace(b"+", b" "))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
