"""D4: a firewall between us and Postgres forgets the connection: nothing comes any more, not even an acknowledgement.

A proxy of our own could only stop sending, and its kernel would go on acknowledging. So it has the kernel drop whatever
arrives at its sockets: to either side it is as if the cable were cut.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from sync_assets.errors import DatabaseUnavailable, SyncError
from sync_assets.load import database as database_module
from sync_assets.load.database import Database
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cuts cables with a Linux socket filter")

SO_ATTACH_FILTER = 26
RETURN_NOTHING = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
DROP_EVERYTHING = struct.pack("HxxxxxxP", 1, ctypes.addressof(RETURN_NOTHING))


class Cable:
    """Leads to a Postgres until it is cut, and again once it is mended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = (parts.hostname, parts.port)
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = url.replace(f":{parts.port}/", f":{self._port}/")
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        for end in [self._listener, *self._ends]:
            if end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, DROP_EVERYTHING)

    def close(self) -> None:
        for end in [self._listener, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cable(grown: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    """To the database of `grown`; silence is noticed after two seconds instead of a minute."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, DROP_EVERYTHING)
        except PermissionError:
            pytest.skip("this kernel lets only root filter what arrives at a socket")
    soon = {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2, "tcp_user_timeout": 2000}
    assert soon.keys() == database_module.KEEPALIVE.keys()
    monkeypatch.setattr(database_module, "KEEPALIVE", soon)
    monkeypatch.setattr(database_module, "CONNECT_SECONDS", 2)
    cable = Cable(grown.database_url)
    yield cable
    cable.close()


def test_d4_a_cut_in_the_middle_of_a_sync_is_noticed_and_named(
    make_company: Callable[..., Company], grown: Company, cable: Cable
) -> None:
    hubspot = grown.sandbox.world.hubspot
    for id in hubspot.shelf("contacts").ids:
        hubspot.update("contacts", id, {"firstname": f"name of {id}"})
    company = make_company(grown.sandbox, database_url=cable.url, SYNC_BATCH_SIZE="1", SYNC_DATABASE_WAIT_SECONDS="0.5")
    grown.sandbox.latency = 0.05
    done: dict[str, Any] = {}
    thread = threading.Thread(target=lambda: done.update(company.sync("full", "hubspot", "contacts")))
    thread.start()
    wait_for(lambda: grown.query("select 1 from sync.logs where status = 'running' and commits > 0"))
    cable.cut()
    thread.join(60)
    assert not thread.is_alive(), "it waits for ever"
    error = done["contacts"]
    assert isinstance(error, DatabaseUnavailable) and "Postgres cannot be reached" in str(error), error
    assert "check that Postgres runs" in error.next_step

    grown.sandbox.latency = 0
    grown.query("update sync.metadata set lease_until = now()")  # a minute later, or at once in another process
    assert grown.synced("full", "hubspot")
    grown.assert_world_equals_postgres("hubspot")
    grown.assert_ledger_adds_up()


def test_d4_postgres_lets_go_of_what_the_lost_connection_had_locked(grown: Company, cable: Cable) -> None:
    lost = Database(cable.url, wait=0.5)

    def work(cursor: Any) -> None:
        cursor.execute("select 1 from hubspot.contacts for update")
        cable.cut()
        cursor.execute("select 2")

    with pytest.raises(DatabaseUnavailable):
        lost.transaction(work)
    other = psycopg2.connect(grown.database_url)
    try:
        with other.cursor() as cursor:
            cursor.execute("set lock_timeout = '20s'")
            cursor.execute("select 1 from hubspot.contacts for update")
            assert cursor.rowcount == grown.count("contacts", "hubspot")
    finally:
        other.close()
        with suppress(SyncError):
            lost.close()
