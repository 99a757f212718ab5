"""A look at single records while the whole entity is synced: whichever is loaded last, the later read wins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sync_assets import crash
from sync_assets.sync import Request, sync_entity
from sync_assets_tests.company import Company
from sync_assets_tests.faults.moments import wait_for
from sync_assets_tests.inbox.hints import hint, states, worked_off

Meanwhile = Callable[[], object]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Meanwhile], None]:
    """at(point, meanwhile): once, when a sync comes to that point, something else happens before it goes on."""

    def set_up(name: str, meanwhile: Meanwhile) -> None:
        left = [meanwhile]

        def point(reached: str) -> None:
            if reached == name and left:
                left.pop()()

        monkeypatch.setattr(crash, "point", point)

    return set_up


def told(company: Company, account: str, entity: str, *keys: int) -> None:
    """As a webhook tells it, and the worker looks."""
    hint(company, account, entity, *keys)
    work = worked_off(company, account)
    assert work.problems == [] and work.records == len(keys)


def test_a_page_that_was_read_before_the_look_and_is_loaded_after_it_loses(grown: Company, at: Any) -> None:
    kaiten = grown.sandbox.world.kaiten
    card = min(kaiten.cards)

    def meanwhile() -> None:
        kaiten.update_card(card, title="newer")
        told(grown, "kaiten", "cards", card)

    at("after read", meanwhile)
    done = grown.synced("full", only="cards")["cards"]
    assert done.totals["stale"] == 1 and grown.raw("cards")[card]["title"] == "newer"
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_who_was_looked_for_in_vain_is_not_brought_back_by_an_older_page(grown: Company, at: Any) -> None:
    kaiten = grown.sandbox.world.kaiten
    card = next(k for k, c in grown.truth("cards").items() if not c["children_ids"] and not c["parents_ids"])

    def meanwhile() -> None:
        kaiten.delete_card(card)
        told(grown, "kaiten", "cards", card)

    at("after read", meanwhile)
    done = grown.synced("full", only="cards")["cards"]
    assert done.totals["stale"] == 1 and card not in grown.raw("cards")
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_nor_is_who_was_never_here(grown: Company, at: Any) -> None:
    kaiten = grown.sandbox.world.kaiten
    card = kaiten.create_card(title="short-lived")

    def meanwhile() -> None:
        kaiten.delete_card(card)
        told(grown, "kaiten", "cards", card)

    at("after read", meanwhile)
    grown.synced("full", only="cards")
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


class Definition:
    """A record of an entity that is asked for by id and has neither a bin nor events of deletions to be healed by."""

    def __init__(self, company: Company) -> None:
        self._kaiten = company.sandbox.world.kaiten
        table = self._kaiten.table("property_definitions")
        self.id = next(id for id, d in table.items() if d["type"] not in ("select", "catalog"))
        self._record = table[self.id]

    def leave(self) -> None:
        with self._kaiten.changing():
            del self._kaiten.table("property_definitions")[self.id]

    def come_back(self) -> None:
        with self._kaiten.changing():
            self._kaiten.table("property_definitions")[self.id] = self._record


@pytest.mark.parametrize("held_as", ["a list shows it", "a look shows it"])
def test_a_burial_that_rests_on_an_older_look_does_not_count(grown: Company, at: Any, held_as: str) -> None:
    """Whether the bytes of the look that finds it again are those that are held, or only its content."""
    definition = Definition(grown)
    if held_as == "a look shows it":
        told(grown, "kaiten", "property_definitions", definition.id)
    definition.leave()

    def meanwhile() -> None:
        definition.come_back()
        told(grown, "kaiten", "property_definitions", definition.id)

    at("in sweep", meanwhile)
    done = grown.synced("full", only="property_definitions")["property_definitions"]
    assert done.totals["deleted"] == 0 and grown.query("select 1 from sync.tombstones") == []
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_who_came_back_between_two_looks_is_looked_for_again(grown: Company, at: Any) -> None:
    """The whole sync meets it unchanged, and so writes nothing, before the look that did not find it buries it."""
    definition, go_on = Definition(grown), threading.Event()
    definition.leave()

    def whole() -> None:
        entity = grown.entity("property_definitions")
        with grown.connected() as connection:
            sync_entity(connection, entity, Request("full"), progress=lambda *_: go_on.wait(20))

    thread = threading.Thread(target=whole)

    def meanwhile() -> None:
        definition.come_back()
        thread.start()
        met = "select 1 from sync.logs where status = 'running' and kind = 'full' and commits > 0"
        wait_for(lambda: grown.query(met))

    at("in sweep", meanwhile)
    told(grown, "kaiten", "property_definitions", definition.id)
    go_on.set()
    thread.join()
    assert grown.query("select 1 from sync.tombstones") == []
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_whole_syncs_and_looks_at_once_end_with_the_world(grown: Company) -> None:
    kaiten = grown.sandbox.world.kaiten
    cards = sorted(kaiten.cards)[:40]
    over = threading.Event()
    wrong: list[object] = []

    def looks() -> None:
        n = 0
        while not over.is_set():
            n += 1
            some = cards[n % 7 :: 7]
            for card in some:
                kaiten.update_card(card, title=f"{n}")
            hint(grown, "kaiten", "cards", *some)
            wrong.extend(worked_off(grown).problems)

    threads = [threading.Thread(target=looks) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        grown.synced("full", only="cards")
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and states(grown).keys() == {"done"}
    held, truth = grown.raw("cards"), grown.truth("cards")
    assert {k: held[k]["title"] for k in cards} == {k: truth[k]["title"] for k in cards}
    grown.assert_ledger_adds_up()


def test_a_whole_sync_calls_no_look_lost_that_is_under_way_and_the_next_one_those_of_dead_workers(
    grown: Company, at: Any
) -> None:
    card = min(grown.sandbox.world.kaiten.cards)
    seen: list[Any] = []

    def meanwhile() -> None:
        grown.synced("full", only="cards")
        seen.extend(grown.query("select kind, status from sync.logs where entity = 'cards' order by id desc limit 2"))

    at("after read", meanwhile)
    told(grown, "kaiten", "cards", card)
    assert seen == [("full", "success"), ("webhook", "running")]
    hint(grown, "kaiten", "cards", card)
    killed = subprocess.run(
        [sys.executable, "-m", "sync_assets_tests.inbox.working"],
        env={"PATH": os.defpath, **grown.env, "SYNC_ASSETS_CRASH_AT": "after read"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert grown.query("select status from sync.logs where entity = 'cards' order by id desc limit 1") == [("running",)]
    grown.synced("full", only="cards")
    assert grown.query("select kind, status from sync.logs where entity = 'cards' order by id desc limit 2") == [
        ("full", "success"), ("webhook", "lost"),
    ]  # fmt: skip
