"""W4, W5, W11: events in any order, in any number, and some that never come; the end is always the world."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_assets.load.heard import quality
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, states, worked_off
from sync_assets_tests.mirror import Mirror

STEPS = ("create", "update", "delete")


@pytest.mark.parametrize("told", list(permutations(STEPS)), ids="-".join)
@pytest.mark.parametrize("happened", [1, 2, 3], ids=lambda n: STEPS[n - 1])
def test_w4_every_order_of_create_update_delete_ends_with_the_world(
    grown: Company, told: tuple[str, ...], happened: int
) -> None:
    """The world has come as far as `happened` says, and all three events are told in some order."""
    kaiten = grown.sandbox.world.kaiten
    held = grown.query("select count(*) from kaiten.cards")
    card = kaiten.create_card(title="created")
    hint(grown, "kaiten", "cards", card, event=f"card:{told[0]}")
    if happened > 1:
        kaiten.update_card(card, title="updated")
    worked_off(grown)
    hint(grown, "kaiten", "cards", card, event=f"card:{told[1]}")
    if happened > 2:
        kaiten.delete_card(card)
    worked_off(grown)
    hint(grown, "kaiten", "cards", card, event=f"card:{told[2]}")
    worked_off(grown)
    found = grown.query("select title from kaiten.cards where id = %s", [card])
    assert found == [[("created",)], [("updated",)], []][happened - 1]
    assert grown.query("select count(*) from kaiten.cards") == ([(held[0][0] + 1,)] if found else held)
    assert states(grown) == {"done": 3}
    grown.assert_ledger_adds_up()


DEEDS = ("update", "archive", "restore", "tell", "tell again", "work", "whole")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 2)), max_size=14))
def test_w4_any_interleaving_of_changes_events_and_syncs_ends_with_the_world(
    mirror: Mirror, deeds: list[tuple[str, int]]
) -> None:
    company, portal, contacts = mirror.company, mirror.portal, mirror.some(count=3)
    touched = set()
    for n, (deed, which) in enumerate(deeds):
        contact = contacts[which]
        binned = contact in portal.binned("contacts")
        if deed == "update" and not binned:
            portal.update("contacts", contact, firstname=f"name {n}")
            touched.add(contact)
        elif deed == "archive" and not binned:
            portal.archive("contacts", contact)
            touched.add(contact)
        elif deed == "restore" and binned:
            portal.restore("contacts", contact)
            touched.add(contact)
        elif deed.startswith("tell"):
            hint(company, "hubspot", "contacts", contact)
        elif deed == "work":
            worked_off(company, "hubspot")
        elif deed == "whole":
            mirror.synced("incremental", "contacts")
    for contact in touched:
        hint(company, "hubspot", "contacts", contact)
    work = worked_off(company, "hubspot")
    assert work.problems == [] and work.waiting == 0
    company._assert_equal(company.entity("contacts", "hubspot"), "hubspot", True)
    company.assert_ledger_adds_up()
    for contact in contacts:
        if contact in portal.binned("contacts"):
            portal.restore("contacts", contact)
    hint(company, "hubspot", "contacts", *contacts)
    worked_off(company, "hubspot")


def test_w5_ten_thousand_events_over_five_hundred_records_cost_one_read_each(
    make_company: Callable[..., Company], make_sandbox: Callable[..., Sandbox], make_database: Callable[..., str]
) -> None:
    sandbox = make_sandbox(switches={"hubspot.contacts": "600"}, rates={"hubspot": 100.0, "hubspot.search": 5.0})
    company = make_company(sandbox, HUBSPOT_RATE="100")
    company.synced("full", "hubspot", "contacts")
    contacts = sandbox.world.hubspot.shelf("contacts").ids[:500]
    for contact in contacts:
        sandbox.world.hubspot.update("contacts", contact, firstname="burst")
    for _ in range(20):
        hint(company, "hubspot", "contacts", *contacts)
    sandbox.requests.clear()
    work = worked_off(company, "hubspot")
    assert (work.events, work.records, work.waiting, work.dead) == (10_000, 500, 0, 0)
    assert states(company) == {"done": 10_000} and work.outcomes["contacts"].totals["updated"] == 500
    asked = [r for r in sandbox.requests if r.path.endswith("/contacts/batch/read")]
    assert len(asked) == 5 and sandbox.violations == []
    assert {r["properties"]["firstname"] for r in company.raw("contacts", "hubspot").values()} >= {"burst"}
    company.assert_ledger_adds_up()


def test_w5_the_limit_is_kept_while_a_burst_of_single_reads_is_worked_off(
    make_company: Callable[..., Company], grown: Company, make_sandbox: Callable[..., Sandbox]
) -> None:
    sandbox = make_sandbox(rates={"kaiten": 25.0})
    company = make_company(sandbox, KAITEN_RATE="25", database_url=grown.database_url)
    hint(company, "kaiten", "cards", *sorted(sandbox.world.kaiten.cards)[:60])
    assert worked_off(company).records == 60
    assert sandbox.violations == []


def test_w11_what_was_never_delivered_is_repaired_by_the_next_incremental_sync_and_shown(
    make_company: Callable[..., Company], grown: Company
) -> None:
    company = make_company(
        grown.sandbox, database_url=grown.database_url, KAITEN_WEBHOOK_SECRET="canary-hook-secret-0123456789"
    )
    kaiten = company.sandbox.world.kaiten
    cards = sorted(kaiten.cards)[:20]
    company.sandbox.world.clock.advance(3600)
    for card in cards:
        kaiten.update_card(card, title="changed")
    hint(company, "kaiten", "cards", *cards[:14])
    worked_off(company)
    done = company.synced("incremental", only="cards")["cards"]
    assert done.totals["updated"] == 6
    company.assert_world_equals_postgres()
    assert company.query("select unheard from sync.logs where id = %s", [done.log_id]) == [(6,)]
    with company.connected() as connection:
        (row,) = (row for row in quality(connection.database, 7) if row["entity"] == "cards")
    assert (row["events"], row["records"], row["brought"], row["untold"]) == (14, 14, 14, 6)
    assert row["delivered_percent"] == 70.0
