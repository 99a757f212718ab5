"""A receiver from its start to its end.

Promise: it starts without Postgres, and ends only when what it has taken is answered. The non-obvious decision:
uvicorn's protocol without `uvicorn.Server`, which would raise the signal that ended it again, after a graceful end.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from uvicorn.server import ServerState

from sync_assets.account import Account
from sync_assets.errors import DatabaseUnavailable, MissingSetting, NotMigrated, SyncError
from sync_assets.load.database import Database
from sync_assets.receive import health
from sync_assets.receive.app import Clock, Door, application
from sync_assets.receive.connections import Crowd, protocol_of
from sync_assets.receive.counts import Counts
from sync_assets.receive.health import Health
from sync_assets.receive.inbox import Inbox
from sync_assets.receive.listener import BACKLOG, address_of
from sync_assets.receive.routes import routes_of
from sync_assets.receive.spool import Spool
from sync_assets.settings import SyncSettings

log = logging.getLogger("sync_assets.receive")

RECONNECT_SECONDS = 0.5
"""How long a commit tries to reach Postgres before its webhooks go to the spool."""
NEWS_SECONDS = 60.0
LOOK_SECONDS = 2.0
"""How long the start waits for Postgres' first word."""
GRACE = 2.0
"""Seconds that requests on their way have to arrive when the receiver ends, and their answers to leave."""
SPARE_FILES = 128
"""Open files that are no connections of callers."""


class Receiver:
    """Made where the settings are right; `run` serves until `stop`."""

    def __init__(
        self,
        accounts: Sequence[Account],
        settings: SyncSettings,
        listener: socket.socket,
        *,
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        """Raises MissingSetting and FixConfig for settings, NotMigrated where Postgres is there without our tables."""
        if settings.database_url is None:
            raise MissingSetting("DATABASE_URL is not set", next_step="set it, or try make demo first")
        address = settings.sync_public_url or address_of(listener)
        routes = routes_of(accounts, public_url=settings.sync_public_url)
        self.addresses = [address + route.shown for route in routes]
        self._listener = listener
        self._counts = Counts()
        self._grace = settings.sync_receiver_commit_seconds + GRACE
        most = _files_for(settings.sync_receiver_connections)
        self._crowd = Crowd(most=most, seconds=settings.sync_receiver_seconds, counts=self._counts)
        self._began = time.monotonic()
        url = settings.database_url.get_secret_value()
        database = Database(url, wait=RECONNECT_SECONDS, name="sync_assets receive")
        self._spool = Spool(settings.sync_spool_folder, int(settings.sync_spool_megabytes * 1e6))
        try:
            _look(database)
        except NotMigrated:
            self._spool.close()
            raise
        self._inbox = Inbox(database, self._spool, patience=settings.sync_receiver_commit_seconds)
        self._door = Door(routes, self._inbox, self._counts, address=address, clock=clock)
        self._health = Health(Database(url, wait=health.RECONNECT_SECONDS, name="sync_assets health"))
        self._app = application(self._door, self.health, lambda: self._inbox.refusing)
        self._state = ServerState()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    async def health(self) -> dict[str, Any]:
        """One word (ok, or degraded: something needs somebody), what is wrong, and numbers."""
        inbox, spool, look = self._inbox, self._spool, await self._health.look()
        problems = look.problems()
        if inbox.refusing:
            problems.append("webhooks are refused: nothing can keep them. Next: see this receiver's log")
        elif inbox.spooling:
            problems.append(f"Postgres took no webhooks: {spool.events} are in the spool. Next: nothing, if it is back")
        return {
            "status": "degraded" if problems else "ok",
            "connected": look.connected,
            "problems": problems,
            **look.facts,
            "intake": "refusing" if inbox.refusing else "spooling" if inbox.spooling else "direct",
            "spool": {"events": spool.events, "bytes": spool.size, "limit_bytes": spool.limit},
            "uptime_seconds": round(time.monotonic() - self._began, 1),
            "connections": self._crowd.connections,
            "held_bytes": self._door.held,
            "deliveries": self._counts.by_endpoint(),
        }

    def run(self, ready: Callable[[], object] = lambda: None, *, signals: bool = True) -> None:
        """Serves until SIGTERM, SIGINT or `stop`; only the main thread can have `signals`. `ready` is called once."""
        with asyncio.Runner(loop_factory=_event_loop()) as runner:
            runner.run(self._serve(ready, signals=signals))

    @property
    def refusing(self) -> bool:
        """Whether the last webhooks could not be kept."""
        return self._inbox.refusing

    def stop(self) -> None:
        """From any thread; harmless when repeated."""
        if self._loop is not None and self._stopping is not None:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self, ready: Callable[[], object], *, signals: bool) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if signals:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    loop.add_signal_handler(number, self._stopping.set)
        self._inbox.start()
        protocol = protocol_of(self._app, self._state, self._crowd)
        server = await loop.create_server(protocol, sock=self._listener, backlog=BACKLOG)
        news = asyncio.create_task(self._tell())
        ready()
        await self._stopping.wait()
        server.close()
        news.cancel()
        await self._finish()
        # In a thread: a commit under way may take its time, and answers none.
        await asyncio.to_thread(self._inbox.close)
        self._health.close()
        self._log_news()

    async def _finish(self) -> None:
        """Answers what was taken; lets go of those who have not yet sent a whole request."""
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=self._grace)
        for connection in list(self._state.connections):
            connection.transport.close()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.sleep(0)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(NEWS_SECONDS)
            self._log_news()

    def _log_news(self) -> None:
        if news := self._counts.news():
            log.info("%s", news)


def _look(database: Database) -> None:
    """Raises NotMigrated. Any other trouble with Postgres is no reason not to take webhooks: there is the spool."""
    found: list[SyncError] = [DatabaseUnavailable("Postgres does not answer")]

    def look() -> None:
        try:
            database.query("select sync.accept_events('{}')")
            found.clear()
        except SyncError as e:
            found[:] = [e]

    # A thread, because a host that swallows packets would hold up the start.
    thread = threading.Thread(target=look, name="look", daemon=True)
    thread.start()
    thread.join(LOOK_SECONDS)
    for error in found:
        if isinstance(error, NotMigrated):
            database.close()
            raise error
        log.error("%s Until then webhooks go to the spool.", error)


def _files_for(connections: int) -> int:
    """How many connections there may be, after the limit of open files was raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            log.warning("this machine allows %d open files: at most %d connections", soft, soft - SPARE_FILES)
            return max(soft - SPARE_FILES, 1)
    return connections


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
