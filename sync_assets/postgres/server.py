"""The server of one place: its programs run in it, its port, its life.

Promise: `launch` returns when a server has been spoken to that serves this very data folder.

Decision: no process id is ever trusted, only a connection that answers with the right `data_directory`, and
a lock that the server itself holds. Whoever gets that lock knows that no process of a former server is left;
so a `postmaster.pid` that still keeps PostgreSQL from starting after some seconds (its number belongs to
someone else by now, as is usual in a restarted container) may be removed.
"""

import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from sync_assets.postgres.errors import EmbeddedPostgresError, told
from sync_assets.postgres.lock import locked
from sync_assets.postgres.place import Place
from sync_assets.processes import Process

HOST = "127.0.0.1"
OWNER = "sync_assets"

# A hard-killed postmaster is a zombie until its parent looks; its children notice within this time.
DYING = 5.0
# After a crash the log is replayed before the first connection is let in.
RECOVERY = 120.0


class Server:
    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        self.place = place
        self._settings = settings
        self._process: Process | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this object started it, and thus ends it."""
        return self._process is not None

    @property
    def port(self) -> int:
        """The last one that answered."""
        return int("".join(_lines(self.place.home / "port")) or 0)

    def connect(self, database: str, port: int | None = None) -> Any:
        """What the environment could change (PGHOSTADDR, PGSSLMODE, PGOPTIONS) is spelled out."""
        return psycopg2.connect(
            host=HOST,
            hostaddr=HOST,
            port=port or self.port,
            user=OWNER,
            password=(self.place.home / "password").read_text(),
            dbname=database,
            connect_timeout=2,
            sslmode="disable",
            gssencmode="disable",
            options="",
        )

    def answers(self) -> bool:
        """Whether a server of this data folder runs, whoever started it."""
        notes = _lines(self.place.data / "postmaster.pid")
        # Whoever else has that port may take a connection and never say a word.
        if len(notes) < 8 or notes[7].strip() != "ready" or not self._serves(int(notes[3])):
            return False
        if self.port != int(notes[3]):
            (self.place.home / "port").write_text(f"{notes[3]}\n")
        return True

    def launch(self) -> None:
        if self._process is not None:
            # Ours, but it died: while nobody takes note of that it counts as alive.
            self.stop("immediate")
        wanted = self.port
        deadline = time.monotonic() + DYING
        while True:
            try:
                with locked(self.place.home / "server.lock", patience=DYING) as lock:
                    # Asked only now: a server on its way out holds the port as long as the lock.
                    refusal = self._attempt(_free(wanted), lock)
            except TimeoutError:
                what = f"a server already runs on {self.place.data} and does not answer"
                raise EmbeddedPostgresError(what, next_step="end it and try again") from None
            if refusal is None:
                return
            text, now = "\n".join(refusal), time.monotonic()
            if "could not bind" in text:
                wanted = 0
            elif "postmaster.pid" not in text and "shared memory" not in text:
                deadline = 0
            elif deadline < now < deadline + DYING:
                (self.place.data / "postmaster.pid").unlink(missing_ok=True)
            if now > deadline + DYING:
                raise EmbeddedPostgresError(told("the server did not start:", refusal))
            time.sleep(0.1)

    def stop(self, mode: str = "fast") -> None:
        if self._process is not None:
            if mode == "fast":
                self._process.send(signal.SIGINT)
                self._process.wait(60)
            self._process.end(10, first=signal.SIGQUIT)
            self._process = None

    def program(self, name: str, *arguments: str | Path, lock: int | None = None) -> Process:
        """A program of the installation, run as the server's user."""
        return Process(
            name,
            [self.place.binaries / name, *arguments],
            # Nothing of ours: LC_*, LANG and PG* change what it does, and tokens are none of its business.
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd=Path("/"),
            log=self.place.home / f"{name}.log",
            user=self.place.user,
            # To a postmaster, a fast shutdown.
            death_signal=signal.SIGINT,
            pass_fds=() if lock is None else (lock,),
        )

    def _attempt(self, port: int, lock: int) -> list[str] | None:
        """None when the server is up, else its last words."""
        options = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        process = self._process = self.program("postgres", "-D", self.place.data, "-p", str(port), *options, lock=lock)
        deadline = time.monotonic() + RECOVERY
        try:
            while not self.answers():
                if process.poll() is not None:
                    self.stop("immediate")
                    return process.last_lines()
                if time.monotonic() > deadline:
                    what = f"the server did not answer within {RECOVERY:g} s:"
                    raise EmbeddedPostgresError(told(what, process.last_lines()))
                time.sleep(0.01)
        except BaseException:
            self.stop("immediate")
            raise
        return None

    def _serves(self, port: int) -> bool:
        try:
            with closing(self.connect("postgres", port)) as connection, connection.cursor() as cursor:
                cursor.execute("select current_setting('data_directory')")
                return bool(cursor.fetchone() == (str(self.place.data),))
        except psycopg2.Error:
            return False


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except FileNotFoundError:
        return []


def _free(wanted: int = 0) -> int:
    """The wanted port if nobody has it, else any free one."""
    with socket.socket() as probe:
        # As the server itself does: connections just closed do not keep it from its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            return _free()
        port: int = probe.getsockname()[1]
        return port
