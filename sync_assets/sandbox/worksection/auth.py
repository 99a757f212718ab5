"""Worksection's three ways to say who one is: md5 hash, HMAC header, OAuth token.

The non-obvious decision: the md5 is accepted over the query exactly as received and over its decoded form,
since live clients hash either and both work.
"""

import hashlib
import hmac
import re
import time
from urllib.parse import unquote, unquote_plus

from sync_assets.sandbox.dialect import Request

_HASH = re.compile(r"(?:^|&)hash=([^&]*)")
_ADMIN = re.compile(r"Admin (\d+)_([0-9a-f]{64})")


def md5(query: str, key: str) -> str:
    return hashlib.md5((query + key).encode()).hexdigest()


def signature(action: str, unix_time: int, key: str) -> str:
    return hmac.new(key.encode(), f"{action}:{unix_time}".encode(), hashlib.sha256).hexdigest()


def admin(request: Request, action: str, key: str, skew: float) -> bool:
    if header := _ADMIN.fullmatch(request.headers.get("authorization", "")):
        at = int(header[1])
        return abs(time.time() - at) <= skew and hmac.compare_digest(header[2], signature(action, at, key))
    found = _HASH.search(request.raw_query)
    rest = _HASH.sub("", request.raw_query).removeprefix("&")
    return found is not None and found[1] in {md5(form, key) for form in (rest, unquote(rest), unquote_plus(rest))}


def user(request: Request, parameters: dict[str, str], token: str) -> bool:
    return token in (request.headers.get("authorization", "").removeprefix("Bearer "), parameters.get("access_token"))
