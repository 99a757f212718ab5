"""Records that were sent to us, because their API may not show them: kept where it was asked and indeed shows none.

They come into the same table by the same way as any other, told apart by the shape of their read alone: what the API
shows of them later wins, and no listing that is without them says that they are gone. That says only their sender.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sync_assets.errors import FixConfig
from sync_assets.extract import scan
from sync_assets.extract.dialect import Answer
from sync_assets.extract.pages import Page, Splitter
from sync_assets.load.deletions import Departed
from sync_assets.load.target import Target
from sync_assets.sync.connection import Connected
from sync_assets.sync.request import Outcome

DELETED = b"null"
"""Sent in place of a record: its sender has it no more."""


def hidden(
    records: Mapping[str, Sequence[bytes]], outcome: Outcome, connection: Connected, target: Target
) -> tuple[Page | None, dict[str, Departed]]:
    """Of `records` by key, those that `outcome` says the source does not have or show: a page, and who left.

    Of several of one key the last counts; where its sender does not always tell all, it leaves the others' parts. Those
    of the page are taken off that list. Raises FixConfig for an entity that takes no records.
    """
    found = {k: r for k, r in records.items() if k in outcome.gone or k in outcome.unreachable}
    if not found:
        return None, {}
    if (read := target.entity.pushed) is None:
        raise FixConfig(
            f"{target.entity.name} takes no records that are sent; the API has all of them",
            next_step="open an issue with this message",
        )
    last = {key: _together(sent) if read.omits else sent[-1] for key, sent in found.items()}
    living = {key: record for key, record in last.items() if record != DELETED}
    deleted = dict.fromkeys(found.keys() - living.keys(), Departed("whoever sends it says that it was deleted"))
    if not living:
        return None, deleted
    for key in living:
        outcome.gone.pop(key, None)
        outcome.unreachable.pop(key, None)
    body = b'{"%s":[%s]}' % ((read.at or "").encode(), b",".join(living.values()))
    seen = int(connection.database.query("select nextval('sync.seen')")[0])
    splitter = Splitter(connection.door.api.at, target.key_fields, target.canonical)
    return splitter.page(f"{read.path}, sent to us", read, Answer(200, {}, body, seen, read.path)), deleted


def _together(sent: Sequence[bytes]) -> bytes:
    """One record of all parts that were told, each as it was told last."""
    parts: dict[str, bytes] = {}
    for record in sent:
        parts = {} if record == DELETED else parts | dict(scan.fields(record))
    told = (b"%s:%s" % (json.dumps(name).encode(), value) for name, value in parts.items())
    return b"{%s}" % b",".join(told) if parts else DELETED
