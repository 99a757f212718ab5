"""Callers that do not behave: raw sockets that send what they like and read what comes."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as caller:
        yield caller


def head(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *headers, "", ""]).encode()


def answer(caller: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    with suppress(ConnectionResetError):
        while chunk := caller.recv(65536):
            found += chunk
    return found


def status(caller: socket.socket) -> int:
    """Of the answer, after which the connection must be closed; 0 where it was closed without one."""
    found = answer(caller)
    return int(found.split()[1]) if found else 0


def pour(caller: socket.socket, chunk: bytes, times: int, *, pause: float = 0.0) -> int:
    """How many times `chunk` went out before the other side would have no more."""
    for sent in range(times):
        try:
            caller.sendall(chunk)
        except OSError:
            return sent
        time.sleep(pause)
    return times


def resident(pid: int | str = "self") -> int:
    """Bytes in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
