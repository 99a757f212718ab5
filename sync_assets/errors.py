"""Every error of the product, grouped by whose move it is.

    SyncError
    ├── RetryLater          the source or Postgres; the next run goes on where this one stopped
    │   ├── SourceUnavailable     5xx, timeouts, refused or reset connections, an answer that is not what the API sends
    │   ├── Throttled             told to wait longer than a run may
    │   ├── OutOfTime             reading takes longer than one run may
    │   ├── AlreadyRunning        another sync holds the lease
    │   ├── FencedOff             another sync took the lease over
    │   └── DatabaseUnavailable   connection lost, locks, out of connections
    ├── FixConfig           the operator: settings, token, rights, schema
    │   ├── MissingSetting
    │   ├── UnsafeSetting
    │   ├── BadCredentials
    │   │   └── AuthorisationLost     the refresh token is dead: only a person can authorise again
    │   ├── Forbidden
    │   ├── UntrustedServer       its TLS certificate does not prove who it is
    │   ├── NotMigrated
    │   ├── MigrationMismatch
    │   ├── BadAutomation         a rule or sequence cannot be understood
    │   └── DatabaseRefused       disk full, read-only, no rights
    ├── FixData             a human looks at the data first
    │   ├── RecordRejected
    │   ├── ActionRefused         what a rule or sequence wants cannot be done to this record
    │   └── FuseBlown             too much would be deleted
    ├── CallVendor          the API broke its own contract
    │   ├── WrongShape
    │   ├── AddressTooLong        the source refuses a URL of this length
    │   ├── AnswerTooLarge        more bytes than one answer may have; fewer records at a time may fit
    │   ├── PageLoop
    │   ├── TooManyRecords
    │   └── NotFound              404 on an endpoint: never an empty list
    └── RecordGone          nobody's move: the source says that a record asked for by its key is not there

The instance carries where it happened. What it says never holds a secret or a record's text: callers pass names,
numbers, types and sizes only.
"""

from __future__ import annotations

from typing import Any


class SyncError(Exception):
    """Something went wrong."""

    next_step = "see the log of this run"

    def __init__(self, what: str = "", *, next_step: str | None = None, **where: Any) -> None:
        self.what = what or (type(self).__doc__ or "").strip().splitlines()[0]
        self.next_step = next_step or self.next_step
        self.where = {name: value for name, value in where.items() if value is not None}
        super().__init__(self.what)

    def at(self, **where: Any) -> SyncError:
        """Adds where it happened, keeping what was known closer to it."""
        self.where = {name: value for name, value in where.items() if value is not None} | self.where
        return self

    def __str__(self) -> str:
        place = ", ".join(f"{name} {value}" for name, value in self.where.items())
        return f"{self.what}{f' ({place})' if place else ''}. Next: {self.next_step}."


class RetryLater(SyncError):
    """Nothing is wrong here; try again later."""

    next_step = "nothing to do: the next run goes on from the last committed page"


class SourceUnavailable(RetryLater):
    """The source did not answer as its API does."""


class Throttled(RetryLater):
    """The source asks for a longer pause than one run may wait: for `seconds` more, where it is known."""

    def __init__(self, what: str = "", *, seconds: float | None = None, **where: Any) -> None:
        super().__init__(what, **where)
        self.seconds = seconds


class OutOfTime(RetryLater):
    """Reading takes longer than one run may."""

    next_step = "nothing to do: the next run goes on from here; if that happens often, raise SYNC_MAX_MINUTES"


class AlreadyRunning(RetryLater):
    """Another sync of this entity is running."""

    next_step = "wait for it to end, or end it; a lease lapses by itself one minute after a crash"


class FencedOff(RetryLater):
    """Another sync took this entity's lease over; nothing of this page was written."""


class DatabaseUnavailable(RetryLater):
    """Postgres cannot be reached or is too busy."""

    next_step = "check that Postgres runs and DATABASE_URL is right (sync-assets doctor), then run again"


class FixConfig(SyncError):
    """A setting is wrong."""

    next_step = "run sync-assets doctor"


class MissingSetting(FixConfig):
    """A setting is missing."""


class UnsafeSetting(FixConfig):
    """A setting would send secrets where they must not go."""


class BadCredentials(FixConfig):
    """The source refuses the token."""


class AuthorisationLost(BadCredentials):
    """The refresh token is dead; only a person can authorise again."""


class Forbidden(FixConfig):
    """The token has no right to this."""


class UntrustedServer(FixConfig):
    """The server's certificate does not prove that it is the source."""

    next_step = "check the address; behind a company proxy, point SSL_CERT_FILE at its certificate"


class NotMigrated(FixConfig):
    """The database lacks the tables of this version."""

    next_step = "run sync-assets migrate"


class MigrationMismatch(FixConfig):
    """A migration that was applied has been edited since, or the database is newer than this code."""


class BadAutomation(FixConfig):
    """A rule or sequence cannot be understood."""

    next_step = "correct the file, then run sync-assets rules check"


class DatabaseRefused(FixConfig):
    """Postgres refuses to write."""

    next_step = "free disk space, rights or connections on the Postgres server, then run again"


class FixData(SyncError):
    """The data need a human's look."""


class RecordRejected(FixData):
    """A record cannot be stored."""


class ActionRefused(FixData):
    """What a rule or sequence wants cannot be done to this record."""

    next_step = "correct the rule or sequence, or the record"


class FuseBlown(FixData):
    """This sync would delete more than a sync plausibly does; nothing was deleted."""


class CallVendor(SyncError):
    """The API broke its own contract."""

    next_step = "compare with the vendor's documentation and open an issue with this message"


class WrongShape(CallVendor):
    """The answer does not have the documented shape."""


class AddressTooLong(CallVendor):
    """The source refuses a URL of this length (414)."""


class AnswerTooLarge(CallVendor):
    """The answer is larger than memory should bear; `size` bytes had come, which began with `head`."""

    def __init__(self, what: str = "", *, head: bytes = b"", size: int = 0, seen: int = 0, **where: Any) -> None:
        super().__init__(what, **where)
        self.head = head
        self.size = size
        self.seen = seen


class PageLoop(CallVendor):
    """The pages of a listing go round in a circle."""


class TooManyRecords(CallVendor):
    """The source refuses to list this many records."""


class NotFound(CallVendor):
    """The endpoint does not exist."""

    next_step = "check the account's address in the settings; if it is right, the vendor removed the endpoint"


class RecordGone(SyncError):
    """The source says that this record is not there; `binned` that it lies in its bin and could be restored.

    `seen` is the sighting number of the request that was answered so.
    """

    next_step = "nothing to do"

    def __init__(self, what: str = "", *, binned: bool = False, seen: int | None = None, **where: Any) -> None:
        super().__init__(what, **where)
        self.binned = binned
        self.seen = seen
