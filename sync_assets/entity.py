"""What an entity is: frozen values that say how a record is read, keyed and linked, and nothing of how it is stored.

Typed columns are not here: they are declared once, in `sql/`. What a value here does not say follows from the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Params = Mapping[str, str | int]


@dataclass(frozen=True)
class Link:
    """A child's columns that name a parent. Never enforced: a child may come first, a parent may never come."""

    columns: str | tuple[str, ...]
    to: str
    on: str | tuple[str, ...] = ()  # the target's columns; its key where nothing is said
    none: tuple[str, ...] = ()  # values that say "no parent"
    order: bool = True  # False: the parent is optional and does not decide the sync order

    @property
    def names(self) -> tuple[str, ...]:
        return (self.columns,) if isinstance(self.columns, str) else self.columns


@dataclass(frozen=True)
class Whole:
    """One request answers everything."""

    path: str
    params: Params = field(default_factory=dict)
    shape: str = "list"
    omits: tuple[str, ...] = ()  # parts that this read lacks; the stored row keeps its own
    adds: tuple[str, ...] = ()  # parts that only this read shows; they are not kept
    at: str | None = None  # the path of its records ("_embedded.leads"); None: where the dialect has them


@dataclass(frozen=True)
class OffsetPages(Whole):
    """Pages by limit and offset, each starting with the last row of the one before.

    The overlap of one row proves that no row slipped through between two pages when rows before them were deleted.
    """

    size: int = 100
    since: str | None = None  # the parameter that filters by change time, inclusive
    order: Params = field(default_factory=dict)


@dataclass(frozen=True)
class Own(Whole, ABC):
    """A read with a protocol of its own, told in its system's folder."""

    ahead: bool = False  # each page is a request: the next one is under way while the last one is stored
    early: bool = False  # what it asks first follows from answers and its own rows: it may be asked before its turn

    @abstractmethod
    def pages(self, fetch: Any, start: dict[str, Any]) -> Iterator[Any]:
        """The pages from `start` on ({} is the beginning), each with where to go on `after` it.

        {} after a page says that the read ends with it, None that it names no place.
        `fetch` is the `extract.fetch.Fetch` that carries the read out.
        """


@dataclass(frozen=True)
class Each:
    """One read per row of a parent that is already stored; {key} in its path is the parent's key."""

    parent: str
    read: Whole
    where: str = "true"  # over the columns of the parent
    carry: str | None = None  # the field that takes the parent's key where the record has none itself
    variants: tuple[Params, ...] = ({},)
    only: tuple[str, ...] = ()  # the keys of these parents alone


@dataclass(frozen=True)
class Inside:
    """Records that came inside a parent's answer: built by one statement from its stored raw_json, without a request.

    A path is a jsonpath, or two joined by " > ". `record` and `where` are SQL over `parent` (the parent's row), `item`
    (what the path found), `above` (what the first of two paths found) and the account's options.
    """

    parent: str
    paths: tuple[str, ...]
    record: str = "item"
    where: str = "true"


@dataclass(frozen=True)
class ById:
    """One record by its key."""

    path: str
    params: Params = field(default_factory=dict)
    shape: str = "one"
    omits: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    at: str | None = None  # the field that holds the record, "" for the answer itself; None: where lists hold theirs
    at_once: int = 1  # keys per request


@dataclass(frozen=True)
class OwnById(ById, ABC):
    """Records by their keys in a way of its own, in batches for instance."""

    @abstractmethod
    def look(self, fetch: Any, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """For each key a page with the record, or the SyncError that says why there is none.

        A record with another key than was asked for is what the asked one was merged into.
        """


@dataclass(frozen=True)
class Named:
    """Fields inside `part` that the API sends only where their names are asked for; `path` answers name and type."""

    part: str
    path: str


Requested = Whole | Each
Read = Requested | Inside

Changes = Callable[[Callable[[str, Params], bytes], datetime, datetime], "Sequence[Whole] | str"]
"""(ask, since, the source's own now) -> the reads that suffice, or the reason why everything must be read."""


@dataclass(frozen=True)
class Tells:
    """That rules and sequences may be told of each change of a record. A field is a path: `properties.dealstage`."""

    stage: tuple[str, ...] = ()  # where a record stands; the first field is its state, the others say in what
    responsible: str = ""  # whose it is
    along: tuple[str, ...] = ()  # top-level fields that change along with others: alone they are nothing that happened


@dataclass(frozen=True)
class Entity:
    name: str
    key: str | tuple[str, ...] = "id"
    read: Read | tuple[Read, ...] = ()
    one: ById | None = None
    changes: Changes | None = None
    links: tuple[Link, ...] = ()
    overlap: float | None = None  # seconds before its watermark that an incremental read begins, if not the setting's
    volatile: tuple[str, ...] = ()  # top-level parts that change by themselves and do not make a record "changed"
    sparse: tuple[str, ...] = ()  # parts in which null means "asked for and empty"; no null is stored
    named: Named | None = None
    pushed: Whole | None = None  # how records come that are sent to us because the API may not show them
    bin: Whole | None = None  # lists deleted records as long as the source could restore them
    merged: str = ""  # SQL over a row: a text[] of the keys that were merged into it
    deletions: str = ""  # a query of deletions that another entity tells of: key as text, and when
    after: tuple[str, ...] = ()  # entities that are better synced first
    follows: str = ""  # the parent whose changes tell of its own: what it knows of, so far this was surely read
    of_parents: Callable[[Sequence[str]], Sequence[Requested]] | None = None
    """Keys of parents -> the reads that show all that belongs to them."""
    tells_totals: bool = False  # a read of it says how many records there are
    erasable: bool = False  # a record that is gone and not in the bin was erased for good: so is our copy
    tells: Tells | None = None
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # columns whose known values are few
    own: tuple[str, ...] = ()  # columns that are ours: no record has them, and no sync names them
    doc: str = ""
    url: str = ""
    hints: tuple[str, ...] = ()  # what webhooks tell of it, by the vendor's names

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def reads(self) -> tuple[Read, ...]:
        return self.read if isinstance(self.read, tuple) else (self.read,)

    @property
    def pushed_shape(self) -> str:
        """The shape of rows that were sent to us: that no list shows them says nothing. "": there are none."""
        return self.pushed.shape if self.pushed else ""

    @property
    def since(self) -> str | None:
        """The name of the filter by change time, where a read has one."""
        return next((r.since for r in self.reads if isinstance(r, OffsetPages) and r.since), None)

    def structural_parents(self) -> tuple[str, ...]:
        """The entities that must be synced first, in declaration order."""
        parents = [r.parent for r in self.reads if isinstance(r, Each | Inside)]
        parents += [link.to for link in self.links if link.order]
        return tuple(dict.fromkeys(p for p in parents if p != self.name))

    def optional_parents(self) -> tuple[str, ...]:
        """The entities that are better synced first: what leads to them resolves at once, and nobody looks by id."""
        linked = (link.to for link in self.links if not link.order and link.to != self.name)
        return tuple(dict.fromkeys([*linked, *self.after]))


@dataclass(frozen=True)
class Source:
    """What a derived table takes from an entity: for each frame a table or view that is as fresh as it, and columns."""

    entity: str
    frames: Mapping[str, tuple[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Derived:
    """A table that is computed in pandas from stored ones, by one row per row of `covers`."""

    name: str
    key: str
    covers: str
    sources: tuple[Source, ...]
    compute: Callable[..., Any]
    """(the account's settings, **frames of all sources) -> the frame to store."""
    tally: str = ""  # a column of few values: how often each occurs is shown
    lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Its columns -> the entities and columns that each is computed from."""
    doc: str = ""


@dataclass(frozen=True)
class QueuedJob:
    """Entities that are synced together when somebody asks for them by this name, once at a time."""

    name: str
    parts: Mapping[str, str]  # what the job's result calls an entity's rows -> the entity
    doc: str = ""


@dataclass(frozen=True)
class Bucket:
    """A limit of the source: `rate` requests per second in the long run, `burst` of them at once."""

    name: str
    rate: float
    burst: float = 0.0
    fixed: bool = False  # by a setting: what the source says of its limit does not count


def in_sync_order(entities: Sequence[Entity]) -> list[Entity]:
    """Parents before children, optional parents too as far as no ring stands against it.

    Raises ValueError when the structural links form a ring or name an entity that is not there.
    """
    by_name = {e.name: e for e in entities}
    ordered: dict[str, Entity] = {}

    def place(entity: Entity, trail: tuple[str, ...]) -> None:
        if entity.name in trail:
            raise ValueError(f"structural links form a ring: {' -> '.join((*trail, entity.name))}")
        for parent in entity.structural_parents():
            if parent not in by_name:
                raise ValueError(f"{entity.name} links to {parent}, which is no entity of its system")
            if parent not in ordered:
                place(by_name[parent], (*trail, entity.name))
        ordered[entity.name] = entity

    for entity in entities:
        if entity.name not in ordered:
            place(entity, ())
    found: list[Entity] = []
    left = list(ordered.values())
    while left:
        waiting = {e.name for e in left}
        ready = [e for e in left if waiting.isdisjoint(e.structural_parents())]
        found.append(next((e for e in ready if waiting.isdisjoint(e.optional_parents())), ready[0]))
        left.remove(found[-1])
    return found
