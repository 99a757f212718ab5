"""What else is to be looked at when records were: what came inside them, and what belongs to them and tells nothing."""

from __future__ import annotations

from collections.abc import Iterator

from sync_assets.account import Account
from sync_assets.entity import Each, Entity, Inside, in_sync_order
from sync_assets.sync.request import Request


def belongings(account: Account, entity: Entity, keys: tuple[str, ...]) -> Iterator[tuple[Entity, Request]]:
    """Entities in sync order, each with what is to be read of it. Without `keys` the entity was read as a whole.

    What is built from stored records alone is built anew however little has changed: a process that died before it
    came to that would else have left it as it was.
    """
    touched = {entity.name}
    for other in in_sync_order(account.entities):
        inside = [read for read in other.reads if isinstance(read, Inside)]
        some = Request("webhook", parents=keys)
        if other.name == entity.name:
            continue
        if inside and len(inside) == len(other.reads):
            if touched.intersection(other.structural_parents()):
                touched.add(other.name)
                yield other, Request("webhook")
        elif any(read.parent == entity.name for read in inside):
            each = [read for read in other.reads if isinstance(read, Each)]
            yield other, some if each else Request("webhook")
        elif other.follows == entity.name and other.of_parents:
            yield other, some
