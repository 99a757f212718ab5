"""A wire to Postgres that loses the answer to a page's COMMIT: the server has it, the client never learns."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

PAGE = b"commits = commits + 1"


class LosingWire:
    """Use as a context; `url` leads through it. `lose` is how many answers are yet to be lost, `asked` how often the
    client spoke."""

    def __init__(self, url: str, lose: int = 1) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.lose = lose
        self.asked = 0
        self.url = url.replace(f":{parts.port}/", f":{self._listener.getsockname()[1]}/")

    def __enter__(self) -> LosingWire:
        self._start(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        for s in (self._listener, *self._sockets):
            with suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for s in (self._listener, *self._sockets):
            s.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._sockets += [client, server]
            deaf = threading.Event()
            self._start(self._questions, client, server, deaf)
            self._start(self._answers, server, client, deaf)

    def _questions(self, client: socket.socket, server: socket.socket, deaf: threading.Event) -> None:
        page = False
        with suppress(OSError):
            while asked := client.recv(1 << 20):
                page = (page or PAGE in asked) and b"BEGIN" not in asked
                if page and b"COMMIT" in asked and self.lose:
                    self.lose -= 1
                    deaf.set()
                self.asked += 1
                server.sendall(asked)
        self._hang_up(client, server)

    def _answers(self, server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
        with suppress(OSError):
            while answered := server.recv(1 << 20):
                if deaf.is_set():
                    break
                client.sendall(answered)
        self._hang_up(client, server)

    @staticmethod
    def _hang_up(*both: socket.socket) -> None:
        for s in both:
            with suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
