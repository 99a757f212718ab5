"""What a receiver left on disk and nobody will replay: webhooks older than the inbox would keep them.

A receiver that works empties its spool by itself, and holds its lock: then nothing is looked at here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from sync_assets.errors import FixConfig
from sync_assets.load.inbox import Accepted
from sync_assets.receive.inbox import decoder
from sync_assets.receive.spool import Spool
from sync_assets.settings import SyncSettings

Unwanted = Callable[[Accepted], bool]


def forget(settings: SyncSettings, *, apply: bool) -> tuple[int, int, str]:
    """How many webhooks there are, how many of them are too old, and what there is to say."""
    oldest = time.time() - settings.sync_webhook_days * 86_400
    return drop(settings, lambda event: event.received.timestamp() < oldest, apply=apply)


def drop(settings: SyncSettings, unwanted: Unwanted, *, apply: bool) -> tuple[int, int, str]:
    """The same for those that are `unwanted`. Raises nothing: what keeps us from looking is what there is to say."""
    folder = settings.sync_spool_folder
    if not any(folder.glob("*.segment")):
        return 0, 0, ""
    try:
        spool = Spool(folder, 0)
    except FixConfig as e:
        return 0, 0, e.what
    try:
        found = 0

        def one(record: bytes) -> bool:
            nonlocal found
            try:
                met = unwanted(decoder.decode(record))
            except msgspec.MsgspecError:
                met = False  # of another version: the receiver will say so
            found += met
            return met and apply

        before = spool.events
        spool.drop(one)
        return before, found, ""
    finally:
        spool.close()
