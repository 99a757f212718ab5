"""What is wrong, as it is told: where, what, how bad, and what to do; and which errors are about more than one entity.

A cause is an account, an entity and the name of a check or the class of an error, never a run: ten runs that fail for
one reason are one cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sync_assets import errors

Kind = Literal["step", "run", "check", "state"]
Severity = Literal["critical", "error", "warning"]
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Cause:
    account: str
    entity: str
    what: str
    kind: Kind
    says: str
    next_step: str
    at: datetime
    severity: Severity = "error"
    stopped: tuple[str, ...] = ()
    run_id: str | None = None
    job: str | None = None
    assets: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.account, self.entity, self.what


def _family(*kinds: type[errors.SyncError]) -> frozenset[str]:
    found: set[str] = set()
    for kind in kinds:
        found |= {kind.__name__} | _family(*kind.__subclasses__())
    return frozenset(found)


OF_ALL = _family(errors.DatabaseUnavailable, errors.DatabaseRefused, errors.NotMigrated, errors.MigrationMismatch)
"""Classes of what every account meets at once: one Postgres, one version of the tables."""

OF_THE_ACCOUNT = _family(errors.BadCredentials, errors.UntrustedServer, errors.MissingSetting, errors.UnsafeSetting)
"""Classes of what every entity of an account meets at once."""

WAITS_FOR_A_PERSON = _family(errors.DatabaseRefused, errors.AuthorisationLost, errors.FuseBlown)
"""Nothing goes on before somebody acts, and what is not read meanwhile may be gone by then."""


def severity_of(error: str) -> Severity:
    return "critical" if error in WAITS_FOR_A_PERSON else "error"


def whose(error: str, account: str, entity: str) -> tuple[str, str]:
    """The account and entity that an error is about."""
    if error in OF_ALL:
        return "", ""
    return (account, "") if error in OF_THE_ACCOUNT else (account, entity)


def merged(causes: Iterable[Cause]) -> list[Cause]:
    """One for each key: the first one's words, with what all of them stopped; none of them counts as stopped itself."""
    found: dict[Key, Cause] = {}
    for cause in causes:
        known = found.get(cause.key)
        assets = tuple(dict.fromkeys([*(known.assets if known else ()), *cause.assets]))
        stopped = dict.fromkeys([*(known.stopped if known else ()), *cause.stopped])
        first = known or cause
        found[cause.key] = Cause(
            **{
                **vars(first),
                "assets": assets,
                "stopped": tuple(name for name in stopped if name not in assets),
                "at": max(first.at, cause.at),
            }
        )
    return list(found.values())
