"""What a list is asked for and where its next page is: cursors, links, properties in any spelling.

The non-obvious decision: what stays the same from page to page is parsed once per query string without its cursor,
because a request for four hundred properties is nine thousand bytes of names.
"""

import base64
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from sync_assets.sandbox.dialect import Record, Request
from sync_assets.sandbox.hubspot.errors import invalid

MOST, MOST_WITH_HISTORY = 100, 50


@dataclass(frozen=True)
class Asked:
    limit: int
    archived: bool
    properties: tuple[str, ...] | None
    associations: tuple[str, ...]
    history: bool


@lru_cache(maxsize=64)
def _asked(query: str) -> Asked:
    named: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        named.setdefault(name, []).append(value)

    def several(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for value in named.get(name, ()) for part in value.split(",") if part.strip())

    limit = named.get("limit", ["10"])[-1]
    if not limit.isdigit() or int(limit) < 1:
        raise invalid(f"limit {limit!r} is no positive number")
    return Asked(
        int(limit),
        named.get("archived", ["false"])[-1].lower() == "true",
        several("properties") or None,
        several("associations"),
        bool(several("propertiesWithHistory")),
    )


def asked(request: Request) -> Asked:
    return _asked(_without_cursor(request.raw_query))


def _without_cursor(query: str) -> str:
    if "after=" not in query:
        return query
    return "&".join(pair for pair in query.split("&") if not pair.startswith("after="))


def limit_of(want: Asked, over: str) -> int:
    """`over` says what becomes of a limit above the most: refused (400) or capped."""
    most = MOST_WITH_HISTORY if want.history else MOST
    if want.limit > most and over == "400":
        raise invalid(f"limit must be at most {most}")
    return min(want.limit, most)


def cursor(style: str, last: int, following: int) -> str:
    """The token after the page that ends with `last`; `following` is the next record's id."""
    match style:
        case "last":
            return str(last)
        case "opaque":
            return base64.urlsafe_b64encode(b"v1|%d" % following).decode().rstrip("=")
    return str(following)


def start(style: str, token: str | None) -> int:
    """The smallest id of the page that this token asks for."""
    if not token:
        return 0
    try:
        match style:
            case "opaque":
                padded = token + "=" * (-len(token) % 4)
                return int(base64.urlsafe_b64decode(padded).removeprefix(b"v1|"))
            case "last":
                return int(token) + 1
        return int(token)
    except ValueError:
        raise invalid(f"after {token!r} is no cursor of ours") from None


def following(request: Request, token: str) -> Record:
    """`paging`, with the absolute link that some clients follow instead of `after`."""
    rest = _without_cursor(request.raw_query)
    link = f"{base(request)}{request.path}?{rest}{'&' if rest else ''}after={token}"
    return {"next": {"after": token, "link": link}}


def base(request: Request) -> str:
    """Where links point: to whom the request was sent, or with S4 to somebody else."""
    if (fault := request.faults.get("S4")) is not None:
        fault.strikes += 1
        return str(fault.option("url", "http://trap.test"))
    return f"http://{request.headers.get('host', 'api.hubapi.com')}"
