"""Requests as PHP reads them: brackets, JSON bodies, arrays that are maps, and maps that are written as lists.

The non-obvious decision: an array stays a dict of text keys until somebody needs a list, because `select[]=id`,
`select[0]=id` and `["id"]` mean the same here and `{}` and `[]` are written alike.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

from msgspec import MsgspecError

from sync_assets.sandbox.dialect import Record, Request, decode, encode

REFERENCE = re.compile(r"\$(result|total|next)((?:\[[^\[\]]+\])+)")


def parse(text: str) -> Record:
    """`filter[>id]=5&select[]=id` as nested maps."""
    found: Record = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, bracket, rest = name.partition("[")
        inner = re.findall(r"\[([^\]]*)\]", bracket + rest)
        # What is never closed was never opened: PHP turns the bracket into an underscore.
        path = [first, *inner] if inner or not bracket else [f"{first}_{rest}"]
        inside = found
        for key, after in zip(path, [*path[1:], None], strict=True):
            key = key if key or inside is found else str(len(inside))
            if after is None:
                inside[key] = value
            elif not isinstance(inside.get(key), dict):
                inside[key] = {}
            inside = inside[key] if after is not None else inside
    return found


def parameters(request: Request) -> Record:
    """The query, overlaid with the body whatever its type; a body that cannot be read is no parameters."""
    given = parse(request.raw_query)
    if not request.body:
        return given
    if "json" in request.headers.get("content-type", ""):
        try:
            return given | decode(request.body, type=dict[str, Any])
        except MsgspecError:
            return given
    return given | parse(request.body.decode("utf-8", "replace"))


def values(given: Any) -> list[Any]:
    if isinstance(given, dict):
        return list(given.values())
    return list(given) if isinstance(given, list) else [given]


def pairs(given: Any) -> dict[str, Any]:
    """The keys as PHP has them, also those of a list."""
    if isinstance(given, dict):
        return given
    return {str(n): value for n, value in enumerate(given)} if isinstance(given, list) else {}


def whole(value: Any) -> int:
    """`(int)$value`: what begins like a number is one, anything else is 0, and an array is 1."""
    if isinstance(value, (dict, list)):
        return int(bool(value))
    found = re.match(r"\s*[+-]?\d+", "1" if value is True else str(value))
    return int(found[0]) if found else 0


def real(value: Any) -> float:
    if isinstance(value, (dict, list)):
        return float(bool(value))
    found = re.match(r"\s*[+-]?\d+(\.\d+)?", str(value))
    return float(found[0]) if found else 0.0


def truthy(value: Any) -> bool:
    return value not in (None, False, 0, "", "0", {}) and value != []


def number(value: float) -> int | float:
    """A float without a fraction is written as an integer."""
    rounded = round(value, 4)
    return int(rounded) if rounded == int(rounded) else rounded


def written(array: dict[str, bytes]) -> bytes:
    """`json_encode` of an array: keys 0, 1, 2 make it a list, and so does having none."""
    if list(array) == [str(n) for n in range(len(array))]:
        return b"[" + b",".join(array.values()) + b"]"
    return b"{" + b",".join(encode(key) + b":" + value for key, value in array.items()) + b"}"


def resolved(given: Any, results: Record, unresolved: str) -> Any:
    """`$result[key][orders][49][id]` in a command's values, replaced by what earlier commands gave."""
    if isinstance(given, dict):
        return {key: resolved(value, results, unresolved) for key, value in given.items()}
    if not isinstance(given, str) or "$" not in given:
        return given
    if (match := REFERENCE.fullmatch(given)) is not None:
        return _reached(match, results, unresolved)
    return REFERENCE.sub(lambda match: _text(_reached(match, results, unresolved)), given)


def _reached(match: re.Match[str], results: Record, unresolved: str) -> Any:
    at: Any = results[match[1]]
    for key in re.findall(r"\[([^\]]+)\]", match[2]):
        below = pairs(at)
        if key not in below:
            return "" if unresolved == "empty" else at
        at = below[key]
    return at


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "Array"
    return "" if value is None or value is False else "1" if value is True else str(value)
