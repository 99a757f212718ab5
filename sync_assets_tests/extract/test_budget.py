"""The shared budget: slots in order, pauses for all, and a wait that can be called off."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_assets.entity import Bucket
from sync_assets.errors import Throttled
from sync_assets.extract.budget import HORIZON, LOOK_AGAIN, Budget, Stopped
from sync_assets.load.database import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, wait=2)
    yield database
    database.close()


def budget(database: Database, rate: float, account: str = "kaiten") -> Budget:
    return Budget(account, [Bucket("api", rate)], database.query)


def test_requests_leave_at_the_rate_and_are_numbered_upwards(database: Database) -> None:
    one = budget(database, 50)
    started = time.monotonic()
    numbers = [one.take("api", stop=None, max_wait=5) for _ in range(26)]
    assert numbers == sorted(set(numbers))
    assert 0.5 <= time.monotonic() - started < 1.5


def test_after_a_pause_of_ours_what_was_reserved_does_not_leave_in_a_burst(database: Database) -> None:
    one = budget(database, 20)
    one.take("api", stop=None, max_wait=5)  # three more are reserved with it
    time.sleep(0.3)
    started = time.monotonic()
    for _ in range(6):
        one.take("api", stop=None, max_wait=5)
    assert time.monotonic() - started > 4 / 20


class Stalling(Budget):
    """On a machine that does nothing until `awake`, whatever it was to do before."""

    awake = 0.0

    def sleep(self, seconds: float, stop: threading.Event | None) -> None:
        super().sleep(max(seconds, self.awake - time.monotonic()), stop)


@pytest.mark.parametrize("burst", [0, 3])
def test_what_a_stalled_machine_held_back_does_not_leave_in_a_burst(database: Database, burst: int) -> None:
    one = Stalling("kaiten", [Bucket("api", 20, burst=burst)], database.query)
    one.take("api", stop=None, max_wait=5)
    one.awake = time.monotonic() + 0.8
    with ThreadPoolExecutor(10) as threads:
        left = [threads.submit(lambda: (one.take("api", stop=None, max_wait=5), time.monotonic())) for _ in range(10)]
        times = sorted(time for _, time in (one.result() for one in left))
    late = [at for at in times if at >= one.awake]
    assert len(late) >= 10 - burst
    assert late[-1] - late[0] >= (len(late) - 2 - burst) / 20


def test_without_a_limit_nobody_waits(database: Database) -> None:
    one = budget(database, 0)
    started = time.monotonic()
    for _ in range(100):
        one.take("api", stop=None, max_wait=5)
    assert time.monotonic() - started < 1.0
    assert one.waited < 1.0


@pytest.mark.parametrize("rate", [0, 50])
def test_a_pause_is_for_everybody_on_the_account(database: Database, rate: float) -> None:
    told, other, elsewhere = budget(database, rate), budget(database, rate), budget(database, rate, "kaiten_emea")
    told.take("api", stop=None, max_wait=5)
    told.pause("api", 0.6)
    started = time.monotonic()
    elsewhere.take("api", stop=None, max_wait=5)
    assert time.monotonic() - started < 0.4
    other.take("api", stop=None, max_wait=5)
    assert time.monotonic() - started >= 0.5
    assert other.waited >= 0.5


def test_a_slot_that_was_promised_before_another_was_told_to_wait_waits_too(database: Database) -> None:
    told, other = budget(database, 5), budget(database, 5)
    other.take("api", stop=None, max_wait=5)
    with ThreadPoolExecutor(2) as threads:
        promised = [threads.submit(lambda: (other.take("api", stop=None, max_wait=5), time.monotonic())) for _ in "12"]
        time.sleep(0.1)
        told.pause("api", 1.0)
        paused = time.monotonic()
        assert min(at for _, at in (one.result() for one in promised)) - paused >= 0.9
    assert other.paused.seconds > 0.5
    told.pause("api", 60)
    with pytest.raises(Throttled, match=r"wait: (59|60) s more"):
        other.take("api", stop=None, max_wait=5)


def test_without_a_limit_a_pause_that_another_was_told_of_is_seen_soon(database: Database) -> None:
    told, other = budget(database, 0), budget(database, 0)
    other.take("api", stop=None, max_wait=1)
    told.pause("api", 60)
    until = time.monotonic() + 2 * LOOK_AGAIN
    with pytest.raises(Throttled):
        while time.monotonic() < until:
            other.take("api", stop=None, max_wait=1)
    with pytest.raises(Throttled):
        told.take("api", stop=None, max_wait=1)


def test_a_later_shorter_pause_does_not_shorten_an_earlier_one(database: Database) -> None:
    one = budget(database, 50)
    one.pause("api", 60)
    one.pause("api", 0.01)
    with pytest.raises(Throttled, match=r"wait: (59|60) s more"):
        one.take("api", stop=None, max_wait=5)


def test_a_wait_is_called_off_at_once(database: Database) -> None:
    one = budget(database, 50)
    one.pause("api", 3)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    started = time.monotonic()
    with pytest.raises(Stopped):
        one.take("api", stop=stop, max_wait=5)
    assert time.monotonic() - started < 1.0


def test_a_slot_that_was_not_used_is_handed_on(database: Database) -> None:
    one = budget(database, 2)
    one.take("api", stop=None, max_wait=5)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        one.take("api", stop=stop, max_wait=5)
    started = time.monotonic()
    one.take("api", stop=None, max_wait=5)
    assert time.monotonic() - started < 0.7


def test_a_process_promises_itself_no_more_than_the_horizon(database: Database) -> None:
    for _ in range(40):
        database.query("select sync.take('kaiten', 'api', 4, 0.1, 0, %s)", (HORIZON,))
    (ahead,) = database.query("select extract(epoch from next_free - clock_timestamp())::float8 from sync.budgets")
    assert ahead <= HORIZON + 0.5
