"""What the supervisor promises, within one process."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from sync_assets.processes import (
    ChildDiedError,
    NotReadyError,
    Process,
    Stopped,
    Supervisor,
    exit_code,
    wait_for,
)
from sync_assets_tests.processes.survivors import nobody_survives, survivors


def test_children_end_in_reverse_order_and_the_first_registered_last(tmp_path: Path) -> None:
    order = tmp_path / "order"
    with Supervisor() as supervisor:
        supervisor.at_end(lambda: order.write_text(order.read_text() + "postgres"))
        for name in ("one", "two"):
            script = f"trap 'echo {name} >> {order}; exit' TERM; echo up; while :; do sleep 0.02; done"
            child = supervisor.spawn(name, ["sh", "-c", script], log=tmp_path / name)
            wait_for(child.last_lines, child)
    assert order.read_text().split() == ["two", "one", "postgres"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_whoever_ignores_term_is_killed_with_the_whole_group(tmp_path: Path) -> None:
    mark = os.environ | {"MARK": str(tmp_path)}
    with Supervisor() as supervisor:
        script = "trap '' TERM; sleep 1000 & echo up; wait"
        child = supervisor.spawn("stubborn", ["sh", "-c", script], env=mark, log=tmp_path / "log", grace=0.1)
        wait_for(child.last_lines, child)
        assert len(survivors(str(tmp_path))) == 2
    assert child.poll() == -signal.SIGKILL
    assert nobody_survives(str(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_raised_and_later_ones_are_not(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as raised, Supervisor() as supervisor:
        child = supervisor.spawn("child", ["sleep", "1000"])
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
    assert raised.value.signum == number
    assert exit_code(number) == 128 + number
    assert child.poll() == -signal.SIGTERM
    assert signal.getsignal(number) is before


def test_a_signal_between_birth_and_registration_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    born: list[Process] = []

    def birth(*args: object, **kwargs: object) -> Process:
        born.append(Process(*args, **kwargs))  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGINT)
        return born[0]

    monkeypatch.setattr("sync_assets.processes.supervisor.Process", birth)
    with pytest.raises(Stopped), Supervisor() as supervisor:
        supervisor.spawn("child", ["sleep", "1000"])
    assert born[0].poll() == -signal.SIGTERM


def test_a_child_hears_signals_its_parent_ignores(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        child = Process("child", ["sleep", "1000"])
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        signal.signal(signal.SIGINT, before)
    child.send(signal.SIGINT)
    assert child.wait(2) == -signal.SIGINT
    child.end()


def test_a_hang_up_ignored_by_nohup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Supervisor():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_run_gives_the_exit_code_of_a_shell(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        assert supervisor.run(["sh", "-c", "exit 3"]) == 3
        assert supervisor.run(["sh", "-c", "kill -9 $$"]) == 137
        script = "import os; print(os.environ['A'], os.getcwd(), os.getsid(0) == os.getpid())"
        log = tmp_path / "log"
        assert supervisor.run([sys.executable, "-c", script], env={"A": "b"}, cwd=tmp_path, log=log) == 0
    assert log.read_text().split() == ["b", str(tmp_path), "True"]


def test_run_ends_its_child_when_a_signal_comes(tmp_path: Path) -> None:
    script = f"trap 'echo bye > {tmp_path}/bye; exit 0' TERM; while :; do sleep 0.02; done"
    with pytest.raises(Stopped), Supervisor() as supervisor:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        supervisor.run(["sh", "-c", script])
    assert (tmp_path / "bye").exists()


def test_waiting_for_the_dead_fails_at_once_with_their_last_words(tmp_path: Path) -> None:
    began = time.monotonic()
    with Supervisor() as supervisor:
        child = supervisor.spawn("server", ["sh", "-c", "echo no such port; exit 7"], log=tmp_path / "log")
        with pytest.raises(ChildDiedError, match=r"server ended with exit code 7.\n  no such port"):
            wait_for(lambda: False, child)
        with pytest.raises(ChildDiedError):
            supervisor.watch()
    assert time.monotonic() - began < 2


def test_waiting_has_an_end(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        child = supervisor.spawn("server", ["sleep", "1000"])
        with pytest.raises(NotReadyError, match="server was not ready"):
            wait_for(lambda: None, child, timeout=0.1)
        assert wait_for(lambda: "value", child) == "value"


def test_a_log_holds_this_run_and_the_one_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    for word in ("first", "second", "third"):
        child = Process("child", ["echo", word], log=log)
        child.wait()
        child.end()
    assert log.read_text() == "third\n"
    assert Path(f"{log}.before").read_text() == "second\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_an_error_in_the_block_ends_the_children_too() -> None:
    with pytest.raises(KeyError), Supervisor() as supervisor:
        child = supervisor.spawn("child", ["sleep", "1000"])
        raise KeyError
    assert child.poll() == -signal.SIGTERM


def test_a_program_that_does_not_exist_is_told() -> None:
    with pytest.raises(FileNotFoundError), Supervisor() as supervisor:
        supervisor.spawn("none", ["/no/such/program"])
