"""The orphan report: rows whose links lead nowhere, why and since when; what nobody knows; nothing is deleted."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from sync_assets.errors import NotMigrated
from sync_assets.load.database import Database
from sync_assets.upkeep.orphans import Orphans, Report, report
from sync_assets.upkeep.tables import markdown, orphan_rows, table
from sync_assets_tests.company import Company
from sync_assets_tests.upkeep.aged import tables


def reported(company: Company, *accounts: str) -> Report:
    database = Database(company.database_url, wait=5.0)
    try:
        chosen = [company.accounts[name] for name in accounts] if accounts else list(company.accounts.values())
        return report(database, chosen, ["http"])
    finally:
        database.close()


def links(found: Report) -> dict[str, Orphans]:
    return {f"{o.entity}.{o.link} {o.state}": o for o in found.orphans}


def test_in_a_company_in_step_nothing_is_reported_and_nothing_changes(grown: Company) -> None:
    before = tables(grown)
    found = reported(grown)
    assert (found.orphans, found.unknown) == ([], [])
    assert set(found.counts.values()) == {0} and tables(grown) == before


def test_a_shop_s_gaps_are_told_with_state_evidence_and_age(make_shop: Callable[..., Company]) -> None:
    shop = make_shop()
    shop.synced("full", "bitrix")
    gaps = shop.query(
        "select child_entity, child_columns, state, count(*), min(waiting_since) from sync.missing_parents"
        " group by 1, 2, 3"
    )
    assert gaps, "else there is nothing to report"
    found = reported(shop, "bitrix")
    told = {(o.entity, o.link, o.state, o.parents, o.since) for o in found.orphans}
    assert told == {tuple(row) for row in gaps}
    buyers = links(found)["orders.bitrix_user_id unreachable"]
    ((rows, parents),) = shop.query(
        "select count(*), count(distinct bitrix_user_id) from bitrix.orders o"
        " where not exists (select from bitrix.users u where u.id = o.bitrix_user_id)"
    )
    assert (buyers.rows, buyers.parents, buyers.leads_to) == (rows, parents, "users") and rows >= parents
    assert buyers.evidence and len(buyers.sample) == min(5, parents)
    assert found.counts["rows"] == sum(o.rows for o in found.orphans)
    view = shop.query("select entity, link, leads_to, state, parents, since from sync.orphans where account = 'bitrix'")
    assert set(view) == {(o.entity, o.link, o.leads_to, o.state, o.parents, o.since) for o in found.orphans}


def test_a_link_that_nobody_noted_yet_waits_and_a_parent_without_children_is_no_orphan(grown: Company) -> None:
    """Of users, boards, ... many have nobody who points at them."""
    (user, count), *_ = grown.query(
        "select owner_id, count(*) from kaiten.cards where owner_id is not null group by 1 order by 2 desc limit 1"
    )
    grown.query("delete from kaiten.users where id = %s", (user,))
    found = links(reported(grown, "kaiten"))
    own = found["cards.owner_id waiting"]
    assert (own.rows, own.parents, own.sample, own.since, own.evidence) == (count, 1, [str(user)], None, None)
    grown.query("update kaiten.cards set raw_json = raw_json || '{\"owner_id\": null}' where owner_id = %s", (user,))
    assert "cards.owner_id waiting" not in links(reported(grown, "kaiten"))


def test_a_table_that_is_not_there_is_named(make_company: Callable[..., Company]) -> None:
    company = make_company()
    company.query("drop table kaiten.tags cascade")
    database = Database(company.database_url)
    try:
        with pytest.raises(NotMigrated, match=r"the table kaiten\.tags is not there"):
            report(database, [*company.accounts.values()])
    finally:
        database.close()
    assert isinstance(error := company.sync("full", only="tags")["tags"], NotMigrated)
    assert "the table kaiten.tags is not there" in str(error)


def test_tables_and_rows_of_accounts_that_nobody_connects_are_told(grown: Company) -> None:
    """Worksection is not connected any more; Kaiten has lost an entity; http is a way out, and known."""
    grown.query("create table kaiten.wishes (like sync.record including all)")
    grown.query("insert into kaiten.wishes (raw_json, seen, sync_id) values ('{}', 1, 1)")
    grown.query("insert into sync.metadata (account, entity, system) values ('kaiten', 'wishes', 'kaiten')")
    grown.query(
        "insert into sync.outbox (account, entity, key, operation, payload, idempotency_key)"
        " values ('http', 'post', '1', 'http_post', '{}', 'x')"
    )
    before = tables(grown)
    found = reported(grown, *(name for name in grown.accounts if name != "worksection"))
    assert tables(grown) == before
    places = {(u.place, u.entity): u for u in found.unknown}
    assert {u.account for u in found.unknown} == {"worksection", "kaiten"}
    for entity in grown.accounts["worksection"].entities:
        table = places[f"worksection.{entity.name}", entity.name]
        assert table.rows == grown.count(entity.name, "worksection") and table.size > 0
        assert places["sync.metadata", entity.name].rows == 1
        assert places["sync.logs", entity.name].rows >= 1
    assert places["kaiten.wishes", "wishes"].rows == places["sync.metadata", "wishes"].rows == 1
    assert {place for (place, _), u in places.items() if u.account == "kaiten"} == {"kaiten.wishes", "sync.metadata"}
    assert found.counts["unknown_tables"] == len(grown.accounts["worksection"].entities) + 1


def test_s7_what_a_source_wrote_is_no_markup_in_the_tables() -> None:
    trap = "![x](http://trap) | <b>"
    found = Orphans("kaiten", "cards", "board_id", "boards", "gone", 1, 1, [trap], None, trap)
    rows = orphan_rows(Report([found]))
    shown = markdown(rows, "")
    assert "![x](http://trap)" not in shown and "<b>" not in shown.replace("\\<", "")
    assert shown.splitlines()[-1].count(" | ") == len(rows[0]) - 1, "a bar in the text makes no cell"
    console = Console(width=400, record=True, file=StringIO())
    console.print(table("links", rows))
    assert console.export_text().count(trap) == 2, "a terminal shows what is there"
