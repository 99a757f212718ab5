"""How it all is, for GET /health: what Postgres says, asked for seldom and in a thread of its own, and what is wrong.

Promise: the receiver is never held up by the question; who asks waits PATIENCE at most, and all who ask within
FRESH_SECONDS get one answer. The non-obvious decision: two addresses. /health is for people and monitors: 503 as soon
as anything needs somebody. /health/live is for balancers and supervisors: 503 only while webhooks are refused, for
whoever is taken out for less loses what the spool would have kept.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sync_assets.errors import DatabaseRefused, DatabaseUnavailable, NotMigrated, SyncError
from sync_assets.load.cursor import Cursor
from sync_assets.load.database import Database

FRESH_SECONDS = 1.0
"""How old an answer of Postgres may be."""
PATIENCE = 1.0
"""Seconds that a question to Postgres may take before it counts as no answer."""
RECONNECT_SECONDS = 0.3
"""A connection that was lost since the last question is made anew within this time."""
SILENT_SECONDS = 300.0
"""Dagster's daemons give a sign of life every 30 s; a code server that loads may hold one of them up."""
LATE_SECONDS = 3600.0
"""As the check of the inbox has it: no pause of a source should keep an event for longer."""

DAEMONS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")
"""Without these nothing is worked off; what other daemons there are depends on Dagster's version."""


@dataclass(frozen=True)
class Look:
    """What Postgres said at one moment; `trouble` where it said nothing, `connected` where it was there to say so."""

    connected: bool = False
    said: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """Seconds since each daemon's sign of life (None: Dagster's storage is not in this database), jobs in progress,
        and letters that were given up."""
        said = self.said
        return {
            "daemons": said.get("daemons"),
            "jobs": {**(said.get("runs") or {"runs": None, "queued": None}), "syncs": said.get("syncs")},
            "dead_letters": {"inbox": said.get("inbox_dead"), "outbox": said.get("outbox_dead")},
            "inbox_waiting": said.get("inbox_waiting"),
        }

    def problems(self) -> list[str]:
        """What needs somebody, each with the next step."""
        if self.trouble:
            return [self.trouble]
        said, found = self.said, []
        daemons = said["daemons"] or {}
        if silent := {name: daemons[name] for name in DAEMONS if daemons.get(name, 0) > SILENT_SECONDS}:
            longest = max(silent.values())
            found.append(f"no sign of life of {', '.join(silent)} for {longest:.0f} s. Next: start dagster-daemon")
        if said["inbox_waiting"]["oldest_seconds"] > LATE_SECONDS:
            hours = said["inbox_waiting"]["oldest_seconds"] / 3600
            found.append(f"a webhook has waited for {hours:.1f} hours. Next: see sync-assets inbox")
        if said["inbox_dead"]:
            found.append(f"{said['inbox_dead']} webhooks were given up. Next: see sync-assets inbox")
        if said["outbox_dead"]:
            found.append(f"{said['outbox_dead']} changes were given up. Next: see sync-assets outbox list")
        return found


class Health:
    """Asks Postgres for as long as somebody asks us. Of one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last = Look(trouble="nobody has asked yet")
        self._at = float("-inf")
        self._asking: Future[Look] | None = None

    def close(self) -> None:
        """A question that Postgres does not answer is left to end with the process."""
        if self._asking is None or self._asking.done():
            self._database.close()

    async def look(self) -> Look:
        if time.monotonic() - self._at <= FRESH_SECONDS:
            return self._last
        if self._asking is None:
            self._asking = Future()
            # So that a caller who goes away takes no answer from the others.
            self._asking.set_running_or_notify_cancel()
            threading.Thread(target=self._ask, args=(self._asking,), name="health", daemon=True).start()
        asking = self._asking
        await asyncio.wait({asyncio.wrap_future(asking)}, timeout=PATIENCE)
        if not asking.done():
            return Look(trouble=f"Postgres has not answered within {PATIENCE:g} s. Next: see what it is waiting for")
        if asking is self._asking:
            self._last, self._at, self._asking = asking.result(), time.monotonic(), None
        return self._last

    def _ask(self, asked: Future[Look]) -> None:
        try:
            asked.set_result(Look(True, self._database.transaction(_health)))
        except (DatabaseRefused, NotMigrated) as e:
            asked.set_result(Look(trouble=str(e), connected="sqlstate" in e.where))
        except SyncError as e:
            asked.set_result(Look(trouble=str(e)))
        except Exception as e:  # noqa: BLE001  whoever asks must get an answer
            asked.set_result(Look(trouble=str(DatabaseUnavailable(f"Postgres cannot be asked ({type(e).__name__})"))))


def _health(cursor: Cursor) -> Mapping[str, Any]:
    cursor.execute("set local statement_timeout = '5s'; select sync.health()")
    (said,) = cursor.fetchone() or ({},)
    return dict(said)
