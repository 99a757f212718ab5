"""The receiver's socket, opened before anything else is loaded: from then on callers wait instead of being refused."""

from __future__ import annotations

import socket

from sync_assets.errors import FixConfig

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Raises FixConfig where the address is taken or none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as e:
        listener.close()
        raise FixConfig(
            f"the receiver cannot listen on {host}:{port} ({type(e).__name__})",
            next_step="end the process that listens there, or set SYNC_RECEIVER_HOST and SYNC_RECEIVER_PORT",
        ) from None
    return listener


def address_of(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
