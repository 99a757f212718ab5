"""One process answers for all its children.

Promise: however the supervisor ends (return, exception, Ctrl-C once or twice or during start, TERM, a closed
terminal), its children end in the reverse order of their start, each by TERM, a grace, and KILL to its
group. SIGKILL of the supervisor itself is covered by the children's own parent-death signal.

Decision: the first INT, TERM or HUP raises `Stopped` in the main thread and every later one does nothing, so
that no second Ctrl-C can cut the ending short; none is raised between a child's birth and its registration.
The handler stays a Python function instead of becoming SIG_IGN: a signal already on its way when SIG_IGN
took its place is reported by Python as an error. A HUP ignored before (nohup) stays so; an ignored INT (`&`
in a shell script) does not.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from sync_assets.processes.process import ChildDiedError, Process

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Asked to stop by a signal. Like KeyboardInterrupt no Exception, so that no handler swallows it."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by {signal.Signals(signum).name}")


def exit_code(signum: int) -> int:
    """What a shell reports for a process ended by this signal."""
    return 128 + signum


class Supervisor:
    """Use as a context manager, in the main thread. What is to end last (Postgres) goes to `at_end` first."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._children: list[Process] = []
        self._before: dict[signal.Signals, Any] = {}
        self._received: int | None = None
        self._closing = False
        self._holding = False
        self._terminals: list[int] = []

    def __enter__(self) -> Self:
        for number in STOPPING:
            before = signal.getsignal(number)
            if not (number is signal.SIGHUP and before is signal.SIG_IGN):
                self._before[number] = before
                signal.signal(number, self._on_signal)
        self._terminals = [file for file in (0, 1, 2) if os.isatty(file)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        try:
            self._stack.close()
        finally:
            for number, before in self._before.items():
                signal.signal(number, before)

    def at_end(self, callback: Callable[[], object]) -> None:
        """Call this after everything registered later has ended. Register first, start afterwards."""
        self._stack.callback(callback)

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        grace: float = 10.0,
    ) -> Process:
        """Start a child that is to run until the end. Without `log` it writes where the supervisor writes."""
        process = self._start(name, argv, env, cwd, log, grace)
        self._children.append(process)
        return process

    def run(
        self,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        grace: float = 10.0,
    ) -> int:
        """Run a child to its end; its exit code, in a shell's terms. A signal ends it and is raised."""
        process = self._start(Path(argv[0]).name, argv, env, cwd, log, grace)
        try:
            while process.wait(0.2) is None:
                self._notice_hang_up()
        finally:
            code = process.end(grace)
        return code if code >= 0 else exit_code(-code)

    def watch(self, every: float = 0.2, *, each: float = 60.0, then: Callable[[], object] | None = None) -> None:
        """Return never: raise when a spawned child dies, or when a signal arrives. Call `then` each so many seconds."""
        due = time.monotonic() + each
        while True:
            if then is not None and time.monotonic() >= due:
                then()
                due = time.monotonic() + each
            for child in self._children:
                if (code := child.poll()) is not None:
                    raise ChildDiedError(child.name, code, child.last_lines())
            self._notice_hang_up()
            time.sleep(every)

    def _start(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None,
        cwd: Path | None,
        log: Path | None,
        grace: float,
    ) -> Process:
        with self._signals_held():
            process = Process(name, argv, env=env, cwd=cwd, log=log)
            self._stack.callback(process.end, grace)
        return process

    @contextmanager
    def _signals_held(self) -> Iterator[None]:
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._received is not None and not self._closing:
                raise Stopped(self._received)

    def _notice_hang_up(self) -> None:
        # The kernel tells the terminal's first process alone; where that is make, it waits for us in silence.
        if signal.SIGHUP in self._before and self._terminals and not any(map(os.isatty, self._terminals)):
            self._on_signal(signal.SIGHUP, None)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._closing or self._received is not None:
            return
        self._received = signum
        if not self._holding:
            raise Stopped(signum)
