"""What each vendor gives the sender: who listens, what an event looks like, and when it is tried again.

The non-obvious decision: a letter is a pure function of hook, events, attempt and moment. So a forged one is the letter
of a hook with other secrets, and a stale one that of an earlier moment, and no vendor knows that it is being abused.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from sync_assets.sandbox.clock import Clock
from sync_assets.sandbox.dialect import Record, RefusedError
from sync_assets.sandbox.webhooks.news import Heard


@dataclass(frozen=True, slots=True)
class Event:
    """What a vendor would send about one change; `body` is asked for at once, and only if somebody listens."""

    name: str
    entity: str  # as in GET /_world/<system>/<entity>
    key: str
    body: Callable[[], Any]
    place: Any = None  # where only some may listen: Kaiten's space, Worksection's project


@dataclass(slots=True)
class Hook:
    """One registration. `status` is active, paused or disabled: the last two get nothing."""

    id: int
    url: str
    events: frozenset[str] = frozenset()  # none named: all
    place: Any = None
    secrets: dict[str, str] = field(default_factory=dict)
    row: Record = field(default_factory=dict)  # what the vendor's own API shows of it
    status: str = "active"
    failures: list[float] = field(default_factory=list)  # when the answer was none that this vendor takes

    def forged(self) -> "Hook":
        """As somebody would write who knows the address but no secret."""
        if self.secrets:
            return replace(self, secrets={name: _other(secret) for name, secret in self.secrets.items()})
        head, slash, last = self.url.rpartition("/")
        return replace(self, url=head + slash + _other(last))


def _other(secret: str) -> str:
    """As long, and not the same."""
    return secret[::-1] if secret[::-1] != secret else "".join(chr(ord(c) ^ 1) for c in secret)


@dataclass(slots=True)
class Said:
    """One event as it goes to one hook."""

    event: Event
    body: Any
    at: float  # when it happened, in seconds of world time


@dataclass(slots=True)
class Letter:
    url: str
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Reply:
    """`status` 0 is no answer at all, for which `reason` says why."""

    status: int = 0
    body: bytes = b""
    reason: str = ""


def _nobody(_letter: Letter, _timeout: float) -> Future[Reply]:
    raise RefusedError("nobody sends for this vendor")


class Vendor:
    """How one vendor sends. `secrets` are the names that a registration may give, the main one first."""

    name: ClassVar[str]
    secrets: ClassVar[tuple[str, ...]] = ()
    timeout: ClassVar[float] = 5.0
    connections: ClassVar[int] = 4

    def __init__(self, switches: dict[str, str], clock: Clock, lock: threading.RLock) -> None:
        self.switches, self.clock, self.lock = switches, clock, lock
        self.hooks: dict[int, Hook] = {}
        # Set by whoever sends: the events of one edit, under the world's lock.
        self.happened: Callable[[Vendor, list[Event]], None] | None = None
        # Set likewise: one letter at once, for a vendor that tries an address before it takes it.
        self.ring: Callable[[Letter, float], Future[Reply]] = _nobody
        self._last_id = 1000

    def known(self) -> dict[str, str]:
        """The secrets that this vendor itself made, used where a registration names none."""
        return {}

    def register(
        self, url: str, events: Iterable[str] = (), place: Any = None, secrets: dict[str, str] | None = None
    ) -> Hook:
        if not url.startswith(("http://", "https://")):
            raise RefusedError("a webhook's address begins with http:// or https://")
        given = dict(secrets or {})
        if self.secrets and "secret" in given:
            given.setdefault(self.secrets[0], given.pop("secret"))
        if unknown := given.keys() - set(self.secrets):
            raise RefusedError(f"{self.name} has no {sorted(unknown)}; a registration may have: {self.secrets}")
        with self.lock:
            self._last_id += 1
            hook = Hook(self._last_id, url, frozenset(events), place, self.known() | given)
            self.hooks[hook.id] = hook
            return hook

    def hear(self, heard: list[Heard]) -> None:
        if self.happened is not None:
            self.happened(self, list(self.events(heard)))

    def wants(self, hook: Hook, event: Event) -> bool:
        here = hook.place is None or event.place is None or hook.place == event.place
        return here and hook.status == "active" and (not hook.events or event.name in hook.events)

    # What each vendor says for itself.

    def events(self, heard: list[Heard]) -> Iterable[Event]:
        raise NotImplementedError

    def invented(self, name: str, entity: str, key: str) -> Event:
        """An event that never happened (W12): of an unknown name, or the deletion of what lives."""
        raise NotImplementedError

    def batch(self) -> int:
        """The most events in one letter."""
        return 1

    def letter(self, hook: Hook, said: Sequence[Said], attempt: int, moment: float) -> Letter:
        """`attempt` counts from 0, `moment` is in seconds of real time, as a signature's stamp is."""
        raise NotImplementedError

    def accepts(self, status: int, body: bytes) -> bool:
        """Whether the answer is one; a status 0 is none at all."""
        return 200 <= status < 300

    def waits(self, attempt: int, status: int) -> float | None:
        """Seconds between this failed attempt and the next; None: there is none."""
        return None

    def took(self, hook: Hook, ok: bool, moment: float) -> None:
        """Called after each attempt, in order to switch off whoever fails too often."""
