"""What one sync reads, and how far what it has read can be trusted: decisions without side effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync_assets.entity import Each, Entity, Params, Requested, Whole
from sync_assets.sync.request import Request


def of_parents(entity: Entity, parents: tuple[str, ...]) -> Sequence[Requested]:
    """The reads that show what belongs to these parents, and nothing else."""
    if entity.of_parents:
        return entity.of_parents(parents)
    return [replace(read, only=parents) for read in entity.reads if isinstance(read, Each)]


@dataclass(frozen=True)
class Plan:
    """The reads of one sync; `complete` where they show every record there is, so that absence means something."""

    reads: Sequence[Requested]
    since: str | None = None
    complete: bool = False
    note: str = ""


def decide(
    entity: Entity,
    request: Request,
    *,
    watermark: datetime | None,
    overlap: float,
    ask: Callable[[str, Params], bytes],
    source_now: Callable[[], datetime],
) -> Plan:
    """From the watermark on where the source can filter or tell what changed; else everything."""
    reads = [read for read in entity.reads if isinstance(read, Whole | Each)]
    since = request.since
    if since is None and request.kind != "full" and watermark:
        since = watermark - timedelta(seconds=overlap if entity.overlap is None else entity.overlap)
    if since and entity.since:
        return Plan(reads, since.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z")
    why = ""
    if since and entity.changes:
        found = entity.changes(ask, since, source_now())
        if not isinstance(found, str):
            return Plan(found)
        why = found
    return Plan(reads, complete=True, note=why)


def surely_read(
    entity: Entity, request: Request, *, newest: datetime | None, began: datetime | None
) -> datetime | None:
    """The watermark: the newest source time up to which everything was read; None leaves it where it is.

    `newest` is the newest change that is stored, of an entity that follows another one how far that one was read.

    Rows may change behind a read that is under way: nothing later than the source's clock at its beginning counts.
    """
    partial = request.kind == "selective" or request.of_some or request.since
    if partial or not (entity.since or entity.changes):
        return None
    if newest and began:
        return min(newest, began)
    return began if entity.changes and not entity.follows else None
