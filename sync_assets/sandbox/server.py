"""The sandbox on real sockets: one port per system, one for control, one thread for all.

Promise: every request is logged with both clocks, every breach of a rate limit is kept in `violations`, and
the world changes only under its lock. The non-obvious decision: uvicorn's protocol is used without
`uvicorn.Server`, whose main loop wakes ten times a second and would make each start and stop cost more than
the test around it.
"""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sync_assets.sandbox import damage
from sync_assets.sandbox.control import Control
from sync_assets.sandbox.dialect import Answer, RefusedError, Request, System, Throttle
from sync_assets.sandbox.door import Door, Entry
from sync_assets.sandbox.faults import Fault, Faults
from sync_assets.sandbox.webhooks.exchange import Webhooks
from sync_assets.sandbox.world import World

# Requests a second; a system's further limits are named after it.
RATES = {
    "kaiten": 5.0, "worksection": 1.0, "hubspot": 19.0, "hubspot.search": 5.0, "hubspot.associations": 15.0,
    "kommo": 7.0, "bitrix": 2.0,
}  # fmt: skip

# Longer than any pause of a client that paces itself: a pool must not meet a connection closed under it.
KEEP_ALIVE = 75


class Sandbox:
    def __init__(
        self,
        seed: int = 1,
        size: str = "tiny",
        rates: dict[str, float] | None = None,
        latency: float = 0.0,
        cards: int | None = None,
        replay: str | Path | None = None,
        switches: dict[str, str] | None = None,
    ) -> None:
        self.world = World(seed, size, cards, Path(replay) if replay else None, switches)
        self.faults = Faults(seed)
        self.faults.on_world = self._afflict
        self.webhooks = Webhooks(self.world, self.faults)
        self.latency = latency
        self.requests: list[Entry] = []
        self.violations: list[Entry] = []
        if unknown := (rates or {}).keys() - RATES.keys():
            raise RefusedError(f"no system {sorted(unknown)} to limit; known: {', '.join(RATES)}")
        self._limits = {name: system.limiter(_rates(rates or {})) for name, system in self.world.systems.items()}
        self._sockets: dict[str, socket.socket] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._servers: list[asyncio.Server] = []
        self._states: list[ServerState] = []

    @property
    def kaiten_url(self) -> str:
        return self.url("kaiten")

    @property
    def kaiten_token(self) -> str:
        return self.world.systems["kaiten"].credentials()["token"]

    @property
    def worksection_url(self) -> str:
        return self.url("worksection")

    @property
    def worksection_key(self) -> str:
        return self.world.systems["worksection"].credentials()["key"]

    @property
    def hubspot_url(self) -> str:
        return self.url("hubspot")

    @property
    def hubspot_token(self) -> str:
        return self.world.systems["hubspot"].credentials()["token"]

    @property
    def bitrix_url(self) -> str:
        """The webhook's address, whose path is the secret."""
        return self.url("bitrix") + self.world.systems["bitrix"].credentials()["path"]

    @property
    def control_url(self) -> str:
        return self.url("control")

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._sockets[name].getsockname()[1]}"

    def address_book(self) -> dict[str, Any]:
        """What the command prints when it is ready."""
        book: dict[str, Any] = {"control": self.control_url}
        for name, system in self.world.systems.items():
            credentials = system.credentials()
            book[name] = {"url": self.url(name) + credentials.pop("path", ""), **credentials}
        book["webhooks"] = {name: vendor.known() for name, vendor in self.webhooks.vendors.items() if vendor.known()}
        return book

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        for name in ("control", *self.world.systems):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(("127.0.0.1", 0))
            self._sockets[name] = listener
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="sandbox", daemon=True)
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = None
        for listener in self._sockets.values():
            listener.close()
        self.webhooks.stop()

    def _run(self, started: threading.Event) -> None:
        loop = self._loop = _event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._listen())
            started.set()
            loop.run_forever()
            loop.run_until_complete(self._close())
        finally:
            started.set()
            loop.close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        apps: dict[str, Any] = {name: Door(self, system) for name, system in self.world.systems.items()}
        for name, app in {"control": Control(self), **apps}.items():
            config = uvicorn.Config(
                app, lifespan="off", access_log=False, log_config=None, log_level="critical", ws="none",
                proxy_headers=False, server_header=False, interface="asgi3", timeout_keep_alive=KEEP_ALIVE,
            )  # fmt: skip
            config.load()
            state = ServerState()
            self._states.append(state)

            def protocol(config: uvicorn.Config = config, state: ServerState = state) -> HttpToolsProtocol:
                return HttpToolsProtocol(config, state, {})

            self._servers.append(await loop.create_server(protocol, sock=self._sockets[name], backlog=2048))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for state in self._states:
            for task in state.tasks:
                task.cancel()
            for connection in list(state.connections):
                connection.transport.abort()
        leftovers = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*leftovers, return_exceptions=True)
        await asyncio.sleep(0)

    def _afflict(self, fault: Fault) -> None:
        if fault.id in ("W5", "W12"):
            return self.webhooks.afflict(fault)
        for name, system in self.world.systems.items():
            if fault.system in (None, name):
                with self.world.lock:
                    system.afflict(fault.id, fault.options)
        return None

    def admit(self, entry: Entry, request: Request) -> Throttle | None:
        """Log a request and count it against its system's limit, at the moment it arrived."""
        self.requests.append(entry)
        throttle = self._limits[entry.system].take(request)
        if throttle is not None and not throttle.allowed:
            self.violations.append(entry)
        return throttle

    def answer(self, system: System, request: Request, throttle: Throttle | None) -> Answer:
        """One request's way through limit, faults and dialect; everything but the wire."""
        if throttle is not None and not throttle.allowed:
            answer = system.throttled(throttle)
        else:
            answer = self._answer(system, request)
            if throttle is not None and answer.status != 429:
                answer.headers |= system.limit_headers(throttle)
        system.finish(request, answer)
        return answer

    def _answer(self, system: System, request: Request) -> Answer:
        name, faults = system.name, self.faults
        for fault in faults.aimed("instead", name, request):
            if (answer := damage.instead(fault, faults, system, request)) is not None:
                return answer
        if (answer := system.refuse(request)) is not None:
            return answer
        for fault in faults.aimed("ask", name, request):
            damage.ask(fault, request)
        for fault in faults.aimed("dialect", name, request):
            request.faults[fault.id] = fault
        answer = system.answer(request)
        if not answer.is_list and answer.rows and request.keep is not None:
            answer = self._by_id(system, request, answer)
        if answer.status == 200:
            for fault in faults.aimed("rows", name, request):
                damage.rows(fault, answer)
            for fault in faults.aimed("after", name, request):
                if not answer.is_list or not answer.rows:
                    continue
                if fault.id == "P4":
                    system.edit(answer.rows, int(fault.option("edit", 1)), str(fault.option("which", "read")))
                else:
                    default = 0 if fault.id == "P12" else 1
                    insert = int(fault.option("insert", 100 if fault.id == "P12" else 1))
                    system.disturb(answer.rows, insert, int(fault.option("delete", default)))
                fault.strikes += 1
        for fault in faults.aimed("body", name, request):
            answer = damage.body(fault, answer)
        return answer

    def _by_id(self, system: System, request: Request, answer: Answer) -> Answer:
        key = damage.key_of((answer.rows or [b""])[0])
        if not request.strict or key is None or request.keep is None or request.keep(bytes(key).decode().strip('"')):
            return answer
        return system.missing()


def _rates(given: dict[str, float]) -> dict[str, float]:
    """A system without a limit has none of its further limits either, unless they are given."""
    free = {name: 0.0 for name in RATES if given.get(name.partition(".")[0]) == 0}
    return RATES | free | given


def _event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
