"""The company behind Kommo: what its people's edits do to records, stamps, the journal and the truth."""

import pytest

from sync_assets.sandbox.dialect import RefusedError, Request
from sync_assets.sandbox.kommo.shapes import WITH
from sync_assets.sandbox.server import Sandbox
from sync_assets.sandbox.world import World
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.kommo import Account, Row


def happened(account: Account, kind: str, id: int) -> list[str]:
    path = f"events?filter[entity]={kind}&filter[entity_id][]={id}"
    return [row["type"] for row in reversed(account.all(path))]


def test_a_leads_whole_life_is_in_the_journal_with_before_and_after(account: Account) -> None:
    company = account.company
    main, other = list(company.pipelines)[:2]
    lead = company.create("leads", name="L", price=10)
    first = account.get(f"leads/{lead}")["status_id"]
    reason = next(iter(company.loss_reasons))
    company.move(lead, 143, main, loss_reason_id=reason)
    row = account.get(f"leads/{lead}", **{"with": "loss_reason"})
    assert row["closed_at"] == row["updated_at"] and row["_embedded"]["loss_reason"][0]["id"] == reason
    company.move(lead, 142, other)
    row = account.get(f"leads/{lead}")
    assert (row["pipeline_id"], row["loss_reason_id"]) == (other, None) and row["closed_at"]
    company.update("leads", lead, price=11, name="M", responsible_user_id=list(company.users)[1], by=0)
    field = company.field("leads", "Адрес объекта")
    company.update("leads", lead, values={field: [{"value": "Тверь"}]})
    company.tag("leads", lead, "vip")
    company.untag("leads", lead, "vip")
    company.delete("leads", lead)
    company.restore("leads", lead)
    assert happened(account, "lead", lead) == [
        "lead_added", "lead_status_changed", "lead_status_changed", "sale_field_changed", "name_field_changed",
        "entity_responsible_changed", f"custom_field_{field}_value_changed", "entity_tag_added", "entity_tag_deleted",
        "lead_deleted", "lead_restored",
    ]  # fmt: skip
    lost = {"pipeline_id": main, "id": 143}
    stage = "filter[value_after][leads_statuses][0]"
    query = f"{stage}[pipeline_id]={main}&{stage}[status_id]=143"
    event = next(row for row in account.all(f"events?{query}") if row["entity_id"] == lead)
    assert event["value_after"] == [{"lead_status": lost}] and len(event["id"]) == 26
    assert event["value_before"] == [{"lead_status": {"pipeline_id": main, "id": first}}]
    assert account.get(f"events/{event['id']}") == event
    assert {row["created_by"] for row in account.all("events?filter[type]=name_field_changed")} == {0}
    with pytest.raises(RefusedError, match="no status"):
        company.move(lead, 1)


def test_events_take_ten_ids_of_one_entity_and_both_types_in_one_filter(account: Account) -> None:
    assert account.http.get("events?filter[entity_id][]=1").status_code == 400
    many = "&".join(f"filter[entity_id][]={n}" for n in range(11))
    assert account.http.get(f"events?filter[entity]=lead&{many}").status_code == 400
    both = {row["type"] for row in account.all("events?filter[type]=contact_added,lead_deleted")}
    assert both == {"contact_added", "lead_deleted"}
    newest = [row["created_at"] for row in account.all("events")]
    assert newest == sorted(newest, reverse=True)
    at = newest[5]
    assert {
        row["created_at"] for row in account.all(f"events?filter[created_at][from]={at}&filter[created_at][to]={at}")
    } == {at}


def test_deleted_leads_are_in_no_list_but_their_own(account: Account) -> None:
    company = account.company
    lead = min(company.living["leads"])
    company.delete("leads", lead)
    assert lead not in account.ids("leads") and account.http.get(f"leads/{lead}").status_code == 204
    rows = account.all("leads?with=only_deleted")
    assert rows == account.truth("deleted_leads") and len(rows) == 4
    gone = next(row for row in rows if row["id"] == lead)
    assert list(gone) == ["id", "updated_at", "is_deleted", "_links"] and gone["is_deleted"] is True
    company.restore("leads", lead)
    assert account.get(f"leads/{lead}")["is_deleted"] is False
    company.delete("leads", lead)
    company.purge("leads", lead)
    assert lead not in {row["id"] for row in account.all("leads?with=only_deleted")}
    assert {"entity_type": "leads", "id": lead} in account.truth("gone")
    assert happened(account, "lead", lead)[-1] == "lead_deleted"
    switches = {"kommo.deleted_row": "nulls", "kommo.deleted_by_id": "row", "kommo.touch": "tags"}
    with Sandbox(rates=UNLIMITED, switches=switches) as sb, Account(sb) as other:
        lead = min(other.company.living["leads"])
        before = other.get(f"leads/{lead}")["updated_at"]
        other.company.delete("leads", lead)
        gone = next(row for row in other.all("leads?with=only_deleted") if row["id"] == lead)
        assert gone["name"] is None and gone["updated_at"] == before
        assert other.get(f"leads/{lead}")["is_deleted"] is True


def test_merging_keeps_the_primary_and_takes_everything_along(account: Account) -> None:
    company = account.company
    phone, email = company.field("contacts", "PHONE"), company.field("contacts", "EMAIL")
    one = company.create("contacts", name="One", values={phone: [{"value": "1"}]}, tags=["a"])
    two = company.create("contacts", name="Two", values={phone: [{"value": "2"}], email: [{"value": "e"}]}, tags=["b"])
    lead = company.create("leads", name="L", links=[("contacts", two)])
    task = company.create("tasks", text="T", entity_type="contacts", entity_id=two, complete_till=1_900_000_000)
    company.merge("contacts", one, two)
    row = account.get(f"contacts/{one}", **{"with": "leads"})
    assert {v["field_code"]: v["values"][0]["value"] for v in row["custom_fields_values"]} == {
        "PHONE": "1",
        "EMAIL": "e",
    }
    assert [tag["name"] for tag in row["_embedded"]["tags"]] == ["a", "b"]
    assert row["_embedded"]["leads"][0]["id"] == lead and row["closest_task_at"] == 1_900_000_000
    inside = account.get(f"leads/{lead}", **{"with": "contacts"})["_embedded"]["contacts"]
    assert [(c["id"], c["is_main"]) for c in inside] == [(one, True)]
    assert account.get(f"tasks/{task}")["entity_id"] == one
    assert account.http.get(f"contacts/{two}").status_code == 204
    assert account.truth("merged") == [{"entity_type": "contacts", "id": two, "into": one}]
    assert "entity_merged" in happened(account, "contact", one) and "contact_deleted" not in happened(
        account, "contact", two
    )
    with Sandbox(rates=UNLIMITED, switches={"kommo.merge": "deleted"}) as sb, Account(sb) as other:
        first, second = list(other.company.living["contacts"])[:2]
        other.company.merge("contacts", first, second)
        assert happened(other, "contact", second)[-1] == "contact_deleted"


def test_what_moves_no_stamp_is_seen_all_the_same(account: Account) -> None:
    company = account.company
    lead = company.create("leads", name="L", tags=["old"])
    field = company.field("leads", "Адрес объекта")
    company.update("leads", lead, values={field: [{"value": "Тверь"}]}, at=company.clock.peek().replace(year=2025))

    def read() -> Row:
        row: Row = account.get(f"leads/{lead}")
        return row

    stamp = read()["updated_at"]
    task = company.create("tasks", text="T", entity_type="leads", entity_id=lead, complete_till=1_900_000_000)
    assert (read()["closest_task_at"], read()["updated_at"]) == (1_900_000_000, stamp)
    company.complete(task, "done")
    assert (read()["closest_task_at"], read()["updated_at"]) == (None, stamp)
    company.redefine("leads", field, name="Renamed")
    assert (read()["custom_fields_values"][0]["field_name"], read()["updated_at"]) == ("Renamed", stamp)
    company.rename_tag("leads", company.tag_id("leads", "old"), "new")
    assert (read()["_embedded"]["tags"][0]["name"], read()["updated_at"]) == ("new", stamp)
    company.retire("leads", field)
    assert (read()["custom_fields_values"], read()["updated_at"]) == (None, stamp)
    company.link("leads", lead, "contacts", next(iter(company.living["contacts"])))
    assert read()["updated_at"] > stamp
    company.delete("tasks", task)
    assert happened(account, "task", task) == ["task_added", "task_completed", "task_deleted"]


def test_administrators_change_users_pipelines_and_statuses(account: Account) -> None:
    company = account.company
    pipeline = company.create_pipeline("Fresh", ("First",))
    status = company.create_status(pipeline, "Second")
    company.update_status(pipeline, 142, name="Победа")
    names = {row["name"] for row in account.truth("statuses") if row["pipeline_id"] == pipeline}
    assert {"First", "Second", "Победа"} < names
    company.delete_status(pipeline, status)
    for wrong in (142, company.statuses[pipeline, 143]["id"]):
        with pytest.raises(RefusedError):
            company.delete_status(pipeline, wrong)
    user = list(company.users)[2]
    company.deactivate_user(user)
    assert account.get(f"users/{user}")["rights"]["is_active"] is False


def test_each_step_of_life_changes_records_and_leaves_the_links_whole() -> None:
    world = World(seed=4)
    entities = ("leads", "contacts", "tasks", "events")
    for _ in range(40):
        before = {entity: world.truth_rows("kommo", entity) for entity in entities}
        world.advance()
        assert all(world.truth_rows("kommo", entity) != before[entity] for entity in entities)
    assert world.truth("kommo", "merged") and world.truth("kommo", "gone") and world.truth("kommo", "deleted_leads")
    leads, stages = (
        world.truth("kommo", "leads"),
        {(s["pipeline_id"], s["id"]) for s in world.truth("kommo", "statuses")},
    )
    assert {(row["pipeline_id"], row["status_id"]) for row in leads} <= stages
    ends = {(link["entity_type"], link["entity_id"]) for link in world.truth("kommo", "links")}
    assert all(id in world.kommo.living[kind] for kind, id in ends)
    mains = [[c["is_main"] for c in row["_embedded"]["contacts"]] for row in leads]
    assert all(sum(main) <= 1 for main in mains)
    types = {row["type"] for row in world.truth("kommo", "events")}
    assert {"lead_restored", "contact_deleted", "entity_merged", "task_deleted", "entity_unlinked"} <= types


def test_a_page_that_was_served_once_is_serialised_already() -> None:
    with Sandbox(size="bench", rates=UNLIMITED, switches={"kommo.leads": "3000"}) as sb:
        system = sb.world.systems["kommo"]
        for page in range(1, 13):
            query, everything = {"limit": "250", "page": str(page)}, ",".join(WITH["leads"])
            request = Request("GET", "/api/v4/leads", f"with={everything}&limit=250&page={page}", query, {})
            first, again = system.answer(request), system.answer(request)
            assert len(first.content()) > 250 * 1000
            assert all(a is b for a, b in zip(first.rows or (), again.rows or (), strict=True))
