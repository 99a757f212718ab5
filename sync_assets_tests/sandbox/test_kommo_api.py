"""Kommo's dialect as its clients meet it: envelopes, pages, filters, thin writes and refusals."""

from typing import Any

import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.kommo import Account

EVERYTHING = {
    "leads": "contacts,catalog_elements,loss_reason,is_price_modified_by_robot,source_id",
    "contacts": "leads,customers,catalog_elements",
    "companies": "leads,contacts,customers,catalog_elements",
    "users": "role,group,uuid,amojo_id,user_rank,phone_number",
}
ENTITIES = ["leads", "contacts", "companies", "tasks", "users", "events", "leads/pipelines", "leads/loss_reasons"]


@pytest.mark.parametrize("path", ENTITIES)
@pytest.mark.parametrize("after", ["exact", "full"])
def test_following_the_links_gives_each_record_once_and_equals_the_truth(path: str, after: str) -> None:
    with Sandbox(rates=UNLIMITED, switches={"kommo.next": after}) as sb, Account(sb) as account:
        entity = path.rsplit("/", 1)[-1]
        rows = account.all(f"{path}?with={EVERYTHING.get(entity, '')}", limit=30)
        key: Any = lambda row: str(row["id"])  # noqa: E731
        assert sorted(rows, key=key) == sorted(account.truth(entity), key=key)
        assert len({row["id"] for row in rows}) == len(rows) > 2


def test_a_page_names_itself_and_its_neighbours_by_the_host_that_was_asked(account: Account) -> None:
    answer = account.http.get("leads?with=contacts&limit=10&page=2")
    assert answer.headers["content-type"] == "application/hal+json" and answer.headers["x-request-id"]
    page = answer.json()
    assert page["_page"] == 2 and "_total_items" not in page
    links = {name: link["href"] for name, link in page["_links"].items()}
    assert list(links) == ["self", "next", "first", "prev"]
    assert links["next"] == f"{account.url}/api/v4/leads?with=contacts&limit=10&page=3"
    row = page["_embedded"]["leads"][0]
    assert row["_links"]["self"]["href"] == f"https://stroika.kommo.test/api/v4/leads/{row['id']}"
    first = account.get("leads", limit=10)
    assert list(first["_links"]) == ["self", "next"]
    users = account.get("users", limit=4)
    assert (users["_total_items"], users["_page_count"]) == (7, 2)


def test_nothing_is_204_and_limits_are_capped_or_refused(account: Account) -> None:
    beyond = account.http.get("leads?limit=250&page=2")
    assert (beyond.status_code, beyond.content) == (204, b"")
    assert account.http.get("leads?filter[id][]=1").status_code == 204
    assert account.http.get("contacts/1").status_code == 204
    assert len(account.get("contacts")["_embedded"]["contacts"]) == 50
    assert len(account.get("contacts", limit=1000)["_embedded"]["contacts"]) == 144
    assert account.http.get("leads?page=0").status_code == 400
    strict = {"kommo.limit": "400", "kommo.missing": "404", "kommo.event_limit": "100"}
    with Sandbox(rates=UNLIMITED, switches=strict) as sb, Account(sb) as other:
        assert other.http.get("leads?limit=251").status_code == 400 and other.http.get("leads?limit=250").is_success
        assert other.http.get("events?limit=101").status_code == 400
        assert other.http.get("leads/1").status_code == 404


def test_filters_by_id_range_and_stage_pairs_and_orders(account: Account) -> None:
    leads = {row["id"]: row for row in account.truth("leads")}
    some = sorted(leads)[3:6]
    assert account.ids("leads?" + "&".join(f"filter[id][]={id}" for id in some)) == some
    assert account.ids("leads?" + "&".join(f"filter[id][{n}]={id}" for n, id in enumerate(some))) == some
    stamps = sorted(row["updated_at"] for row in leads.values())
    low, high = stamps[20], stamps[60]
    inside = {id for id, row in leads.items() if low <= row["updated_at"] <= high}
    window = f"filter[updated_at][from]={low}&filter[updated_at][to]={high}"
    assert set(account.ids(f"leads?{window}")) == inside
    ordered = account.all(f"leads?{window}&order[updated_at]=desc")
    assert [row["updated_at"] for row in ordered] == sorted((row["updated_at"] for row in ordered), reverse=True)
    won = {(row["pipeline_id"], 142) for row in leads.values() if row["status_id"] == 142}
    pipeline = min(won)[0]
    pair = f"filter[statuses][0][pipeline_id]={pipeline}&filter[statuses][0][status_id]=142"
    expected = {id for id, row in leads.items() if (row["pipeline_id"], row["status_id"]) == (pipeline, 142)}
    assert set(account.ids(f"leads?{pair}")) == expected != set()
    assert len(won) > 1 and account.http.get("leads?filter[statuses][0][status_id]=142").status_code == 400
    name = leads[some[0]]["name"]
    assert some[0] in account.ids(f"leads?query={name.upper()}")
    assert account.http.get("leads?filter[updated_at][from]=yesterday").status_code == 400


def test_filters_of_tasks_and_unknown_ones(account: Account) -> None:
    tasks = account.truth("tasks")
    done = [t for t in tasks if t["is_completed"] and t["task_type_id"] == 2]
    assert account.ids("tasks?filter[is_completed]=1&filter[task_type][]=2") == [t["id"] for t in done]
    of = next(t for t in tasks if t["entity_type"] == "leads")
    assert of["id"] in account.ids(f"tasks?filter[entity_type]=leads&filter[entity_id][]={of['entity_id']}")
    assert any(t["result"] == [] for t in tasks) and any(t["result"] and t["result"]["text"] for t in tasks)
    assert len(account.ids("tasks?filter[updatet_at][from]=1999999999")) == len(tasks), "a typo reads everything"
    with Sandbox(rates=UNLIMITED, switches={"kommo.unknown_filter": "400"}) as sb, Account(sb) as other:
        assert other.http.get("tasks?filter[updatet_at][from]=1").status_code == 400
    with Sandbox(rates=UNLIMITED, switches={"kommo.bounds": "exclusive"}) as sb, Account(sb) as other:
        at = other.truth("leads")[0]["updated_at"]
        assert other.ids(f"leads?filter[updated_at][from]={at}&filter[updated_at][to]={at}") == []


def test_statuses_repeat_in_each_pipeline_and_custom_fields_have_every_shape(account: Account) -> None:
    statuses = account.truth("statuses")
    assert [s["id"] for s in statuses].count(142) == [s["id"] for s in statuses].count(143) == 3
    assert len({(s["pipeline_id"], s["id"]) for s in statuses}) == len(statuses)
    for pipeline in account.truth("pipelines"):
        path = f"leads/pipelines/{pipeline['id']}"
        assert account.get(f"{path}/statuses")["_embedded"]["statuses"] == pipeline["_embedded"]["statuses"]
        assert account.get(f"{path}/statuses/142")["pipeline_id"] == pipeline["id"]
    seen: dict[str, set[type]] = {}
    for kind in ("leads", "contacts", "companies"):
        defined = {row["id"]: row for row in account.all(f"{kind}/custom_fields")}
        assert all(row["entity_type"] == kind for row in defined.values())
        for row in account.truth(kind):
            assert row["custom_fields_values"] != []
            for value in row["custom_fields_values"] or ():
                assert list(value) == ["field_id", "field_name", "field_code", "field_type", "values"]
                known = defined[value["field_id"]]
                assert (value["field_name"], value["field_type"]) == (known["name"], known["type"])
                seen.setdefault(value["field_type"], set()).update(type(v["value"]) for v in value["values"])
    assert seen["numeric"] == {str, int, float} and seen["checkbox"] == {bool} and seen["date"] == {int}
    assert seen["legal_entity"] == seen["file"] == {dict} and len(seen) == 18
    assert len(account.truth("custom_fields")) == 23 and account.all("leads/tags")


def test_embedded_links_come_both_ways_and_one_contact_is_the_main_one(account: Account) -> None:
    company = account.company
    contact, firm = company.create("contacts", first_name="A"), company.create("companies", name="F")
    lead = company.create("leads", name="L", links=[("contacts", contact)])
    second = company.create("contacts", first_name="B")
    company.link("leads", lead, "contacts", second)
    company.link("companies", firm, "leads", lead)
    row = account.get(f"leads/{lead}", **{"with": "contacts"})["_embedded"]
    assert [(c["id"], c["is_main"]) for c in row["contacts"]] == [(contact, True), (second, False)]
    assert [c["id"] for c in row["companies"]] == [firm] and "contacts" not in account.get(f"leads/{lead}")["_embedded"]
    assert account.get(f"contacts/{second}", **{"with": "leads"})["_embedded"]["leads"][0]["id"] == lead
    company.link("leads", lead, "contacts", second, main=True)
    links = account.get(f"leads/{lead}/links")["_embedded"]["links"]
    assert {link["to_entity_id"]: link["metadata"] for link in links} == {
        contact: {"main_contact": False}, second: {"main_contact": True}, firm: None,
    }  # fmt: skip
    other = company.create("companies", name="G", links=[("leads", lead)])
    assert [c["id"] for c in account.get(f"leads/{lead}")["_embedded"]["companies"]] == [other], "one company at a time"
    company.delete("contacts", second)
    row = account.get(f"leads/{lead}", **{"with": "contacts"})["_embedded"]
    assert [c["id"] for c in row["contacts"]] == [contact]


def test_writes_are_taken_as_a_whole_and_answered_thinly(account: Account) -> None:
    http, company = account.http, account.company
    phone, channel = company.field("contacts", "PHONE"), company.field("leads", "Канал")
    body: list[Any] = [{"name": "One", "price": 5, "_embedded": {"tags": [{"name": "vip"}]}}, {"request_id": "mine"}]
    made = http.post("leads", json=body).json()["_embedded"]["leads"]
    assert [list(row) for row in made] == [["id", "request_id", "_links"]] * 2
    assert [row["request_id"] for row in made] == ["0", "mine"]
    one = made[0]["id"]
    row = account.get(f"leads/{one}")
    assert (row["price"], row["_embedded"]["tags"][0]["name"], row["pipeline_id"]) == (5, "vip", 3177001)
    patched = http.patch("leads", json=[{"id": one, "custom_fields_values": [
        {"field_id": channel, "values": [{"value": "Сайт"}]}]}])  # fmt: skip
    assert list(patched.json()["_embedded"]["leads"][0]) == ["id", "updated_at", "request_id", "_links"]
    http.patch(f"leads/{one}", json={"price": 6, "tags_to_add": [{"name": "x"}], "tags_to_delete": [{"name": "vip"}]})
    row = account.get(f"leads/{one}")
    assert row["custom_fields_values"][0]["values"][0]["value"] == "Сайт" and row["price"] == 6
    assert [tag["name"] for tag in row["_embedded"]["tags"]] == ["x"]
    http.patch(f"leads/{one}", json={"custom_fields_values": [{"field_id": channel, "values": None}]})
    assert account.get(f"leads/{one}")["custom_fields_values"] is None
    person = {"name": "P", "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": "+7"}]}]}
    complex = http.post("leads/complex", json=[{"name": "C", "_embedded": {"contacts": [person]}}]).json()
    assert list(complex[0]) == ["id", "contact_id", "company_id", "request_id", "merged"]
    contact = account.get(f"contacts/{complex[0]['contact_id']}")
    assert contact["custom_fields_values"][0]["field_id"] == phone
    assert contact["custom_fields_values"][0]["values"][0]["enum_code"] == "WORK"
    linked = http.post(f"leads/{one}/link", json=[{"to_entity_type": "contacts", "to_entity_id": contact["id"]}])
    assert linked.json()["_embedded"]["links"][0]["metadata"] == {"main_contact": True}
    assert http.post(f"leads/{one}/unlink", json=linked.json()["_embedded"]["links"]).status_code == 204
    task = {"text": "Call", "complete_till": 1_900_000_000, "entity_type": "leads", "entity_id": one}
    assert http.post("tasks", json=[task]).is_success
    assert account.get(f"leads/{one}")["closest_task_at"] == 1_900_000_000


@pytest.mark.parametrize(
    ("wrong", "code", "path"),
    [
        ({"custom_fields_values": [{"field_id": 1}]}, "NotSupportedChoice", "custom_fields_values.0.field_id"),
        ({"status_id": 1}, "NotSupportedChoice", "status_id"),
        ({"price": "12"}, "InvalidType", "price"),
        ({"responsible_user_id": 1}, "NotSupportedChoice", "responsible_user_id"),
    ],
)  # fmt: skip
def test_one_bad_object_refuses_the_batch(account: Account, wrong: Any, code: str, path: str) -> None:
    before = account.truth("leads")
    answer = account.http.post("leads", json=[{"name": "good"}, wrong])
    assert answer.status_code == 400 and answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [e["request_id"] for e in problem["validation-errors"]] == ["1"]
    error = problem["validation-errors"][0]["errors"][0]
    assert (error["code"], error["path"]) == (code, path)
    assert (problem["title"], problem["detail"]) == ("Bad Request", "Request validation failed")
    assert account.truth("leads") == before


def test_refusals_have_the_vendors_words(account: Account) -> None:
    http = account.http
    assert "validation-errors" not in http.post("leads", content=b"{").json()
    assert http.post("leads", json={"name": "no array"}).status_code == 400
    large = http.post("leads", json=[{}] * 251)
    assert large.status_code == 504 and large.headers["content-type"] == "text/html" and b"nginx" in large.content
    assert http.delete("leads/1").status_code == 405 and http.get("unicorns").status_code == 404
    assert http.patch("leads/1", json={}).status_code == 404
    account.company.revoke("users")
    refused = http.get("users")
    assert (refused.status_code, refused.json()["detail"]) == (403, "Client doesn't have the required scope")
    assert http.get("leads").is_success
    assert set(http.get("account?with=version,task_types").json()) > {"version", "_embedded", "current_user_id"}
