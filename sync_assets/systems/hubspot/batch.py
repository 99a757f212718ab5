"""Records by their ids with all their properties, a hundred at a time and fewer where so many do not fit one answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from sync_assets.entity import Params, Whole
from sync_assets.errors import AnswerTooLarge
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page

AT_ONCE = 100


def read_batch(
    fetch: Fetch,
    read: Whole,
    path: str,
    keys: Sequence[str],
    stop: threading.Event,
    *,
    name: str,
    params: Params | None = None,
) -> Page:
    """In the order of the ids; those that are gone are left out, one that is too large alone is named as such."""
    body = msgspec.json.encode({"inputs": [{"id": key} for key in keys], "properties": fetch.names})
    try:
        answer = fetch.ask(f"{path}/batch/read", params or {}, stop, body=body)
    except AnswerTooLarge as e:
        if len(keys) == 1:
            return Page(name, read, e.seen, [e.head], [*keys], oversized={keys[0]: e})
        middle = len(keys) // 2
        halves = [
            read_batch(fetch, read, path, some, stop, name=name, params=params)
            for some in (keys[:middle], keys[middle:])
        ]
        page = halves[0].joined(halves[1])
    else:
        page = fetch.splitter.page(name, read, answer)
    order = sorted(range(len(page.keys)), key=lambda i: int(page.keys[i] or 0))
    page.records, page.keys = [page.records[i] for i in order], [page.keys[i] for i in order]
    return page
