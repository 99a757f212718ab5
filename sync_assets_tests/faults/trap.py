"""Raw servers for what no HTTP library would do: dribbling headers, a wrong certificate, counting who knocks."""

import datetime
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Trap:
    port: int
    knocks: list[bytes] = field(default_factory=list)


@contextmanager
def trap(answer: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[Trap]:
    """A server that counts its connections and hands each to `answer`."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    found = Trap(listener.getsockname()[1])
    done = threading.Event()

    def one(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            wrapped = tls.wrap_socket(connection, server_side=True) if tls else connection
            with wrapped:
                found.knocks.append(wrapped.recv(65_536))
                answer(wrapped)

    def serve() -> None:
        threads = []
        while not done.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(5)
                found.knocks.append(b"")
                threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
                threads[-1].start()
        for thread in threads:
            thread.join(6)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield found
    finally:
        done.set()
        server.join()
        listener.close()


def dribble(text: bytes, interval: float, stop_after: float) -> Callable[[socket.socket], None]:
    """Sends `text` byte by byte."""

    def answer(connection: socket.socket) -> None:
        until = time.monotonic() + stop_after
        for byte in text:
            if time.monotonic() > until:
                return
            connection.sendall(bytes([byte]))
            time.sleep(interval)

    return answer


def certificate(folder: Path, name: str, *, days: tuple[int, int] = (-1, 2)) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for `name`, valid from and until so many days from now: its file, and a server's
    context."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine to make certificates with")
    today = datetime.datetime.now(datetime.UTC)
    start, end = ((today + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in days)
    kind = "IP" if name[0].isdigit() else "DNS"
    (folder / "index").write_text("")
    (folder / "config").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
        f"new_certs_dir={folder}\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName={kind}:{name}\n"
        "basicConstraints=CA:TRUE\n[req]\ndistinguished_name=n\n[n]\n"
    )
    key, request, cert = folder / "key.pem", folder / "request.pem", folder / "cert.pem"
    config = ["-config", str(folder / "config")]
    for command in (
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}"],
        [
            "ca",
            "-batch",
            "-selfsign",
            "-notext",
            "-in",
            request,
            "-keyfile",
            key,
            "-out",
            cert,
            "-startdate",
            start,
            "-enddate",
            end,
        ],
    ):
        subprocess.run(["openssl", *map(str, command), *config], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
