"""Receivers in a thread of the test, on real sockets, with a real Postgres; and the rows that they have left there."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

from sync_assets.account import Account
from sync_assets.receive.listener import address_of, listen
from sync_assets.receive.server import Receiver
from sync_assets.settings import sync_settings
from sync_assets_tests.canary import Canary
from sync_assets_tests.receive.vendors import PATH_SECRET, SECRET, account, signed

SIGNED, OPEN = "/webhooks/vendor", f"/webhooks/vendor/open/{PATH_SECRET}"


class Serving:
    """A receiver that runs. It ends with its test, or before by `stop`."""

    def __init__(self, accounts: Sequence[Account], env: dict[str, str], **options: Any) -> None:
        listener = listen("127.0.0.1", 0)
        self.address = address_of(listener)
        self.env = env
        try:
            self.receiver = Receiver(accounts, sync_settings(env), listener, **options)
        except BaseException:
            listener.close()
            raise
        started = threading.Event()
        self._thread = threading.Thread(target=self.receiver.run, args=(started.set,), kwargs={"signals": False})
        self._thread.start()
        assert started.wait(10)
        self.client = httpx.Client(base_url=self.address, timeout=30)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def spool(self) -> Path:
        return Path(self.env["SYNC_SPOOL_FOLDER"])

    def post(self, body: bytes, path: str = OPEN, **headers: str) -> httpx.Response:
        return self.client.post(path, content=body, headers=headers)

    def post_signed(self, body: bytes) -> httpx.Response:
        return self.post(body, SIGNED, **signed(body, time.time()))

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/health").json()
        return found

    def stop(self) -> None:
        """Harmless when repeated."""
        self.client.close()
        self.receiver.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def serve(tmp_path: Path, canary: Canary, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Serving]]:
    """serve(database_url, accounts=None, clock=..., **env) -> a running receiver; its spool is in the test's folder."""
    for name in ("httpx", "httpcore"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.WARNING)  # the caller's, not ours
    canary.watch(SECRET, PATH_SECRET)
    with ExitStack() as ends:

        def start(
            database_url: str, accounts: Sequence[Account] | None = None, clock: Any = None, **env: str
        ) -> Serving:
            whole = {"DATABASE_URL": database_url, "SYNC_SPOOL_FOLDER": str(tmp_path / "spool"), **env}
            given = {name: value for name, value in whole.items() if value}
            options = {"clock": clock} if clock else {}
            serving = Serving([account()] if accounts is None else accounts, given, **options)
            ends.callback(serving.stop)
            return serving

        yield start


@pytest.fixture
def serving(serve: Callable[..., Serving], database_url: str) -> Serving:
    return serve(database_url)


def rows(url: str, columns: str = "key, deliveries, state") -> list[tuple[Any, ...]]:
    """Of all events, in the order of their ids."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"select {columns} from sync.webhook_events order by id")
        return cursor.fetchall()


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `condition` answers as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return found
