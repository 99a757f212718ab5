"""HubSpot's dialect as its clients meet it: lists, batches, searches, associations, limits and refusals."""

import time
from typing import Any

import httpx
import pytest

from sync_assets.sandbox.server import Sandbox
from sync_assets_tests.sandbox.conftest import UNLIMITED
from sync_assets_tests.sandbox.hubspot import Portal, rule


@pytest.mark.parametrize("kind", ["contacts", "deals", "calls"])
def test_paging_gives_each_record_once_and_equals_the_truth(portal: Portal, kind: str) -> None:
    rows = portal.all(f"/crm/v3/objects/{kind}", properties=portal.names(kind))
    assert rows == portal.sandbox.world.truth("hubspot", kind)
    ids = [int(row["id"]) for row in rows]
    assert ids == sorted(set(ids)) and len(ids) == {"contacts": 300, "deals": 40, "calls": 120}[kind]
    assert list(rows[0]) == ["id", "properties", "createdAt", "updatedAt", "archived", "url"]
    assert list(rows[0]["properties"]) == sorted(rows[0]["properties"])
    values = [value for row in rows for value in row["properties"].values()]
    assert all(value is None or isinstance(value, str) for value in values) and None in values


@pytest.mark.parametrize("style", ["id", "last", "opaque"])
def test_every_style_of_cursor_reaches_the_end_by_token_and_by_link(style: str) -> None:
    with Sandbox(rates=UNLIMITED, switches={"hubspot.after": style}) as sb, Portal(sb) as portal:
        first = portal.get("/crm/v3/objects/contacts", limit=100)
        assert first["paging"]["next"]["after"].isdigit() is (style != "opaque")
        assert first["paging"]["next"]["link"].startswith(f"{sb.hubspot_url}/crm/v3/objects/contacts?limit=100&after=")
        assert len(portal.all("/crm/v3/objects/contacts")) == 300
        linked, link = first["results"], first["paging"]["next"]["link"]
        while link:
            page = portal.http.get(link).json()
            linked += page["results"]
            link = page.get("paging", {}).get("next", {}).get("link")
        assert len({row["id"] for row in linked}) == 300
        assert portal.http.get("/crm/v3/objects/contacts", params={"after": "?"}).status_code == 400


def test_an_id_is_a_cursor_so_ranges_meet_without_a_gap(portal: Portal) -> None:
    ids = [int(row["id"]) for row in portal.all("/crm/v3/objects/contacts")]
    middle = ids[150]
    upper = portal.get("/crm/v3/objects/contacts", limit=100, after=middle)["results"]
    assert int(upper[0]["id"]) == middle
    assert int(portal.get("/crm/v3/objects/contacts", limit=1, after=middle - 1)["results"][0]["id"]) == middle


def test_objects_answer_to_every_name_and_version(portal: Portal) -> None:
    paths = ("v3/objects/contacts", "v3/objects/contact", "v3/objects/0-1", "v3/objects/CONTACT")
    paths += ("objects/2026-03/contacts", "objects/2026-09/0-1")
    answers = [portal.get(f"/crm/{path}", limit=2)["results"] for path in paths]
    assert all(answer == answers[0] for answer in answers)
    assert portal.http.get("/crm/v3/objects/0-48").status_code == 200
    assert portal.http.get("/crm/v3/objects/unicorns").status_code == 400
    assert portal.http.get("/crm/v3/unicorns").status_code == 404


def test_properties_repeated_or_in_a_comma_list_with_defaults_and_unknown_ones(portal: Portal) -> None:
    comma = portal.get("/crm/v3/objects/contacts?properties=email,phone,nonsense&limit=1")["results"][0]
    repeated = portal.get("/crm/v3/objects/contacts?limit=1&properties=email&properties=phone")["results"][0]
    assert comma == repeated
    assert set(comma["properties"]) == {"createdate", "email", "hs_object_id", "lastmodifieddate", "phone"}
    plain = portal.get("/crm/v3/objects/contacts")["results"]
    assert len(plain) == 10 and {"email", "firstname", "lastname"} < set(plain[0]["properties"])
    call = portal.get("/crm/v3/objects/calls", limit=1)["results"][0]
    assert set(call["properties"]) == {"hs_createdate", "hs_lastmodifieddate", "hs_object_id"}
    portal.company.retire("contacts", "phone")
    assert "phone" not in portal.get("/crm/v3/objects/contacts?properties=phone")["results"][0]["properties"]


def test_associations_come_inline_twice_when_labelled_and_not_at_all_when_none(portal: Portal) -> None:
    company = portal.company
    contact, deal = company.create("contacts", firstname="A"), company.create("deals", dealname="D")
    company.associate("deals", deal, "contacts", contact, "Decision maker")
    row = portal.get(f"/crm/v3/objects/contacts/{contact}", associations="deals,calls")
    found = row["associations"]["deals"]["results"]
    assert found == [
        {"id": str(deal), "type": "contact_to_deal"}, {"id": str(deal), "type": "decision_maker"},
    ] and "calls" not in row["associations"]  # fmt: skip
    company.dissociate("contacts", contact, "deals", deal)
    assert "associations" not in portal.get(f"/crm/v3/objects/contacts/{contact}", associations="deals")


def test_associations_v4_in_batches_pages_and_labels(portal: Portal) -> None:
    company = portal.company
    contact, alone = company.create("contacts", firstname="A"), company.create("contacts", firstname="B")
    deals = [company.create("deals", dealname=f"D{n}") for n in range(7)]
    for deal in deals:
        company.associate("contacts", contact, "deals", deal)
    inputs = [{"id": str(contact)}, {"id": str(alone)}]
    path = "/crm/v4/associations/contacts/deals/batch/read"
    answer = portal.post(path, {"inputs": inputs})
    assert [row["from"]["id"] for row in answer["results"]] == [str(contact)] and answer["status"] == "COMPLETE"
    assert [to["toObjectId"] for to in answer["results"][0]["to"]] == deals
    first = portal.get(f"/crm/v4/objects/contacts/{contact}/associations/deals", limit=3)
    token = first["paging"]["next"]["after"]
    rest = portal.get(f"/crm/v4/objects/0-1/{contact}/associations/0-3", limit=5, after=token)
    assert [row["toObjectId"] for row in first["results"] + rest["results"]] == deals and "paging" not in rest
    assert portal.get("/crm/v4/associations/deal/contact/labels")["results"][0]["typeId"] == 3
    missing = portal.http.post(path, json={"inputs": [{"id": "7"}]})
    assert missing.status_code == 207 and missing.json()["numErrors"] == 1
    assert portal.http.post(path, json={"inputs": inputs * 501}).status_code == 400
    with_pages = Sandbox(rates=UNLIMITED, switches={"hubspot.association_page": "2", "hubspot.to_object_id": "string"})
    with with_pages as sb, Portal(sb) as other:
        contact = other.company.create("contacts", firstname="A")
        for n in range(3):
            other.company.associate("contacts", contact, "deals", other.company.create("deals", dealname=str(n)))
        row = other.post(path, {"inputs": [{"id": str(contact)}]})["results"][0]
        following = {"id": str(contact), "after": row["paging"]["next"]["after"]}
        last = other.post(path, {"inputs": [following]})["results"][0]
        assert (len(row["to"]), len(last["to"]), "paging" in last) == (2, 1, False)
        assert isinstance(last["to"][0]["toObjectId"], str)


def test_batch_read_names_what_it_did_not_find(portal: Portal) -> None:
    ids = [str(id) for id in portal.company.shelves["deals"].ids[:100]]
    body = {"inputs": [{"id": id} for id in [*ids, "999"]], "properties": ["amount"]}
    answer = portal.http.post("/crm/v3/objects/0-3/batch/read", json=body)
    assert answer.status_code == 207 and answer.json()["errors"][0]["context"] == {"ids": ["999"]}
    assert {row["id"] for row in answer.json()["results"]} == set(ids)
    amounts = [row["properties"]["amount"] for row in answer.json()["results"]]
    assert max(len(amount) for amount in amounts) >= 40
    body["inputs"] = [{"id": str(n)} for n in range(101)]
    assert portal.http.post("/crm/v3/objects/0-3/batch/read", json=body).status_code == 400


def test_search_filters_sorts_and_pages(portal: Portal) -> None:
    truth = {row["id"]: row["properties"] for row in portal.sandbox.world.truth("hubspot", "contacts")}
    moved = sorted(row["lastmodifieddate"] for row in truth.values())
    since = rule("lastmodifieddate", "GTE", value=moved[50])
    answer = portal.search("contacts", since, limit=200, sorts=[{"propertyName": "lastmodifieddate"}])
    stamps = [row["properties"]["lastmodifieddate"] for row in answer["results"]]
    assert answer["total"] == 250 and stamps == sorted(stamps) and answer["paging"] == {"next": {"after": "200"}}
    assert len(set(portal.found("contacts", since, sorts=["-lastmodifieddate"]))) == 250

    def ids(*filters: dict[str, Any]) -> set[str]:
        return set(portal.found("contacts", *filters))

    def true(name: str, value: str | None) -> set[str]:
        return {id for id, own in truth.items() if own[name] == value}

    assert ids(rule("vsl_watched", "EQ", value="true")) == true("vsl_watched", "true")
    assert ids(rule("vsl_watched", "NOT_HAS_PROPERTY")) == true("vsl_watched", None) | true("vsl_watched", "")
    assert ids(rule("email", "EQ", value="PERSON7@example.test")) == true("email", "person7@example.test")
    assert ids(rule("email", "IN", values=["Person7@example.test"])) == set()
    few = sorted(truth)[:5]
    assert ids(rule("hs_object_id", "IN", values=few)) == set(few)
    assert ids(rule("hs_object_id", "GT", value=51), rule("hs_object_id", "LTE", value="201")) == {"101", "151", "201"}
    bounds = {"value": moved[10], "highValue": moved[20]}
    assert len(ids(rule("lastmodifieddate", "BETWEEN", **bounds))) == 11
    assert ids(rule("vsl_watch_duration", "EQ", value="293.683260")) == true("vsl_watch_duration", "293.68326")
    either = [{"filters": [rule("hs_object_id", "EQ", value=id)]} for id in few[:2]]
    answer = portal.post("/crm/v3/objects/contacts/search", {"filterGroups": either})
    assert {row["id"] for row in answer["results"]} == set(few[:2])


def test_search_refuses_what_is_too_much_unknown_or_beyond_the_cap(portal: Portal) -> None:
    def status(**body: Any) -> int:
        return portal.http.post("/crm/v3/objects/deals/search", json=body).status_code

    one = rule("amount", "HAS_PROPERTY")
    assert status(limit=201) == status(after="10000") == status(after=9900, limit=200) == 400
    assert status(filters=[one] * 7) == status(filterGroups=[{"filters": [one]}] * 6) == 400
    assert status(filters=[rule("amount", "IN", values=["1" * 50] * 70)]) == 400
    assert status(filters=[rule("nonsense", "EQ", value="1")]) == status(sorts=["amount", "dealname"]) == 400
    assert status(filters=[rule("createdate", "GT", value=0)]) == 500
    assert status(filters=[rule("createdate", "GT", value=1000)]) == 200
    assert portal.search("deals", rule("nonsense", "EQ", value=1))["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"


def test_owners_pipelines_properties_and_account(portal: Portal) -> None:
    world = portal.sandbox.world
    owners = world.truth("hubspot", "owners")
    assert portal.all("/crm/v3/owners/") == [o for o in owners if not o["archived"]]
    assert portal.get("/crm/v3/owners", archived="true")["results"] == [o for o in owners if o["archived"]]
    assert len(portal.all("/crm/v3/owners")) == 7 and len(owners) == 8
    assert portal.get("/crm/v3/pipelines/deals")["results"] == world.truth("hubspot", "pipelines")
    assert len(world.truth("hubspot", "stages")) == 12
    portal.company.retype("contacts", "city", "number", "number")
    portal.company.retire("contacts", "notes")
    known = {row["name"]: row for row in portal.get("/crm/v3/properties/contacts")["results"]}
    assert known["city"]["type"] == "number" and "notes" not in known and len(known) == 39
    retired = portal.get("/crm/v3/properties/0-1", archived="true")["results"]
    assert [row["name"] for row in retired] == ["notes"] and retired[0]["archivedAt"]
    assert portal.get("/account-info/v3/details")["timeZone"] == "Europe/Moscow"
    assert portal.get("/account-info/v3/api-usage/daily/private-apps")["results"][0]["usageLimit"] == 625_000


def test_who_may_not_read_is_told_which_scope_is_missing(portal: Portal) -> None:
    nobody = httpx.get(f"{portal.sandbox.hubspot_url}/crm/v3/objects/deals")
    assert nobody.status_code == 401 and nobody.json()["category"] == "INVALID_AUTHENTICATION"
    assert nobody.headers["x-hubspot-correlation-id"] == nobody.json()["correlationId"]
    portal.company.revoke("crm.objects.owners.read")
    portal.company.revoke("crm.objects.deals.read")
    for path, scope in (("owners", "owners"), ("objects/0-3", "deals"), ("pipelines/deals", "deals")):
        refused = portal.http.get(f"/crm/v3/{path}")
        assert refused.status_code == 403 and refused.json()["category"] == "MISSING_SCOPES"
        needed = refused.json()["errors"][0]["context"]["requiredGranularScopes"]
        assert needed == [f"crm.objects.{scope}.read"]
    path = "/crm/v4/associations/contacts/deals/batch/read"
    assert portal.http.post(path, json={"inputs": []}).status_code == 403
    assert portal.http.get("/crm/v3/objects/contacts").status_code == 200


def test_a_long_url_gets_a_page_and_a_post_does_not(portal: Portal) -> None:
    names = ",".join(f"some_property_number_{n}" for n in range(1000))
    refused = portal.http.get("/crm/v3/objects/contacts", params={"properties": names})
    assert refused.status_code == 414 and refused.text.startswith("<html>")
    with pytest.raises(ValueError):
        refused.json()
    body = {"inputs": [{"id": "51"}], "properties": names.split(",")}
    assert portal.http.post("/crm/v3/objects/contacts/batch/read", json=body).status_code == 200


def test_gzip_is_for_whoever_accepts_it(portal: Portal) -> None:
    path = "/crm/v3/objects/contacts?limit=50"
    packed, plain = (portal.http.get(path, headers={"Accept-Encoding": how}) for how in ("gzip", "identity"))
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert packed.json() == plain.json() and "date" in plain.headers
    assert int(packed.headers["content-length"]) * 2 < int(plain.headers["content-length"])


def test_burst_search_associations_and_day_are_budgets_of_their_own() -> None:
    rates = {"kaiten": 0.0, "worksection": 0.0, "hubspot": 6.0, "hubspot.search": 2.0, "hubspot.associations": 4.0}
    with (
        Sandbox(rates=rates, switches={"hubspot.interval_ms": "500", "hubspot.daily": "9"}) as sb,
        Portal(sb) as portal,
    ):
        answers = [portal.http.get("/crm/v3/objects/deals") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        head = answers[1].headers
        assert [head[f"x-hubspot-ratelimit-{n}"] for n in ("max", "remaining", "interval-milliseconds")] == [
            "3",
            "1",
            "500",
        ]
        refused = answers[3]
        assert refused.json()["policyName"] == "TEN_SECONDLY_ROLLING" and "retry-after" not in refused.headers
        found = [portal.http.post("/crm/v3/objects/deals/search", json={}) for _ in range(3)]
        assert [answer.status_code for answer in found] == [200, 200, 429]
        assert found[2].json().keys() == {"status", "message", "correlationId", "category"}
        assert "x-hubspot-ratelimit-max" not in found[0].headers and "x-hubspot-ratelimit-daily" in found[0].headers
        path = "/crm/v4/associations/contacts/deals/labels"
        assert [portal.http.get(path).status_code for _ in range(3)] == [200, 200, 429]
        assert len(sb.violations) == 3
        time.sleep(0.5)
        assert [portal.http.get("/crm/v3/owners").status_code for _ in range(2)] == [200, 200]
        time.sleep(0.5)
        spent = portal.http.get("/crm/v3/owners")
        assert spent.status_code == 429 and spent.json()["policyName"] == "DAILY"
        sb.world.clock.advance(86_400)
        assert portal.http.get("/crm/v3/owners").status_code == 200


def test_writes_move_the_company(portal: Portal) -> None:
    made = portal.http.post("/crm/v3/objects/contacts", json={"properties": {"email": "new@example.test"}})
    assert made.status_code == 201
    id = made.json()["id"]
    twin = portal.http.post("/crm/v3/objects/contacts", json={"properties": {"email": "new@example.test"}})
    assert (twin.status_code, twin.json()["message"]) == (409, f"Contact already exists. Existing ID: {id}")
    changed = portal.http.patch(f"/crm/v3/objects/contacts/{id}", json={"properties": {"phone": "1"}}).json()
    assert changed["properties"]["phone"] == "1" and changed["updatedAt"] > made.json()["updatedAt"]
    wrong = portal.http.patch(f"/crm/v3/objects/contacts/{id}", json={"properties": {"nonsense": "1"}})
    assert wrong.json()["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert portal.http.delete(f"/crm/v3/objects/contacts/{id}").status_code == 204
    assert portal.http.get(f"/crm/v3/objects/contacts/{id}").status_code == 404
