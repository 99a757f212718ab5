"""Whether the source still has a record: asked by key, and nothing of the answer is kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from sync_assets.entity import Params
from sync_assets.errors import RecordGone, SyncError
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page, Splitter
from sync_assets.sync.connection import Connected


@dataclass(frozen=True)
class Standing:
    """`unknown` where the source has no such read or did not answer; `into` where it answers under another key."""

    state: Literal["there", "binned", "gone", "unknown"]
    says: str
    into: str | None = None


def still_there(connection: Connected, name: str, key: str) -> Standing:
    """Raises NotMigrated; what the source fails with is in the answer."""
    target = connection.target(name)
    one = target.entity.one
    if one is None:
        return Standing("unknown", f"the API cannot be asked for one of {name}")

    def ask(path: str, params: Params, stop: threading.Event, *, body: bytes | None = None) -> Answer:
        return connection.door.ask(path, params, stop=stop, by_key=True, body=body)

    fetch = Fetch(ask, Splitter(connection.door.api.at, target.key_fields, target.canonical), connection.stored_keys)
    try:
        connection.preflight()
        found: Page | SyncError = next(found for _, found in fetch.by_id(one, [key]))
    except SyncError as e:
        return Standing("unknown", e.what)
    if isinstance(found, RecordGone):
        return Standing("binned" if found.binned else "gone", found.what)
    if isinstance(found, SyncError):
        return Standing("unknown", found.what)
    if not found.keys:
        return Standing("gone", "the source answers with no record")
    into = None if key in found.keys else found.keys[0]
    return Standing("there", f"it lives on as {into}" if into else "the source shows it", into)
