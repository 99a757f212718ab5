"""Seven ways to end the product, and none leaves a process."""

import os
import pty
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sync_assets_tests.processes.survivors import nobody_survives, survivors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PROJECT = Path(__file__).parents[2]
ALL = ("polite", "stubborn", "parent")


class Terminal:
    """`make up` in a terminal of its own."""

    def __init__(self, folder: Path, *tempers: str, through_shell: bool = False) -> None:
        self.folder = folder
        command = f"{sys.executable} -m sync_assets_tests.processes.driver {folder}/pg {' '.join(tempers)}"
        (folder / "Makefile").write_text(f"up:\n\t@exec {command}\n")
        self.make, self.screen = pty.fork()
        if self.make == 0:
            os.chdir(PROJECT)
            environment = os.environ | {"MARK": folder.name}
            make = ["make", "-f", f"{folder}/Makefile", "up"]
            argv = ["sh", "-c", f"{' '.join(make)}; true"] if through_shell else make
            os.execvpe(argv[0], argv, environment)  # noqa: S606

    def read_until(self, word: str) -> None:
        seen = ""
        while word not in seen:
            assert select.select([self.screen], [], [], 20)[0], f"no {word} in: {seen}"
            seen += os.read(self.screen, 1000).decode()

    def press(self, keys: bytes) -> None:
        os.write(self.screen, keys)

    def close(self) -> None:
        if self.screen >= 0:
            os.close(self.screen)
            self.screen = -1

    @property
    def supervisor(self) -> int:
        return next(pid for pid, argv in survivors(self.folder.name).items() if "processes.driver" in argv)

    def wait(self) -> int:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with suppress(OSError):
                if self.screen >= 0 and select.select([self.screen], [], [], 0)[0]:
                    os.read(self.screen, 1000)
            pid, status = os.waitpid(self.make, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        raise AssertionError(f"make did not end: {survivors(self.folder.name)}")


@contextmanager
def marked_folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="nothing-is-left-"))
    made.chmod(0o755)
    yield made
    for pid in survivors(made.name):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made)


@pytest.fixture
def fresh() -> Iterator[Path]:
    with marked_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One for all: however the product ended in one test, it starts again in the next."""
    with marked_folder() as folder:
        yield folder


def running(folder: Path, *tempers: str, through_shell: bool = False) -> Terminal:
    terminal = Terminal(folder, *tempers, through_shell=through_shell)
    terminal.read_until("READY")
    # make, driver, postmaster and its children, ours
    assert len(survivors(folder.name)) >= 6 + len(tempers)
    return terminal


@pytest.mark.parametrize("keys", [b"\x03", b"\x03\x03\x03"])
def test_ctrl_c_however_often_at_once(folder: Path, keys: bytes) -> None:
    terminal = running(folder, *ALL)
    terminal.press(keys)
    assert terminal.wait() != 0
    assert nobody_survives(folder.name)
    terminal.close()


def test_ctrl_c_again_while_the_children_end(folder: Path) -> None:
    terminal = running(folder, *ALL)
    for _ in range(4):
        terminal.press(b"\x03")
        time.sleep(0.15)
    terminal.wait()
    assert nobody_survives(folder.name)
    terminal.close()


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6])
def test_ctrl_c_during_the_first_start(fresh: Path, delay: float) -> None:
    terminal = Terminal(fresh, *ALL)
    terminal.read_until("STARTING")
    time.sleep(delay)
    terminal.press(b"\x03")
    terminal.wait()
    assert nobody_survives(fresh.name)
    terminal.close()


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_ctrl_c_during_a_later_start(folder: Path, delay: float) -> None:
    running(folder).press(b"\x03")
    assert nobody_survives(folder.name)
    terminal = Terminal(folder, *ALL)
    terminal.read_until("STARTING")
    time.sleep(delay)
    terminal.press(b"\x03")
    terminal.wait()
    assert nobody_survives(folder.name)
    terminal.close()


def test_term_to_the_supervisor(folder: Path) -> None:
    terminal = running(folder, *ALL)
    os.kill(terminal.supervisor, signal.SIGTERM)
    terminal.wait()
    assert nobody_survives(folder.name)
    terminal.close()


def test_term_to_make(folder: Path) -> None:
    terminal = running(folder, *ALL)
    os.kill(terminal.make, signal.SIGTERM)
    terminal.wait()
    assert nobody_survives(folder.name)
    terminal.close()


@pytest.mark.parametrize("through_shell", [True, False], ids=["of a shell", "of make alone"])
def test_the_terminal_is_closed(folder: Path, through_shell: bool) -> None:
    terminal = running(folder, *ALL, through_shell=through_shell)
    terminal.close()
    terminal.wait()
    assert nobody_survives(folder.name)


def test_the_supervisor_is_killed_and_its_children_hear_of_it(folder: Path) -> None:
    terminal = running(folder, "polite", "polite")
    os.kill(terminal.supervisor, signal.SIGKILL)
    terminal.wait()
    assert nobody_survives(folder.name)
    terminal.close()
