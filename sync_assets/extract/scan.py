"""JSON taken apart by its tokens alone, for the records that a parser refuses: no recursion, no decoding, no numbers.

Works on bytes of any encoding damage and any depth, because only strings and brackets decide where a record ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
MENDED = rb"\ufffd"


def elements(body: bytes, at: str) -> list[bytes]:
    """The elements of the outermost array, or of the array (or the object, as one element) in the field `at`.

    Raises ValueError where there is no such list or it does not end.
    """
    found: list[bytes] = []
    depth, wanted, start, awaited = 0, 1 if at == "" else 2, -1, at == ""
    previous = b""
    inside = False
    for match in TOKEN.finditer(body):
        token = match.group()
        if not inside:
            if token in b"[{" and awaited:
                if token == b"{":
                    return [body[match.start() : _end(body, match.start())]]
                inside, start = True, match.end()
            awaited = at != "" and depth == 1 and token == b":" and previous == b'"' + at.encode() + b'"'
            depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
            previous = token
            continue
        depth += token in (b"[", b"{")
        if (token == b"," and depth == wanted) or (token == b"]" and depth == wanted):
            element = body[start : match.start()].strip()
            if element:
                found.append(element)
            start = match.end()
            if token == b"]":
                return found
        depth -= token in (b"]", b"}")
    raise ValueError("no list, or it does not end")


def _end(body: bytes, start: int) -> int:
    depth = 0
    for match in TOKEN.finditer(body, start):
        depth += (match.group() in (b"[", b"{")) - (match.group() in (b"]", b"}"))
        if depth == 0:
            return match.end()
    raise ValueError("the object does not end")


def scalars(record: bytes) -> Iterator[tuple[str, bytes]]:
    """Every scalar of a record with its path: ("/properties/id_5/0", b"12")."""
    stack: list[str | int] = []
    key = False
    for match in TOKEN.finditer(record):
        token = match.group()
        if token == b"{":
            _step(stack)
            stack.append("")
            key = True
        elif token == b"[":
            _step(stack)
            stack.append(-1)
            key = False
        elif token in (b"}", b"]"):
            if stack:
                stack.pop()
            key = False
        elif token == b",":
            key = bool(stack) and isinstance(stack[-1], str)
        elif token == b":":
            key = False
        elif key:
            stack[-1] = token[1:-1].decode("utf-8", "replace")
        else:
            _step(stack)
            yield "/" + "/".join(map(str, stack)), token


def _step(stack: list[str | int]) -> None:
    if stack and isinstance(stack[-1], int):
        stack[-1] += 1


def field(record: bytes, name: str) -> str | None:
    """A top-level scalar as text, None where it is absent or null."""
    for path, token in scalars(record):
        if path == f"/{name}":
            return None if token == b"null" else token.strip(b'"').decode("utf-8", "replace")
    return None


def culprit(record: bytes) -> str | None:
    """The path of the first scalar that Postgres' jsonb cannot hold."""
    for path, token in scalars(record):
        if token in (b"NaN", b"Infinity", b"-Infinity"):
            return path
        exponent = re.fullmatch(rb"-?[0-9.]+[eE]\+?([0-9]+)", token)
        if (exponent and int(exponent.group(1)[:9]) > 100_000) or (token[:1] not in b'"tfn' and len(token) > 100_000):
            return path
    return None


def mend(record: bytes) -> tuple[bytes, list[str]]:
    """`record` with NUL, lone surrogates and invalid UTF-8 replaced by U+FFFD, and a note per kind that was found."""
    notes = []
    try:
        record.decode("utf-8")
    except UnicodeDecodeError:
        record = record.decode("utf-8", "replace").encode()
        notes.append("invalid UTF-8 replaced")
    mended = NUL.sub(lambda m: m.group(1) + MENDED, record)
    if mended != record:
        notes.append("NUL replaced")
        record = mended
    mended = _without_lone_surrogates(record)
    if mended != record:
        notes.append("lone surrogate replaced")
    return mended, notes


def _without_lone_surrogates(record: bytes) -> bytes:
    escape = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
    parts, at = [], 0
    matches = list(escape.finditer(record))
    skip = False
    for i, match in enumerate(matches):
        if skip:
            skip = False
            continue
        code = int(match.group(1), 16) if match.group(1) else 0
        if 0xD800 <= code < 0xDC00 and i + 1 < len(matches):
            after = matches[i + 1]
            low = int(after.group(1), 16) if after.group(1) else 0
            if after.start() == match.end() and 0xDC00 <= low < 0xE000:
                skip = True
                continue
        if 0xD800 <= code < 0xE000:
            parts += [record[at : match.start()], MENDED]
            at = match.end()
    return b"".join([*parts, record[at:]])
