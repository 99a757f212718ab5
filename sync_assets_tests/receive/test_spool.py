"""W10, the files: what `append` answered for comes back in order, whatever was torn, damaged or full."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.errors import FixConfig
from sync_assets.receive import spool as spool_module
from sync_assets.receive.spool import FRAME, Spool

LIMIT = 10**6


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Spool]]:
    """opened() -> the test's spool, opened again as after a crash."""
    last: list[Spool] = []

    def again() -> Spool:
        while last:
            last.pop().close()
        last.append(Spool(tmp_path / "spool", LIMIT))
        return last[0]

    yield again
    for spool in last:
        spool.close()


def segments(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "spool").glob("*.segment"))


def drained(spool: Spool, most: int = 1) -> list[bytes]:
    found: list[bytes] = []
    while (taken := spool.take(most)).records:
        found += taken.records
        spool.settle(taken)
    return found


def records(*numbers: int) -> list[bytes]:
    return [b"record %d" % number for number in numbers]


def test_w10_what_was_appended_comes_back_in_order_after_a_crash(tmp_path: Path, opened: Callable[[], Spool]) -> None:
    spool = opened()
    spool.append(records(1, 2))
    spool.append(records(3))
    spool = opened()
    assert spool.events == 3
    spool.append(records(4))
    assert drained(spool) == records(1, 2, 3, 4)
    assert (spool.events, spool.size, segments(tmp_path)) == (0, 0, [])
    spool.append(records(5))
    assert drained(opened()) == records(5)


def test_w10_what_was_settled_does_not_come_back(opened: Callable[[], Spool]) -> None:
    spool = opened()
    spool.append(records(1, 2, 3))
    spool.settle(spool.take(1))
    spool.take(1)  # in Postgres perhaps, but not settled
    spool = opened()
    assert spool.events == 2
    assert drained(spool) == records(2, 3)


def test_w10_segments_end_and_go_one_by_one(
    tmp_path: Path, opened: Callable[[], Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 40)
    spool = opened()
    for number in range(10):
        spool.append(records(number))
    assert len(segments(tmp_path)) == 4
    spool.settle(spool.take(1000))
    assert len(segments(tmp_path)) == 3
    assert drained(opened(), most=1000) == records(*range(3, 10))
    assert segments(tmp_path) == []


@pytest.mark.parametrize(
    "tail",
    [b"\0", b"\0" * 100, FRAME.pack(9, 1)[:5], FRAME.pack(9, 1) + b"rec", b"\xff" * 50],
    ids=["a byte", "zeros", "half a head", "half a record", "junk"],
)
def test_w10_a_torn_end_is_no_record_and_takes_none_with_it(
    tmp_path: Path, opened: Callable[[], Spool], tail: bytes
) -> None:
    opened().append(records(1, 2))
    with segments(tmp_path)[0].open("ab") as file:
        file.write(tail)
    spool = opened()
    spool.append(records(3))
    taken = spool.take(1000)
    assert (taken.records, taken.damaged) == (records(1, 2), 0)
    assert drained(spool) == records(1, 2, 3)
    assert segments(tmp_path) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(min_value=0))
def test_w10_wherever_a_crash_cuts_the_file_what_was_whole_comes_back(
    tmp_path: Path, opened: Callable[[], Spool], cut: int
) -> None:
    drained(opened())
    opened().append(records(1, 2, 3))
    [path] = segments(tmp_path)
    size = path.stat().st_size
    left = cut % (size + 1)
    os.truncate(path, left)
    whole = left // (size // 3)
    assert drained(opened()) == records(1, 2, 3)[:whole]


def test_w10_a_damaged_record_is_counted_and_the_others_come(tmp_path: Path, opened: Callable[[], Spool]) -> None:
    opened().append(records(1, 2, 3))
    [path] = segments(tmp_path)
    content = path.read_bytes().replace(b"record 2", b"recurd 2")
    path.write_bytes(content)
    spool = opened()
    taken = spool.take(1000)
    assert (taken.records, taken.damaged) == (records(1, 3), 1)
    spool.settle(taken)
    assert (spool.events, segments(tmp_path)) == (0, [])


def test_w10_a_disk_that_fails_keeps_nothing_of_that_append_and_all_of_the_others(
    opened: Callable[[], Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened()
    spool.append(records(1))
    with monkeypatch.context() as broken:

        def fsync(_: int) -> None:
            raise OSError(5, "a disk that fails")

        broken.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="a disk that fails"):
            spool.append(records(2))
    spool.append(records(3))
    assert drained(opened()) == records(1, 3)


def test_w10_the_files_are_for_nobody_else(tmp_path: Path, opened: Callable[[], Spool]) -> None:
    spool = opened()
    spool.append(records(1, 2))
    spool.settle(spool.take(1))
    folder = tmp_path / "spool"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()} == dict.fromkeys(
        ("lock", "position", "000000000001.segment"), 0o600
    )


def test_w10_a_spool_is_one_processs(tmp_path: Path, opened: Callable[[], Spool]) -> None:
    opened()
    with pytest.raises(FixConfig, match=r"another receiver uses this spool.* Next: end it, or"):
        Spool(tmp_path / "spool", LIMIT)
    opened()
    (tmp_path / "file").write_text("")
    with pytest.raises(FixConfig, match="SYNC_SPOOL_FOLDER"):
        Spool(tmp_path / "file", LIMIT)
