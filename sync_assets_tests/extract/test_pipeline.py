"""Commits are bounded by what they hold: so many records, or so many bytes, whichever comes first; at first fewer."""

import pytest

from sync_assets.entity import Whole
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
