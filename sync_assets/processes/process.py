"""One child process, born clean and ended whole.

Promise: a child leads a session of its own, so the terminal's Ctrl-C never reaches it; it starts with
default signals whatever its parent ignores; it is told when its parent dies, even by SIGKILL (Linux); and
after `end` nothing of its process group is left.

Decision: `preexec_fn`, despite its warning about threads. PR_SET_PDEATHSIG is erased by a change of user and
bound to the thread that forks, so it must be set between setuid and exec, from the main thread. Elsewhere it
is not set: the child would die with a mere thread.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

T = TypeVar("T")

PR_SET_PDEATHSIG = 1
# Looked up before any fork: between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildDiedError(Exception):
    """A child process ended that should be running."""

    def __init__(self, name: str, code: int, lines: Sequence[str]) -> None:
        self.name, self.code, self.lines = name, code, lines
        said = "".join(f"\n  {line}" for line in lines) or " It left no log."
        super().__init__(f"{name} ended with exit code {code}.{said}")


class NotReadyError(Exception):
    """A child process runs but did not become ready in time."""

    def __init__(self, name: str, seconds: float, lines: Sequence[str]) -> None:
        self.name, self.seconds, self.lines = name, seconds, lines
        said = "".join(f"\n  {line}" for line in lines)
        super().__init__(f"{name} was not ready after {seconds:g} s.{said}")


class Process:
    """A running child. Its log holds this run only; the run before it is kept as `<log>.before`."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        user: tuple[int, int] | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
        pass_fds: Iterable[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._ended = False
        output = _fresh_log(log) if log else None
        try:
            self._child = subprocess.Popen(
                [str(word) for word in argv],
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                user=user[0] if user else None,
                group=user[1] if user else None,
                extra_groups=[] if user else None,
                start_new_session=True,
                pass_fds=tuple(pass_fds),
                preexec_fn=_birth(death_signal),  # noqa: PLW1509  all it calls was loaded before
            )
        finally:
            if output:
                output.close()

    @property
    def pid(self) -> int:
        return self._child.pid

    def poll(self) -> int | None:
        return self._child.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, or None when `timeout` seconds were not enough."""
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(timeout)
        return None

    def send(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def end(self, grace: float = 10.0, first: signal.Signals = signal.SIGTERM) -> int:
        """Ask with `first`, wait `grace` seconds, then kill the rest of the group. Harmless when repeated."""
        if not self._ended:
            self.send(first)
            self.wait(grace)
            # Also after a polite exit: grandchildren that outlived the leader are in its group. macOS answers
            # EPERM for a group of zombies.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._ended = True
        return self._child.wait()

    def last_lines(self, count: int = 15) -> list[str]:
        if self.log is None or not self.log.exists():
            return []
        return self.log.read_text(errors="replace").splitlines()[-count:]


def wait_for(ready: Callable[[], T], process: Process, *, timeout: float = 60.0, every: float = 0.05) -> T:
    """Poll `ready` until it answers something true and hand that back; fail at once if `process` has died."""
    deadline = time.monotonic() + timeout
    while not (answer := ready()):
        if (code := process.poll()) is not None:
            raise ChildDiedError(process.name, code, process.last_lines())
        if time.monotonic() > deadline:
            raise NotReadyError(process.name, timeout, process.last_lines())
        time.sleep(every)
    return answer


def _fresh_log(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        log.replace(f"{log}.before")
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), "wb")


def _birth(death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()
    libc = _LIBC if threading.current_thread() is threading.main_thread() else None

    def in_the_child() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
            # The parent may have died before the kernel knew whom to tell.
            if os.getppid() != parent:
                os._exit(1)

    return in_the_child
