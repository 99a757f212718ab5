"""P1-P4: pages that run in a ring, repeat rows, or shift while they are read.

P3 is the reason for the overlap of one row between pages: `leaping` reads the same moving world without it and loses
rows; the product must not.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.entity import OffsetPages
from sync_assets.errors import CallVendor, PageLoop, SourceUnavailable
from sync_assets.extract import fetch
from sync_assets.extract.dialect import Answer
from sync_assets.extract.fetch import Fetch
from sync_assets.extract.pages import Splitter
from sync_assets.sandbox.dialect import decode, encode
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company
from sync_assets_tests.faults.recovery import assert_recovered, failed

READ = OffsetPages("/rows", size=10)


def finish_the_sweep(company: Company) -> None:
    """What a sweep has seen counts as living until the next one, also where it was interrupted in between."""
    company.sandbox.faults.clear()
    assert "unfinished sweep" in company.synced("full", only="cards")["cards"].note


@pytest.mark.parametrize("loop", [1, 2, 3])
def test_p1_pages_in_a_ring_are_noticed_and_lose_nothing(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], loop: int
) -> None:
    company = make_company(make_sandbox(cards=420))
    company.synced("full")
    ((watermark,),) = company.query("select watermark from sync.metadata where entity = 'cards'")
    company.sandbox.faults.set("P1", path="/cards", loop=loop)
    before = len(company.sandbox.requests)
    done = company.sync("full", only="cards")["cards"]
    assert isinstance(done, PageLoop | SourceUnavailable), repr(done)
    assert len(company.sandbox.requests) - before < 40, "it ran in circles"
    assert company.query("select watermark from sync.metadata where entity = 'cards'") == [(watermark,)]
    assert company.count("cards") == 420
    assert company.query("select * from sync.tombstones") == []
    assert_recovered(company, only="cards")


def test_p1_a_ring_is_named_by_both_of_its_pages(company: Company) -> None:
    splitter = Splitter("", ("id",))
    pages = {0: range(10), 9: range(9, 19), 18: range(10)}

    def ask(path: str, params: Any, stop: Any) -> Answer:
        offset = int(params["offset"])
        return Answer(200, None, encode([{"id": i} for i in pages.get(offset, range(10))]))  # type: ignore[arg-type]

    with pytest.raises((PageLoop, SourceUnavailable)) as told:
        list(Fetch(ask, splitter, lambda *_: []).pages([replace(READ, size=10)]))
    if isinstance(told.value, PageLoop):
        assert "offset" in str(told.value)


@pytest.mark.parametrize("options", [{"rows": 3}, {"rows": 30}, {"rows": 4, "variant": "within"}], ids=str)
def test_p2_repeated_rows_are_stored_once_and_counted(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], options: dict[str, Any]
) -> None:
    company = make_company(make_sandbox(cards=330))
    company.sandbox.faults.set("P2", path="/cards", **options)
    totals = company.synced("full")["cards"].totals
    assert totals["created"] == 330
    assert totals["repeated"] + totals["unchanged"] > 0
    assert totals["fetched"] == totals["created"] + totals["repeated"] + totals["unchanged"]
    assert_recovered(company, only="cards")


@pytest.mark.parametrize(("insert", "delete"), [(1, 1), (0, 3), (5, 0), (2, 7)])
def test_p3_a_world_that_moves_between_pages_loses_no_row(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], insert: int, delete: int
) -> None:
    company = make_company(make_sandbox(cards=420))
    standing = set(company.sandbox.world.kaiten.cards)
    company.sandbox.faults.set("P3", path="/cards", times=5, insert=insert, delete=delete)
    company.synced("full")
    standing &= set(company.sandbox.world.kaiten.cards)
    assert standing <= company.raw("cards").keys(), "a row that stood still was skipped"
    assert_recovered(company, only="cards")


def test_p3_rows_that_go_faster_than_pages_come_end_the_sync_and_the_next_goes_on(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(cards=900))
    company.sandbox.faults.set("P3", path="/cards", insert=0, delete=90)
    done = company.sync("full")["cards"]
    assert isinstance(done, SourceUnavailable) and "faster" in done.what
    company.sandbox.faults.clear()
    company.synced("full", only="cards", allow_deletions=900)
    assert_recovered(company, only="cards", allow_deletions=900)


def moving_world(moves: list[tuple[str, int]], rows: int, seed: int) -> tuple[list[int], Callable[[int, int], bytes]]:
    """A listing of ids in order, and a way to read it that makes one more of the moves before each answer."""
    ids, queue, dice = list(range(rows)), list(moves), random.Random(seed)

    def read(offset: int, size: int) -> bytes:
        if queue:
            kind, much = queue.pop(0)
            for _ in range(much):
                if kind == "delete" and ids:
                    ids.pop(dice.randrange(max(1, min(len(ids), offset + size))))
                elif kind == "insert":
                    ids.insert(dice.randrange(len(ids) + 1), 1_000_000 + dice.getrandbits(40))
        return encode([{"id": i} for i in ids[offset : offset + size]])

    return ids, read


def product(read: Callable[[int, int], bytes]) -> list[int]:
    def ask(path: str, params: Any, stop: Any) -> Answer:
        return Answer(200, None, read(int(params["offset"]), int(params["limit"])))  # type: ignore[arg-type]

    fetcher = Fetch(ask, Splitter("", ("id",)), lambda *_: [])
    return [int(key) for page in fetcher.pages([READ]) for key in page.keys if key is not None]


def leaping(read: Callable[[int, int], bytes]) -> list[int]:
    """Offset paging as it is usually done."""
    found: list[int] = []
    offset = 0
    while page := [r["id"] for r in decode(read(offset, READ.size))]:
        found += page
        offset += len(page)
    return found


MOVES = st.lists(st.tuples(st.sampled_from(["delete", "insert", "rest"]), st.integers(1, 4)), max_size=14)


@given(moves=MOVES, rows=st.integers(0, 75), seed=st.integers(0, 10_000))
@settings(derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_p3_whatever_moves_every_row_that_stands_still_is_read(
    moves: list[tuple[str, int]], rows: int, seed: int
) -> None:
    ids, read = moving_world(moves, rows, seed)
    try:
        found = product(read)
    except (SourceUnavailable, CallVendor):
        return  # it says so instead of losing rows
    standing = {i for i in ids if i < rows}
    assert standing <= set(found)


def test_p3_without_the_overlap_a_row_is_lost() -> None:
    moves = [("rest", 1), ("delete", 1)]
    ids, read = moving_world(moves, 35, seed=3)
    assert {i for i in ids if i < 35} - set(leaping(read)), "nothing was lost: this world proves nothing"
    ids, read = moving_world(moves, 35, seed=3)
    assert {i for i in ids if i < 35} <= set(product(read))


def test_p3_the_anchor_is_what_finds_the_gap(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    company = make_company(make_sandbox(cards=420))
    monkeypatch.setattr(fetch, "STEPS_BACK", 0)
    company.sandbox.faults.set("P3", path="/cards", times=1, insert=0, delete=3)
    failed(company.sync("full"), "cards", SourceUnavailable)
    monkeypatch.undo()
    finish_the_sweep(company)
    assert_recovered(company, only="cards")


def test_p4_a_row_that_changes_between_pages_is_stored_in_its_newest_form(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox]
) -> None:
    company = make_company(make_sandbox(cards=330))
    company.synced("full")
    kaiten = company.sandbox.world.kaiten
    for card in list(kaiten.cards)[::50]:
        kaiten.update_card(card, title="while it was read")
    company.sandbox.faults.set("P2", path="/cards", rows=40)
    outcome = company.synced("full", only="cards")["cards"]
    assert outcome.totals["updated"] == 7
    company.assert_world_equals_postgres()
    assert_recovered(company, only="cards")
