"""What a sync asks first is asked for while something else is waited for: the rest of its list, or the sync before it.

At a source's own pace a first load is a row of answers that are waited for one by one, and some of them could be waited
for together: the beginning of the next entity's list, and what is in the bin. Nothing is decided or written here. Each
sync asks what it would ask anyway, in its own order, and finds that the answer has come already.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

from sync_assets.entity import Entity, Named, Own, Params, Requested
from sync_assets.errors import SyncError
from sync_assets.extract.ahead import Beginning
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Page, Splitter
from sync_assets.sync.connection import Connected
from sync_assets.sync.named import types_of
from sync_assets.sync.request import Request

FIRST = 24
"""Requests of an entity to come, whose answers are kept until it comes to them."""

TO_COME = 2
"""Entities whose beginnings are asked for: while one that is soon read goes by, the one after it would not come far."""

UNFINISHED = "select count(*) from sync.metadata where account = %s and entity = %s and cursor is not null"


def led(
    pages: Iterator[Page], connection: Connected, entity: Entity, request: Request, following: Sequence[Entity]
) -> Iterator[Page]:
    """The pages of one entity; after the first one, which waits for nobody, what is needed after them begins."""
    for number, page in enumerate(pages):
        if number == 0:
            connection.ask_for_rights()
            _begin_bin(connection, entity)
            if request.kind == "full":
                _begin_next(connection, following)
        yield page


def _begin_bin(connection: Connected, entity: Entity) -> None:
    """The first page of what is in the bin: whoever comes there later is found by the next sync."""
    if entity.bin:
        _begin(connection, entity, [entity.bin], None, Beginning(entity.name, 1, at_once=True))


def _begin_next(connection: Connected, following: Sequence[Entity]) -> None:
    """The next of these entities begin, as a full sync of them would.

    Not what cannot be asked for by its key: a record that comes before its sweep opens would be taken for one that has
    gone. Nor what goes by the watermark of one of them: it would be older than that says.
    """
    to_come = {entity.name for entity in following}
    early = (
        entity
        for entity in following
        if entity.one and entity.follows not in to_come and all(getattr(read, "early", False) for read in entity.reads)
    )
    for entity in islice(early, TO_COME):
        if not connection.ahead.has_begun(entity.name):
            reads = [read for read in (*entity.reads, entity.bin) if isinstance(read, Own)]
            bucket = connection.door.api.bucket(reads[0].path)
            _begin(connection, entity, reads, entity.named, Beginning(entity.name, FIRST, bucket=bucket))


def _begin(
    connection: Connected, entity: Entity, reads: Sequence[Requested], named: Named | None, beginning: Beginning
) -> None:
    def work(beginning: Beginning) -> None:
        ask = partial(connection.ahead.ask_ahead, beginning)

        def body_of(path: str, params: Params) -> bytes:
            return ask(path, params, threading.Event()).body

        with suppress(SyncError):
            # What goes on with an unfinished sweep does not begin at the beginning.
            if not beginning.at_once and connection.meter.query(UNFINISHED, (connection.account.name, entity.name))[0]:
                return
            target = connection.target(entity.name)
            names = tuple(sorted(types_of(named, body_of))) if named else ()
            splitter = Splitter(connection.door.api.at, target.key_fields, target.canonical)
            for _ in Fetch(ask, splitter, connection.stored_keys, names=names).pages(reads):
                pass

    connection.ahead.begin(beginning, work)
