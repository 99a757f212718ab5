"""Nested values as the fields of a form, in PHP's spelling.

The non-obvious decision: a null is left out, as http_build_query leaves it out.
"""

from collections.abc import Iterator
from typing import Any


def pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case dict() | list():
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from pairs(f"{name}[{key}]" if name else str(key), inner)
        case None:
            return
        case bool():
            yield name, str(int(value))
        case _:
            yield name, str(value)
