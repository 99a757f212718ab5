"""Records that were sent to us, because their API may not show them: kept where it was asked and indeed shows none.

They come into the same table by the same way as any other, told apart by the shape of their read alone: what the API
shows of them later wins, and no listing that is without them says that they are gone. That says only their sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sync_assets.entity import Whole
from sync_assets.errors import FixConfig
from sync_assets.extract.dialect import Answer
from sync_assets.extract.pages import Page, Splitter
from sync_assets.load.deletions import Departed

if TYPE_CHECKING:
    from sync_assets.sync.departures import Departures
    from sync_assets.sync.entity_sync import EntitySync

DELETED = b"null"
"""Sent in place of a record: its sender has it no more."""


def take_pushed(sync: EntitySync, departures: Departures) -> None:
    """Loads the records of the request whose keys the source has just denied, or would not show.

    Raises FixConfig for an entity that takes no records.
    """
    outcome = sync.outcome
    hidden = {k: r for k, r in sync.request.pushed.items() if k in outcome.gone or k in outcome.unreachable}
    if not hidden:
        return
    if (read := sync.entity.pushed) is None:
        raise FixConfig(f"{sync.entity.name} takes no records that are sent; the API has all of them")
    records = {key: record for key, record in hidden.items() if record.strip() != DELETED}
    if records:
        seen = int(sync.connection.database.query("select nextval('sync.seen')")[0])
        splitter = Splitter(sync.connection.door.api.at, sync.target.key_fields, sync.target.canonical)
        departures.load([page_of(splitter, read, records, seen)])
        for key in records:
            outcome.gone.pop(key, None)
            outcome.unreachable.pop(key, None)
    deleted = Departed("whoever sends it says that it was deleted")
    departures.bury(dict.fromkeys(hidden.keys() - records.keys(), deleted), by_sender=True)


def page_of(splitter: Splitter, read: Whole, records: Mapping[str, bytes], seen: int) -> Page:
    """The records as if a list had shown them."""
    body = b'{"%s":[%s]}' % ((read.at or "").encode(), b",".join(records.values()))
    return splitter.page(f"{read.path}, sent to us", read, Answer(200, {}, body, seen, read.path))
