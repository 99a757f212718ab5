"""Kommo's less trodden ways: each switch the other way round, writes that are refused, edits that make no sense."""

from typing import Any

import httpx
import pytest

from sync_assets.sandbox.dialect import RefusedError
from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.kommo import Account


def test_orders_and_filters_the_other_way_round() -> None:
    switches = {
        "kommo.order": "newest", "kommo.event_order": "oldest", "kommo.created_filter": "ignored",
        "kommo.unknown_filter": "400", "kommo.numeric": "string", "kommo.leads": "30", "kommo.touch": "tasks",
    }  # fmt: skip
    with Sandbox(rates=UNLIMITED, switches=switches) as sb, Account(sb) as account:
        assert len(account.truth("leads")) == 30
        stamps = [row["updated_at"] for row in account.all("leads")]
        assert stamps == sorted(stamps, reverse=True)
        born = [row["created_at"] for row in account.all("events")]
        assert born == sorted(born)
        assert len(account.ids("contacts?filter[created_at][from]=1999999999")) == 36
        assert account.http.get("leads?filter[created_at][from]=1999999999").status_code == 204
        assert account.http.get("leads?order[price]=asc").status_code == 400
        values = [v for row in account.truth("leads") for v in row["custom_fields_values"] or ()]
        numbers = [v["values"][0]["value"] for v in values if v["field_type"] == "numeric"]
        assert numbers and all(isinstance(number, str) for number in numbers)
        lead = min(account.company.living["leads"])
        before = account.get(f"leads/{lead}")["updated_at"]
        account.company.create("tasks", text="T", entity_type="leads", entity_id=lead, complete_till=5)
        assert account.get(f"leads/{lead}")["updated_at"] > before, "with the switch, a task moves its lead's stamp"


def test_small_tables_take_ids_and_a_moment_may_stand_alone(account: Account) -> None:
    users = [row["id"] for row in account.truth("users")]
    assert account.ids(f"users?filter[id][]={users[2]}") == [users[2]]
    stamp = account.truth("leads")[0]["updated_at"]
    assert account.truth("leads")[0]["id"] in account.ids(f"leads?filter[updated_at]={stamp}")
    assert account.http.get("leads/1/links").status_code == 204
    assert account.http.get("leads/pipelines/1/statuses").status_code == 204
    assert account.http.get("/other").status_code == 404
    assert {row["entity_type"] for row in account.truth("tags")} == {"leads", "contacts", "companies"}
    binned = {row["id"] for row in account.truth("binned")}
    assert binned == {row["id"] for row in account.truth("deleted_leads")}


def test_a_write_may_name_tags_pipelines_and_records_that_exist(account: Account) -> None:
    http, company = account.http, account.company
    lead, contact = min(company.living["leads"]), min(company.living["contacts"])
    pipeline = list(company.pipelines)[1]
    tags = {"_embedded": {"tags": [{"name": "only"}]}}
    assert http.patch("leads", json=[{"id": lead, "pipeline_id": pipeline, **tags}]).is_success
    row = account.get(f"leads/{lead}")
    first = next(s for (p, s), own in company.statuses.items() if p == pipeline and own["type"] == 0)
    assert (row["pipeline_id"], row["status_id"]) == (pipeline, first)
    assert [tag["name"] for tag in row["_embedded"]["tags"]] == ["only"]
    made = http.post("leads/complex", json=[{"name": "C", "_embedded": {"contacts": [{"id": contact}]}}]).json()[0]
    assert (made["contact_id"], made["company_id"]) == (contact, None)
    renamed = http.patch("contacts", json=[{"id": contact, "first_name": "Нина", "last_name": "Ли"}]).json()
    assert renamed["_embedded"]["contacts"][0]["name"] == "Нина Ли"
    area = company.field("leads", "Площадь, м²")
    http.patch(f"leads/{lead}", json={"custom_fields_values": [{"field_id": area, "values": [{"value": 12.5}]}]})
    known = {v["field_id"]: v["values"] for v in account.get(f"leads/{lead}")["custom_fields_values"]}
    assert known[area] == [{"value": "12.5"}]


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("Площадь, м²", [{"value": "large"}], "InvalidType"), ("Дата замера", [{"value": "02.03.2025"}], "InvalidType"),
        ("Канал", [{"value": "Pigeon"}], "NotSupportedChoice"), ("Канал", [{"enum_id": 1}], "NotSupportedChoice"),
        ("Смета", "https://example.test", "InvalidType"), ("Смета", [{"url": "x"}], "FieldMissing"),
    ],
)  # fmt: skip
def test_custom_fields_refuse_what_they_cannot_hold(account: Account, name: str, values: Any, code: str) -> None:
    field = account.company.field("leads", name)
    body = [{"name": "x", "custom_fields_values": [{"field_id": field, "values": values}]}]
    problem = account.http.post("leads", json=body).json()
    assert problem["validation-errors"][0]["errors"][0]["code"] == code


def test_writes_to_what_is_not_there_are_refused(account: Account) -> None:
    http, lead = account.http, min(account.company.living["leads"])
    assert http.patch("leads", json=[{"id": 1}]).json()["validation-errors"][0]["errors"][0]["path"] == "id"
    for body in ([{"complete_till": 1}], [{"text": "x"}]):
        assert http.post("tasks", json=body).status_code == 400
    assert http.post("leads", json=[{"pipeline_id": 1}]).status_code == 400
    assert http.post("leads", json=[{"_embedded": {"contacts": [{"id": 1}]}}]).status_code == 400
    assert http.patch(f"leads/{lead}", json=[]).status_code == 400
    assert http.post("leads/1/link", json=[]).status_code == 404
    assert http.post(f"leads/{lead}/link", json=[{"to_entity_type": "contacts", "to_entity_id": 1}]).status_code == 400
    assert http.patch("unicorns/1", json={}).status_code == 404


def test_tokens_come_by_form_too_and_nobody_is_told_without_one(account: Account) -> None:
    names = ("client_id", "client_secret", "redirect_uri", "refresh_token")
    form = {name: account.own[name] for name in names} | {"grant_type": "refresh_token"}
    assert httpx.post(f"{account.url}/oauth2/access_token", data=form).is_success
    assert account.token().status_code == 400
    assert httpx.get(f"{account.url}/oauth?client_id=other").status_code == 404
    assert httpx.get(f"{account.url}/oauth2/account/subdomain").status_code == 401


def test_p4_changes_rows_that_are_still_to_come(account: Account) -> None:
    query = "leads?order[updated_at]=asc"
    before = account.ids(query)
    account.sandbox.faults.set("P4", path="/leads", edit=5, which="ahead", times=2)
    seen = [row["id"] for page in account.pages(query, limit=20) for row in page]
    assert seen[:20] == before[:20] and seen[20:30] == before[25:35] and len(set(seen)) == 120
    assert set(seen[-10:]) == {*before[20:25], *before[45:50]}


def test_edits_that_make_no_sense_are_refused_and_change_nothing(account: Account) -> None:
    company = account.company
    lead, contact = min(company.living["leads"]), min(company.living["contacts"])
    stage = company.living["leads"][lead].fields
    revision = company.revision
    for wrong in (
        lambda: company.update("leads", lead, colour="red"),
        lambda: company.update("leads", lead, values={1: []}),
        lambda: company.update("leads", 1),
        lambda: company.get("unicorns", 1),
        lambda: company.merge("contacts", contact, contact),
        lambda: company.restore("leads", lead),
        lambda: company.purge("leads", lead),
        lambda: company.field("leads", "no such field"),
        lambda: account.truth("unicorns"),
    ):
        with pytest.raises(RefusedError):
            wrong()
    assert company.revision == revision and company.living["leads"][lead].fields == stage
    busy = next(p for p in company.statuses if company.statuses[p]["is_editable"] and _leads_in(account, *p))
    with pytest.raises(RefusedError, match="still has leads"):
        company.delete_status(*busy)
    company.revoke("users")
    company.grant("users")
    assert account.http.get("users").is_success


def _leads_in(account: Account, pipeline: int, status: int) -> list[int]:
    stage = (pipeline, status)
    return [row["id"] for row in account.truth("leads") if (row["pipeline_id"], row["status_id"]) == stage]
