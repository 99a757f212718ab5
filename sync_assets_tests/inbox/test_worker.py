"""The worker: events become fresh rows, burials and what belongs to them, by one read per record."""

from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, states, worked_off


def test_a_changed_card_is_read_by_its_id(grown: Company) -> None:
    card = min(grown.sandbox.world.kaiten.cards)
    grown.sandbox.world.kaiten.update_card(card, title="new")
    grown.sandbox.requests.clear()
    hint(grown, "kaiten", "cards", card, card, card)
    work = worked_off(grown)
    assert (work.events, work.records, work.problems, work.waiting, work.dead) == (3, 1, [], 0, 0)
    assert work.outcomes["cards"].totals["updated"] == 1
    assert [r.path.rpartition("/")[2] for r in grown.sandbox.requests if "/cards" in r.path] == [str(card)]
    assert states(grown) == {"done": 3}
    assert grown.query("select kind, status, updated from sync.logs order by id desc limit 1") == [
        ("webhook", "success", 1)
    ]
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()
