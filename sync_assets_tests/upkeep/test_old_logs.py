"""Old rows of the ledger go into its sums; what a sync_id names, and what the next sync is held against, stays."""

from __future__ import annotations

from sync_assets_tests.company import Company
from sync_assets_tests.inbox.hints import hint, worked_off
from sync_assets_tests.upkeep.aged import cleaned, put, tables

ARCHAIC = (
    "update sync.logs set started_at = started_at - interval '9 years', finished_at = finished_at - interval '9 years'"
)
DANGLING = "select id from kaiten.{} t where not exists (select from sync.logs l where l.id = t.sync_id)"


def webhook(company: Company, *cards: int, title: str) -> None:
    company.sandbox.world.clock.advance(60)
    for card in cards:
        company.sandbox.world.kaiten.update_card(card, title=title)
    for card in cards:
        hint(company, "kaiten", "cards", card)
        worked_off(company)


def test_the_ledger_still_adds_up_when_its_rows_are_sums(grown: Company) -> None:
    """Created minus deleted is the number of the living, whatever was forgotten."""
    for _ in range(2):
        grown.synced("full")
        grown.synced("incremental")
    before = grown.query("select sum(fetched), sum(created), sum(unchanged), count(*) from sync.logs")
    grown.query(ARCHAIC)
    done = cleaned(grown, apply=True)
    gone = done["sync.logs of entities"].gone + done["sync.logs of single records"].gone
    assert gone > 10
    grown.assert_ledger_adds_up()
    both = (
        "select sum(fetched), sum(created), sum(unchanged), sum(syncs) from ("
        "select fetched, created, unchanged, 1 as syncs from sync.logs"
        " union all select fetched, created, unchanged, syncs from sync.forgotten_logs) every_sync"
    )
    assert grown.query(both) == before
    for entity in grown.accounts["kaiten"].entities:
        assert grown.query(DANGLING.format(entity.name).replace("select id", "select 1")) == []
    # And syncs go on as if nothing had been forgotten.
    assert all(o.totals["created"] == o.totals["updated"] == 0 for o in grown.synced("full").values())
    grown.assert_world_equals_postgres()
    grown.assert_ledger_adds_up()


def test_a_log_goes_when_the_last_row_that_names_it_was_written_again(grown: Company) -> None:
    first, second = sorted(grown.raw("cards"))[:2]
    webhook(grown, first, title="one")
    webhook(grown, second, title="two")
    webhook(grown, second, title="three")
    ids = "select id from sync.logs where kind = 'webhook' and entity = 'cards' order by id"
    old = [id for (id,) in grown.query(ids)]
    assert len(old) == 3
    grown.query(ARCHAIC)
    grown.query("delete from sync.webhook_events")
    cleaned(grown, apply=True)
    assert [id for (id,) in grown.query(ids)] == [old[0], old[2]], "the middle one wrote nothing that is still here"
    webhook(grown, first, title="four")
    grown.query("delete from sync.webhook_events")
    cleaned(grown, apply=True)
    kept = [id for (id,) in grown.query(ids)]
    assert old[0] not in kept and old[2] in kept


def test_the_last_row_of_each_kind_and_state_stays_and_the_others_are_summed_by_month(company: Company) -> None:
    for n in range(4):
        put(company, "sync.logs of entities", n, 500)
    company.query("update sync.logs set created = 2, unchanged = 1")
    company.query("update sync.logs set status = 'failed', error = 'x' where id in (1, 2)")
    company.query("update sync.logs set started_at = '2024-03-31 23:59:59+00', finished_at = '2024-04-01' where id = 1")
    company.query("update sync.logs set started_at = '2024-04-01 00:00:00+00', finished_at = '2024-04-01' where id = 3")
    assert cleaned(company, apply=False)["sync.logs of entities"].gone == 2
    before = tables(company)
    cleaned(company, apply=True)
    assert company.query("select id from sync.logs order by 1") == [(2,), (4,)]
    months = "select month::text, syncs, failed, fetched from sync.forgotten_logs order by 1"
    assert company.query(months) == [("2024-03-01", 1, 1, 3), ("2024-04-01", 1, 0, 3)]
    company.query("update sync.logs set started_at = '2024-04-02', finished_at = '2024-04-02' where id = 4")
    put(company, "sync.logs of entities", 5, 1)
    cleaned(company, apply=True)
    assert company.query(months) == [("2024-03-01", 1, 1, 3), ("2024-04-01", 2, 0, 6)]
    assert before != tables(company)


def test_what_rows_of_an_account_that_is_gone_point_at_stays(grown: Company) -> None:
    grown.query("create schema former; create table former.cards (like sync.record including all)")
    grown.query(
        "insert into former.cards (raw_json, seen, sync_id)"
        " select '{}', 1, id from (select min(id) as id from sync.logs where entity = 'boards') l"
    )
    grown.query(ARCHAIC)
    grown.synced("full", only="boards")
    named = grown.query("select sync_id from former.cards")
    grown.query("update kaiten.boards set sync_id = (select max(id) from sync.logs)")
    cleaned(grown, apply=True)
    assert grown.query("select id from sync.logs where id = %s", named[0]) == named
