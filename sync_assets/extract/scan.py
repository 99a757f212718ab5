"""JSON taken apart by its tokens alone, for the records that a parser refuses: no recursion, no decoding, no numbers.

Works on bytes of any encoding damage and any depth, because only strings and brackets decide where a record ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress

import msgspec

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+|"', re.DOTALL)
UNENDED = b'"'
NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
MENDED = rb"\ufffd"
NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]\+?(-?[0-9]+))?")
STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
LITERALS = (b"true", b"false", b"null")
DEEP = 1000


def elements(body: bytes, at: str, *, single: bool = False) -> list[bytes]:
    """The elements of the outermost array, or of the array in the field `at`; of `single`, the object there.

    Raises ValueError where there is no such thing or it does not end.
    """
    wrapper = b"{" if single else b"["
    found: list[bytes] = []
    depth, wanted, start, awaited = 0, 1 if at == "" else 2, -1, at == ""
    previous = b""
    inside = False
    for match in TOKEN.finditer(body):
        token = match.group()
        if token == UNENDED:
            break
        if not inside:
            if token == wrapper and awaited:
                if single:
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
    raise ValueError("it is not there, or it does not end")


def items(body: bytes) -> list[bytes]:
    """The elements of an array, by its tokens where a parser refuses it for one of them; what is no array is one."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
    with suppress(ValueError):
        return elements(body, "")
    return [body]


def without(body: bytes, at: str) -> bytes:
    """The object `body` with the array in its field `at` emptied: what is around records that a parser refuses.

    Raises ValueError where there is no such array or it does not end.
    """
    name = b'"' + at.encode() + b'"'
    depth, start, previous, awaited = 0, -1, b"", False
    for match in TOKEN.finditer(body):
        token = match.group()
        if token == UNENDED:
            break
        if awaited and token == b"[":
            start = match.end()
        awaited = depth == 1 and token == b":" and previous == name
        depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
        if start >= 0 and depth == 1:
            return body[:start] + body[match.start() :]
        previous = token
    raise ValueError("it is not there, or it does not end")


def _end(body: bytes, start: int) -> int:
    depth = 0
    for match in TOKEN.finditer(body, start):
        token = match.group()
        if token == UNENDED:
            break
        depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
        if depth == 0:
            return match.end()
    raise ValueError("the object does not end")


def only(record: bytes, names: Collection[str]) -> bytes:
    """The object `record` with no other top-level fields than those in `names`, byte by byte as they came.

    What should be one value and is several, as where a comma is missing, is left out: it could hold another field.
    """
    kept = (b'"' + name.encode() + b'":' + value for name, value in fields(record) if name in names and _is_one(value))
    return b"{" + b",".join(kept) + b"}"


def _is_one(value: bytes) -> bool:
    first = TOKEN.match(value)
    if first is None:
        return False
    return len(value) == (_end(value, 0) if first.group() in (b"{", b"[") else first.end())


def fields(record: bytes) -> Iterator[tuple[str, bytes]]:
    """The top-level fields of the object `record`, byte by byte as they came.

    Nothing for what is no object; of an object that does not end, what ended.
    """
    depth, start, name, previous = 0, -1, b"", b""
    for match in TOKEN.finditer(record):
        token = match.group()
        if token == UNENDED or (depth == 0 and token != b"{"):
            break
        if depth == 1 and token == b":" and start < 0:
            name, start = previous, match.end()
        elif depth == 1 and token in (b",", b"}"):
            if start >= 0:
                yield name[1:-1].decode("utf-8", "replace"), record[start : match.start()].strip()
            start = -1
        depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
        previous = token


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
    """A top-level scalar as text, None where it is absent or null. The last of several wins, as in jsonb."""
    found = None
    for path, token in scalars(record):
        if path == f"/{name}":
            found = token
    if found is None or found == b"null":
        return None
    text = mend(found)[0]
    try:
        return str(json.loads(text)) if text[:1] == b'"' else text.decode()
    except ValueError:
        return text.decode()


def culprit(record: bytes) -> str | None:
    """The path of the first value that Postgres' jsonb cannot hold."""
    for path, token in scalars(record):
        if token not in LITERALS and not (STRING.fullmatch(token) if token[:1] == b'"' else _holds(token)):
            return path
    return _deepest(record)


def _holds(token: bytes) -> bool:
    """Whether Postgres' numeric has room for a number: 131,072 digits before the point and 16,383 after it."""
    number = NUMBER.fullmatch(token)
    if not number:
        return False
    whole, part, exponent = number.group(1), number.group(2) or b"", number.group(3) or b"0"
    significant = len((whole + part).lstrip(b"0"))
    power = int(exponent[:9])
    return significant == 0 or (significant - len(part) + power <= 131_072 and len(part) - power <= 16_383)


def _deepest(record: bytes) -> str | None:
    """The top-level field that nests deeper than any plausible record."""
    depth, field, previous = 0, b"", b""
    for match in TOKEN.finditer(record):
        token = match.group()
        if depth == 1 and token == b":":
            field = previous
        depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
        if depth > DEEP:
            return "/" + field[1:-1].decode("utf-8", "replace")
        previous = token
    return None


def mend(record: bytes) -> tuple[bytes, list[str]]:
    """`record` with NUL, lone surrogates and invalid UTF-8 replaced by U+FFFD, and a note per kind that was found."""
    notes = []
    try:
        record.decode("utf-8")
    except UnicodeDecodeError:
        record = record.decode("utf-8", "replace").encode()
        notes.append("invalid UTF-8 replaced")
    mended = NUL.sub(lambda m: m.group(1) + MENDED, record.replace(b"\0", MENDED))
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
