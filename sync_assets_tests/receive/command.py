"""`sync-assets receive` as a process that may be killed, and vendors that call it without a pause."""

import http.client
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sync_assets.local import bare_environment
from sync_assets.processes import Process, wait_for

SECRET = "canary-of-kaitens-path-0123456789"
PATH = f"/webhooks/kaiten/{SECRET}"
ACCOUNT = {
    "KAITEN_API_URL": "https://example.kaiten.ru",
    "KAITEN_API_TOKEN": "canary-kaiten-0123456789",
    "KAITEN_WEBHOOK_SECRET": SECRET,
}


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Command:
    """One receiver after the other on one port and one spool."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.port = free_port()
        self.log = folder / "receive.log"
        self._env = bare_environment(
            {
                **ACCOUNT,
                "DATABASE_URL": database_url,
                "SYNC_SPOOL_FOLDER": str(folder / "spool"),
                "SYNC_RECEIVER_PORT": str(self.port),
            }
        )
        self.process = self._start()

    def _start(self) -> Process:
        argv = [Path(sys.executable).with_name("sync-assets"), "receive"]
        process = Process("receive", argv, env=self._env, log=self.log)
        wait_for(lambda: "listening on" in self.log.read_text(), process)
        return process

    def killed(self) -> None:
        """kill -9, and the next one is there."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.end()
        self.process = self._start()

    def stopped(self, by: signal.Signals) -> int:
        """The exit code; the next one is there."""
        code = self.process.end(first=by)
        self.process = self._start()
        return code


def event(number: int) -> bytes:
    return b'{"event":"card:add","data":{"id":%d,"updated":"2026-03-01T12:00:00.000Z"}}' % number


class Traffic:
    """Four callers; each event is another card. What was answered with 200 is in `answered`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answered: list[int] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(caller,)) for caller in range(4)]

    def _call(self, caller: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        number = 10**6 * (caller + 1)
        while not self._over.is_set():
            number += 1
            try:
                line.request("POST", PATH, event(number))
                answer = line.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                line.close()
                self._over.wait(0.01)
                continue
            assert answer.status == 200
            self.answered.append(number)
        line.close()

    def more(self, number: int) -> bool:
        return len(self.answered) >= number

    @contextmanager
    def running(self) -> Iterator["Traffic"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()
