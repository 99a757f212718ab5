"""What may be written to a source, and who wins where both sides changed. Values, like `entity`.

Nothing is written blindly: an operation looks at what the source holds, judges, writes what differs, and what it wrote
counts as written when a read shows it. So whatever became of an earlier try, each try begins with a look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sync_assets.errors import SyncError

Decision = Literal["ours", "theirs"]

HTTP = "http"
"""The account of the outbox whose letters go to addresses of the operator's own choice."""


@dataclass(frozen=True)
class Letter:
    """One row of `sync.outbox` that is being worked at."""

    id: int
    entity: str
    key: str
    operation: str
    payload: Mapping[str, Any]
    base: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 1
    sent: Mapping[str, Any] | None = None  # what left in an earlier try, of which nobody knows what became
    sent_seconds: float | None = None  # how long ago that was

    @property
    def marker(self) -> str:
        """What a record that this creates carries, so that it can be found again."""
        return f"[#{self.id}]"


@dataclass(frozen=True)
class Held:
    """What the source holds now."""

    values: Mapping[str, Any]
    page: Any = None  # the record as an `extract.pages.Page`, where it is one that is mirrored


@dataclass(frozen=True)
class Conflict:
    field: str
    base: str | None
    theirs: str | None
    ours: str
    decision: Decision
    why: str


@dataclass(frozen=True)
class Agrees:
    """The source holds what is wanted."""


@dataclass(frozen=True)
class Write:
    """Only these fields, in the source's words."""

    fields: Mapping[str, Any]
    conflict: Conflict | None = None


@dataclass(frozen=True)
class Yields:
    """The source's value stays."""

    conflict: Conflict


@dataclass(frozen=True)
class Impossible:
    """Trying again does not help before a person has done something."""

    why: str


@dataclass(frozen=True)
class Wait:
    """Nobody can tell yet: it is looked at again after so many seconds, and this try does not count."""

    seconds: float
    why: str


Verdict = Agrees | Write | Yields | Impossible | Wait
Looked = Mapping[int, "Held | SyncError"]


@dataclass(frozen=True)
class Writable:
    """A field of ours that goes back. On a conflict the source wins, unless ours is further on the `path`.

    `final` values are left only for those that each names, conflict or not.
    """

    name: str
    path: tuple[str, ...] = ()
    final: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def decide(self, base: str | None, theirs: str, ours: str) -> tuple[Decision, Conflict | None]:
        """`base` is what the source held when ours was set; None where that is not known."""

        def conflict(decision: Decision, why: str) -> tuple[Decision, Conflict]:
            return decision, Conflict(self.name, base, theirs, ours, decision, why)

        if theirs in self.final and ours not in self.final[theirs]:
            return conflict("theirs", f"{theirs} is final")
        if theirs == base:
            return "ours", None
        if {theirs, ours} <= set(self.path) and self.path.index(ours) > self.path.index(theirs):
            return conflict("ours", f"{ours} is further than {theirs}")
        return conflict("theirs", "the source changed it too")


@dataclass(frozen=True)
class Operation:
    """One way to change a source. `look` and `write` are asked for at most `at_once` letters.

    `fetch` is an `extract.fetch.Fetch` whose `ask` sends a request with a body once and never again.
    """

    name: str
    entity: str  # whose keys its answers are split by; "" where nothing is read
    judge: Callable[[Letter, Held | None, Sequence[tuple[Any, ...]]], Verdict]
    """(letter, what the source holds, the rows of `knows`) -> what to do. None: there was no look."""
    write: Callable[[Any, Sequence[tuple[Letter, Mapping[str, Any]]]], Mapping[int, SyncError | Held | None]]
    """(fetch, letters with the fields to write) -> for each why it was refused, or None, which a read must bear out.
    What a source answers with the id of what it made is `Held`: then it is made, and no read could say it better.

    Raises a SyncError where nobody knows what arrived."""
    look: Callable[[Any, Sequence[Letter]], Looked] | None = None
    """(fetch, letters) -> for each what the source holds, or why that cannot be read.

    None where nothing can be looked up: a letter of which nobody knows whether it arrived waits for a person."""
    knows: str = ""  # a query in the account's schema, whose rows `judge` gets
    in_step: str = ""  # a function of the account's schema: puts the rows with these keys back to what the source holds
    apart: str = ""  # a view of the account's schema: rows that say something else although nothing is on its way
    coalesces: bool = False  # a later letter makes earlier ones of its record superfluous, field by field
    at_once: int = 25


@dataclass(frozen=True)
class Outbound:
    """What goes back to a system: the name of the asset that does it, and how."""

    name: str
    operations: tuple[Operation, ...]
    parents: tuple[str, ...] = ()  # entities that are better synced before
    scopes: Mapping[str, tuple[str, str, str, str]] = field(default_factory=dict)
    """Scope of `sync.status_map` -> the entity that lists its codes, the entity that bears them, its columns of our
    word and of the source's code."""
    doc: str = ""
