"""A company that its vendors can call: the receiver in a thread, at the address that SYNC_PUBLIC_URL says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sync_assets.receive.listener import address_of, listen
from sync_assets.receive.server import Receiver
from sync_assets_tests.company import Company


@contextmanager
def receiving(company: Company, folder: Path) -> Iterator[Company]:
    """The same company with its receiver running; what that spools lies in `folder`."""
    listener = listen("127.0.0.1", 0)
    env = {
        **company.env,
        "SYNC_PUBLIC_URL": address_of(listener),
        "SYNC_SPOOL_FOLDER": str(folder / "spool"),
        "SYNC_RECEIVER_COMMIT_SECONDS": "60",  # on a busy machine too, what was answered is in Postgres
    }
    reached = Company(company.sandbox, env)
    receiver = Receiver(list(reached.accounts.values()), reached.settings, listener)
    started = threading.Event()
    thread = threading.Thread(target=receiver.run, args=(started.set,), kwargs={"signals": False})
    thread.start()
    try:
        assert started.wait(10)
        yield reached
    finally:
        receiver.stop()
        thread.join(20)
        assert not thread.is_alive()
