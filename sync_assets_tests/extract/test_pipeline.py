"""Commits are bounded by what they hold: so many records, or so many bytes, whichever comes first; at first fewer."""

import threading
from collections.abc import Iterator

import pytest

from sync_assets.entity import Whole
from sync_assets.errors import RetryLater
from sync_assets.extract.pages import Page
from sync_assets.sync.pipeline import MOST_BYTES, commit_behind


def page(name: int, records: int, size: int) -> Page:
    return Page(str(name), Whole("/tags"), name, [b"{}"] * records, [str(i) for i in range(records)], size=size)


@pytest.mark.parametrize(
    ("size", "commits"),
    [
        (100, ["0", "1 2", "3 4 5", "6"]),
        (MOST_BYTES // 2, ["0", "1 2", "3 4", "5 6"]),
        (MOST_BYTES * 2, ["0", "1", "2", "3", "4", "5", "6"]),
    ],
)
def test_a_commit_holds_so_many_records_or_bytes(size: int, commits: list[str]) -> None:
    done: list[str] = []
    commit_behind(
        (page(n, 100, size) for n in range(7)),
        records=300,
        prepare=lambda pages: " ".join(p.name for p in pages),
        commit=lambda _, names: done.append(names),
    )
    assert done == commits


def test_the_last_commit_needs_no_thread_and_follows_the_one_before_it() -> None:
    done: list[tuple[str, bool]] = []

    def commit(pages: list[Page], _: object) -> None:
        done.append((" ".join(p.name for p in pages), threading.current_thread() is threading.main_thread()))

    commit_behind(iter([page(0, 9, 100)]), records=300, prepare=len, commit=commit)
    assert done == [("0", True)]
    done.clear()
    commit_behind((page(n, 100, 100) for n in range(5)), records=300, prepare=len, commit=commit)
    assert done == [("0", False), ("1 2", False), ("3 4", True)]


def test_what_was_read_before_the_source_failed_is_committed() -> None:
    done: list[str] = []

    def pages() -> Iterator[Page]:
        yield from (page(n, 100, 100) for n in range(4))
        raise RetryLater("later")

    def commit(pages: list[Page], _: object) -> None:
        done.extend(p.name for p in pages)

    with pytest.raises(RetryLater, match="later"):
        commit_behind(pages(), records=300, prepare=len, commit=commit)
    assert done == ["0", "1", "2", "3"]
