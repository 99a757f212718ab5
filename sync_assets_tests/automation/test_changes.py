"""Change events: told once each, whoever writes, never of what was there before us, and in an unbroken chain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from sync_assets import crash
from sync_assets_tests.automation.telling import ALL, assert_chains, events, kinds, listen, mirrored
from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, states, worked_off


def test_a_first_load_tells_nothing_and_the_next_sync_what_happened_since(company: Company) -> None:
    listen(company)
    company.synced("full", "kommo")
    assert events(company) == []
    kommo = company.sandbox.world.kommo
    lead, other, task = *sorted(kommo.living["leads"])[:2], min(kommo.living["tasks"])
    before = company.raw("leads", "kommo")
    company.sandbox.world.clock.advance(60)
    kommo.move(lead, 142)
    kommo.complete(task, "done")
    kommo.delete("leads", other)
    new = kommo.create("leads", name="new")
    company.synced("incremental", "kommo")
    assert sorted(kinds(company)) == sorted(
        [(str(lead), "updated"), (str(task), "updated"), (str(other), "deleted"), (str(new), "created")]
    )
    moved = next(e for e in events(company, "leads") if e.key == str(lead))
    assert moved.before == before[lead] and moved.after == company.raw("leads", "kommo")[lead]
    assert {"status_id", "updated_at"} <= set(moved.changed) and "name" not in moved.changed
    assert (moved.origin, moved.cause, moved.depth) == ("external", None, 0)
    assert_chains(company)
    company.synced("full", "kommo")
    own = [event for event in events(company) if event.entity != "contacts"]  # whose lists of leads change with them
    assert len(own) == 4, "nothing new, nothing told"
    company.sandbox.world.clock.advance(60)
    kommo.restore("leads", other)
    company.synced("incremental", "kommo")
    assert kinds(company, "leads")[-1:] == [(str(other), "restored")]
    assert_chains(company)


def test_nobody_listens_nothing_is_told(grown: Company) -> None:
    listen(grown, ("kommo", "tasks"), ("hubspot", "deals"))
    kommo = grown.sandbox.world.kommo
    kommo.move(min(kommo.living["leads"]), 142)
    kommo.complete(min(kommo.living["tasks"]), "done")
    grown.synced("incremental", "kommo")
    assert {e.entity for e in events(grown)} == {"tasks"}
    grown.query("update sync.listeners set account = 'kommo_emea'")
    kommo.complete(max(kommo.living["tasks"]), "done")
    grown.synced("incremental", "kommo")
    assert len(events(grown)) == 1, "that was another account's listener"


def test_every_entity_that_tells_is_told_of(grown: Company) -> None:
    listen(grown)
    world = grown.sandbox.world
    world.clock.advance(60)
    world.kommo.update("contacts", min(world.kommo.living["contacts"]), name="Somebody else")
    order = world.bitrix.tables["orders"].ids[0]
    world.bitrix.update_order(order, userDescription="soon")
    world.kaiten.update_card(card := min(world.kaiten.cards), title="new")
    deal = world.hubspot.create("deals", {"dealname": "new"})
    for account in ("kommo", "bitrix", "kaiten", "hubspot"):
        grown.synced("incremental", account)
    told = {(e.account, e.entity, e.kind) for e in events(grown)}
    assert told == {
        ("kommo", "contacts", "updated"), ("bitrix", "orders", "updated"), ("kaiten", "cards", "updated"),
        ("hubspot", "deals", "created"),
    }  # fmt: skip
    assert {e.key for e in events(grown)} >= {str(order), str(card), str(deal)}
    assert_chains(grown)


def test_webhook_and_polling_together_tell_each_change_once(grown: Company) -> None:
    listen(grown)
    kommo = grown.sandbox.world.kommo
    leads = sorted(kommo.living["leads"])[:6]
    for turn in range(3):
        grown.sandbox.world.clock.advance(60)
        for lead in leads:
            kommo.update("leads", lead, price=1000 + turn)
        hint(grown, "kommo", "leads", *leads)
        workers = [threading.Thread(target=lambda: worked_off(grown, "kommo")) for _ in range(2)]
        polling = threading.Thread(target=lambda: grown.synced("incremental", "kommo", "leads"))
        for thread in (*workers, polling):
            thread.start()
        for thread in (*workers, polling):
            thread.join()
    assert states(grown) == {"done": 18}
    assert sorted(kinds(grown)) == sorted((str(lead), "updated") for lead in leads for _ in range(3))
    assert_chains(grown)
    grown.assert_ledger_adds_up()


@pytest.mark.parametrize("point", ["after stage", "after upsert", "before commit", "after commit"])
def test_d1_a_crash_at_any_point_tells_it_once(grown: Company, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    listen(grown)
    kommo = grown.sandbox.world.kommo
    lead = min(kommo.living["leads"])
    kommo.move(lead, 142)
    hint(grown, "kommo", "leads", lead)

    class Died(BaseException):
        pass

    def die(passed: str) -> None:
        if passed == point:
            raise Died

    monkeypatch.setattr(crash, "point", die)
    with pytest.raises(Died):
        worked_off(grown, "kommo")
    assert len(events(grown)) == (1 if point == "after commit" else 0)
    monkeypatch.undo()
    grown.synced("incremental", "kommo", "leads")
    assert kinds(grown) == [(str(lead), "updated")]
    assert_chains(grown)


def test_two_writers_of_a_record_that_neither_held_tell_it_once(grown: Company) -> None:
    """The second one waits for the first at the row, finds that it had another idea of it, and looks again."""
    listen(grown)
    kommo = grown.sandbox.world.kommo
    new = kommo.create("leads", name="new")
    meet = threading.Barrier(2, timeout=10)
    met: list[str] = []

    def passed(name: str) -> None:
        if name == "after stage" and len(met) < 2:
            met.append(name)
            meet.wait()

    point, crash.point = crash.point, passed
    try:
        both = [
            threading.Thread(target=lambda: grown.synced("webhook", "kommo", "leads", ids=(str(new),)))
            for _ in range(2)
        ]
        for one in both:
            one.start()
        for one in both:
            one.join()
    finally:
        crash.point = point
    assert len(met) == 2 and kinds(grown) == [(str(new), "created")]
    assert_chains(grown)


def test_a_merged_contact_is_told_as_deleted(grown: Company) -> None:
    listen(grown)
    kommo = grown.sandbox.world.kommo
    primary, other = sorted(kommo.living["contacts"])[:2]
    grown.sandbox.world.clock.advance(60)
    kommo.merge("contacts", primary, other)
    grown.synced("incremental", "kommo")
    assert (str(other), "deleted") in kinds(grown, "contacts")
    assert_chains(grown)


def test_an_erased_record_leaves_nothing_in_its_events(grown: Company) -> None:
    listen(grown)
    kommo = grown.sandbox.world.kommo
    contact = min(kommo.living["contacts"])
    kommo.update("contacts", contact, name="Nobody's Business")
    grown.synced("incremental", "kommo")
    assert events(grown, "contacts")[-1].after["name"] == "Nobody's Business"
    from sync_assets.load.erasure import erase

    with grown.connected("kommo") as connection:
        target = connection.target("contacts")
        connection.database.transaction(lambda cursor: erase(cursor, target, [str(contact)]))
    held = grown.query("select before, after from sync.change_events where key = %s", (str(contact),))
    assert held and set(held) == {(None, None)}


def test_whatever_happens_each_records_events_are_a_chain(grown: Company, shaken: Callable[[int], Any]) -> None:
    """A company that lives, webhooks that tell of some of it, and polls in between."""
    listen(grown)
    began = mirrored(grown, ALL[:3])
    for turn in range(6):
        shaken(turn)
    grown.synced("full", "kommo")
    assert len(events(grown)) > 20
    assert_chains(grown, began)


@pytest.fixture
def shaken(grown: Company) -> Callable[[int], Any]:
    """shaken(turn): the sandbox's Kommo lives on for a while; then it is polled, or some of it is looked at."""
    import random

    dice = random.Random(6)

    def turn(number: int) -> None:
        world = grown.sandbox.world
        for _ in range(12):
            world.clock.advance(20)
            world.systems["kommo"].live(dice)
        living = [str(k) for k in world.kommo.living["leads"]]
        hint(grown, "kommo", "leads", *dice.sample(living, min(8, len(living))))
        worked_off(grown, "kommo")
        if number % 2:
            grown.synced("incremental", "kommo")

    return turn
